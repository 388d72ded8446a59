"""Sums, maxima and repeats within consecutive segments of a flat array: the words of a text, the lines of a page.

A segment is ``offsets[i] : offsets[i + 1]``, int64. Counting repeats takes a table of hashes for each segment, which
NumPy lacks: it is compiled.
"""

from typing import Any

import numpy as np

from .compiled import kernel_later


def sums(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The sum of ``values`` (numbers or bool, [t]) in each segment: int64 [n], 0 for an empty one."""
    return np.diff(np.concatenate([[0], np.cumsum(values, dtype=np.int64)])[offsets])


def maxima(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The greatest of ``values`` (integers not below 0, [t]) in each segment: int64 [n], 0 for an empty one."""
    found = np.zeros(len(offsets) - 1, dtype=np.int64)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        found[filled] = np.maximum.reduceat(values.astype(np.int64), offsets[filled])
    return found


def occurrences(keys: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How often each key stands in its segment.

    ``keys``: uint64 [t], hashes; a segment is ``starts[i] : ends[i]`` (int64 [n]), empty where they cross.

    Returns:
        int64 [t]: at the first place of a key in its segment how often it stands there, elsewhere 0.
    """
    return np.asarray(np.maximum(_walked(keys, starts, ends, 1), 0))


def repeated_ngrams(keys: np.ndarray, starts: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """Where n-grams that repeat an earlier one begin, bool [t]; after each the search goes on behind its last word.

    ``keys``: uint64 [t], ``keys[i]`` names the n-gram that begins at word ``i``, of ``size`` words. They begin in
    ``starts[i] : ends[i]`` (int64 [n]), nowhere where these cross.
    """
    return _walked(keys, starts, ends, size) < 0


def _walked(keys: np.ndarray, starts: np.ndarray, ends: np.ndarray, step: int) -> np.ndarray:
    """``_walk``, with room for the hash table of the longest segment, at most half full."""
    longest = int(np.max(ends - starts, initial=1))
    slots = np.empty(1 << (2 * max(longest, 1) - 1).bit_length(), dtype=np.int64)
    return np.asarray(_walk(keys, starts, ends, slots, step))


@kernel_later
def _walk(keys: Any, starts: Any, ends: Any, slots: Any, step: int) -> Any:
    """How often each key was met, at its first place in its segment; −1 where one was met that repeats another.

    Behind a key that repeats another the search goes on ``step`` places later.
    """
    found = np.zeros(len(keys), dtype=np.int64)
    for segment in range(len(starts)):
        room = 2
        while room < 2 * (ends[segment] - starts[segment]):
            room *= 2
        slots[:room] = -1
        at = starts[segment]
        while at < ends[segment]:
            slot = np.int64(keys[at] >> np.uint64(32)) & (room - 1)
            while slots[slot] >= 0 and keys[slots[slot]] != keys[at]:
                slot = (slot + 1) & (room - 1)
            new = slots[slot] < 0
            if new:
                slots[slot] = at
            else:
                found[at] = -1
            found[slots[slot]] += 1
            at += 1 if new else step
    return found
