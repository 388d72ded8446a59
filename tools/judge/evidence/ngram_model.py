"""A byte n-gram language model: how well each byte of a text is foretold by the bytes before it.

Method: interpolation by Witten & Bell 1991, as in Chen & Goodman 1999, §2.5:
``p(b | c) = (count(c, b) + types(c) · p(b | shorter c)) / (count(c) + types(c))``, from contexts of 0 up to ``ORDER``
bytes, above a uniform 1/256. Bytes know no language, and a text of any script can be scored.
"""

from typing import NamedTuple

import numpy as np

ORDER = 5  # bytes of context; ORDER + 1 bytes pack into one uint64 without collisions


class _Counts(NamedTuple):
    """What was seen of one length of context, sorted.

    ``grams`` uint64 [g], contexts with the byte that follows, and their ``counts`` int64 [g]; ``contexts`` uint64 [c],
    with ``totals`` and ``types`` int64 [c]: how often each was seen, and with how many different bytes after it.
    """

    grams: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    types: np.ndarray


class NgramModel:
    """The counts of a text, by length of context."""

    def __init__(self, train: np.ndarray) -> None:
        """``train``: uint8 [n], the bytes to learn from."""
        self._orders: list[_Counts] = []
        for order in range(ORDER + 1):
            grams, counts = np.unique(_packed(train, order + 1), return_counts=True)
            if not len(grams):
                break
            contexts, first, types = np.unique(grams >> np.uint64(8), return_index=True, return_counts=True)
            self._orders.append(_Counts(grams, counts, contexts, np.add.reduceat(counts, first), types))

    def bits(self, test: np.ndarray) -> np.ndarray:
        """−log₂ of the probability of each byte of ``test`` (uint8 [m]) but the first ``ORDER``.

        float64 [m − ORDER]; the first bytes are context alone.
        """
        probability = np.full(max(0, len(test) - ORDER), 1.0 / 256.0)
        if not len(probability):
            return probability
        for order, known in enumerate(self._orders):
            asked = _packed(test, order + 1)[ORDER - order :]
            seen, at = _find(known.contexts, asked >> np.uint64(8))
            met, gram_at = _find(known.grams, asked)
            count = np.where(met, known.counts[gram_at], 0)
            mixed = (count + known.types[at] * probability) / (known.totals[at] + known.types[at])
            probability = np.where(seen, mixed, probability)
        return np.asarray(-np.log2(probability))


def _packed(data: np.ndarray, size: int) -> np.ndarray:
    """Every run of ``size`` bytes as one uint64, [n − size + 1]."""
    count = max(0, len(data) - size + 1)
    packed = np.zeros(count, dtype=np.uint64)
    for offset in range(size):
        packed = (packed << np.uint64(8)) | data[offset : offset + count]
    return packed


def _find(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of ``wanted`` [m] stands in the sorted ``table`` [n], and where (0 where it does not)."""
    at = np.searchsorted(table, wanted)
    at[at == len(table)] = 0
    found = table[at] == wanted
    return found, np.where(found, at, 0)
