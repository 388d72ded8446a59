"""What each stage was worth: which rows are put back, what a gain is, and that it all follows from the scores."""

import numpy as np
import polars as pl
import pytest
from small_view import Round
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
    """A run of which a rule took nine rows; at the baseline the probes meet half of the held-out rows."""
    run = Round(tmp_path, short=range(0, 90, 10), filter={"profile": "short", "thresholds": {"basic.min_words": 12}})
    run.config = run.config.model_copy(update={"ablate": True})
    view = run.described(run.held_out())
    assert view.values.probes == ("nearest_neighbor", "linear_discriminant")
    return run, view


@pytest.mark.parametrize(
    ("met", "gain", "verdict"),
    [(0.0, 0.5, "helps"), (0.5, 0.0, "within noise"), (1.0, -0.5, "hurts")],
)
def test_the_gains_follow_from_the_scores(separated, met, gain, verdict):
    """``met``: share of the held-out rows that the probes meet with the rows of the stage put back."""
    run, view = separated
    assert Ablate().due(view)
    assert Ablate().total(view) == 1
    measured = _Trained(run.met(view, met)[None], 9, 0)
    event = run.event(view, Ablate(), measured)
    (stage,) = event.stages
    assert (stage.stage, stage.removed, stage.added) == ("filter", 9, 9)
    assert (stage.gain, stage.verdict) == (pytest.approx(gain, abs=0.06), verdict)
    assert (event.embedded, event.cached) == (9, 0)
    assert np.array_equal(Ablate().logged(view, event).scores, measured.scores)
    after = run.step(view, Ablate(), measured)
    assert not Ablate().due(after)
    assert dict(after.state.artefacts) == dict(view.state.artefacts), "the rows are put back for the probe alone"


def test_no_stage_may_be_missing_or_made_up(separated):
    run, view = separated
    for stages in (0, 2):
        with pytest.raises(ValueError, match=r"zip\(\)"):
            run.event(view, Ablate(), _Trained(np.stack([run.met(view, 0.5)] * 2)[:stages], 0, 0))


def test_a_stage_whose_rows_all_repeat_held_out_ones_has_no_gain(separated):
    run, view = separated
    copies = np.flatnonzero(view.ledger()["stage"] == "filter")
    of = pl.Series([view.ledger()["id"][int(view.anchor()[0])]] * view.ledger().height)
    ledger = view.ledger().with_columns(
        duplicate_of=pl.when(pl.int_range(pl.len()).is_in(copies)).then(of).otherwise("duplicate_of")
    )
    view = run.holding(view, ledger=ledger)
    (stage,) = run.event(view, Ablate(), _Trained(np.full((1, *run.met(view, 0.5).shape), np.nan), 0, 0)).stages
    assert (stage.removed, stage.anchor_copies, stage.added) == (9, 9, 0)
    assert (stage.gain, stage.verdict) == (None, "nothing to put back")
