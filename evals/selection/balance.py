"""Balance: how evenly a selection takes the classes of a set with a long tail, and what it teaches.

Flat and hierarchical k-means with as many clusters on the lowest level, both with balanced sampling, both with and
without resampling (Vo et al. 2024, arXiv 2405.15613); flat k-means with as many clusters as the highest level has; and
as many rows by lot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from ...tools.judge.learned import macro_f1
from ...tools.judge.selection.hierarchy import RESAMPLED, balanced, hierarchy, levels_of
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Table
from .mixtures import NAMES, Mixture, Mixtures

_LOT, _FLAT, _BEST = "random", "flat", "hierarchical, resampled"
METHODS = (_LOT, _FLAT, "flat, resampled", "flat, few clusters", "hierarchical", _BEST)


@dataclass(frozen=True)
class BalancePlan:
    """What is measured: each set with every seed; ``keep``: the share of its rows that stays."""

    sets: Sequence[str] = NAMES
    seeds: int = 5
    keep: float = 0.2

    def cells(self) -> list["BalanceCell"]:
        """All cells, those of a set one after the other."""
        return [BalanceCell(name, seed, self.keep) for name in self.sets for seed in range(self.seeds)]


@dataclass(frozen=True)
class BalanceCell:
    """One set as a seed has it."""

    set: str
    seed: int
    keep: float

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.set.replace(', ', '-').replace(' ', '-')}-{self.seed}"


def _bench(data: Path, folder: Path) -> Measure[BalanceCell]:
    mixtures = Mixtures(data, folder)
    return lambda cell, at: _measure(mixtures.of(cell.set, cell.seed), cell)


def _tables(found: Finished[BalanceCell], plan: BalancePlan, command: str) -> list[Table]:
    return [_by_method(found, plan, command), _won(found)]


def _measure(mixture: Mixture, cell: BalanceCell) -> Record:
    """What each method keeps of a set, in figures."""
    rows, classes = len(mixture.classes), int(mixture.truth.max()) + 1
    size, levels = round(cell.keep * rows), levels_of(rows)
    settings = {
        _FLAT: (levels[:1], 0),
        "flat, resampled": (levels[:1], RESAMPLED),
        "flat, few clusters": (levels[-1:], 0),
        "hierarchical": (levels, 0),
        _BEST: (levels, RESAMPLED),
    }
    truth = [f"{one:03}" for one in mixture.truth]
    found = {}
    for method in METHODS:
        if method == _LOT:
            kept = np.sort(np.random.default_rng(cell.seed).choice(rows, size, replace=False))
        else:
            kept = balanced(hierarchy(mixture.vectors, *settings[method], cell.seed), size, cell.seed)
        learned = mixture.classes[kept]
        score = macro_f1(mixture.vectors[kept], [f"{one:03}" for one in learned], mixture.test, truth)
        entropy = _entropy(learned, classes)
        found[method] = {"kl": float(np.log(classes)) - entropy, "entropy": entropy, "macro_f1": score}
    before = float(np.log(classes)) - _entropy(mixture.classes, classes)
    return {"rows": rows, "kept": size, "levels": list(levels), "kl_before": before, "methods": found}


def _entropy(classes: np.ndarray, count: int) -> float:
    """The entropy in nats of the masses of so many classes (int [n])."""
    masses = np.bincount(classes, minlength=count) / len(classes)
    there = masses[masses > 0]
    return float(-(there * np.log(there)).sum())


def _by_method(records: Sequence[tuple[BalanceCell, Record]], plan: BalancePlan, command: str) -> Table:
    lines = []
    for name in plan.sets:
        own = [record for cell, record in records if cell.set == name]
        for method in METHODS:
            figures = [record["methods"][method] for record in own]
            kl, entropy, score = (round(fmean(one[key] for one in figures), 4) for key in ("kl", "entropy", "macro_f1"))
            worst = round(max(one["kl"] for one in figures), 4)
            lines.append((name, method, own[0]["kept"], kl, worst, entropy, score))
    before = "; ".join(
        f"{name} {fmean(record['kl_before'] for cell, record in records if cell.set == name):.3f}" for name in plan.sets
    )
    sizes = "; ".join(
        f"{name} {record['rows']:,} in {record['levels']}" for name in plan.sets
        for record in [next(record for cell, record in records if cell.set == name)]
    )  # fmt: skip
    notes = (
        f"Means over {plan.seeds} seeds. KL: of the masses of the true classes to uniform, in nats; of all rows: "
        f"{before}.",
        f"Rows, and clusters by level: {sizes}. macro-F1: logistic regression on what is kept, on test rows that have "
        "no long tail.",
    )
    columns = ("set", "method", "kept", "KL", "highest KL", "entropy", "macro-F1")
    return Table("Balance of selections from long tails", columns, tuple(lines), notes, command)


def _won(records: Sequence[tuple[BalanceCell, Record]]) -> Table:
    """Hierarchical k-means with resampling beside flat k-means and a random choice, seed by seed."""
    lines = []
    for name in dict.fromkeys(cell.set for cell, _ in records):
        own = [record["methods"] for cell, record in records if cell.set == name]
        lower = sum(one[_BEST]["kl"] < one[_FLAT]["kl"] for one in own)
        gains = [one[_BEST]["macro_f1"] - one[_LOT]["macro_f1"] for one in own]
        lines.append(
            (name, len(own), lower, sum(gain >= 0 for gain in gains), round(fmean(gains), 4), round(min(gains), 4))
        )
    columns = ("set", "seeds", "KL lower than flat", "macro-F1 not below random", "mean gain", "least gain")
    return Table("Hierarchical with resampling, seed by seed", columns, tuple(lines))


#: Selects from sets with a long tail by each method.
EXPERIMENT = Experiment[BalancePlan, BalanceCell]("balance", _bench, _tables)
