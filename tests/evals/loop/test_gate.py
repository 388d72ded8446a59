"""Planted actions: which rows they take, that the product's own gate judges them, and how the verdicts are counted."""

import numpy as np
import polars as pl
import pytest

from recryst.agent.decide.verdict import NEAR_DUPLICATE
from recryst.agent.steps.rows.appraise import known_appraisals, trials
from recryst.agent.view import View
from recryst.evals.loop import gate
from recryst.evals.loop.faults import SIDE_SCHEMA, Crude
from recryst.evals.loop.planted import (
    SPOILS,
    Known,
    Planted,
    a_tenth,
    judged,
    one_class,
    one_theme,
    taught,
    the_copies,
    the_flipped,
    the_spoilt,
)
from recryst.state.events import Embed

ROWS = 200


@pytest.fixture(scope="module")
def made(few_intents, tmp_path_factory):
    """The tables of one run of the experiment, and where it stands."""
    out = tmp_path_factory.mktemp("gate")
    plan = gate.GatePlan(sets=("banking77",), draws=1, rows=ROWS)
    return gate.EXPERIMENT.run(few_intents, plan, out), out / "gate/anchor-default/banking77-middle-0", plan


@pytest.fixture(scope="module")
def begun(made):
    """The run before its first decision, and what is true of it."""
    folder = made[1]
    side = pl.read_ndjson(folder / "side.jsonl", schema=SIDE_SCHEMA)
    crude = Crude(pl.read_ndjson(folder / "rows.jsonl"), side)
    view = View.open(folder / "run")
    return view, crude, Known.of(view, crude)


def _lines(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _chance():
    return np.random.default_rng(0)


@pytest.mark.shared_data
def test_the_run_stands_before_its_first_decision_and_nothing_was_embedded_again(begun):
    view, _, _ = begun
    assert view.state.last == "appraise"
    (embed,) = (event for event in view.events if isinstance(event, Embed))
    assert (embed.embedded, embed.cached > 0) == (0, True)


@pytest.mark.shared_data
def test_the_gate_says_of_a_candidate_what_the_run_itself_has_measured(begun):
    view, _, _ = begun
    known, compared = known_appraisals(view), 0
    for trial in trials(view):
        verdict = judged(view, Planted("a candidate", trial.candidate.action, trial.change))
        assert verdict.changes == known[trial.name].verdict.changes
        assert verdict.looks == len(known) + 1
        compared += 1
    assert compared > 1


@pytest.mark.shared_data
def test_harmful_actions_take_what_they_say(begun):
    view, _, known = begun
    whole = one_class(view, known, _chance())
    left = known.labels.filter(pl.Series(np.isin(known.rows, _kept(whole))))
    assert whole.of in set(known.labels)
    assert set(left) == set(known.labels) - {whole.of}
    assert whole.change.rows == int((known.labels == whole.of).sum()) > 0
    theme = one_theme(view, known, _chance())
    gone = np.isin(known.rows, _kept(theme), invert=True)
    assert 0 < gone.sum() == theme.change.rows
    assert known.spoilt[gone].mean() <= known.spoilt.mean()
    assert a_tenth(view, known, _chance()).change.rows == round(0.1 * len(known.rows))


@pytest.mark.shared_data
def test_useful_actions_take_the_planted_rows_and_no_other(begun):
    view, crude, known = begun
    fault, origin, truth = (dict(zip(crude.side["id"], crude.side[name], strict=True)) for name in
                            ("fault", "origin", "truth"))  # fmt: skip
    label = dict(crude.rows.select("id", "label").iter_rows())
    kept = set(view.ledger()["id"].gather(view.kept()))
    wanted = {row for row in kept if fault[origin[row]] in SPOILS}
    assert kept - taught(view, the_spoilt(view, known, _chance()).change).kept == wanted != set()
    right = taught(view, the_flipped(view, known, _chance()).change)
    assert right.kept == kept
    assert right.labels == {row: truth[row] for row in kept if truth[row] not in (None, label[row])}
    assert right.labels


@pytest.mark.shared_data
def test_of_every_family_of_copies_one_row_stays(begun):
    view, crude, known = begun
    origin = dict(zip(crude.side["id"], crude.side["origin"], strict=True))
    copies = the_copies(view, known, _chance())
    kept = set(view.ledger()["id"].gather(view.kept()))
    left = taught(view, copies.change).kept
    assert copies.action.mark == NEAR_DUPLICATE
    assert left < kept
    assert sorted(origin[row] for row in left) == sorted({origin[row] for row in kept})


@pytest.mark.shared_data
def test_the_verdicts_are_counted_and_read_back(made, few_intents):
    tables, folder, plan = made
    counted = {line["action"]: line for line in _lines(tables[0])}
    assert {name: line["trials"] for name, line in counted.items()} == {
        **dict.fromkeys(("one class", "one theme", "a random tenth"), 3),
        **dict.fromkeys(("the faulty rows go", "wrong labels put right"), 1),
        **dict.fromkeys(("copies, as near-duplicates", "copies, as any other rows",
                         "random rows, as near-duplicates"), 1),
    }  # fmt: skip
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert gate.EXPERIMENT.run(few_intents, plan, folder.parents[2]) == tables
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_verdicts_that_should_not_be_are_listed():
    plan = gate.GatePlan(sets=("clinc",), draws=1, anchors=(100,))
    trial = {"name": "a random tenth", "of": "", "rows": 10, "gain": 0.1, "needed": 0.05, "truth": -1.0, "reason": "so"}
    harmful = [trial | {"outcome": "kept"}, trial | {"outcome": "rolled_back"}, trial | {"outcome": "refused"}]
    useful = [trial | {"name": "the faulty rows go", "outcome": "rolled_back"}]
    record = {"held_out": 98, "kept": 100, "trials": {"harmful": harmful, "useful": useful}}
    counts, by_set, wrong = (_lines(one) for one in gate.tables([(plan.cells()[0], record)], plan, ""))
    assert [(line["trials"], line["kept"], line["rolled back or refused"]) for line in counts] == [(3, 1, 2), (1, 0, 1)]
    assert (counts[0]["held out"], counts[0]["share of rows"]) == (98, pytest.approx(0.1))
    assert [line["clinc"] for line in by_set] == ["1 of 3", "0 of 1"]
    assert [(line["action"], line["outcome"]) for line in wrong] == [
        ("a random tenth", "kept"),
        ("the faulty rows go", "rolled_back"),
    ]


def _kept(planted):
    ledger = planted.change.ledger
    return ledger.filter((pl.col("status") != "removed") & (pl.col("split") == "train"))["row"].to_numpy()
