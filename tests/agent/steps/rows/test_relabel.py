"""Rows that evidence speaks against: which they are, what becomes of them and of their labels, and the way back."""

import numpy as np
import polars as pl
import pytest
from small_view import Round

from recryst.agent.decide.suspects import suspect_counts, suspects
from recryst.agent.steps.approve import UNDO
from recryst.agent.steps.rows.removals import changed
from recryst.state.actions import Relabel, RemoveSuspects

FLIPPED = (5, 17, 33, 52)
RELABEL = Relabel(threshold=0.2)  # of few rows each speaks for much


@pytest.fixture
def run(tmp_path):
    """Rows in three groups, of which four carry the label of another."""
    run = Round(tmp_path)
    run.wrong = {row: f"g{(run.group[row] + 1) % 3}" for row in FLIPPED}
    labels = [run.wrong.get(row, f"g{group}") for row, group in enumerate(run.group)]
    run.rows = run.rows.with_columns(label=pl.Series(labels))
    return run


@pytest.fixture
def begun(run):
    view = run.described(run.held_out())
    assert set(FLIPPED) & set(view.kept().tolist()), "no planted row is in training"
    return view


def planted(view):
    """The rows with a wrong label that are in training."""
    return sorted(set(FLIPPED) & set(view.kept().tolist()))


def with_evidence(run, view, **columns):
    """The view with other evidence: by name of the column a row and its value, all others clear of suspicion."""
    frame = pl.DataFrame({"row": view.kept()})
    for name, (clear, given) in columns.items():
        frame = frame.with_columns(pl.Series(name, [given.get(int(row), clear) for row in view.kept()], strict=False))
    return run.holding(view, evidence=frame)


def tried(run, view, action, met):
    """The view once an action was tried; the probes then meet a share ``met`` of the held-out rows, and half before."""
    return run.measured(run.acted(run.choosing(view, action)), met=met)


def test_the_suspects_are_the_rows_whose_labels_were_flipped(begun):
    found = suspects(begun, RELABEL)
    assert found.rows.tolist() == planted(begun)
    assert (found.reason, found.threshold) == ("label_support", 0.2)
    assert (found.score < 0.2).all()
    assert suspects(begun, RemoveSuspects(by="label_support", threshold=0.2)).rows.tolist() == planted(begun)


def test_where_not_all_may_go_the_most_suspect_do(run, begun):
    a, b, c, d = (int(row) for row in begun.kept()[[3, 9, 20, 30]])
    low = with_evidence(run, begun, label_support=(0.9, {a: 0.03, b: 0.001, c: 0.02, d: None}))
    action = RemoveSuspects(by="label_support", threshold=0.05, target_rows=len(begun.kept()) - 2)
    assert suspects(low, action).rows.tolist() == [b, c]
    assert suspects(low, action.model_copy(update={"target_rows": None})).rows.tolist() == [a, b, c]
    high = with_evidence(run, begun, pair_doubt=(0.0, {a: 3.0, b: 1.0, c: 2.0, d: None}))
    action = RemoveSuspects(by="pair_doubt", threshold=2.0)
    assert suspects(high, action).rows.tolist() == [a, c]
    one = action.model_copy(update={"target_rows": len(begun.kept()) - 1})
    assert suspects(high, one).rows.tolist() == [a]
    assert suspect_counts(high) == {"pair_doubt": {"3": 1, "2": 2, "1": 3}}


def test_a_suspect_pair_goes_for_the_fault_that_was_found(run, begun):
    a, b = (int(row) for row in begun.kept()[[3, 9]])
    faults = {a: "mispaired", b: "boilerplate"}
    view = with_evidence(run, begun, pair_doubt=(0.0, dict.fromkeys(faults, 3.0)), fault=(None, faults))
    change = changed(view, RemoveSuspects(by="pair_doubt", threshold=3.0))
    assert change.rows == 2
    gone = change.ledger.filter(pl.col("row").is_in([a, b]))
    assert dict(zip(gone["row"], gone["reason"], strict=True)) == faults


def test_a_relabelled_row_has_another_label_in_force_and_its_own_beside_it(run, begun):
    kept = tried(run, begun, RELABEL, met=1.0)
    assert kept.events[-1].outcome == "kept"
    assert np.array_equal(kept.kept(), begun.kept())
    labels = kept.labels()
    assert [labels[row] for row in planted(begun)] == [f"g{run.group[row]}" for row in planted(begun)]
    others = np.setdiff1d(np.arange(len(labels)), planted(begun))
    assert labels.gather(others).equals(begun.labels().gather(others))
    assert kept.frame("rows").equals(begun.frame("rows"))
    told = [(row, run.wrong[row], f"g{run.group[row]}") for row in planted(begun)]
    assert kept.relabelled().rows() == told


def test_a_relabelling_that_does_not_pay_leaves_no_trace_in_force(run, begun):
    acted = run.acted(run.choosing(begun, RELABEL))
    assert acted.trial.before == {**acted.trial.before, "relabelled": None}
    assert acted.has("relabelled")
    back = run.measured(acted, met=0.0)
    assert back.events[-1].outcome == "rolled_back"
    assert not back.has("relabelled")
    assert back.labels().equals(begun.labels())
    assert dict(back.state.artefacts) == dict(begun.state.artefacts)


def test_what_was_relabelled_before_stays_when_the_next_is_rolled_back_and_goes_when_it_is_undone(run, begun):
    first = run.described(tried(run, begun, RELABEL, met=1.0))
    other = next(int(row) for row in first.kept() if row not in FLIPPED)
    again = with_evidence(run, first, label_support=(0.9, {other: 0.001}), other_label=(None, {other: "g9"}))
    both = run.acted(run.choosing(again, RELABEL)).labels()
    assert both[other] == "g9"
    assert both.gather(planted(begun)).equals(first.labels().gather(planted(begun)))
    back = tried(run, again, RELABEL, met=0.0)
    assert back.ref("relabelled") == first.ref("relabelled")
    assert back.labels().equals(first.labels())
    undone = run.step(back, UNDO)
    assert not undone.has("relabelled")
    assert undone.labels().equals(begun.labels())


def test_a_row_may_be_relabelled_twice_and_the_last_label_counts(run, begun):
    first = run.described(tried(run, begun, RELABEL, met=1.0))
    row = planted(begun)[0]
    again = with_evidence(run, first, label_support=(0.9, {row: 0.001}), other_label=(None, {row: run.wrong[row]}))
    acted = run.acted(run.choosing(again, RELABEL))
    assert acted.frame("relabelled")["row"].is_unique().all()
    assert acted.labels()[row] == run.wrong[row]
    assert row not in acted.relabelled()["row"], "it has the label of the input again"


def test_rows_for_which_the_views_differ_go(run, begun):
    named, unnamed = (int(row) for row in begun.kept()[[4, 8]])
    support = {named: 0.001, unnamed: 0.002}
    view = with_evidence(run, begun, label_support=(0.9, support), other_label=(None, {named: "g2"}))
    change = changed(view, RELABEL)
    assert change.rows == 2
    assert change.relabelled.rows() == [(named, "g2")]
    gone = change.ledger.filter(pl.col("row").is_in([named, unnamed])).select("status", "reason", "score").rows()
    assert gone[0][:2] == ("kept", "ingested")
    assert gone[1] == ("removed", "label_support", pytest.approx(0.002))


def test_a_relabelling_that_would_take_too_many_rows_changes_no_label(run, begun):
    many = {int(row): 0.001 for row in begun.kept()[:40]}
    other = {int(row): "g2" for row in begun.kept()[:5]}
    view = with_evidence(run, begun, label_support=(0.9, many), other_label=(None, other))
    acted = run.acted(run.choosing(view, RELABEL))
    assert "relabel would remove 35 of" in acted.trial.refused or "would leave" in acted.trial.refused
    assert not acted.has("relabelled")
    assert acted.labels().equals(begun.labels())


def test_the_evidence_is_gathered_again_under_the_new_labels(run, begun):
    after = run.described(tried(run, begun, RELABEL, met=1.0))
    evidence = next(event for event in reversed(after.events) if event.type == "evidence")
    assert not evidence.reused
    support = dict(after.frame("evidence", "row", "label_support").iter_rows())
    assert min(support[row] for row in planted(begun)) > 0.5
    back = run.described(tried(run, begun, RELABEL, met=0.0))
    assert next(event for event in reversed(back.events) if event.type == "evidence").reused


def test_no_class_loses_its_last_row(run, begun):
    """All rows of a class are suspect: the least suspect one stays, and the action is not refused."""
    group = begun.labels().gather(begun.kept())
    rows = begun.kept()[(group == "g1").to_numpy()].tolist()
    doubts = {row: 0.001 * (place + 1) for place, row in enumerate(rows)}
    view = with_evidence(run, begun, label_support=(0.9, doubts))
    action = RemoveSuspects(by="label_support", threshold=0.2)
    assert suspects(view, action).rows.tolist() == rows[:-1]
    assert changed(view, action).refused is None or "class" not in changed(view, action).refused
