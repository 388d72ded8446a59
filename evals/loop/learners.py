"""What the baselines learn with: logistic regression out of fold, and which rows and classes are near one another."""

from collections.abc import Sequence

import numpy as np

from ...tools.judge.learned import probabilities

FOLDS = 5


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
