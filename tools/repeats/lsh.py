"""Banded LSH over MinHash signatures, each candidate verified by true Jaccard similarity.

Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", §3.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from ...state.params.preparation import DedupParams
from ...state.phrases import Advance, silent
from ..threads import in_threads
from .minhash import ShingleSets

if TYPE_CHECKING:
    from .buckets import BucketIndex
    from .minhash import Parts

MIN_RECALL = 0.999  # chance that two rows exactly at the threshold meet in a bucket
MAX_REPRESENTATIVES = 64  # kept rows a bucket offers for comparison; boilerplate fills buckets with thousands
MAX_VERIFIED = 64  # candidates of one row, the likeliest first, that are verified
_KEY_BYTES = 1 << 28  # of the bands hashed in one pass over the signatures
_WINDOW = 2048  # entries visited at a time, and looked ahead for the sets they need


class Match(NamedTuple):
    """An entry that repeats a kept one, and their Jaccard similarity."""

    entry: int
    kept: int
    jaccard: float


def matches(
    compared: tuple[pl.Series, Parts | None],
    signed: tuple[np.ndarray, np.ndarray],
    order: np.ndarray,
    params: DedupParams,
    settled: int,
    closed: bool,
    advance: Advance = silent,
) -> Iterator[Match]:
    """The entries that repeat, to at least the threshold, an entry kept before them, in keep order.

    An entry is compared with the kept ones it shares a bucket with: up to ``MAX_REPRESENTATIVES`` of each bucket. The
    ``MAX_VERIFIED`` likeliest by signature are verified, but none whose estimate lies more than four standard errors
    under the threshold; the first that reaches it is the match.

    Args:
        compared: what is compared of the entries (strings, [n], perhaps a memory map); and their parts, where a match
            has to be one in every part.
        signed: signatures (uint32 [m, num_perm], [n − m, num_perm]) of the first m entries and of the others.
        order: int64, the entries in keep order, the settled ones first; those left out are as if they were not there.
        params: ``threshold``, ``ngram_size``.
        settled: so many entries, the first, are kept without comparison.
        closed: whether only the settled ones are kept, so that every other is compared with them alone.
    """
    from .buckets import foresee, visit

    text, parts = compared
    index = _bucket_index(signed, params.threshold, settled if closed else 0)
    sets = ShingleSets(text, params.ngram_size)
    least = _least_equal(signed[0].shape[1], params.threshold)
    wanted = np.empty(2 * _WINDOW, dtype=np.uint32)
    for first in range(0, len(order), _WINDOW):
        at, end, keep, foreseen = first, min(first + _WINDOW, len(order)), False, False
        while True:
            at, found = visit(index, order, (at, end), settled, closed, keep, least)
            if not found:
                break
            entry, candidates = int(order[at]), index.likely[:found].tolist()
            if not foreseen:
                count = foresee(index, order, (at, end), settled, least, wanted)
                sets.load(np.unique(wanted[:count]))
                foreseen = True
            match = _confirmed(entry, candidates, sets, params.threshold, parts)
            if match is not None:
                yield match
            keep = match is None and not closed
            if not keep:
                sets.forget(entry)  # nothing is compared with it any more
                at += 1
        advance(max(end - max(first, settled), 0))


def _confirmed(
    entry: int, candidates: list[int], sets: ShingleSets, threshold: float, parts: Parts | None
) -> Match | None:
    """The first candidate whose true Jaccard similarity with the entry reaches the threshold, in every part."""
    for place, other in enumerate(candidates):
        if other not in sets:
            sets.load(np.array(candidates[place:], dtype=np.uint32))
        jaccard = sets.jaccard(entry, other)
        if jaccard >= threshold and (parts is None or parts.alike(entry, other, threshold)):
            return Match(entry, other, jaccard)
    return None


def _least_equal(num_perm: int, threshold: float) -> int:
    """The equal places from which a pair is verified: four standard errors of the estimate under the threshold."""
    slack = 4 * np.sqrt(threshold * (1 - threshold) / num_perm)
    return int(np.argmax(np.arange(num_perm + 1) / num_perm >= threshold - slack))


def band_rows(num_perm: int, threshold: float) -> int:
    """Hashes per band, at least one: two rows of similarity s meet with 1 − (1 − sʳ)ᵇ, here ``MIN_RECALL`` or more."""
    sizes = range(1, num_perm + 1)
    return max((r for r in sizes if 1 - (1 - threshold**r) ** (num_perm // r) >= MIN_RECALL), default=1)


def _bucket_index(signed: tuple[np.ndarray, np.ndarray], threshold: float, parted: int) -> BucketIndex:
    """The buckets that entries share; unless ``parted`` is 0, those that it parts the entries of."""
    from .buckets import BucketIndex, spread

    left, right = (_read_only(one) for one in signed)
    entries = len(left) + len(right)
    bands = list(_shared(left, right, band_rows(left.shape[1], threshold), parted))
    start = np.zeros(entries + 1, dtype=np.int64)
    for members, _, _ in bands:
        start[1:] += np.bincount(members, minlength=entries)
    np.cumsum(start, out=start)
    bucket, following, used = np.empty(start[-1], dtype=np.uint32), start[:-1].copy(), 0
    room = [np.zeros(1, dtype=np.int64)]
    while bands:
        members, buckets, count = bands.pop()
        room.append(np.minimum(np.bincount(buckets, minlength=count), MAX_REPRESENTATIVES))
        spread(members, buckets, used, following, bucket)
        used += count
    rooms = np.cumsum(np.concatenate(room))
    sizes = (used, rooms[-1], entries, used, 1, MAX_VERIFIED, MAX_VERIFIED)
    return BucketIndex(left, right, start, bucket, rooms, *(np.zeros(size, dtype=np.uint32) for size in sizes))


def _read_only(array: np.ndarray) -> np.ndarray:
    """A view that nobody can write through: one type for the kernels, whatever they are given."""
    view = np.ascontiguousarray(array, dtype=np.uint32).view(np.ndarray)
    view.flags.writeable = False
    return view


def _shared(
    left: np.ndarray, right: np.ndarray, size: int, parted: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """For each band the entries that share a bucket, the bucket of each (uint32, from 0) and the number of buckets.

    Only buckets of two entries or more are kept, so memory follows the collisions, not the bands.
    """
    from .buckets import band_keys, shared_keys

    entries, bands = len(left) + len(right), left.shape[1] // size
    together = min(max(_KEY_BYTES // (8 * max(entries, 1)), 1), bands)

    def work(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        members, buckets = np.empty(entries, dtype=np.uint32), np.empty(entries, dtype=np.uint32)
        found, count = shared_keys(keys, np.argsort(keys), parted, members, buckets)
        return members[:found].copy(), buckets[:found].copy(), count

    for first in range(0, bands, together):
        keys = np.empty((min(together, bands - first), entries), dtype=np.uint64)
        band_keys(left, first, size, keys[:, : len(left)])
        band_keys(right, first, size, keys[:, len(left) :])
        yield from in_threads(work, keys)
