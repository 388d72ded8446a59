"""What a run came to and the way of a row, told of a log that is known event by event."""

import numpy as np
import polars as pl
import pytest
from told_run import ToldRun, positions

from recryst.agent.account.explain import explain, told
from recryst.agent.account.summary import funnel, rounds, seconds_by_step, spent, summary, syntheses
from recryst.state.actions import ChangeK, Prune, RemoveSuspects, Stop, Synthesise
from recryst.state.decision import Change, Decision, Rejected, RoundRecord, Verdict
from recryst.state.errors import UsageError
from recryst.state.report import Objective, Probe
from recryst.state.rows import Removal, add_synthetic
from recryst.state.values import SynthesisFigures, Values
from recryst.tools.write.reasons import in_words

PRUNE = Prune(clusters=(1, 2), strategy="keep_random", keep_fraction=0.5)
FIGURES = SynthesisFigures(
    seeds=3, questions=2, generated=5, dropped={"too_short": 4}, kept=1, narrowed=(), cut_short=False
)


def objective(value):
    parts = dict.fromkeys(("coverage", "balance", "redundancy", "noise", "structure", "silhouette", "stability"), 0.5)
    probe = Probe(name="nearest_neighbor", score=value, raw=value)
    return Objective(value=value, probes=(probe,), clustering=0.3, clustering_sd=0.0, **parts)


class Cycle(ToldRun):
    """A run with rounds."""

    def decide(self, number, action, why="why", embedded=5, rejected=()):
        """A round begins, in which this is chosen."""
        self.note("embed", seconds=2.0, rows=9, embedded=embedded, cached=0)
        decision = Decision(candidate="c", action=action, reasons=(why,), rejected=rejected)
        self.step("decide", values=Values(decision=decision), round=number, fields={"k": 4})

    def measure(self, number, action, outcome, after, ledger=None):
        """The trial is measured."""
        moved = tuple(Change(name=name, gain=0.1, error=0.01) for name in ("nearest_neighbor", "mean"))
        against = {"gain": 0.1, "needed": 0.03, "price": 0.0, "looks": 1}
        verdict = Verdict(outcome=outcome, reasons=("measured",), changes=moved, **against)
        record = RoundRecord(
            **{
                "round": number,
                "state_key": "s",
                "rows_key": "r",
                "action": action,
                "outcome": outcome,
                "reasons": ("measured",),
            },
            **{"verdict": verdict, "kept": 8, "k": 4, "embedded": 5, "before": objective(0.5), "after": after},
            **{"label_agreement": 0.9, "keep_agreement": 0.8},
        )
        said = {"record": record, "outcome": outcome, "reasons": ("measured",)}
        kept = Values(objective=after) if outcome == "kept" else Values()
        self.put("measure", self.ledger if ledger is None else ledger, kept, fields=said)


@pytest.fixture
def run(tmp_path):
    """A trial that is rolled back and kept after all, one that is kept, and a stop."""
    run = Cycle(tmp_path, text=[f"text {at}" for at in range(10)])
    run.step("clean", Removal("exact_duplicate", positions(9), duplicate_of=positions(0)))
    run.hold_out(8)
    run.note("baseline", seconds=1.0)
    run.step("baseline", values=Values(objective=objective(0.5)))
    run.decide(1, PRUNE, rejected=(Rejected(id="x", action="stop", reason="not yet"),))
    run.step("act", Removal("prune_random", positions(1)), trial=True)
    trial = run.store.frame(run.view.ref("trial_ledger"))
    run.measure(1, PRUNE, "rolled_back", objective(0.4))
    run.decide(2, ChangeK(algorithm="kmeans", k=7), embedded=0)
    run.put("keep", trial, Values(objective=objective(0.4)), fields={"k": 4})
    run.decide(3, Synthesise(clusters=(1,), counts=(1,)))
    added = add_synthetic(run.ledger, pl.Series(["s1"]), len(run.events))
    synthetic = pl.DataFrame({"row": [10], "generator": ["openai:x generate@1"], "seeds": [["id2", "seed:h"]]})
    run.put("act", added, trial=True, fields={"synthesis": FIGURES})
    run.measure(3, Synthesise(clusters=(1,), counts=(1,)), "kept", objective(0.6), added)
    rows = pl.concat([run.view.frame("rows"), run.view.frame("rows").head(1).with_columns(id=pl.lit("s1"))])
    run.decide(4, Stop(), why="nothing pays", embedded=3)
    labels = pl.DataFrame({"row": [0, 1], "cluster": [2, -1]}, schema_overrides={"row": pl.UInt32})
    row_labels = pl.DataFrame(
        {"row": [0], "domain": ["food"], "tags": [["a", "b"]], "difficulty": [None]}
        | {"domain_by": ["rules"], "tags_by": ["zero_shot"], "difficulty_by": [None]}
    )
    run.step("train", synthetic=synthetic, rows=rows, assignments=labels, row_labels=row_labels)
    return run


def test_every_round_is_told_with_what_a_person_did(run):
    first, second, third, last = rounds(run.view)
    assert [one.outcome for one in (first, second, third, last)] == ["rolled_back", "by_person", "kept", "stopped"]
    assert [one.round for one in (first, second, third, last)] == [1, 2, 3, 4]
    assert (first.action, first.params, first.words) == ("prune", PRUNE.params, PRUNE.in_words())
    assert (first.reasons, first.verdict, first.rejected[0].reason) == (("why",), ("measured",), "not yet")
    assert first.noise == {"nearest_neighbor": 0.02, "value": 0.03}  # twice its error; what was needed
    assert (first.after.value, first.before.value) == (0.4, 0.5)
    assert (second.action, second.params, second.words) == ("keep", {}, "keep the trial that was rolled back")
    assert second.reasons == ("a person overrode the measurement",)
    assert (second.kept, second.embedded, second.before.value, second.after.value) == (8, 0, 0.5, 0.4)
    assert (last.action, last.reasons, last.embedded, last.k, last.after) == ("stop", ("nothing pays",), 3, 4, None)
    assert last.metrics == last.before == objective(0.6)


def test_a_round_is_plain_json_without_the_words(run):
    told = rounds(run.view)[0].model_dump(mode="json")
    assert told["rejected"] == [{"id": "x", "action": "stop", "reason": "not yet"}]
    assert told["noise"] == {"nearest_neighbor": 0.02, "value": 0.03}
    assert told.keys() == {
        *("round", "action", "params", "kept", "k", "embedded", "outcome", "label_agreement", "keep_agreement"),
        *("reasons", "looks", "rejected", "verdict", "noise", "metrics", "before"),
    }


def test_the_summary_adds_up(run):
    told = summary(run.view)
    assert told.rows == {"quarantined": 0, "ingested": 10, "kept": 8, "removed": 2, "synthetic": 1}
    assert told.anchor == 1
    assert [(one.stage, one.reason, one.rows) for one in funnel(run.ledger)] == [
        ("load", "ingested", 10),
        ("clean", "exact_duplicate", 1),
        ("act", "prune_random", 1),
    ]
    (written,) = syntheses(run.view)
    assert (written.round, written.outcome, written.dropped) == (3, "kept", {"too_short": 4})
    assert seconds_by_step(run.view)["embed"] == 8.0
    assert told.log_head == run.events[-1].hash
    assert spent(run.view) is None
    assert summary(run.view, peak=17.5).peak_memory_mb == 17.5


def test_the_way_of_a_row_tells_of_trials(run):
    found = explain(run.view, "id1")
    assert [(step.step, step.status, step.outcome) for step in found.steps] == [
        ("load", "kept", None),
        ("act", "removed", "rolled_back"),
        ("keep", "removed", None),
    ]
    assert (found.steps[1].action, found.steps[1].why) == ("prune", ("measured",))
    assert found.row.cluster == -1
    assert any("on trial; the trial was rolled back: measured" in line for line in told(found))
    assert "  cluster -1 (noise: it belongs to none)" in told(found)
    assert not {"quality", "labels", "seeds", "generator"} & found.plain()["row"].keys()
    assert "outcome" not in found.plain()["steps"][0]


def test_what_is_known_of_a_row_is_told(run):
    assert "  labels: domain food (by rules); tags a, b (by zero-shot)" in told(explain(run.view, "id0"))
    copy = explain(run.view, "id9").row
    assert (copy.status, copy.reason, copy.duplicate_of) == ("removed", "exact_duplicate", "id0")
    written = explain(run.view, "s1")
    assert (written.row.generator, written.row.seeds) == ("openai:x generate@1", ("id2", "seed:h"))
    assert "    id2: text 2" in told(written)


def test_a_row_that_is_none_is_refused_with_the_nearest(run):
    with pytest.raises(UsageError, match="did you mean 'id7'"):
        explain(run.view, "id77")


@pytest.mark.parametrize(
    ("removal", "words"),
    [
        (Removal("label_support", positions(3), np.array([0.0031]), 0.01), "score 0.0031, below the threshold of 0.01"),
        (Removal("mispaired", positions(3), np.array([3.0]), 2.0), "score 3.0000, at or above the threshold of 2"),
    ],
)
def test_the_evidence_against_a_removed_row_is_told_in_words(tmp_path, removal, words):
    run = Cycle(tmp_path, text=[f"text {at}" for at in range(6)], label=["a", "b"] * 3)
    figures = {"label_support": 0.0031, "own_probability": 0.0031, "own_vote": 0.002, "pair_doubt": 3.0}
    evidence = pl.DataFrame({"row": [3], **figures, "other_label": ["c"]}, schema_overrides={"row": pl.UInt32})
    run.decide(1, RemoveSuspects(by="label_support", threshold=0.01))
    run.step("evidence", evidence=evidence)
    run.step("act", removal)
    said = "\n".join(told(explain(run.view, "id3")))
    assert f"removed by act: {removal.reason}, {in_words(removal.reason)}, {words}" in said
    assert "the other rows bear out the label b to 0.0031 of 1: a model of the other rows gives it a prob" in said
    assert "both prefer the label c" in said
    assert "its answer is doubted to 3 of 3" in said
    assert "evidence" not in explain(run.view, "id2").plain()["row"]
