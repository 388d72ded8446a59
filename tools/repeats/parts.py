"""Whether two rows are alike in each of their parts, and not only in most of their words.

A row of several columns, or turns, repeats another only where each of them does: a question that two rows share does
not make their answers the same.
"""

import polars as pl

from ..read.content import segments
from .minhash import jaccard, shingle_sets


class Parts:
    """The parts of rows, compared by pairs as they are asked for."""

    def __init__(self, content: pl.Series, ngram_size: int) -> None:
        """``content``: strings, [n], as ``content.content_of`` gives them; a null says nothing."""
        self._content, self._size = content, ngram_size

    def alike(self, one: int, other: int, threshold: float) -> bool:
        """Whether rows have as many parts, and of each the same text or shingles alike to the threshold (Jaccard)."""
        first, second = (segments(self._content[row] or "") for row in (one, other))
        if len(first) != len(second):
            return False
        if len(first) == 1 or first == second:
            return True  # the whole was compared
        differ = [text for pair in zip(first, second, strict=True) if pair[0] != pair[1] for text in pair]
        sets = shingle_sets(pl.Series(differ, dtype=pl.String), self._size)
        return all(jaccard(*pair) >= threshold for pair in zip(sets[::2], sets[1::2], strict=True))
