"""The probe: a small model trained on the kept rows and scored on the held-out anchor.

With labels it is a ridge classifier on the frozen embeddings, scored by macro-F1. Without labels it is a
byte-level n-gram language model, scored in bits per byte. Both train on a fixed budget drawn at random, once
per seed: a smaller set is not punished for being small, as long as it fills the budget.

A seed gives every row of the input a random priority, and a training draws the kept rows of highest priority.
Two sets that differ by a few rows thus differ by a few rows in every training too (common random numbers;
Glasserman & Yao 1992), and the difference of their scores, seed by seed, is far less noisy than the scores.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.config import ProbeParams
from ...state.errors import UsageError
from ...state.phrases import Advance, silent
from ..table_tool import TableTool
from .ngram_model import ORDER, NgramModel


@dataclass(frozen=True)
class ProbeResult:
    """One score per seed: float64 [seeds], macro-F1 (higher is better) or bits per byte (lower is better)."""

    kind: str
    scores: np.ndarray

    def goodness(self) -> np.ndarray:
        """The scores on a scale from 0 to 1 where higher is better, float64 [seeds]: macro-F1, or 1 − bits / 8."""
        return self.scores if self.kind == "macro_f1" else 1.0 - self.scores / 8.0


class Labelled(NamedTuple):
    """Rows with labels: vectors float32 [n, d], labels strings [n]."""

    vectors: np.ndarray
    labels: np.ndarray


def probe_labels(
    rows: np.ndarray,
    known: Labelled,
    anchor: Labelled,
    budget_rows: int,
    params: ProbeParams,
    seed: int,
    advance: Advance = silent,
) -> ProbeResult:
    """Macro-F1 on the anchor of a ridge classifier trained on ``budget_rows`` random kept rows, per seed.

    Args:
        rows: uint32 [n], positions of the kept rows, which ``known`` holds; ``anchor``: the held-out rows.
        budget_rows: rows each training draws without replacement (all of them when there are fewer).
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import f1_score

    size = min(budget_rows, params.max_rows, len(rows))
    asked = np.unique(anchor.labels)
    scores = []
    for trial in range(params.seeds):
        drawn = np.sort(_drawn(rows, seed, trial)[:size])
        labels = known.labels[drawn]
        if len(np.unique(labels)) < 2:
            guess = np.full(len(anchor.labels), labels[0])
        else:
            model = RidgeClassifier(alpha=1.0, solver="cholesky").fit(np.asarray(known.vectors)[drawn], labels)
            guess = model.predict(np.asarray(anchor.vectors))
        scores.append(f1_score(anchor.labels, guess, average="macro", labels=asked, zero_division=0.0))
        advance(1)
    return ProbeResult("macro_f1", np.asarray(scores, dtype=np.float64))


def _drawn(rows: np.ndarray, seed: int, trial: int) -> np.ndarray:
    """Indices into ``rows`` by descending priority: the same rows come in the same order in whatever set they stand."""
    priority = np.random.default_rng([seed, trial]).random(int(rows.max()) + 1)[rows]
    return np.argsort(-priority, kind="stable")


def probe_text(
    rows: np.ndarray,
    text: pl.Series,
    anchor_text: pl.Series,
    budget_bytes: int,
    params: ProbeParams,
    seed: int,
    advance: Advance = silent,
) -> ProbeResult:
    """Bits per byte on the anchor of an n-gram model trained on ``budget_bytes`` of randomly drawn rows, per seed.

    Args:
        rows: uint32 [n], positions of the kept rows; ``text``: strings [n].
        anchor_text: held-out rows, strings [m].
        budget_bytes: bytes each training draws (all there are when there are fewer).
    """
    lengths = text.str.len_bytes().to_numpy()
    budget = min(budget_bytes, params.max_bytes)
    held_out = _bytes(anchor_text)[: params.max_bytes // 4]
    scores = []
    for trial in range(params.seeds):
        order = _drawn(rows, seed, trial)
        enough = int(np.searchsorted(np.cumsum(lengths[order] + 1), budget)) + 1
        scores.append(bits_per_byte(_bytes(text.gather(order[:enough]))[:budget], held_out))
        advance(1)
    return ProbeResult("bits_per_byte", np.asarray(scores, dtype=np.float64))


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
    result = probe_text(rows, text.gather(rows), text.filter(pl.Series(held)), params.max_bytes, params, seed)
    return {"kind": result.kind, "mean": float(result.scores.mean()), "sd": float(result.scores.std(ddof=1))}


TOOL = TableTool("probe", on_table=_probe_of)
