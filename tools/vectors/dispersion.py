"""How far clusters lie apart beside how far their rows do: Davies-Bouldin and Calinski-Harabasz."""

import numpy as np

from ..threads import in_threads
from .partition.lloyd import label_sums

_BLOCK = 8192  # rows held at a time


def dispersion(vectors: np.ndarray, labels: np.ndarray) -> tuple[float | None, float | None]:
    """Davies-Bouldin (1979) and Calinski-Harabasz (1974) of the rows that are not noise, None where undefined.

    scikit-learn's figures, block by block: it turns all rows into float64 at once, one cluster after the other.

    Args:
        vectors: float [n, d].
        labels: int [n], -1 for noise.
    """
    from scipy.spatial.distance import cdist

    kept, own = np.unique(labels, return_inverse=True)
    own, k = own - (kept[0] < 0), len(kept) - (kept[0] < 0)
    sizes = np.bincount(own[own >= 0], minlength=k)[:, None]
    rows = int(sizes.sum())
    if not 2 <= k < rows:
        return None, None
    means = label_sums(vectors, own, k) / sizes

    def work(start: int) -> np.ndarray:
        of = own[start : start + _BLOCK]
        apart = np.asarray(vectors[start : start + _BLOCK], dtype=np.float64) - means[of]
        return np.where(of >= 0, np.einsum("nd,nd->n", apart, apart), 0.0)

    squares = np.concatenate(list(in_threads(work, range(0, len(own), _BLOCK))))
    spread = np.bincount(own[own >= 0], np.sqrt(squares[own >= 0]), k) / sizes[:, 0]
    centre = (means * sizes).sum(axis=0) / rows
    within, between = squares.sum(), float((sizes * (means - centre) ** 2).sum())
    calinski = 1.0 if within == 0.0 else between * (rows - k) / (within * (k - 1))
    distances = cdist(means, means)
    if np.allclose(spread, 0.0) or np.allclose(distances, 0.0):
        return 0.0, float(calinski)
    distances[distances == 0.0] = np.inf
    return float(((spread[:, None] + spread) / distances).max(axis=1).mean()), float(calinski)
