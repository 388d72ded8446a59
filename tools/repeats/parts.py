"""Whether two rows are alike in each of their parts, and not only in most of their words.

A row of several columns, or turns, repeats another only where each of them does: a question that two rows share does
not make their answers the same.
"""

import polars as pl

from ..read.content import segments_of
from .minhash import words_apart


class Parts:
    """The parts of rows, compared by pairs as they are asked for."""

    def __init__(self, content: pl.Series, ngram_size: int) -> None:
        """``content``: strings, [n], as ``content.content_of`` gives them; a null is one part."""
        self._content, self._size = content, ngram_size

    def alike(self, one: int, other: int, threshold: float) -> bool:
        """Whether rows have as many parts, and of each the same text or shingles alike to the threshold (Jaccard)."""
        first, second = segments_of(self._content.gather([one, other])).to_list()
        if first is None or second is None:
            return first is None and second is None
        if len(first) == len(second) == 1:
            return True  # the whole was compared
        if len(first) != len(second):
            return False
        return all(a == b or self._jaccard(a, b) >= threshold for a, b in zip(first, second, strict=True))

    def _jaccard(self, one: str, other: str) -> float:
        a, b = (self._shingles(text) for text in words_apart(pl.Series([one, other])))
        return len(a & b) / len(a | b)

    def _shingles(self, text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[at : at + self._size]) for at in range(max(1, len(words) - self._size + 1))}
