"""Rows like those of a target: by importance of their n-grams (DSIR), or by the nearest vector."""

import numpy as np
import polars as pl

from ..coreset import nearness
from .places import top
from .weighted import drawn

BUCKETS = 10_000  # that words and pairs of words are hashed into
_BATCH = 20_000  # texts whose words are held at a time


def nearest_to(vectors: np.ndarray, target: np.ndarray, size: int) -> np.ndarray:
    """The rows (float32 [n, d]) nearest to any row of the target (float32 [m, d]), unit length: int64 [size]."""
    return top(nearness(vectors, target), size)


def dsir(texts: pl.Series, target: pl.Series, size: int, seed: int) -> np.ndarray:
    """Rows drawn so that their words are distributed as the target's, int64 [size].

    Data Selection with Importance Resampling (Xie et al. 2023, arXiv 2302.03169, §4): words and pairs of words are
    hashed into 10,000 buckets, a bag of buckets is fitted to the target and one to the rows, and rows are drawn without
    replacement, weighted by the ratio of the probabilities that the two give them. Words are runs of letters, marks and
    digits in lower case; the paper's tokenizer takes punctuation for words too.

    Args:
        texts: strings [n].
        target: strings [m].
        size: how many stay.
        seed: of the draw.
    """
    ours, theirs = _bag(texts), _bag(target)
    return drawn(_sums(texts, np.log(theirs) - np.log(ours)), size, seed)


def _bag(texts: pl.Series) -> np.ndarray:
    """The share of each bucket among the n-grams of texts, none of them 0: float64 [BUCKETS]."""
    counts = np.full(BUCKETS, 1e-8)
    for at in range(0, len(texts), _BATCH):
        for buckets, _ in _grams(texts.slice(at, _BATCH)):
            counts += np.bincount(buckets, minlength=BUCKETS)
    return np.asarray(counts / counts.sum())


def _sums(texts: pl.Series, value: np.ndarray) -> np.ndarray:
    """The sum over the n-grams of each text of their bucket's value (float64 [BUCKETS]): float64 [n]."""
    found = np.zeros(len(texts))
    for at in range(0, len(texts), _BATCH):
        for buckets, of in _grams(texts.slice(at, _BATCH)):
            sums = np.bincount(of, value[buckets], minlength=min(_BATCH, len(texts) - at))
            found[at : at + _BATCH] += sums
    return found


def _grams(texts: pl.Series) -> list[tuple[np.ndarray, np.ndarray]]:
    """For words, then pairs of words: the bucket of each, and the text that it stands in (int64 [w] each)."""
    from ...text.ngrams import gram_hashes, words_of

    words, found = words_of(texts), []
    for length in (1, 2):
        hashes, at = gram_hashes(words.hashes, words.first, length)
        hashes ^= hashes >> np.uint64(33)  # the hash of a pair is linear: its last bits are those of its words
        hashes *= np.uint64(0xFF51AFD7ED558CCD)
        hashes ^= hashes >> np.uint64(33)
        of = np.searchsorted(words.first, at, side="right") - 1
        found.append(((hashes % np.uint64(BUCKETS)).astype(np.int64), of))
    return found
