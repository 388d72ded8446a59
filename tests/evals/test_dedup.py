"""The deduplication experiment: its known answers on real text, and that it would show a wrong one."""

import numpy as np
import polars as pl
import pytest

from recryst.evals import dedup, edits
from recryst.state.rows import Removal

pytestmark = pytest.mark.shared_data


def test_edits_spread_over_the_similarities_aimed_at(shared_data):
    texts = edits.originals(shared_data, "wikitext2")
    likeness = np.array([edits.jaccard(*pair) for pair in zip(texts, edits.edited(texts, 0), strict=True)])
    assert len(texts) > 1000
    assert np.quantile(likeness, [0.05, 0.95]) == pytest.approx([0.52, 0.93], abs=0.03)
    assert edits.edited(texts[:50], 1) == edits.edited(texts[:50], 1)


def test_the_identical_copies_are_found_exactly(shared_data):
    assert dedup.exact(shared_data).rows == ((19_997, 531, 531, 0, 531),)


def test_planted_copies_are_found_from_the_threshold_on(shared_data):
    lines = dedup.planted_in(edits.originals(shared_data, "wikitext2"), "wikitext2")
    (_, _, many, _, recall, least), (_, _, _, _, _, lower), (_, _, below, removed, _, _) = lines
    assert many > 200
    assert recall >= 0.95
    assert min(least, lower) >= 0.8
    assert below > 400
    assert removed == 0


def test_a_removal_too_many_would_show(shared_data, monkeypatch):
    def careless(texts: list[str]) -> Removal:
        rows = np.arange(len(texts) // 2, len(texts), dtype=np.uint32)
        return Removal("near_duplicate", rows, duplicate_of=rows - len(texts) // 2)

    texts = edits.originals(shared_data, "wikitext2")[:100]
    monkeypatch.setattr(dedup, "_removed", lambda given: careless(given if len(given) > len(texts) else []))
    *_, below = dedup.planted_in(texts, "wikitext2")
    assert below[4] == 1.0
    assert below[5] < 0.6


def test_the_same_rows_as_datasketch_and_faster(shared_data):
    frame = edits.newsgroups20(shared_data).head(150)
    _, rows, removed, same, slow, _, fast, _, faster, _, _, peak = dedup.compared("postings", frame, 400)
    assert (rows, same) == (400, "yes")
    assert removed >= 250  # a row that stands there a second time is signed and verified like any other
    assert slow > fast
    assert faster > 1
    assert 0 < peak < 2048


def test_repeated_rows_are_repeated(shared_data):
    frame = pl.DataFrame({"text": ["a", "b", "c"]})
    assert [part["text"].to_list() for part in dedup.repeated(frame, 7)] == [["a", "b", "c"], ["a", "b", "c"], ["a"]]
