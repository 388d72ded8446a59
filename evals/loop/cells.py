"""The cells of the experiments on whole runs: a set, a severity and a seed each."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...state.config import Config
from ...state.notes import Start
from ...state.settings import parse_config
from ..experiment import Record, embedded
from ..runs import refine
from . import faults
from .found import Outcome, outcome
from .learners import nearest_classes
from .sets import LABELLED, NAMES, PAIRS, LabelledSet, PairSet

#: Nothing but what bears on the rows: maps and final model are not measured here, and one clustering that does not pay
#: is tried instead of three.
_QUIET: dict[str, Any] = {"train": {"enabled": False}, "reduce": {"methods": ["pca"]}, "stop": {"patience": 1}}


@dataclass(frozen=True)
class Plan:
    """What is measured. ``rows``: of each clean set at most; None: as many as the set says."""

    sets: Sequence[str] = NAMES
    severities: Sequence[str] = ("middle",)
    seeds: int = 3
    rows: int | None = None
    flips: str = faults.UNIFORM

    def cells(self) -> list["Cell"]:
        """All cells, those of a set one after the other."""
        return [
            Cell(name, severity, seed, self.rows, self.flips)
            for name in NAMES
            if name in self.sets
            for severity in self.severities
            for seed in range(self.seeds)
        ]


@dataclass(frozen=True)
class Cell:
    """One run of the experiment; ``rows`` of the clean set, None: its own number."""

    set: str
    severity: str
    seed: int
    rows: int | None
    flips: str

    @property
    def labelled(self) -> bool:
        """Whether the set has labels."""
        return self.set in LABELLED

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.set}-{self.severity}-{self.seed}"


class Bench:
    """The clean sets and what is known of them, read when they are used; one set at a time stays in memory."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder
        self._labelled: _Labelled | None = None
        self._pairs: PairSet | None = None

    def labelled(self, name: str) -> "_Labelled":
        """A labelled set."""
        if self._labelled is None or self._labelled.clean.name != name:
            self._labelled = _Labelled(LABELLED[name](self.data), self.folder)
        return self._labelled

    def pairs(self, name: str) -> PairSet:
        """A set of pairs."""
        if self._pairs is None or self._pairs.name != name:
            self._pairs = PAIRS[name](self.data)
        return self._pairs

    def crude(self, cell: Cell) -> faults.Crude:
        """The set of a cell with its faults."""
        if not cell.labelled:
            clean = self.pairs(cell.set)
            return faults.pairs(clean, cell.severity, cell.seed, cell.rows or clean.rows)
        of = self.labelled(cell.set)
        nearest = of.nearest if cell.flips == faults.CONFUSABLE else None
        return faults.labelled(of.clean, cell.severity, cell.seed, cell.rows or of.clean.rows, nearest)

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings, float32 [n, d]."""
        return embedded(texts, self.folder)


class _Labelled:
    """A labelled set, the vectors of its test split, and which of its classes are near one another."""

    def __init__(self, clean: LabelledSet, folder: Path) -> None:
        self.clean, self.folder = clean, folder

    @cached_property
    def test(self) -> np.ndarray:
        """The vectors of the test split, float32 [m, d]."""
        return embedded([text for text, _ in self.clean.test], self.folder)

    @cached_property
    def nearest(self) -> dict[str, str]:
        """For each class the nearest other one, by the centroids of the test split."""
        return nearest_classes(self.test, [label for _, label in self.clean.test])


def refined(cell: Cell, crude: faults.Crude, folder: Path) -> tuple[Outcome, Record]:
    """What an unattended run with rules makes of a set; beside it the seconds that this took now, and by which code.

    Raises:
        UsageError: ``folder`` holds a run of other rows or other settings.
    """
    begun = time.perf_counter()
    run = refine(crude.write(folder).resolve(), folder / "run", settings(cell))
    code = run.of_type(Start)[0].code
    return outcome(run), {
        "run_seconds": time.perf_counter() - begun,
        "code": " ".join(code[name] for name in ("version", "commit") if name in code),
    }


def said_of_the_code(records: Sequence[tuple[Cell, Record]]) -> str:
    """A note on which Recryst began the runs: finished cells are read back, whatever has changed since."""
    counts = Counter(record["code"] for _, record in records)
    return "Runs begun by Recryst " + "; ".join(f"{code}: {number}" for code, number in sorted(counts.items())) + "."


def settings(cell: Cell, **changed: Any) -> Config:
    """No model, neither to ask nor to train, and only the cheapest map; all else as a user has it by default.

    ``changed``: sections and keys in the place of those.
    """
    load = {"id_column": "id", **({"label_column": "label", "text_column": "text"} if cell.labelled else {})}
    return parse_config({**_QUIET, "load": load, "seed": cell.seed, **changed}, "the experiment")
