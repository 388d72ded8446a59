"""A byte n-gram language model: how well each byte of a text is foretold by the bytes before it.

Method: interpolation by Witten & Bell 1991, as in Chen & Goodman 1999, §2.5:
``p(b | c) = (count(c, b) + types(c) · p(b | shorter c)) / (count(c) + types(c))``, from contexts of 0 up to ``ORDER``
bytes, above a uniform 1/256. Bytes know no language, and a text of any script can be scored.
"""

from typing import NamedTuple

import numpy as np

from ....state.errors import InputError
from ...text.compiled import kernel_later

_MOST_BYTES = 300_000_000  # learned from: more would have too many runs to count in int32
ORDER = 5  # bytes of context; ORDER + 1 bytes and their number pack into one uint64 without collisions


class _Runs(NamedTuple):
    """Every run of at most ``ORDER`` + 1 bytes that was seen, g in all: the empty one, then by length and by its bytes.

    ``last`` uint8 [g], the last byte of each. ``known`` int32 [g, 4], what is read of one at the same time: how often
    it was seen, and how many bytes of how many kinds came after it, which are the runs from a place on.
    """

    last: np.ndarray
    known: np.ndarray


class NgramModel:
    """The counts of a text, by length of context."""

    def __init__(self, train: np.ndarray) -> None:
        """``train``: uint8 [n], the bytes to learn from.

        Raises:
            InputError: they are more than 300 million.
        """
        if len(train) > _MOST_BYTES:
            raise InputError(
                f"an n-gram model learns from {_MOST_BYTES:,} bytes at most, not {len(train):,}: give it a part"
            )
        self._runs = _runs(train)

    def bits(self, test: np.ndarray) -> np.ndarray:
        """−log₂ of the probability of each byte of ``test`` (uint8 [m]) but the first ``ORDER``.

        float64 [m − ORDER]; the first bytes are context alone.
        """
        probability = np.empty(max(0, len(test) - ORDER))
        _walk(test, *self._runs, probability)
        return np.asarray(-np.log2(probability))


def _runs(train: np.ndarray) -> _Runs:
    """The runs of ``train`` (uint8 [n]), from one sort of those that begin at each byte."""
    size, count = ORDER + 1, len(train)
    padded = np.append(train, np.zeros(ORDER, dtype=np.uint8))
    packed = np.zeros(count, dtype=np.uint64)
    for offset in range(size):
        packed = (packed << np.uint64(8)) | padded[offset : offset + count]
    sizes = np.minimum(np.arange(count, 0, -1, dtype=np.uint64), np.uint64(size))  # without the padding
    packed = np.sort((packed << np.uint64(3)) | sizes)
    number = _number(packed)
    total = int(number.sum())
    runs = _Runs(np.zeros(total, dtype=np.uint8), np.zeros((total, 4), dtype=np.int32))
    _fill(packed, np.cumsum(number) - number, *runs)
    return runs


@kernel_later
def _number(packed: np.ndarray) -> np.ndarray:
    """In a kernel: how many different runs of 0, 1, … bytes there are, int64 [ORDER + 2].

    ``packed``: uint64 [n], ascending; each ``ORDER`` + 1 bytes, the last of them padding, above how many are none.
    """
    number, before = np.zeros(ORDER + 2, dtype=np.int64), np.zeros(ORDER + 2, dtype=np.uint64)
    number[0] = 1
    for one in packed:
        for length in range(1, np.int64(one & np.uint64(7)) + 1):
            run = one >> np.uint64(3 + 8 * (ORDER + 1 - length))
            if number[length] == 0 or run != before[length]:
                number[length] += 1
                before[length] = run
    return number


@kernel_later
def _fill(packed: np.ndarray, places: np.ndarray, last: np.ndarray, known: np.ndarray) -> None:
    """In a kernel: write what `_Runs` says of the runs; each length begins at one of ``places`` (int64 [ORDER + 2])."""
    at, before = places - 1, np.zeros(ORDER + 2, dtype=np.uint64)
    at[0] = 0
    for one in packed:
        for length in range(1, np.int64(one & np.uint64(7)) + 1):
            run, context = one >> np.uint64(3 + 8 * (ORDER + 1 - length)), at[length - 1]
            if at[length] < places[length] or run != before[length]:
                at[length] += 1
                before[length] = run
                last[at[length]] = np.uint8(run & np.uint64(255))
                if known[context, 2] == 0:
                    known[context, 3] = at[length]
                known[context, 2] += 1
            known[context, 1] += 1
            known[at[length], 0] += 1


@kernel_later
def _walk(test: np.ndarray, last: np.ndarray, known: np.ndarray, probability: np.ndarray) -> None:
    """In a kernel: the probability of each byte of ``test`` from the ``ORDER``-th on, by the runs known."""
    context = np.zeros(ORDER + 2, dtype=np.int64)  # the places of the last 0, 1, … bytes before this one
    ending = np.zeros(ORDER + 2, dtype=np.int64)  # and with it
    lengths = 1  # of contexts that were seen
    for at in range(len(test)):
        value, found, met = 1.0 / 256.0, 1, True
        for length in range(min(lengths, ORDER + 1)):
            here = known[context[length]]
            count, total, types, first = 0, here[1], here[2], here[3]
            if types == 0:
                break
            if met:
                low, high = np.int64(first), np.int64(first) + types
                while low < high:
                    middle = (low + high) >> 1
                    if last[middle] < test[at]:
                        low = middle + 1
                    else:
                        high = middle
                met = low < first + types and last[low] == test[at]
                if met:
                    count = known[low, 0]
                    ending[found] = low
                    found += 1
            value = (count + types * value) / (total + types)
        if at >= ORDER:
            probability[at - ORDER] = value
        context, ending, lengths = ending, context, found
