"""What each stage was worth: which rows are put back, what a gain is, and that it all follows from the scores."""

import numpy as np
import polars as pl
import pytest
from small_view import Round
from told_run import ToldRun, positions

from recryst.agent.steps.ablate import MOST_ROWS, Ablate, _Trained, gain, put_back
from recryst.state.config import Config, ObjectiveParams
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


def test_a_gain_is_more_f1_or_fewer_bits_and_noise_is_neither_help_nor_harm():
    params = ObjectiveParams()
    better = gain("macro_f1", [0.80, 0.82, 0.81], [0.70, 0.72, 0.71], params)
    assert (better["gain"], better["verdict"]) == (pytest.approx(0.1), "helps")
    assert gain("bits_per_byte", [2.80, 2.82, 2.81], [2.70, 2.72, 2.71], params)["verdict"] == "hurts"
    assert gain("bits_per_byte", [2.70, 2.72, 2.71], [2.80, 2.82, 2.81], params)["gain"] == pytest.approx(0.1)
    noisy = gain("macro_f1", [0.80, 0.70, 0.90], [0.70, 0.72, 0.71], params)
    assert noisy["verdict"] == "within noise"
    # The differences are 0.10, −0.02 and 0.19: standard deviation 0.1054, over the root of 3 seeds.
    assert noisy["error"] == pytest.approx(0.1054 / 3**0.5, abs=1e-4)
    assert noisy["noise"] == pytest.approx(2 * noisy["error"], abs=1e-5)


@pytest.fixture
def separated(tmp_path):
    """A run of which a rule took nine rows; the baseline's scores are 0.80, 0.81 and 0.82."""
    run = Round(tmp_path, short=range(0, 90, 10), filter={"profile": "short", "thresholds": {"basic.min_words": 12}})
    run.config = run.config.model_copy(update={"ablate": True})
    view = run.described(run.held_out())
    assert view.values.probe_kind == "macro_f1"
    return run, view


def test_the_gains_follow_from_the_scores(separated):
    run, view = separated
    assert Ablate().due(view)
    assert Ablate().total(view) == 3
    measured = _Trained(((0.7, 0.7, 0.73),), 9, 0)
    event = run.event(view, Ablate(), measured)
    (stage,) = event.stages
    assert (stage.stage, stage.removed, stage.added, stage.scores) == ("filter", 9, 9, (0.7, 0.7, 0.73))
    assert (stage.with_stage, stage.without) == pytest.approx((0.81, 0.71))
    assert (stage.gain, stage.verdict) == (pytest.approx(0.1), "helps")
    assert (event.embedded, event.cached) == (9, 0)
    assert Ablate().logged(view, event) == measured
    after = run.step(view, Ablate(), measured)
    assert not Ablate().due(after)
    assert dict(after.state.artefacts) == dict(view.state.artefacts), "the rows are put back for the probe alone"


@pytest.mark.parametrize("scores", [(), ((),), ((0.7, 0.7),), ((0.7, 0.7, 0.7), (0.7, 0.7, 0.7))])
def test_no_training_may_be_missing_or_made_up(separated, scores):
    run, view = separated
    with pytest.raises(ValueError, match=r"trainings|zip\(\)"):
        run.event(view, Ablate(), _Trained(scores, 0, 0))


def test_a_stage_whose_rows_all_repeat_held_out_ones_has_no_gain(separated):
    run, view = separated
    copies = np.flatnonzero(view.ledger()["stage"] == "filter")
    of = pl.Series([view.ledger()["id"][int(view.anchor()[0])]] * view.ledger().height)
    ledger = view.ledger().with_columns(
        duplicate_of=pl.when(pl.int_range(pl.len()).is_in(copies)).then(of).otherwise("duplicate_of")
    )
    view = run.holding(view, ledger=ledger)
    (stage,) = run.event(view, Ablate(), _Trained(((),), 0, 0)).stages
    assert (stage.removed, stage.anchor_copies, stage.added) == (9, 9, 0)
    assert (stage.gain, stage.verdict) == (None, "nothing to put back")
