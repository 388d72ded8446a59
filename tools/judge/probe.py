"""The probes: small models trained on the kept rows, and what each makes of every held-out row.

A probe gives one score from 0 to 1 for each row of the anchor, so that two states of the data are compared row by row
(``worth``): the difference has a standard error of its own, far smaller than that of two means.

- ``nearest_neighbor``: whether the nearest kept row has the row's label. It stands for models that memorise.
- ``linear_discriminant``: whether a linear discriminant on the embeddings finds the label. It stands for models that
  average.
- ``nearest_answer``: the cosine of the answer of the nearest kept question to the row's own answer.
- ``bits_per_byte``: 1 less an eighth of the bits per byte of a byte n-gram model on the row. It trains on a fixed
  budget drawn at random: a set is not punished for being small as long as it fills the budget. A seed gives every row
  of the input a random priority, and a training draws the kept rows of highest priority, so that two sets that differ
  by a few rows differ by a few rows in every training too (common random numbers; Glasserman & Yao 1992).
"""

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.errors import UsageError
from ...state.params.rounds import ProbeParams
from ...state.phrases import Advance, silent
from ..table_tool import TableTool
from ..vectors.neighbors import nearest
from .evidence.discriminant import Labelled, fit, predicted
from .evidence.ngram_model import ORDER, NgramModel


def nearest_neighbor(known: Labelled, anchor: Labelled) -> np.ndarray:
    """Whether the nearest of the ``known`` rows has the label of each ``anchor`` row: float64 [m] of 0 and 1.

    Equal neighbours go to the earlier row (Cover & Hart 1967).
    """
    if not len(known.labels):
        return np.zeros(len(anchor.labels))
    found, _ = nearest(known.vectors, anchor.vectors, 1)
    return np.asarray(known.labels[found[:, 0]] == anchor.labels, dtype=np.float64)


def linear_discriminant(known: Labelled, anchor: Labelled) -> np.ndarray:
    """Whether a discriminant of the ``known`` rows finds the label of each ``anchor`` row: float64 [m] of 0 and 1."""
    if not len(known.labels):
        return np.zeros(len(anchor.labels))
    model = fit(known.vectors, known.labels, int(max(known.labels.max(), anchor.labels.max())) + 1)
    return np.asarray(predicted(model, np.asarray(anchor.vectors)) == anchor.labels, dtype=np.float64)


def _drawn(rows: np.ndarray, seed: int, trial: int) -> np.ndarray:
    """Indices into ``rows`` by descending priority: the same rows come in the same order in whatever set they stand."""
    priority = np.random.default_rng([seed, trial]).random(int(rows.max()) + 1)[rows]
    return np.argsort(-priority, kind="stable")


def text_by_row(
    rows: np.ndarray,
    text: pl.Series,
    anchor_text: pl.Series,
    budget_bytes: int,
    params: ProbeParams,
    seed: int,
    advance: Advance = silent,
) -> np.ndarray:
    """1 less an eighth of the bits per byte of each anchor row, float64 [m], as the mean over trainings.

    A training draws ``budget_bytes`` of the rows. An anchor row beyond the bytes that are read, or of no byte, has NaN.

    Args:
        rows: uint32 [n], positions of the kept rows; ``text``: strings [n].
        anchor_text: held-out rows, strings [m].
        budget_bytes: bytes each training draws (all there are when there are fewer).
    """
    lengths = text.str.len_bytes().to_numpy()
    budget = min(budget_bytes, params.max_bytes)
    ends = np.cumsum(anchor_text.str.len_bytes().to_numpy().astype(np.int64) + 1)
    read = int(np.searchsorted(ends, params.max_bytes // 4, side="right")) or len(ends)
    held_out = _bytes(anchor_text[:read])
    bits = np.zeros(len(held_out))
    for trial in range(params.seeds):
        order = _drawn(rows, seed, trial)
        enough = int(np.searchsorted(np.cumsum(lengths[order] + 1), budget)) + 1
        bits[ORDER:] += NgramModel(_bytes(text.gather(order[:enough]))[:budget]).bits(held_out) / params.seeds
        advance(1)
    found = np.full(len(anchor_text), np.nan)
    starts = np.concatenate([[0], ends[: read - 1]])
    counted = ends[:read] - np.maximum(starts, ORDER)
    sums = np.add.reduceat(bits, starts)
    found[:read] = np.where(counted > 0, 1.0 - sums / np.maximum(counted, 1) / 8.0, np.nan)
    return found


def _bytes(text: pl.Series) -> np.ndarray:
    """The UTF-8 bytes of the rows, a newline after each, uint8 [total]."""
    return np.frombuffer(("\n".join(text.to_list()) + "\n").encode(), dtype=np.uint8)


def bits_per_byte(train: np.ndarray, test: np.ndarray) -> float:
    """Cross-entropy in bits per byte of a byte n-gram model (``ngram_model``).

    Args:
        train: uint8 [n]; ``test``: uint8 [m].

    Raises:
        UsageError: ``test`` is shorter than one context.
    """
    if len(test) <= ORDER:
        raise UsageError(f"the held-out text has only {len(test)} bytes; the probe needs more")
    return float(NgramModel(train).bits(test).mean())


def _probe_of(frame: pl.DataFrame, params: ProbeParams, seed: int) -> Json:
    held = np.random.default_rng(seed).permutation(frame.height) < max(1, frame.height // 10)
    text = frame["text"].cast(pl.String).fill_null("")
    rows = np.flatnonzero(~held)
    found = text_by_row(rows, text.gather(rows), text.filter(pl.Series(held)), params.max_bytes, params, seed)
    return {"kind": "bits_per_byte", "mean": float(np.nanmean(8.0 * (1.0 - found))), "rows": int(held.sum())}


TOOL = TableTool("probe", on_table=_probe_of)
