"""Rows drawn without replacement by weights: what stands in a sparse place, and what is of high quality, more often."""

import numpy as np

from ...threads import in_threads

_TABLES = 32  # of the sketch
_BITS = 12  # planes to a table: rows share a cell with probability (1 − angle / π) ^ 12
_BLOCK = 8192
TEMPERATURE = 2.0  # of quality, in its standard deviations: QuRating's


def density(vectors: np.ndarray, seed: int) -> np.ndarray:
    """An estimate of how dense the rows stand about each, itself counted: float64 [n], above 0 and at most 1.

    The mean over all rows of the kernel (1 − angle / π) ^ 12, by counting rows in the cells of random hyperplanes (the
    RACE sketch, Coleman and Shrivastava 2020, arXiv 1912.02283), in time and memory that grow with n alone.

    Args:
        vectors: float32 [n, d], unit length.
        seed: of the planes. The order of the rows changes nothing.
    """
    random = np.random.default_rng(seed)
    planes = random.standard_normal((vectors.shape[1], _TABLES * _BITS), dtype=np.float32)
    cells = np.empty((_TABLES, len(vectors)), dtype=np.uint16)
    places = (1 << np.arange(_BITS)).astype(np.uint16)

    def work(at: int) -> None:
        side = (vectors[at : at + _BLOCK] @ planes > 0).reshape(-1, _TABLES, _BITS)
        cells[:, at : at + _BLOCK] = (side * places).sum(axis=2, dtype=np.uint16).T

    for _ in in_threads(work, range(0, len(vectors), _BLOCK)):
        pass
    total = np.zeros(len(vectors))
    for table in cells:
        total += np.bincount(table, minlength=1 << _BITS)[table]
    return np.asarray(total / (_TABLES * max(1, len(vectors))))


def sparse_first(dense: np.ndarray) -> np.ndarray:
    """The logarithms of weights that are the inverse of a density (float [n]): float64 [n].

    Inverse propensity sampling, as the density sampling of Sachdeva et al. 2024 (arXiv 2402.09668, §3.2) has it.
    """
    return -np.log(np.asarray(dense, dtype=np.float64))


def better_first(quality: np.ndarray) -> np.ndarray:
    """The logarithms of weights that grow exponentially with a quality (float [n], higher is better): float64 [n].

    QuRating (Wettig et al. 2024, arXiv 2402.09739, §2.3): exp(z / 2), z the quality in standard deviations from its
    mean. Quality tilts the choice; the best rows alone would all be alike.
    """
    quality = np.asarray(quality, dtype=np.float64)
    return np.asarray((quality - quality.mean()) / ((quality.std() or 1.0) * TEMPERATURE))


def drawn(log_weights: np.ndarray, size: int, seed: int) -> np.ndarray:
    """So many rows without replacement, each next one with a probability by its weight: int64 [size], ascending.

    By the highest of log weight plus Gumbel noise (Vieira 2014), which is successive sampling.

    Args:
        log_weights: float [n].
        size: how many stay.
        seed: of the noise.
    """
    noise = np.random.default_rng(seed).gumbel(size=len(log_weights))
    return np.sort(np.argsort(-(log_weights + noise), kind="stable")[:size])
