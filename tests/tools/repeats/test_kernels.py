"""The compiled loops of deduplication and decontamination, each against a plain one."""

import numpy as np
import polars as pl
import pytest

from recryst.tools.repeats.buckets import band_keys, shared_keys
from recryst.tools.repeats.contamination.overlap import index_of
from recryst.tools.repeats.lsh import MIN_RECALL, band_rows
from recryst.tools.repeats.shingles import overlap
from recryst.tools.text.ngrams import gram_hashes, words_of


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8, 0.95])
def test_rows_at_the_threshold_meet_and_one_more_hash_to_a_band_would_part_them(threshold):
    rows = band_rows(128, threshold)
    met = [1 - (1 - threshold**size) ** (128 // size) for size in (rows, rows + 1)]
    assert rows == 1 or met[0] >= MIN_RECALL
    assert met[1] < MIN_RECALL


def test_bands_are_equal_where_their_places_are():
    signed = np.array([[1, 2, 3, 4], [1, 2, 9, 4], [8, 2, 3, 4]], dtype=np.uint32)
    signed.setflags(write=False)
    keys = np.empty((2, 3), dtype=np.uint64)
    band_keys(signed, 0, 2, keys)
    assert keys[0, 0] == keys[0, 1] != keys[0, 2]
    assert keys[1, 0] == keys[1, 2] != keys[1, 1]


@pytest.mark.parametrize(
    ("parted", "expected"),
    [(0, [(0, 0), (3, 0), (1, 1), (2, 1)]), (2, [(0, 0), (3, 0), (1, 1), (2, 1)]), (3, [(0, 0), (3, 0)])],
)
def test_shared_keys_are_numbered_and_may_have_to_stand_on_both_sides(parted, expected):
    keys = np.array([5, 7, 7, 5, 9], dtype=np.uint64)
    members, buckets = np.empty(5, dtype=np.uint32), np.empty(5, dtype=np.uint32)
    found, count = shared_keys(keys, np.argsort(keys, kind="stable"), parted, members, buckets)
    assert list(zip(members[:found].tolist(), buckets[:found].tolist(), strict=True)) == expected
    assert count == len({bucket for _, bucket in expected})


def test_sets_share_what_stands_in_both():
    one, other = (np.array(values, dtype=np.uint64) for values in ([1, 3, 5, 7], [0, 3, 4, 7, 9]))
    for array in (one, other):
        array.setflags(write=False)
    assert overlap(one, other) == 2


def test_an_index_of_ngrams_knows_where_each_begins():
    words = words_of(pl.Series(["a b c a b", None, "B C"]))
    hashes, at = gram_hashes(words.hashes, words.first, 2)
    order = np.lexsort((at, hashes))
    index = index_of(hashes[order], at[order])
    places = {tuple(index.at[first:end].tolist()) for first, end in zip(index.places, index.places[1:], strict=False)}
    assert places == {(0, 3), (1, 5), (2,)}
