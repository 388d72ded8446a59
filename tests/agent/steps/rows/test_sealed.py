"""The sealed rows: who sees them, when they are opened, and what rests on them."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from small_view import ROWS, Round, ignored

from recryst.agent.steps.cycle import FINISH, following
from recryst.agent.steps.quality.lessons import _sealed, from_endorsed
from recryst.agent.steps.rows.held_out import JudgeHeldOut
from recryst.agent.steps.rows.seal import seal, sealed_sha256
from recryst.agent.steps.rows.sealed import OpenSealed, before_the_rounds
from recryst.state.actions import RemoveSuspects, Stop
from recryst.state.errors import IntegrityError

SEALED = {"fraction": 0.2, "min_rows": 10}
FLIPPED = (5, 17, 33, 52)  # rows with the label of another group
LIMIT = 0.2  # of few rows each speaks for much


def round_of(folder, label=None, **config):
    """A run of which rows are sealed; ``label``: what one of these, the first, is called instead."""
    run = Round(folder, sealed={**SEALED, **config})
    labels = [f"g{(group + (row in FLIPPED)) % 3}" for row, group in enumerate(run.group)]
    run.rows = run.rows.with_columns(label=pl.Series(labels))
    if label is not None:
        first = changed(run.held_out())
        run.rows = run.rows.with_columns(label=pl.when(pl.col("row") == first).then(pl.lit(label)).otherwise("label"))
    return run


def changed(view):
    """The first of the sealed rows whose label is its group's."""
    return int(np.setdiff1d(view.sealed(), FLIPPED)[0])


def ended(run):
    """A round in which rows went by the evidence on their labels, and the decision to stop."""
    view = run.described(run.held_out())
    view = run.choosing(view, RemoveSuspects(by="label_support", threshold=LIMIT))
    view = run.measured(run.acted(view), met=1.0)
    return run.choosing(run.described(view), Stop())


def opened(run, view):
    """The view once the sealed rows were looked at."""
    view = run.holding(view, given_vectors=run.vectors)
    return run.step(view, OpenSealed(), OpenSealed().measure(None, view, ignored))


# Sealing -----------------------------------------------------------------------------------------------------------


def test_every_cleaned_row_is_learned_from_or_held_out_or_sealed(tmp_path):
    view = round_of(tmp_path).held_out()
    kept, anchor, sealed = view.kept(), view.anchor(), view.sealed()
    assert (len(anchor), len(sealed)) == (18, 18)
    assert sorted([*kept, *anchor, *sealed]) == list(range(ROWS))
    assert list(view.held_out()) == sorted([*anchor, *sealed])
    assert view.events[-1].sealed_rows == 18
    assert (view.ledger()["reason"].gather(sealed) == "sealed").all()
    other = Round(tmp_path / "b", sealed={"fraction": 0}).held_out()
    assert list(other.anchor()) == list(anchor)  # sealing moves no row of the anchor


def test_groups_are_sealed_whole(tmp_path):
    view = round_of(tmp_path).held_out()
    groups = np.arange(ROWS, dtype=np.uint32) // 3
    everyone = run_before(view)
    found = seal(everyone, np.setdiff1d(everyone.kept(), np.arange(30)), groups, divided=False)
    assert len(found.rows) == 18
    assert found.rows.min() >= 30
    assert set(np.bincount(groups[found.rows])) == {0, 3}


def run_before(view):
    """The run before anything was held out."""
    return view.at(next(event.seq for event in view.events if event.type == "hold_out"))


def test_the_log_commits_the_run_to_what_the_sealed_rows_say(tmp_path):
    run = round_of(tmp_path)
    view = run.held_out()
    mine = run.rows.filter(pl.col("row").is_in(view.sealed()))
    told = [mine["id"].to_list(), view.text(view.sealed()).to_list(), mine["label"].to_list()]
    written = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    assert view.events[-1].sealed_sha256 == hashlib.sha256(written).hexdigest()
    assert sealed_sha256(view, view.sealed()[1:]) != view.events[-1].sealed_sha256


@pytest.mark.parametrize(
    ("config", "divided", "why"),
    [
        ({"fraction": 0.1}, False, "10% of 90 cleaned rows are fewer than 10"),
        ({"fraction": 0}, False, "sealed.fraction is 0"),
        ({}, True, "nearly all rows belong together"),
        ({"min_rows": 18}, False, "of 18 rows only 0 fit without dividing a group, fewer than 18"),
    ],
)
def test_a_set_of_which_too_few_rows_can_be_sealed_has_none_and_says_why(config, divided, why, tmp_path):
    view = run_before(round_of(tmp_path, **config).held_out())
    groups = np.zeros(ROWS, dtype=np.uint32) if config == {"min_rows": 18} else np.arange(ROWS, dtype=np.uint32)
    found = seal(view, view.kept(), groups, divided)
    assert (len(found.rows), found.sha256) == (0, None)
    assert found.why_not.startswith(why)
    assert why in found.said


def test_a_run_without_sealed_rows_says_so_and_opens_nothing(tmp_path):
    view = Round(tmp_path).held_out()
    assert view.events[-1].unsealed.startswith("10% of 90 cleaned rows are fewer than 100")
    assert not OpenSealed().due(view)


# Nobody looks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ["g0", "g1", "a name that no other row has"])
def test_another_label_of_a_sealed_row_changes_the_headline_and_nothing_else(label, tmp_path):
    one, other = round_of(tmp_path / "a"), round_of(tmp_path / "b", label)
    same = one.rows["label"].to_list() == other.rows["label"].to_list()
    views = [ended(run) for run in (one, other)]
    first, second = ([_decided(event) for event in view.events] for view in views)
    assert first == second
    for role in ("ledger", "evidence", "anchor_evidence", "assignments", "vectors", "pool"):
        assert views[0].ref(role) == views[1].ref(role)
    looked = [opened(run, view) for run, view in zip((one, other), views, strict=True)]
    assert looked[0].ref("ledger") == looked[1].ref("ledger") == views[0].ref("ledger")
    scores = [view.array("sealed_scores") for view in looked]
    at = list(views[0].sealed()).index(changed(views[0]))
    assert np.array_equal(np.delete(scores[0], at, axis=2), np.delete(scores[1], at, axis=2))
    assert (looked[0].events[-1].sealed_sha256 == looked[1].events[-1].sealed_sha256) is same
    assert (looked[0].values.headline == looked[1].values.headline) is same


def _decided(event):
    """An event without the hash that commits to the labels, and without the tables that hold them."""
    body = event.model_dump(mode="json", exclude={"sealed_sha256", "prev_hash", "inputs"})
    if event.type == "load":
        body["state"]["artefacts"].pop("rows")
    return body


def test_a_sealed_row_is_in_no_table_before_it_is_opened(tmp_path):
    view = ended(round_of(tmp_path))
    sealed = set(view.sealed().tolist())
    for role in ("evidence", "anchor_evidence", "assignments", "maps"):
        assert not sealed & set(view.frame(role)["row"].to_list())
    assert not sealed & set(view.array("pool").tolist())
    assert not view.has("sealed_vectors")


def test_an_endorsed_row_that_is_sealed_teaches_nothing(tmp_path):
    run = Round(tmp_path, sealed=SEALED, quality={"like": "good.jsonl"})
    view = run.embedded(run.held_out())
    good = np.concatenate([view.kept()[:12], view.sealed()[:3]])
    view = run.holding(view, liked=pl.DataFrame({"text": view.text(good)}))
    assert _sealed(view, run.vectors[good]).tolist() == [False] * 12 + [True] * 3
    assert from_endorsed(view, run.vectors[good]).figures["held_out"] == 3
    with pytest.raises(IntegrityError, match="a vector each"):
        _sealed(view, run.vectors[good][1:])
    given = run.holding(view, given_vectors=run.vectors)
    assert _sealed(given, run.vectors[good]).tolist() == [False] * 12 + [True] * 3


# Opening -----------------------------------------------------------------------------------------------------------


def test_the_rows_before_the_rounds_and_after_them_are_scored_on_the_sealed_ones(tmp_path):
    run = round_of(tmp_path)
    view = ended(run)
    assert len(before_the_rounds(view).kept()) == 54 > len(view.kept())
    assert OpenSealed().due(view)
    looked = opened(run, view)
    scores, found = looked.array("sealed_scores"), looked.values.headline
    assert scores.shape == (2, 2, 18)
    labels, vectors = run.rows["label"].to_numpy(), run.vectors.astype(np.float64)
    for at, kept in enumerate((before_the_rounds(view).kept(), view.kept())):
        nearest = kept[(vectors[view.sealed()] @ vectors[kept].T).argmax(axis=1)]
        assert np.array_equal(scores[at, 0], labels[nearest] == labels[view.sealed()])
    counts = looked.frame("sealed_evidence")["confirmed"].to_numpy()
    assert (found.rows, found.confirmed) == (18, counts.sum())
    assert found.score.before == pytest.approx(scores[0].mean(axis=0)[counts].mean(), abs=1e-6)
    assert found.score.after == pytest.approx(scores[1].mean(axis=0)[counts].mean(), abs=1e-6)
    assert {one.name for one in found.probes} == {"nearest_neighbor", "linear_discriminant"}


def test_they_are_opened_once_and_change_no_row(tmp_path):
    run = round_of(tmp_path)
    view = ended(run)
    looked = opened(run, view)
    assert [step.name for step in FINISH[:2]] == ["select", "open_sealed"]  # it scores what an outcome leaves
    assert looked.ref("ledger") == view.ref("ledger")
    assert not looked.has("relabelled")
    assert not OpenSealed().due(looked)
    assert following(looked).name == "judge_held_out"
    assert [event.type for event in looked.events].count("open_sealed") == 1


def test_once_opened_they_are_judged_like_the_anchor(tmp_path):
    run = round_of(tmp_path)
    looked = opened(run, ended(run))
    found = JudgeHeldOut().measure(None, looked, ignored)
    assert list(found.frame["row"]) == list(looked.held_out())
    support = pl.when(pl.col("row") == int(looked.sealed()[0])).then(0.0).otherwise(1.0).cast(pl.Float32)
    judged = run.step(looked, JudgeHeldOut(), replace(found, frame=found.frame.with_columns(label_support=support)))
    assert list(judged.sealed()) == list(looked.sealed()[1:])
    assert judged.ledger()["stage"][int(looked.sealed()[0])] == "judge_held_out"
    assert judged.values.headline == looked.values.headline


def test_other_rows_than_were_sealed_are_not_opened(tmp_path):
    run = round_of(tmp_path)
    view = run.holding(ended(run), given_vectors=run.vectors)
    found = OpenSealed().measure(None, view, ignored)
    for other in (
        replace(found, vectors=found.vectors[1:]),
        replace(found, scores=found.scores[:, :, 1:]),
        replace(found, scores=found.scores[:1]),
        replace(found, evidence=found.evidence[1:]),
        replace(found, embedded=1),
    ):
        with pytest.raises(IntegrityError):
            run.step(view, OpenSealed(), other)
    labels = run.rows.with_columns(
        label=pl.when(pl.col("row") == int(view.sealed()[0])).then(pl.lit("x")).otherwise("label")
    )
    with pytest.raises(IntegrityError, match="not those whose hash was logged"):
        run.step(run.holding(view, rows=labels), OpenSealed(), found)


def test_what_was_measured_is_read_back_and_comes_to_the_same(tmp_path):
    run = round_of(tmp_path)
    before = run.holding(ended(run), given_vectors=run.vectors)
    looked = run.step(before, OpenSealed(), OpenSealed().measure(None, before, ignored))
    event = looked.events[-1]
    again = run.event(before, OpenSealed(), OpenSealed().logged(before, event))
    assert again == event
