"""MinHash signatures and shingle sets of texts (Broder 1997, "On the resemblance and containment of documents").

A row's set is its word shingles: runs of ``ngram_size`` lower-cased words. Signatures are, bit for bit, those of
datasketch 2.0 (``MinHash(seed=1, scheme="affine32")``, SHA-1): h → a·h + b mod 2³², the least over the set.
"""

from collections import OrderedDict
from itertools import chain
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from ...state.params.preparation import DedupParams
from ...state.phrases import Advance, silent
from ..read.content import segments
from ..text.batches import batches
from ..text.kinds import UNSPACED
from ..threads import in_threads

_SEED = 1  # of the permutations: signatures are stored, so it never changes
# A character with the marks and vowel signs that belong to it.
_ALONE = rf"{UNSPACED}\p{{M}}*"
BATCH_BYTES = 1 << 20  # of texts that are worked on at once
_HELD_HASHES = 1 << 24  # 128 MB


class SignedRows(NamedTuple):
    """Rows and their MinHash signatures; ``text`` and ``signatures`` may be memory maps."""

    text: pl.Series  # strings [n], what is compared of them
    rows: np.ndarray  # positions, uint32 [n]
    signatures: np.ndarray  # uint32 [n, num_perm]
    content: pl.Series | None = None  # strings [n], all that they are (``content.content_of``); None: the text


def signatures(
    text: pl.Series, params: DedupParams, advance: Advance = silent, out: np.ndarray | None = None
) -> np.ndarray:
    """MinHash signatures of word shingles: uint32 [n, num_perm], written to ``out`` (perhaps a memory map) if given.

    The share of equal places estimates the Jaccard similarity of two rows. ``text``: strings, [n], perhaps a memory
    map; a null counts as empty. It is read in batches.
    """
    from .shingles import sign

    multiply, shift = _permutations(params.num_perm)
    signed = np.empty((len(text), params.num_perm), dtype=np.uint32) if out is None else out

    def work(batch: tuple[int, int]) -> int:
        start, count = batch
        digests, ends = shingle_hashes(text.slice(start, count), params.ngram_size)
        sign(digests, ends, multiply, shift, np.asarray(signed[start : start + count]))
        return count

    for count in in_threads(work, batches(text, BATCH_BYTES)):
        advance(count)
    return signed


def _permutations(count: int) -> tuple[np.ndarray, np.ndarray]:
    """a (odd) and b of each permutation h → a·h + b modulo 2³² (uint32 [count]): those of datasketch's ``affine32``."""
    random = np.random.RandomState(_SEED)  # whose stream NumPy never changes
    multiply = random.randint(0, 2**31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multiply, random.randint(0, 2**32, count, dtype=np.uint32)


def shingle_hashes(text: pl.Series, ngram_size: int) -> tuple[np.ndarray, np.ndarray]:
    """64 bits of the SHA-1 of each shingle of some texts (uint64), and where those of each text end (int64 [n])."""
    from .shingles import digest

    array = words_apart(text).rechunk().to_arrow().cast(pa.large_string())
    _, offsets, data = array.buffers()
    begins = np.frombuffer(offsets, dtype=np.int64, count=len(array) + 1, offset=8 * array.offset)
    digests = np.empty(int(begins[-1] - begins[0]) // 2 + 2 * len(array), dtype=np.uint64)
    ends = np.empty(len(array), dtype=np.int64)
    total = digest(np.frombuffer(data or b"", dtype=np.uint8), begins, ngram_size, digests, ends)
    return digests[:total], ends


def words_apart(text: pl.Series) -> pl.Series:
    """``text`` with each row that is not all ASCII in lower case, its blanks beyond ASCII made spaces.

    As ``str.lower`` does: Unicode's tables differ between Polars and Python, and Python's define a shingle. The kernels
    see to ASCII. In scripts that put no blank between words every character is a word: else a text were one shingle.
    """
    text = text.fill_null("")
    wide = (text.str.len_bytes() != text.str.len_chars()).arg_true()
    if not len(wide):
        return text
    lower = pl.Series([one.lower() for one in text.gather(wide)], dtype=pl.String)
    spaced = lower.str.replace_all(r"[\s--\x00-\x7F]", " ").str.replace_all(_ALONE, " ${0} ")
    return text.clone().scatter(wide, spaced)  # which works in place


def shingle_sets(text: pl.Series, ngram_size: int) -> list[np.ndarray]:
    """The shingles of texts (strings, [n]) as ascending 64-bit hashes."""
    digests, ends = shingle_hashes(text, ngram_size)
    made = []
    for own in np.split(digests, ends[:-1]):
        own.sort()
        new = np.ones(len(own), dtype=bool)
        np.not_equal(own[1:], own[:-1], out=new[1:])
        made.append(own[new])
    return made


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """The Jaccard similarity of two sets of ``shingle_sets`` (uint64 [n] and [m], ascending)."""
    from .shingles import overlap

    shared: int = overlap(one, other)
    return shared / (len(one) + len(other) - shared)


class ShingleSets:
    """Shingle sets by row, as ascending 64-bit hashes; the most recently used ones are held.

    Two shingles of one hash would count as one: among two rows of a thousand shingles the odds are one in 10¹³.
    """

    def __init__(self, text: pl.Series, ngram_size: int) -> None:
        """Make the sets of ``text`` (strings, [n], perhaps a memory map) available."""
        self._text = text
        self._ngram_size = ngram_size
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()
        self._hashes = 0

    def __contains__(self, row: int) -> bool:
        return row in self._held

    def load(self, rows: np.ndarray) -> None:
        """Make the sets of ``rows`` (uint32 [n], each once) at once, as many as can be held."""
        for row in rows.tolist():
            if row in self._held:
                self._held.move_to_end(row)  # what is loaded now is not to put it out
        rows = np.array([row for row in rows.tolist() if row not in self._held], dtype=np.uint32)
        text = self._text.gather(rows)
        used = text.str.len_bytes().fill_null(0).cast(pl.Int64).cum_sum().to_numpy()
        rows = rows[: np.searchsorted(used, _HELD_HASHES, side="right")]  # a shingle has two bytes or more
        parts = (text.slice(*batch) for batch in batches(text.head(len(rows)), BATCH_BYTES))
        made = chain.from_iterable(in_threads(self._made, parts))
        for row, hashes in zip(rows.tolist(), made, strict=True):
            self._hold(row, hashes)

    def __getitem__(self, row: int) -> np.ndarray:
        """The set of one row: uint64, ascending."""
        if row not in self._held:
            return self._hold(row, self._made(self._text.slice(row, 1))[0])
        self._held.move_to_end(row)
        return self._held[row]

    def forget(self, row: int) -> None:
        """Let go of a set that is not needed again."""
        self._hashes -= len(self._held.pop(row, ()))

    def jaccard(self, one: int, other: int) -> float:
        """The Jaccard similarity of the sets of two rows."""
        return jaccard(self[one], self[other])

    def _made(self, text: pl.Series) -> list[np.ndarray]:
        return shingle_sets(text, self._ngram_size)

    def _hold(self, row: int, hashes: np.ndarray) -> np.ndarray:
        self._held[row] = hashes
        self._hashes += len(hashes)
        while self._hashes > _HELD_HASHES and len(self._held) > 1:
            self._hashes -= len(self._held.popitem(last=False)[1])
        return hashes


class Parts:
    """The parts of rows, compared by pairs as they are asked for.

    A row of several columns, or turns, repeats another only where each of them does: a question that two rows share
    does not make their answers the same.
    """

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
