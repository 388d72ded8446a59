"""How surprising each row's text is to a model of the other rows.

The cross-entropy under a language model of the corpus is the old measure of text that does not belong to it (Moore &
Lewis 2010; CCNet, Wenzek et al. 2020, arXiv 1911.00359, §3.2). Here the corpus is the set itself and every row is
scored by a model that has read neither it nor its copies.
"""

import numpy as np
import polars as pl

from .folds import group_folds
from .ngram_model import ORDER, NgramModel

_READ = 2_000  # characters of a text that are read
_LEARNED = 4_000_000  # bytes each fold's model learns from
_SCORED = 4_000_000  # bytes scored at a time
_TRUSTED = 16  # bytes of a row that weigh as much as what the whole set says
_START = b"\n" * ORDER  # stands before every row, so that its first byte has a context and no other row's end is it


def surprise(text: pl.Series, groups: np.ndarray, seed: int, folds: int = 2) -> np.ndarray:
    """Bits per byte of each row under a byte n-gram model of the other folds' rows: float64 [n].

    High: gibberish, another script or format than the set's. Low: what many rows say. The first 2,000 characters of a
    row are read. A short row tells little: its mean is drawn towards the set's as if it had 16 bytes more of that. An
    empty row, and every row of a set with a single group, stands at the set's mean.

    Args:
        text: strings [n], null as empty.
        groups: uint32 [n]; rows of one group (copies of one another) never vouch for each other.
        folds: 2 to 5; each model learns from the rows of the others, drawn at random up to 4 MB.
    """
    read = text.cast(pl.String).fill_null("").str.slice(0, _READ)
    sizes = read.str.len_bytes().to_numpy().astype(np.int64)
    fold = group_folds(np.asarray(groups), folds, seed)
    bits = np.zeros(len(read))
    scored = np.zeros(len(read), dtype=bool)
    order = np.random.default_rng([seed, 1]).permutation(len(read))
    for number in range(folds):
        learned = order[fold[order] != number]
        rows = np.flatnonzero((fold == number) & (sizes > 0))
        if not len(learned) or not len(rows):
            continue
        enough = int(np.searchsorted(np.cumsum(sizes[learned] + ORDER), _LEARNED)) + 1
        model = NgramModel(_joined(read.gather(learned[:enough])))
        for part in np.array_split(rows, 1 + int(sizes[rows].sum()) // _SCORED):
            bits[part] = _sums(model, read.gather(part), sizes[part])
        scored[rows] = True
    mean = bits[scored].sum() / sizes[scored].sum() if scored.any() else 8.0
    known = np.where(scored, sizes, 0)
    return np.asarray((bits + _TRUSTED * mean) / (known + _TRUSTED))


def _joined(text: pl.Series) -> np.ndarray:
    """The UTF-8 bytes of the rows, each after ``_START``, uint8 [total]."""
    return np.frombuffer(_START + _START.join(one.encode() for one in text.to_list()), dtype=np.uint8)


def _sums(model: NgramModel, text: pl.Series, sizes: np.ndarray) -> np.ndarray:
    """The bits of each row (none of them empty), float64 [m]; ``sizes``: their bytes, int64 [m]."""
    bits = model.bits(_joined(text))
    ends = np.cumsum(sizes + ORDER) - ORDER  # of each row among the scored bytes, which begin after the first _START
    bounds = np.column_stack([ends - sizes, ends]).ravel()
    return np.asarray(np.add.reduceat(bits, bounds[:-1])[::2])
