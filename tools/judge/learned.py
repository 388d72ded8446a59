"""What a set teaches: a logistic regression on the embedded model's vectors, scored on rows kept apart."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from ...state.params.preparation import CleanParams
from ...state.params.vectors import EmbedParams
from ...state.phrases import Advance, silent
from ..text.clean import normalise
from ..vectors.embed import NOTHING_KNOWN, KnownVectors, embed, encoder_for, open_cache

STRENGTH = 10.0  # C of the regression that is scored
_ITERATIONS = 1000


def vectors_of(
    texts: Sequence[str], folder: Path, advance: Advance = silent, known: KnownVectors = NOTHING_KNOWN
) -> np.ndarray:
    """Embeddings of texts by the embedded model, float32 [n, d] of unit length.

    Normalised as a run does, so that what a run of the same texts has embedded is found in the cache of the user; where
    there is none, ``folder`` is the cache. What is ``known`` is taken as it is.
    """
    params = EmbedParams()
    with encoder_for(params, len(texts)) as encoder:
        cache = open_cache(encoder, folder)
        return np.array(embed(normal(texts), encoder, cache, params, advance, known=known).vectors)


def normal(texts: Sequence[str]) -> pl.Series:
    """Texts as a run normalises them, strings [n]."""
    return normalise(pl.Series("text", list(texts), dtype=pl.String), CleanParams())


def probabilities(
    vectors: np.ndarray,
    labels: np.ndarray,
    asked: np.ndarray,
    classes: int,
    strength: float,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Class probabilities (float64 [m, classes]) of ``asked`` (float32 [m, d]) by multinomial logistic regression.

    Args:
        vectors: float32 [n, d], with their ``labels`` (int64 [n], below ``classes``).
        strength: C, the inverse of the L2 penalty. A class that no label names has probability 0.
        weights: how much each row counts, float64 [n]; all alike where there are none.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    there = np.unique(labels)
    found = np.zeros((len(asked), classes))
    if len(there) < 2:
        found[:, there] = 1.0
        return found
    with threadpool_limits(1):  # the matrices are so small that threads wait for one another, on a busy machine long
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(vectors, labels, sample_weight=weights)
    found[:, model.classes_] = model.predict_proba(asked)
    return found


def macro_f1(vectors: np.ndarray, labels: Sequence[str], test: np.ndarray, truth: Sequence[str]) -> float:
    """Macro-F1 over the classes of ``truth``, of a logistic regression with C = 10.

    Args:
        vectors: float32 [n, d], of the rows learned from, with their ``labels``.
        test: float32 [m, d], of the test split, with its labels ``truth``.
    """
    from sklearn.metrics import f1_score

    names = sorted({*labels, *truth})
    number = {name: at for at, name in enumerate(names)}
    learned = np.array([number[label] for label in labels], dtype=np.int64)
    right = np.array([number[label] for label in truth], dtype=np.int64)
    said = probabilities(vectors, learned, test, len(names), STRENGTH).argmax(axis=1)
    return float(f1_score(right, said, labels=np.unique(right), average="macro", zero_division=0.0))


def recovered(score: float, crude: float, oracle: float) -> float | None:
    """The share of the gap between crude and oracle that a score has made up; None where there is no gap."""
    return (score - crude) / (oracle - crude) if oracle > crude else None
