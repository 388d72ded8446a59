"""A quality score for every row, learned from a few scored ones.

A regression head on frozen embeddings learns what a teacher says of a sample and then scores everything
(FineWeb-Edu, Penedo et al. 2024, arXiv 2406.17557, §4). The head here is ridge regression, its penalty chosen by
leave-one-out error, because the sample is a few hundred rows and not half a million. How far it can be trusted is
measured on rows it did not learn from, beside what "always the mean" would reach.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

LOWEST, HIGHEST = 0.0, 5.0
GOOD = 3.0  # the score from which FineWeb-Edu keeps a page (§4)
#: Below this rank correlation, or where chance alone reaches it one time in twenty, the scores are not used.
LEAST_SPEARMAN = 0.2
LARGEST_P = 0.05

_PENALTIES = np.logspace(-3, 3, 13)
_BEND = 0.5
_BLOCK = 8192  # rows held at a time


@dataclass(frozen=True)
class Agreement:
    """How well scores of rows left out of the learning were met, and how well their mean would have met them."""

    rows: int
    spearman: float
    p: float  # of that correlation by chance
    mae: float
    f1: float  # of "at least 3"
    within_one: float  # share of rows met within one point
    mean_mae: float
    mean_f1: float
    mean_within_one: float
    auc: float | None  # where only two scores were given

    @property
    def better_than_chance(self) -> bool:
        """Whether scores that agree so well may count."""
        figures = self.figures()
        return bool(figures["spearman"] >= LEAST_SPEARMAN and figures["p"] < LARGEST_P)

    def figures(self) -> dict[str, Any]:
        """The figures, rounded for the log."""
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class QualityModel:
    """``coefficients``: float32 [d+1], one for each dimension of a vector, then the intercept."""

    coefficients: np.ndarray
    agreement: Agreement


def fit_scores(vectors: np.ndarray, scores: np.ndarray, folds: int, seed: int) -> QualityModel:
    """Learn scores from vectors, and measure by cross-validation how well that goes.

    Args:
        vectors: float [m, d], unit rows; m is at least 4.
        scores: float [m] in [0, 5].
        folds: parts of the cross-validation, at most m / 2 are used.
    """
    from sklearn.model_selection import KFold

    vectors, scores = np.asarray(vectors, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    met, mean = np.empty(len(scores)), np.empty(len(scores))
    parts = KFold(min(folds, len(scores) // 2), shuffle=True, random_state=seed)
    for learn, test in parts.split(vectors):
        met[test] = predict(_ridge(vectors[learn], scores[learn]), vectors[test])
        mean[test] = scores[learn].mean()
    return QualityModel(_ridge(vectors, scores), _agreement(scores, met, mean))


def predict(coefficients: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The scores of ``vectors`` (float [n, d]) by a model's ``coefficients``: float32 [n] in [0, 5]."""
    scores = np.empty(len(vectors), dtype=np.float32)
    weights = coefficients.astype(np.float64)
    for start in range(0, len(vectors), _BLOCK):
        raw = vectors[start : start + _BLOCK] @ weights[:-1] + weights[-1]
        scores[start : start + _BLOCK] = _bent(raw)
    return scores


def _bent(raw: np.ndarray) -> np.ndarray:
    """``raw`` (float [n]) brought into [0, 5]. Half a point from the bounds the line bends towards them.

    Cut off at the bounds, a tenth of the rows and more can share the lowest score, and their order would be lost.
    """
    low, high = LOWEST + _BEND, HIGHEST - _BEND
    with np.errstate(over="ignore"):
        below = _BEND * np.exp((raw - low) / _BEND)
        above = HIGHEST - _BEND * np.exp((high - raw) / _BEND)
    return np.select([raw < low, raw > high], [below, above], raw).round(6)


def _ridge(vectors: np.ndarray, scores: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV(alphas=_PENALTIES).fit(vectors, scores)
    return np.append(fitted.coef_, fitted.intercept_).astype(np.float32)


def _agreement(scores: np.ndarray, met: np.ndarray, mean: np.ndarray) -> Agreement:
    """The agreement of ``met``, and of ``mean``, with ``scores``: float [m] each."""
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    rank, p = spearmanr(scores, met) if np.ptp(scores) and np.ptp(met) else (0.0, 1.0)
    given = np.unique(scores)
    auc = float(roc_auc_score(scores == given[1], met)) if len(given) == 2 else None
    return Agreement(len(scores), float(rank), float(p), *_errors(scores, met), *_errors(scores, mean), auc)


def _errors(scores: np.ndarray, met: np.ndarray) -> tuple[float, float, float]:
    """Mean absolute error, F1 of "at least 3", and the share within one point."""
    from sklearn.metrics import f1_score

    off = np.abs(scores - met)
    f1 = float(f1_score(scores >= GOOD, met >= GOOD, zero_division=0.0))
    return float(off.mean()), f1, float((off <= 1.0).mean())
