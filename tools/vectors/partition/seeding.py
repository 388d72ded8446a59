"""Where k-means starts: k-means++ on rows of float32."""

import numpy as np


def seeded(vectors: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Rows to start k-means from, int64 [k]; fewer where fewer rows are distinct.

    Greedy k-means++: each next row is drawn in proportion to its squared distance from those chosen before, a few are
    tried, and the one that leaves the least sum of distances stays (Arthur and Vassilvitskii 2007, §2.2 and §7). The
    distances to all that are tried are one product in float32, which scikit-learn's k-means++ takes apart and makes in
    float64.

    Args:
        vectors: float32 [n, d].
    """
    tries = 2 + int(np.log(k))
    squares = np.einsum("nd,nd->n", vectors, vectors)
    least = 1e-6 * squares  # nearer is the same row, but for rounding
    chosen = np.empty(min(k, len(vectors)), dtype=np.int64)
    chosen[0] = random.integers(len(vectors))
    nearest = _distances(vectors, squares, chosen[:1])[0]
    nearest[nearest <= least] = 0.0
    for place in range(1, len(chosen)):
        sums = np.cumsum(nearest, dtype=np.float64)
        if sums[-1] <= 0.0:
            return chosen[:place]
        drawn = np.searchsorted(sums, random.random(tries) * sums[-1], side="right")
        drawn = np.minimum(drawn, len(vectors) - 1)
        distances = _distances(vectors, squares, drawn)
        np.minimum(distances, nearest, out=distances)
        distances[:, nearest == 0.0] = 0.0
        best = int(distances.sum(axis=1, dtype=np.float64).argmin())
        chosen[place], nearest = drawn[best], distances[best]
        nearest[nearest <= least] = 0.0
    return chosen


def _distances(vectors: np.ndarray, squares: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances of all rows from the rows ``of`` (int [t]), float32 [t, n], never below 0."""
    distances: np.ndarray = vectors[of] @ vectors.T
    distances *= -2.0
    distances += squares
    distances += squares[of, None]
    np.maximum(distances, 0.0, out=distances)
    return distances
