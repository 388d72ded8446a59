"""Kernels of banded LSH: the buckets that entries share, and the visit of the entries in keep order.

Entries 0 … m−1 have their signatures in ``left`` and those from m on theirs in ``right``: two tables are compared
without being copied into one.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from ..text.compiled import kernel

_SIGNATURES = types.Array(types.uint32, 2, "C", readonly=True)
_NUMBERS = types.uint32[::1]
_ORDER = types.int64[::1]
_PAIR = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]


class BucketIndex(NamedTuple):
    """The entries and the buckets they share, with the kept entries that each bucket offers for comparison."""

    left: np.ndarray  # uint32 [m, p], read-only
    right: np.ndarray  # uint32 [n − m, p], read-only
    start: np.ndarray  # int64 [n + 1]: the buckets of entry i are bucket[start[i]:start[i + 1]]
    bucket: np.ndarray  # uint32
    room: np.ndarray  # int64 [b + 1]: bucket j offers kept[room[j]:room[j] + filled[j]]
    filled: np.ndarray  # uint32 [b]
    kept: np.ndarray  # uint32
    seen: np.ndarray  # uint32 [n]: the last comparison that an entry was in
    latest: np.ndarray  # uint32 [b]: one after the position of the last entry foreseen in a bucket
    comparisons: np.ndarray  # uint32 [1]
    likely: np.ndarray  # uint32: the kept entries that the entry looked at may repeat
    equal: np.ndarray  # uint32, as long: their common places


@kernel(types.void(_SIGNATURES, types.int64, types.int64, types.uint64[:, :]))
def band_keys(signed, first, size, keys):  # type: ignore[no-untyped-def]
    """Write a 64-bit hash of bands of ``size`` places of signatures (uint32 [n, p]) to ``keys``, uint64 [bands, n]."""
    for row in range(len(signed)):
        for band in range(len(keys)):
            key = np.uint64(0x9E3779B97F4A7C15)
            for place in range((first + band) * size, (first + band + 1) * size):
                key = (key ^ np.uint64(signed[row, place])) * np.uint64(0xFF51AFD7ED558CCD)
                key ^= key >> np.uint64(32)
            keys[band, row] = key


@kernel(_PAIR(types.uint64[::1], _ORDER, types.int64, _NUMBERS, _NUMBERS))
def shared_keys(keys, order, parted, members, buckets):  # type: ignore[no-untyped-def]
    """Write to ``members`` the entries that share a key with another, and to ``buckets`` the number of each one's key.

    ``keys`` uint64 [n], which ``order`` (int64 [n]) sorts; the results uint32 [n]. Unless ``parted`` is 0, a key counts
    only if an entry below it and one from it on share it. Returned is how many entries and how many keys there are.
    """
    found, number, first = 0, 0, 0
    while first < len(order):
        end, below = first, 0
        while end < len(order) and keys[order[end]] == keys[order[first]]:
            below += order[end] < parted
            end += 1
        if end - first > 1 and (parted == 0 or 0 < below < end - first):
            for at in range(first, end):
                members[found], buckets[found] = order[at], number
                found += 1
            number += 1
        first = end
    return found, number


@kernel(types.void(_NUMBERS, _NUMBERS, types.int64, _ORDER, _NUMBERS))
def spread(members, buckets, used, following, bucket):  # type: ignore[no-untyped-def]
    """Write each of ``buckets``, plus ``used``, at the place that follows for its member (``following``, advanced)."""
    for at in range(len(members)):
        place = following[members[at]]
        bucket[place] = buckets[at] + used
        following[members[at]] = place + 1


@kernel()
def _signature(index, entry):  # type: ignore[no-untyped-def]
    return index.left[entry] if entry < len(index.left) else index.right[entry - len(index.left)]


@kernel()
def _equal(one, other):  # type: ignore[no-untyped-def]
    """In how many places two signatures are equal."""
    equal = np.uint32(0)
    for place in range(len(one)):
        equal += np.uint32(one[place] == other[place])
    return equal


@kernel()
def _likeliest(index, entry, least):  # type: ignore[no-untyped-def]
    """Write the kept entries of the entry's buckets whose signatures have ``least`` places or more in common with its.

    They stand in ``index.likely``, those with most common places first, then by number. As many as there is room for;
    returned is how many.
    """
    own, likely, equal = _signature(index, entry), index.likely, index.equal
    index.comparisons[0] += 1
    found = 0
    for at in range(index.start[entry], index.start[entry + 1]):
        bucket = index.bucket[at]
        for place in range(index.room[bucket], index.room[bucket] + index.filled[bucket]):
            other = index.kept[place]
            if index.seen[other] == index.comparisons[0]:
                continue
            index.seen[other] = index.comparisons[0]
            same = _equal(own, _signature(index, other))
            if same < least:
                continue
            rank = found
            while rank and (equal[rank - 1] < same or (equal[rank - 1] == same and likely[rank - 1] > other)):
                rank -= 1
            if rank == len(likely):
                continue
            found = min(found + 1, len(likely))
            for behind in range(found - 1, rank, -1):
                likely[behind], equal[behind] = likely[behind - 1], equal[behind - 1]
            likely[rank], equal[rank] = other, same
    return found


@kernel()
def _keep(index, entry):  # type: ignore[no-untyped-def]
    """Offer the entry in each of its buckets that has room."""
    for at in range(index.start[entry], index.start[entry + 1]):
        bucket = index.bucket[at]
        place = index.room[bucket] + index.filled[bucket]
        if place < index.room[bucket + 1]:
            index.kept[place] = entry
            index.filled[bucket] += 1


@kernel()
def visit(index, order, span, settled, closed, keep, least):  # type: ignore[no-untyped-def]
    """Go through entries, keeping each, up to one that may repeat a kept one.

    Args:
        order: int64 [n], as ``settled`` and ``closed`` in ``lsh.matches``.
        span: the position to start from and the one to stop before.
        keep: whether the first entry was looked at: it is kept, and the visit starts after it.
        least: places that two signatures must have in common.

    Returns:
        The position reached and the number of ``index.likely`` entries; the end and 0 where none has any.
    """
    at, end = span
    if keep:
        _keep(index, order[at])
        at += 1
    while at < end:
        entry = order[at]
        if entry >= settled:
            found = _likeliest(index, entry, least)
            if found:
                return at, found
        if entry < settled or not closed:
            _keep(index, entry)
        at += 1
    return at, 0


@kernel()
def foresee(index, order, span, settled, least, wanted):  # type: ignore[no-untyped-def]
    """Write the entries whose sets a visit will probably ask for, with repetitions, and overwrite ``index.likely``.

    Arguments as ``visit``; ``wanted`` (uint32) has room for two entries a position. Returned is how many were written.
    """
    count, at, likely = 0, span[0], index.likely
    for position in range(at, span[1]):
        entry = order[position]
        own = _signature(index, entry)
        found = np.int64(0) if entry < settled else _likeliest(index, entry, least)
        for place in range(index.start[entry], index.start[entry + 1]):
            bucket = index.bucket[place]
            before = np.int64(index.latest[bucket]) - 1
            if not found and before >= at and entry >= settled:
                likely[0] = order[before]
                found = np.int64(_equal(own, _signature(index, likely[0])) >= least)
            index.latest[bucket] = position + 1
        if found:
            wanted[count], wanted[count + 1] = entry, likely[0]
            count += 2
    return count
