"""Copies, and those that carry another label than their copies do."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from recryst.tools.text.copies import copies


def found(raw, labels, content=None):
    """What goes, as position → (reason, the row that stays)."""
    texts = [pl.Series(one, dtype=pl.String) for one in (raw, content or [x and x.strip() for x in raw], labels)]
    result = copies(*texts, np.arange(10, 10 + len(raw), dtype=np.uint32))
    went = {
        int(row): (one.reason, int(twin))
        for one in result.removals
        for row, twin in zip(one.rows, one.duplicate_of, strict=True)
    }
    return went, result


def test_the_label_of_most_copies_stays():
    went, result = found(["a"] * 5 + ["b"], ["x", "y", "y", None, "z", "x"])
    assert went == {
        10: ("outvoted_label", 11),
        12: ("exact_duplicate", 11),
        13: ("exact_duplicate", 11),
        14: ("outvoted_label", 11),
    }
    assert result.removals[-1].score.tolist() == [0.25, 0.25]
    assert result.votes.rows() == [(10, "y", 2, 11), (10, "x", 1, None), (10, "z", 1, None)]


def test_on_a_tie_a_row_of_each_label_stays():
    went, result = found(["a", "a ", "a", "a", "a"], ["x", "y", "x", "y", "z"])
    assert went == {12: ("exact_duplicate", 10), 13: ("normalised_duplicate", 11), 14: ("outvoted_label", 10)}
    assert result.votes["stays"].to_list() == [10, 11, None]


def test_a_labelled_copy_stays_for_one_without_a_label():
    went, result = found(["a", "a", "a"], [None, "x", None])
    assert went == {10: ("exact_duplicate", 11), 12: ("exact_duplicate", 11)}
    assert result.votes.is_empty()


def test_without_labels_the_first_stays():
    went, _ = found(["a", "a ", "a", None, None], [None] * 5)
    assert went == {11: ("normalised_duplicate", 10), 12: ("exact_duplicate", 10)}


texts = st.sampled_from(["a", "a ", "b", "c", None])


@given(st.lists(st.tuples(texts, st.sampled_from(["x", "y", None])), max_size=30))
def test_no_text_and_no_majority_is_lost(rows):
    raw, labels = [text for text, _ in rows], [label for _, label in rows]
    went, _ = found(raw, labels)
    content = [text and text.strip() for text in raw]
    for text in {*content} - {None}:
        at = [n for n in range(len(rows)) if content[n] == text]
        stays = [n for n in at if n + 10 not in went]
        votes = {label: sum(labels[n] == label for n in at) for label in "xy"}
        wanted = {label for label, count in votes.items() if count and count == max(votes.values())}
        assert [labels[n] for n in stays if labels[n]] == [
            labels[n] for n in sorted(min(n for n in at if labels[n] == label) for label in wanted)
        ]
        assert len(stays) == max(1, len(wanted))
        assert all(content[went[n + 10][1] - 10] == text for n in at if n + 10 in went)
        assert all(went[n + 10][1] not in went for n in at if n + 10 in went and len({labels[m] for m in at}) > 1)
    assert all(raw[n] is not None for n in range(len(rows)) if n + 10 in went)
