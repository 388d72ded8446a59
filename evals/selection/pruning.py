"""Pruning MNIST: what LeNet-5 learns from digits furthest from their centroid, closest to it, or any.

The experiment that the idea of this product began with: principal components, mini-batch k-means, a share of each
cluster, and the test accuracy of LeNet-5 on what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import median

import numpy as np

from ...tools.judge.selection.places import any_of_each, closest, furthest
from ...tools.vectors.reduce import pca
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Table
from .digits import Digits, accuracy, mnist

STRATEGIES = ("furthest", "closest", "random")
_ALL = "all"
_COMPONENTS = 50
#: What was published, in per cent: the median of 5 runs, or the best run.
_PUBLISHED = {
    (_ALL, 1.0): "98.71 median",
    ("furthest", 0.5): "98.73 median",
    ("furthest", 0.1): "98.2 best",
    ("random", 0.1): "97.59 best",
}


@dataclass(frozen=True)
class PruningPlan:
    """What is measured: every share kept (``keeps``) of every clustering (``ks``) by every strategy, and all digits."""

    ks: Sequence[int] = (50, 500)
    keeps: Sequence[float] = (0.1, 0.5)
    strategies: Sequence[str] = STRATEGIES
    seeds: int = 5
    epochs: int = 20

    def cells(self) -> list["PruningCell"]:
        """All cells, those of a seed one after the other."""
        return [
            cell
            for seed in range(self.seeds)
            for cell in (
                *(
                    PruningCell(strategy, k, keep, seed, self.epochs)
                    for keep in self.keeps
                    for k in self.ks
                    for strategy in self.strategies
                ),
                PruningCell(_ALL, 0, 1.0, seed, self.epochs),
            )
        ]


@dataclass(frozen=True)
class PruningCell:
    """One training."""

    strategy: str
    k: int
    keep: float
    seed: int
    epochs: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.strategy}-{self.k}-{self.keep:g}-{self.seed}"


class _Bench:
    """The digits, and of the clusterings the last that was asked for."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._clustered: tuple[tuple[int, int], np.ndarray, np.ndarray] | None = None

    @cached_property
    def digits(self) -> tuple[Digits, Digits]:
        return mnist(self.data)

    @cached_property
    def components(self) -> np.ndarray:
        """float32 [n, 50]."""
        images = self.digits[0].images
        return pca(images.reshape(len(images), -1), _COMPONENTS)

    def clustered(self, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels (int32 [n]) of mini-batch k-means and the distance of each row to its centroid, its sign turned."""
        from sklearn.cluster import MiniBatchKMeans

        if self._clustered is None or self._clustered[0] != (k, seed):
            model = MiniBatchKMeans(k, n_init=3, random_state=seed).fit(self.components)
            distance = np.linalg.norm(self.components - model.cluster_centers_[model.labels_], axis=1)
            self._clustered = ((k, seed), model.labels_, -distance)
        return self._clustered[1:]

    def kept(self, cell: PruningCell) -> np.ndarray:
        """The digits that a cell learns from, int64 [size]."""
        rows = len(self.digits[0].labels)
        if cell.strategy == _ALL:
            return np.arange(rows)
        labels, likeness = self.clustered(cell.k, cell.seed)
        size = round(cell.keep * rows)
        if cell.strategy == "random":
            return any_of_each(labels, size, cell.seed)
        return (furthest if cell.strategy == "furthest" else closest)(likeness, labels, size)


def _bench(data: Path, folder: Path) -> Measure[PruningCell]:
    return partial(_measure, _Bench(data))


def _measure(bench: _Bench, cell: PruningCell, folder: Path) -> Record:
    train, test = bench.digits
    rows = bench.kept(cell)
    score = accuracy(Digits(train.images[rows], train.labels[rows]), test, cell.epochs, cell.seed)
    return {"rows": len(rows), "accuracy": score}


def _tables(found: Finished[PruningCell], plan: PruningPlan, command: str) -> list[Table]:
    lines = []
    for keep, k, strategy in dict.fromkeys((cell.keep, cell.k, cell.strategy) for cell, _ in found):
        own = [(cell, record) for cell, record in found if (cell.keep, cell.k, cell.strategy) == (keep, k, strategy)]
        scores = [100 * record["accuracy"] for _, record in own]
        published = _PUBLISHED.get((strategy, keep))
        lines.append((strategy, k or None, keep, own[0][1]["rows"], len(own), *_figures(scores), published))
    lines.sort(key=lambda line: (line[2], line[1] or 0, line[0]))
    note = (
        f"LeNet-5, {plan.epochs} epochs, test accuracy in per cent after the last; {_COMPONENTS} principal components, "
        "MiniBatchKMeans, as many digits of each cluster as its share. How the published runs trained is not known in "
        "every detail."
    )
    columns = ("strategy", "k", "keep", "digits", "seeds", "median", "best", "least", "published")
    return [Table("MNIST, pruned", columns, tuple(lines), (note,), command)]


def _figures(scores: Sequence[float]) -> tuple[float, float, float]:
    return tuple(round(value, 2) for value in (median(scores), max(scores), min(scores)))  # type: ignore[return-value]


#: Trains LeNet-5 on each choice of digits.
EXPERIMENT = Experiment[PruningPlan, PruningCell]("pruning-mnist", _bench, _tables)
