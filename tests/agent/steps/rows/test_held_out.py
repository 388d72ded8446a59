"""When the rounds are over the held-out rows are judged by the limits of the actions that stand, and by no others."""

import numpy as np
import polars as pl
import pytest
from small_view import FLIPPED, flipped_round, ignored

from recryst.agent.steps.approve import UNDO
from recryst.agent.steps.measured import HANDED_OVER, hand_over_vectors
from recryst.agent.steps.rows.held_out import JudgeHeldOut, _Found
from recryst.state.actions import Deduplicate, Relabel, RemoveMarked, RemoveSuspects
from recryst.state.errors import IntegrityError

LIMIT = 0.2  # of few rows each speaks for much


@pytest.fixture
def run(tmp_path):
    return flipped_round(tmp_path)


@pytest.fixture
def begun(run):
    return run.described(run.held_out())


@pytest.fixture
def wrong(begun):
    """The held-out row with a wrong label."""
    [row] = set(FLIPPED) & set(begun.anchor().tolist())
    return row


def ended(run, view, action):
    """The view once an action was kept, and once the held-out rows were judged."""
    kept = run.measured(run.acted(run.choosing(view, action)), met=1.0)
    assert kept.events[-1].outcome == "kept"
    return kept, run.step(kept, JudgeHeldOut(), JudgeHeldOut().measure(None, kept, ignored))


def test_a_held_out_row_gets_the_label_that_the_others_would_have_got(run, begun, wrong):
    kept, judged = ended(run, begun, Relabel(threshold=LIMIT))
    assert judged.labels()[wrong] == f"g{run.group[wrong]}"
    assert np.array_equal(judged.anchor(), kept.anchor())
    assert np.array_equal(judged.kept(), kept.kept())
    others = np.setdiff1d(np.arange(len(run.group)), [wrong])
    assert judged.labels().gather(others).equals(kept.labels().gather(others))
    assert (judged.events[-1].relabelled, judged.events[-1].removed) == (1, 0)


def test_it_goes_where_the_others_went_with_its_evidence(run, begun, wrong):
    kept, judged = ended(run, begun, RemoveSuspects(by="label_support", threshold=LIMIT))
    assert set(kept.anchor().tolist()) - set(judged.anchor().tolist()) == {wrong}
    assert np.array_equal(judged.kept(), kept.kept())
    line = judged.ledger().row(wrong, named=True)
    assert (line["reason"], line["stage"], line["threshold"]) == ("label_support", "judge_held_out", LIMIT)
    assert line["score"] < LIMIT


def test_only_what_stands_judges(run, begun):
    assert not JudgeHeldOut().due(begun)
    kept, _ = ended(run, begun, Relabel(threshold=LIMIT))
    assert JudgeHeldOut().due(kept)
    assert not JudgeHeldOut().due(run.step(kept, UNDO))
    back = run.measured(run.acted(run.choosing(begun, Relabel(threshold=LIMIT))), met=0.0)
    assert not JudgeHeldOut().due(back)
    copies = run.choosing(begun, Deduplicate(cosine=0.9999, which_to_keep="furthest"))
    assert not JudgeHeldOut().due(run.measured(run.acted(copies), met=1.0))


def test_a_mark_that_stands_judges_them_without_evidence(run, begun):
    ids, [one, two, three, four, *_], [inside, other, *_] = begun.ledger()["id"], begun.anchor(), begun.kept()
    twins = pl.DataFrame(
        {
            "row": pl.Series([one, two, three, other], dtype=pl.UInt32),
            "duplicate_of": ids.gather([inside, four, inside, inside]),
            "score": [0.9, 0.9, 0.9, 0.9],
            "other_label": [False, False, True, False],
        }
    )
    kept, judged = ended(run, run.holding(begun, near_duplicates=twins), RemoveMarked(mark="near_duplicate"))
    assert set(kept.anchor().tolist()) - set(judged.anchor().tolist()) == {one, two}
    line = judged.ledger().row(int(one), named=True)
    assert (line["reason"], line["stage"], line["duplicate_of"]) == (
        "near_duplicate",
        "judge_held_out",
        ids[int(inside)],
    )
    assert judged.ref("anchor_evidence") == kept.ref("anchor_evidence")
    fewer = RemoveMarked(mark="near_duplicate", target_rows=len(begun.kept()) - 1)
    assert not JudgeHeldOut().due(
        run.measured(run.acted(run.choosing(run.holding(begun, near_duplicates=twins), fewer)))
    )


def test_the_evidence_must_be_on_the_held_out_rows(run, begun):
    kept, judged = ended(run, begun, Relabel(threshold=LIMIT))
    found = JudgeHeldOut().measure(None, kept, ignored)
    assert JudgeHeldOut().logged(judged, judged.events[-1]).frame.equals(found.frame)
    with pytest.raises(IntegrityError, match="of other rows"):
        run.step(kept, JudgeHeldOut(), _Found(found.frame.head(5)))


def test_the_vectors_that_another_run_takes_over_are_of_the_rows_they_belong_to(run, begun, tmp_path):
    _, judged = ended(run, begun, RemoveSuspects(by="label_support", threshold=LIMIT))
    assert len(judged.anchor()) < len(judged.array("anchor_vectors"))
    hand_over_vectors(judged, tmp_path / "other")
    handed = np.load(tmp_path / "other" / HANDED_OVER)["vector"]
    rows = np.concatenate([judged.array("pool"), begun.anchor()])
    assert sorted(map(tuple, handed.tolist())) == sorted(map(tuple, run.vectors[rows].tolist()))
