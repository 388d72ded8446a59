"""Two scorings of the same rows, compared: the mean difference, its standard error and its interval."""

import math

import numpy as np

from ...state.report import Moved

CONFIDENCE = 0.95


def moved(before: np.ndarray, after: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> Moved | None:
    """How a weighted mean score moved, paired row by row; None where fewer than two groups of rows have a score.

    Rows of one group are no independent draws, so that the error is that of sums over groups (the cluster-robust
    error of a paired difference; Miller 2024, "Adding Error Bars to Evals", §2 and §4). The interval is Student's, with
    one degree of freedom less than there are groups: where no row is scored otherwise, it has no width.

    Args:
        before: float [m], NaN where a row has no score; ``after`` alike.
        weights: float [m]; those of rows without a score, or of weight 0, count for nothing.
        groups: of each row, integers [m].
    """
    from scipy.stats import t

    there = ~np.isnan(before) & ~np.isnan(after) & (weights > 0)
    _, group = np.unique(groups[there], return_inverse=True)
    count = int(group.max(initial=-1)) + 1
    if count < 2:
        return None
    share = weights[there] / weights[there].sum()
    was, now = float(share @ before[there]), float(share @ after[there])
    difference = after[there] - before[there]
    gain = float(share @ difference)
    sums = np.bincount(group, share * (difference - gain))
    error = math.sqrt(count / (count - 1) * float(sums @ sums))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    figures = {"before": was, "after": now, "difference": gain, "error": error}
    figures |= {"low": gain - reach, "high": gain + reach}
    return Moved(**{name: round(value, 6) for name, value in figures.items()})
