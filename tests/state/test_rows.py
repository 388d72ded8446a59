"""The row ledger: rows change status and are never lost."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import IntegrityError
from recryst.state.rows import (
    Removal,
    add_synthetic,
    check_ledger,
    counts,
    hold_out,
    kept_rows,
    new_ledger,
    remove_rows,
    restore_rows,
    synthetic_rows,
)

moves = st.lists(
    st.tuples(st.sampled_from(["remove", "restore", "hold"]), st.sets(st.integers(0, 19), max_size=8)), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(moves)
def test_kept_and_removed_always_add_up(steps):
    ledger = new_ledger(pl.Series([f"id{n}" for n in range(20)]), 0)
    status = ["kept"] * 20
    for event, (move, chosen) in enumerate(steps, start=1):
        rows = np.array(sorted(chosen), dtype=np.uint32)
        if move == "remove":
            rows = np.array([r for r in rows if status[r] == "kept"], dtype=np.uint32)
            ledger = remove_rows(ledger, Removal("why", rows), "stage", event)
        elif move == "restore":
            ledger = restore_rows(ledger, rows, "stage", "back", event)
        else:
            rows = np.array([r for r in rows if status[r] == "kept"], dtype=np.uint32)
            ledger = hold_out(ledger, rows, event)
        for row in rows:
            status[row] = {"remove": "removed", "restore": "kept", "hold": "kept"}[move]
        check_ledger(ledger, 20)
        assert ledger["status"].to_list() == status
        assert counts(ledger)["removed"] == status.count("removed")
    together = np.sort(np.concatenate([kept_rows(ledger), kept_rows(ledger, "anchor")]))
    assert together.tolist() == [row for row in range(20) if status[row] == "kept"]


def test_evidence_stands_beside_the_removed_row():
    ledger = new_ledger(pl.Series(["a", "b", "c"]), 0)
    removal = Removal("near_duplicate", np.array([2]), np.array([0.9]), 0.8, np.array([0]))
    line = remove_rows(ledger, removal, "dedup", 7).row(2, named=True)
    assert line["duplicate_of"] == "a"
    assert (line["status"], line["score"], line["threshold"], line["event"]) == ("removed", 0.9, 0.8, 7)


def test_a_row_cannot_be_removed_twice():
    ledger = remove_rows(new_ledger(pl.Series(["a", "b"]), 0), Removal("x", np.array([1])), "s", 1)
    with pytest.raises(IntegrityError, match="not kept"):
        remove_rows(ledger, Removal("y", np.array([1])), "s", 2)


def test_a_lost_row_is_noticed():
    ledger = new_ledger(pl.Series(["a", "b", "c"]), 0)
    with pytest.raises(IntegrityError, match="does not add up"):
        check_ledger(ledger.head(2), 3)


def test_synthetic_rows_stand_beside_the_ingested_ones_for_ever():
    ledger = add_synthetic(new_ledger(pl.Series(["a", "b"]), 0), pl.Series(["syn-1", "syn-2"]), 3)
    ledger = remove_rows(ledger, Removal("prune", np.array([0, 2])), "act", 4)
    check_ledger(ledger, 2)
    assert counts(ledger) == {"ingested": 2, "kept": 1, "removed": 1, "synthetic": 1, "discarded_synthetic": 1}
    back = restore_rows(ledger, np.array([0, 2]), "act", "refilter", 5)
    assert back["status"].to_list() == ["kept", "kept", "synthetic", "synthetic"]
    assert back["origin"].to_list() == ["input", "input", "synthesis", "synthesis"]
    assert kept_rows(back).tolist() == [0, 1, 2, 3]
    assert synthetic_rows(back).tolist() == [2, 3]


def test_a_synthetic_row_is_nobody_else_and_measures_nothing():
    ledger = add_synthetic(new_ledger(pl.Series(["a", "b"]), 0), pl.Series(["syn-1"]), 3)
    for ids in (["a"], ["syn-1"], ["syn-2", "syn-2"]):
        with pytest.raises(IntegrityError, match="id of another row"):
            add_synthetic(ledger, pl.Series(ids), 4)
    with pytest.raises(IntegrityError, match="held out"):
        hold_out(ledger, np.array([1, 2]), 4)
    for column, value in (("origin", "input"), ("status", "kept"), ("split", "anchor")):
        forged = ledger.with_columns(pl.when(pl.col("row") == 2).then(pl.lit(value)).otherwise(column).alias(column))
        with pytest.raises(IntegrityError):
            check_ledger(forged, 2)
