"""ROUGE-L (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3) of one text against many.

The scores are those of Google's ``rouge_score`` without stemmer, to the last bit. Only texts that share enough tokens
to pass the threshold at all are compared, by rapidfuzz's bit-parallel LCS (Hyyrö 2004): texts of m and n tokens that
share c, each counted as often as both have it, have an LCS of at most c, and F = 2·LCS / (m + n).
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
_SLACK = 1e-9  # the bound is a float, too


def tokens_of(text: str) -> list[str]:
    """The tokens of a text: lower-cased runs of ``a-z0-9``; everything else parts them."""
    return _NOT_ALPHANUMERIC.sub(" ", text.lower()).split()


def _f_measure(lcs: np.ndarray, length: int, lengths: np.ndarray) -> np.ndarray:
    """F of common subsequences ``lcs`` (int [n]) of one text with texts of ``lengths`` (int [n]), none of them empty.

    Written as rouge_score computes it, so that a score that stands on the threshold falls to the same side.
    """
    recall, precision = lcs / length, lcs / lengths
    total = precision + recall
    return np.asarray(np.divide(2 * precision * recall, total, out=np.zeros(len(lcs)), where=total > 0))


class RougePool:
    """Texts that others are held against."""

    def __init__(self, threshold: float, texts: Iterable[str] = ()) -> None:
        """``threshold``: ROUGE-L F above which a text repeats another; ``texts``: the first of the pool."""
        self.threshold = threshold
        self._numbers: dict[str, int] = {}  # token → number
        self._texts: list[list[int]] = []
        self._lengths = array("q")
        # For the second "the" of a text there is a list of its own: lists of two texts that meet are shared tokens.
        self._holders: dict[tuple[int, int], array[int]] = {}
        self.add(texts)

    def add(self, texts: Iterable[str]) -> None:
        """Add texts to the pool."""
        for text in texts:
            numbers = [self._numbers.setdefault(token, len(self._numbers)) for token in tokens_of(text)]
            for key in _counted(numbers):
                self._holders.setdefault(key, array("q")).append(len(self._texts))
            self._texts.append(numbers)
            self._lengths.append(len(numbers))

    def repeats(self, text: str) -> bool:
        """Whether a text has a ROUGE-L F above the threshold with any text of the pool."""
        from rapidfuzz.distance import LCSseq
        from rapidfuzz.process import cdist

        # A token that the pool does not know matches nothing: one number stands for all of them.
        numbers = [self._numbers.get(token, -1) for token in tokens_of(text)]
        held = [self._holders[key] for key in _counted(numbers) if key in self._holders]
        if not held:
            return False
        shared = np.bincount(np.concatenate([np.frombuffer(one, dtype=np.int64) for one in held]))
        lengths = np.frombuffer(self._lengths, dtype=np.int64)[: len(shared)]
        near = np.flatnonzero(2 * shared / (len(numbers) + lengths) > self.threshold - _SLACK)
        near = near[shared[near] > 0]
        if not len(near):
            return False
        texts = [self._texts[place] for place in near.tolist()]
        lcs = np.asarray(cdist([numbers], texts, scorer=LCSseq.similarity, dtype=np.int32)[0])
        return bool((_f_measure(lcs, len(numbers), lengths[near]) > self.threshold).any())


def _counted(numbers: list[int]) -> list[tuple[int, int]]:
    """Each number with how often it stood before: two texts share as many such pairs as tokens."""
    seen = Counter[int]()
    pairs = []
    for number in numbers:
        pairs.append((number, seen[number]))
        seen[number] += 1
    return pairs
