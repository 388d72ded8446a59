"""The kept rows as held-out rows in turn: what is held out was not learned from, and nothing selected by it."""

import numpy as np
import polars as pl
import pytest
from small_view import FLIPPED, flipped_round

from recryst.agent.steps.rows.removals import changed
from recryst.agent.steps.rows.rotation import Rotation, rotated
from recryst.state.actions import Relabel, RemoveSuspects

SUSPECTS = RemoveSuspects(by="label_support", threshold=0.2)


@pytest.fixture
def run(tmp_path):
    return flipped_round(tmp_path)


@pytest.fixture
def view(run):
    return run.described(run.held_out())


def test_every_kept_row_is_held_out_once_and_learned_from_in_the_other_folds(view):
    rotation = Rotation.of(view)
    assert np.array_equal(rotation.rows, view.kept())
    assert np.array_equal(sum(fold.held.astype(int) for fold in rotation.folds), np.ones(len(rotation.rows)))
    for fold in rotation.folds:
        assert np.array_equal(fold.held, ~fold.known)
        assert np.array_equal(fold.evidence["row"], rotation.rows[fold.known])


def test_rows_with_a_wrong_label_are_not_confirmed_and_taking_them_out_helps_the_others(view):
    rotation = Rotation.of(view)
    wrong = np.isin(rotation.rows, FLIPPED)
    assert not rotation.confirmed[wrong].any()
    assert rotation.confirmed[~wrong].mean() > 0.6
    before, after = rotation.as_they_stand(), rotation.after(SUSPECTS, changed(view, SUSPECTS))
    assert before.shape == after.shape == (2, len(rotation.rows))
    assert after[:, ~wrong].sum() > before[:, ~wrong].sum()
    assert after[:, wrong].sum() <= before[:, wrong].sum()
    relabelled = Relabel(threshold=0.2)
    assert rotation.after(relabelled, changed(view, relabelled))[:, ~wrong].sum() > before[:, ~wrong].sum()


def test_a_label_has_no_say_in_what_is_selected_to_predict_it(run, view):
    """Were the evidence gathered from all rows, another label of a held-out row would change what is learned from."""
    rotation = Rotation.of(view)
    row = int(next(row for row in rotation.rows if row not in FLIPPED))
    other = run.holding(
        view,
        relabelled=pl.DataFrame(
            {"row": [row], "label": [f"g{(run.group[row] + 1) % 3}"]}, schema_overrides={"row": pl.UInt32}
        ),
    )
    changed_ = Rotation.of(other)
    at = int(np.searchsorted(rotation.rows, row))
    [fold] = [number for number, one in enumerate(rotation.folds) if one.held[at]]
    mine, theirs = rotation.folds[fold], changed_.folds[fold]
    assert np.array_equal(mine.held, theirs.held)
    figures = ["row", "own_probability", "own_vote", "label_support"]
    assert mine.evidence.select(figures).equals(theirs.evidence.select(figures))


def test_only_labels_are_rotated(run, view):
    assert len(rotated(run.put_values(view, probes=("bits_per_byte",)))) == 0
    assert len(rotated(view)) == len(view.kept())
