"""Folds of whole groups: what is scored was never learned from, not even as a copy."""

import numpy as np

FOLDS = 5


def group_folds(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each row, int64 [n] from 0 to ``folds`` − 1; rows of one group (uint32 [n]) share theirs.

    Groups are dealt round in an order drawn by the seed: folds differ by one group at most.
    """
    names, group = np.unique(groups, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(names))[group] % folds)
