"""What each stage was worth: which rows are put back, what a gain is, and that it all follows from the scores."""

import numpy as np
import polars as pl
import pytest
from small_view import Round, ignored
from told_run import ToldRun, positions

from recryst.agent.steps.ablate import MOST_ROWS, Ablate, _Trained, put_back
from recryst.state.config import Config
from recryst.state.rows import Removal


def test_no_row_that_says_what_the_anchor_says_is_put_back(tmp_path):
    run = ToldRun(tmp_path, text=["x"] * 12)
    run.step("clean", Removal("missing_text", positions(9)))
    run.step("clean", Removal("exact_duplicate", positions(1, 2, 3), duplicate_of=np.array([0, 4, 5])))
    run.step("dedup", Removal("near_duplicate", positions(0), duplicate_of=positions(6)))  # and 1 is a copy of 0
    run.step("dedup", Removal("known", positions(7), duplicate_of=pl.Series(["corpus.jsonl#id6"])))
    run.hold_out(6, 4)
    clean, dedup = put_back(run.ledger, None, Config())
    assert (clean.stage, clean.removed, clean.anchor_copies, clean.unlabelled) == ("clean", 3, 2, 0)
    assert clean.rows.tolist() == [3]
    assert dedup.rows.tolist() == [7]
    labels = pl.Series(["a", None] * 6)
    assert [put.unlabelled for put in put_back(run.ledger, labels, Config())] == [1, 1]


def test_of_many_removed_rows_a_sample_of_the_seed_is_put_back(tmp_path):
    run = ToldRun(tmp_path, text=["x"] * (MOST_ROWS + 100))
    run.step("filter", Removal("rule", np.arange(MOST_ROWS + 50, dtype=np.uint32)))
    (one,), (same,), (other,) = (put_back(run.ledger, None, Config(seed=seed)) for seed in (0, 0, 1))
    assert len(one.rows) == MOST_ROWS
    assert one.removed == MOST_ROWS + 50
    assert (np.diff(one.rows.astype(int)) > 0).all()
    assert np.array_equal(one.rows, same.rows)
    assert not np.array_equal(one.rows, other.rows)


@pytest.fixture
def separated(tmp_path):
    """A run of which a rule took nine rows; the probes meet the first half of the held-out rows."""
    run = Round(tmp_path, short=range(0, 90, 10), filter={"profile": "short", "thresholds": {"basic.min_words": 12}})
    run.config = run.config.model_copy(update={"ablate": True})
    view = run.described(run.held_out())
    assert len(view.array("anchor_scores")) == len(view.values.probes) == 2
    return run, view


def put_back_scores(run, view, share):
    """What the probes make of the held-out rows with the nine rows put back, of which they meet this share."""
    return _Trained(run.met(view, share)[None], 9, 0)


def stage(run, view, measured):
    (found,) = run.event(view, Ablate(), measured).stages
    return found


def test_a_stage_helps_where_the_held_out_rows_are_worse_off_without_it(separated):
    run, view = separated
    helps, hurts, nothing = (stage(run, view, put_back_scores(run, view, share)) for share in (0.0, 1.0, 0.5))
    assert (helps.stage, helps.removed, helps.added) == ("filter", 9, 9)
    assert (helps.verdict, hurts.verdict, nothing.verdict) == ("helps", "hurts", "within noise")
    assert helps.gain > 0 > hurts.gain
    assert (nothing.gain, nothing.error) == (0.0, 0.0)


def test_what_one_row_turns_is_within_noise(separated):
    run, view = separated
    scores = run.met(view, 0.5)
    scores[:, 0] = 0.0  # one confirmed row fewer is met with the rows put back
    one = stage(run, view, _Trained(scores[None], 9, 0))
    assert one.gain > 0
    assert one.gain < 2 * one.error
    assert one.verdict == "within noise"


def test_the_gains_follow_from_the_scores_and_the_rows_are_put_back_for_the_probes_alone(separated):
    run, view = separated
    assert Ablate().due(view)
    assert Ablate().total(view) == 1
    measured = put_back_scores(run, view, 0.0)
    event = run.event(view, Ablate(), measured)
    assert (event.embedded, event.cached) == (9, 0)
    again = Ablate().logged(view, event)
    assert np.array_equal(again.scores, measured.scores)
    assert (again.embedded, again.cached) == (9, 0)
    after = run.step(view, Ablate(), measured)
    assert not Ablate().due(after)
    assert dict(after.state.artefacts) == dict(view.state.artefacts)


@pytest.mark.parametrize("stages", [0, 2])
def test_no_training_may_be_missing_or_made_up(separated, stages):
    run, view = separated
    with pytest.raises(ValueError, match=r"zip\(\)"):
        run.event(view, Ablate(), _Trained(np.repeat(run.met(view, 0.0)[None], stages, axis=0), 0, 0))


def test_the_probes_learn_from_the_rows_put_back(separated):
    """Trained for real: the held-out rows are worse off where the nine rows come back with wrong labels."""
    run, view = separated
    view = run.holding(view, given_vectors=run.vectors)
    (put,) = put_back(view.ledger(), view.labels(), view.config)
    wrong = [f"g{(run.group[row] + 1) % 3}" for row in put.rows]
    sound, spoiled = (
        Ablate().measure(None, one, ignored)
        for one in (view, view.with_labels(pl.DataFrame({"row": put.rows, "label": wrong})))
    )
    assert sound.scores.shape == (1, *view.array("anchor_scores").shape)
    assert np.isfinite(sound.scores).all()
    assert spoiled.scores.mean() < sound.scores.mean()


def test_a_stage_whose_rows_all_repeat_held_out_ones_has_no_gain(separated):
    run, view = separated
    copies = np.flatnonzero(view.ledger()["stage"] == "filter")
    of = pl.Series([view.ledger()["id"][int(view.anchor()[0])]] * view.ledger().height)
    ledger = view.ledger().with_columns(
        duplicate_of=pl.when(pl.int_range(pl.len()).is_in(copies)).then(of).otherwise("duplicate_of")
    )
    view = run.holding(view, ledger=ledger)
    found = stage(run, view, _Trained(np.full((1, *view.array("anchor_scores").shape), np.nan), 0, 0))
    assert (found.removed, found.anchor_copies, found.added) == (9, 9, 0)
    assert (found.gain, found.verdict) == (None, "nothing to put back")
