"""Rows that say what another row says: proposed, tried, measured, undone where it does not pay, and audited."""

import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from commands import QUICK
from forger import at, forged

from recryst.agent.audit import audit
from recryst.agent.steps.measured import neighbors_among
from recryst.agent.steps.rows.removals import alike
from recryst.agent.view import View
from recryst.evals.runs import refine
from recryst.state.actions import Deduplicate
from recryst.state.log import read_log
from recryst.state.params.preparation import SemanticParams
from recryst.state.settings import parse_config
from recryst.state.store import Store
from recryst.state.values import Values

SETTINGS = {
    **QUICK,
    "cluster": {"k": 4},
    "filter": {"profile": "none"},
    "load": {"label_column": "group", "vector_column": "vector", "text_column": "text"},
    "stop": {"max_rounds": 1},
}
ROWS, PLANTED = 200, 30


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """200 rows in four groups, none like another, and 30 that say the same as one of them, at more length."""
    rng = np.random.default_rng(0)
    groups = np.arange(ROWS) % 4
    vectors = np.eye(4, 32)[groups] + 0.25 * rng.standard_normal((ROWS, 32))
    again = vectors[:PLANTED] + 0.02 * rng.standard_normal((PLANTED, 32))
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
    texts = [" ".join(rng.choice(words, 8)) + f" number {n % ROWS}" for n in range(ROWS + PLANTED)]
    texts[ROWS:] = [text + " as was said before" for text in texts[ROWS:]]
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    group = np.concatenate([groups, groups[:PLANTED]]).astype(str)
    vector = np.concatenate([vectors, again]).tolist()
    ids = [f"row{n}" for n in range(ROWS)] + [f"again{n}" for n in range(PLANTED)]
    pl.DataFrame({"id": ids, "text": texts, "group": group, "vector": vector}).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def tried(source, tmp_path_factory):
    """Runs in which a script, which goes by no figure, tries it."""
    script = tmp_path_factory.mktemp("script") / "script.yaml"
    script.write_text("decide: {order: [deduplicate]}\n")
    llm = {"llm": {"model": f"scripted:{script}"}, "critic": "rules", "policy": "llm"}

    def refined(**changes):
        root = tmp_path_factory.mktemp("semantic") / "run"
        refine(source, root, parse_config({**SETTINGS, **llm, **changes}, "the test"))
        return root

    return refined


@pytest.fixture(scope="module")
def run(tried):
    return tried()


def events_of(root, kind):
    return [event for event in read_log(root / "events.jsonl")[0] if event.type == kind]


def test_the_rules_do_not_try_it_where_it_was_measured_not_to_pay(source, tmp_path):
    refine(source, tmp_path / "run", parse_config(SETTINGS, "the test"))
    decision = events_of(tmp_path / "run", "decide")[0]
    [same] = [one for one in decision.candidates if isinstance(one.action, Deduplicate)]
    assert same.appraisal.outcome == "rolled_back"
    assert not isinstance(decision.state.values.decision.action, Deduplicate)


def test_what_is_tried_is_measured_and_the_audit_derives_it_again(run):
    decision, act, measured = (events_of(run, kind)[0] for kind in ("decide", "act", "measure"))
    action = decision.state.values.decision.action
    assert action == Deduplicate(cosine=0.95, which_to_keep="furthest")
    [appraised] = [one.appraisal for one in decision.candidates if one.action == action]
    assert measured.record.verdict == appraised
    assert measured.outcome == appraised.outcome
    assert appraised.price == pytest.approx(0.05 * act.effects[0].rows / decision.facts.kept, abs=1e-6)
    ledger = Store(run / "artifacts").frame(act.effects[0].after_sha)
    gone = ledger.filter(pl.col("reason") == "semantic_duplicate")
    assert 20 <= gone.height == events_of(run, "score")[0].state.values.alike == act.effects[0].rows <= PLANTED
    pairs = gone.select(pl.col("id", "duplicate_of").str.replace("again", "row"))
    assert (pairs["id"] == pairs["duplicate_of"]).all()
    assert (gone["id"] != gone["duplicate_of"]).all()
    assert (gone["score"] >= gone["threshold"]).all()
    assert (gone["stage"] == "act").all()
    assert audit(run).failures == []


def test_a_trial_that_does_not_pay_is_undone(tried):
    root = tried(objective={"min_gain": 5})
    events = read_log(root / "events.jsonl")[0]
    assert [event.outcome for event in events if event.type == "measure"] == ["rolled_back"]
    ledger = View.open(root).ledger()
    assert not (ledger["reason"] == "semantic_duplicate").any()


def test_the_cap_admits_the_likest(tried):
    root = tried(caps={"step_fraction": 0.05})
    decision, act = (events_of(root, kind)[0] for kind in ("decide", "act"))
    kept = decision.facts.kept
    assert decision.state.values.decision.action.target_rows == kept - int(0.05 * kept)
    assert (act.effects[0].rows, act.outcome) == (int(0.05 * kept), None)
    assert audit(root).failures == []


def test_which_row_stays(run):
    view = View.open(run).at(events_of(run, "score")[0].seq + 1)
    rows = view.kept()
    _, graph = neighbors_among(view, rows)
    similarity = dict(view.frame("assignments").select("row", "similarity").iter_rows())

    def pairs(which, view=view):
        removal = alike(view, SemanticParams(which_to_keep=which), rows, graph)
        assert len(removal.rows)
        return list(zip(removal.rows.tolist(), removal.duplicate_of.tolist(), strict=True))

    assert all(gone >= ROWS > kept for gone, kept in pairs("first"))
    assert pairs("best_quality") == pairs("first")  # no rule and no score has an opinion
    assert all(kept >= ROWS > gone for gone, kept in pairs("longest"))
    assert all(similarity[kept] <= similarity[gone] for gone, kept in pairs("furthest"))
    assert all(similarity[kept] >= similarity[gone] for gone, kept in pairs("nearest"))
    values = view.values.patched(Values(ingested=ROWS))  # as if the others had been written by a model
    written = replace(view, state=view.state.model_copy(update={"values": values}))
    assert all(gone >= ROWS > kept for gone, kept in pairs("longest", written))


def _fewer(bodies, store):
    at(bodies, "score")["state"]["values"]["alike"] -= 1


def _another_row_stays(bodies, store):
    at(bodies, "decide")["state"]["values"]["decision"]["action"]["which_to_keep"] = "first"


@pytest.mark.parametrize(("kind", "change"), [("score", _fewer), ("decide", _another_row_stays)])
def test_a_forged_figure_is_found(run, tmp_path, kind, change):
    failures = forged(shutil.copytree(run, tmp_path / "copy"), change)
    assert any(f"({kind})" in failure and "derived again" in failure for failure in failures)
