"""What the measurement and the baselines learn with: embeddings, and logistic regression on them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from ...state.config import EmbedParams
from ...state.preparation import CleanParams
from ...tools.text.clean import normalise
from ...tools.vectors.embed import embed, open_cache, open_encoder

FOLDS = 5
_ITERATIONS = 1000


def vectors_of(texts: Sequence[str], folder: Path) -> np.ndarray:
    """Embeddings of texts by the embedded model, float32 [n, d] of unit length.

    Normalised as a run does, so that what a run of the same texts has embedded is found in the cache of the user; where
    there is none, ``folder`` is the cache.
    """
    params = EmbedParams()
    encoder = open_encoder(params)
    return np.array(embed(normal(texts), encoder, open_cache(encoder, folder), params).vectors)


def normal(texts: Sequence[str]) -> pl.Series:
    """Texts as a run normalises them, strings [n]."""
    return normalise(pl.Series("text", list(texts), dtype=pl.String), CleanParams())


def probabilities(
    vectors: np.ndarray, labels: np.ndarray, asked: np.ndarray, classes: int, strength: float
) -> np.ndarray:
    """Class probabilities (float64 [m, classes]) of ``asked`` (float32 [m, d]) by multinomial logistic regression.

    Args:
        vectors: float32 [n, d], with their ``labels`` (int64 [n], below ``classes``).
        strength: C, the inverse of the L2 penalty. A class that no label names has probability 0.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    there = np.unique(labels)
    found = np.zeros((len(asked), classes))
    if len(there) < 2:
        found[:, there] = 1.0
        return found
    with threadpool_limits(1):  # the matrices are so small that threads wait for one another, on a busy machine long
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(vectors, labels)
    found[:, model.classes_] = model.predict_proba(asked)
    return found


def out_of_fold(vectors: np.ndarray, labels: np.ndarray, folds: np.ndarray, strengths: Sequence[float]) -> np.ndarray:
    """Probabilities of each row (float64 [n, classes]) by models that have not seen its fold (int64 [n]).

    The mean over ``strengths`` of C; ``vectors`` float32 [n, d], ``labels`` int64 [n].
    """
    classes = int(labels.max()) + 1
    found = np.zeros((len(labels), classes))
    for fold in np.unique(folds):
        out = folds == fold
        for strength in strengths:
            found[out] += probabilities(vectors[~out], labels[~out], vectors[out], classes, strength)
    return found / len(strengths)


def folds_of(groups: np.ndarray, seed: int) -> np.ndarray:
    """A fold for each row (int64 [n]), the same for all rows of a group (int64 [n])."""
    _, group = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(group.max() + 1) % FOLDS
    return np.asarray(fold[group], dtype=np.int64)


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
    said = probabilities(vectors, learned, test, len(names), 10.0).argmax(axis=1)
    return float(f1_score(right, said, labels=np.unique(right), average="macro", zero_division=0.0))


def near_groups(vectors: np.ndarray, cosine: float = 0.95) -> np.ndarray:
    """Connected components (int64 [n]) of the rows of a cosine of at least ``cosine``; ``vectors``: float32 [n, d]."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(vectors), 2000):
        near = np.argwhere(vectors[start : start + 2000] @ vectors.T >= cosine)
        near[:, 0] += start
        ends.append(near)
    one, other = np.concatenate(ends).T
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(len(vectors), len(vectors)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def nearest_classes(vectors: np.ndarray, labels: Sequence[str]) -> dict[str, str]:
    """For each label the one whose centroid is nearest to its own; ``vectors``: float32 [n, d], of the rows."""
    names = sorted(set(labels))
    members = np.array(labels)
    centroids = np.stack([vectors[members == name].mean(axis=0) for name in names])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    likeness = centroids @ centroids.T
    np.fill_diagonal(likeness, -np.inf)
    return {name: names[at] for name, at in zip(names, likeness.argmax(axis=1).tolist(), strict=True)}
