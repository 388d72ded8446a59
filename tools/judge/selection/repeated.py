"""Rows repeated on purpose: those of small clusters stand several times, so that the clusters weigh more alike."""

import numpy as np


def repeats(clusters: np.ndarray, most: int) -> np.ndarray:
    """How often each row is to stand, int32 [n], 1 to ``most``: the mean size of the clusters over that of its own.

    Nothing goes: a cluster of the mean size or above stands as it is. Up to four passes over the same text are worth
    nearly as much as new text where text is plenty (Muennighoff et al. 2023), so that ``most`` is small.

    Args:
        clusters: the cluster of each row, int32 [n]; a negative one is none, and such a row stands once.
    """
    times = np.ones(len(clusters), dtype=np.int32)
    clustered = clusters >= 0
    if clustered.any():
        sizes = np.bincount(clusters[clustered])
        mean = clustered.sum() / np.count_nonzero(sizes)
        times[clustered] = np.clip(np.rint(mean / sizes[clusters[clustered]]), 1, most)
    return times
