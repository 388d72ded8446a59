"""Sets with a long tail: mixtures of Gaussians in the plane, and sentence vectors of texts whose classes were thinned.

The classes of each stand in the proportion of 1 to their rank (Zipf), the ranks drawn by the seed; the test rows are as
they come, each class about as large as the next.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ..experiment import embedded
from ..loop.sets import LABELLED

_CLASSES = 20
_POINTS = 6000
_TESTED = 100  # points of each class
#: In the plane: how far apart the means are thrown, and how much the classes differ in spread.
_PLANES = {"plane, apart": (20.0, 1.0), "plane, overlapping": (6.0, 1.0), "plane, unequal spread": (12.0, 4.0)}
_TEXTS = ("newsgroups20", "clinc")
_LEAST = 5  # rows of a class
NAMES = (*_PLANES, *_TEXTS)


@dataclass(frozen=True)
class Mixture:
    """Rows (float32 [n, d]) with their classes (int64 [n]), and test rows with theirs."""

    vectors: np.ndarray
    classes: np.ndarray
    test: np.ndarray
    truth: np.ndarray


class Mixtures:
    """The sets by name; texts are embedded once."""

    def __init__(self, data: Path, folder: Path) -> None:
        self._embedded = cache(lambda name: _embedded(name, data, folder))

    def of(self, name: str, seed: int) -> Mixture:
        """One of ``NAMES``, as a seed has it."""
        random = np.random.default_rng([seed, NAMES.index(name)])
        return _plane(*_PLANES[name], random) if name in _PLANES else _thinned(self._embedded(name), random)


def _plane(apart: float, unequal: float, random: np.random.Generator) -> Mixture:
    """Gaussians in the plane: means uniform in a square, deviations log-uniform in [1, ``unequal``]."""
    means = random.uniform(-apart, apart, (_CLASSES, 2))
    spread = unequal ** random.random(_CLASSES)
    shares = 1 / np.arange(1, _CLASSES + 1)
    sizes = np.round(_POINTS * shares / shares.sum()).astype(np.int64)

    def points(classes: np.ndarray) -> np.ndarray:
        drawn = means[classes] + spread[classes, None] * random.standard_normal((len(classes), 2))
        return np.asarray(drawn / apart, dtype=np.float32)

    classes, truth = (np.repeat(np.arange(_CLASSES), count) for count in (sizes, _TESTED))
    return Mixture(points(classes), classes, points(truth), truth)


def _embedded(name: str, data: Path, folder: Path) -> Mixture:
    """A labelled set with its test split, whole."""
    found = LABELLED[name](data)
    names = sorted({label for _, label in found.train})
    number = {label: at for at, label in enumerate(names)}
    test = [row for row in found.test if row[1] in number]
    vectors, tested = (embedded([text for text, _ in rows], folder) for rows in (found.train, test))
    classes, truth = (np.array([number[label] for _, label in rows], dtype=np.int64) for rows in (found.train, test))
    return Mixture(vectors, classes, tested, truth)


def _thinned(whole: Mixture, random: np.random.Generator) -> Mixture:
    """A set with its classes thinned by rank, at least 5 rows each."""
    counts = np.bincount(whole.classes)
    rank = random.permutation(len(counts)) + 1
    kept = []
    for label, size in enumerate(np.minimum(counts, np.maximum(_LEAST, counts.max() // rank))):
        kept.append(random.choice(np.flatnonzero(whole.classes == label), size, replace=False))
    rows = np.sort(np.concatenate(kept))
    return Mixture(whole.vectors[rows], whole.classes[rows], whole.test, whole.truth)
