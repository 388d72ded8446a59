"""Student: what classifiers learn from the vectors of a static student, by how far it agrees with its model."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from ...tools.judge.learned import macro_f1
from ...tools.vectors.encoders.minilm import model_folder
from ...tools.vectors.neighbors import nearest
from ...tools.vectors.static.pieces import Pieces
from ...tools.vectors.static.student import agreement, fit
from ...tools.vectors.static.tier import HELD_OUT, SAMPLE
from ..experiment import Experiment, Finished, Measure, Record, embedded
from ..loop.sets import LABELLED, LabelledSet
from ..table import Table

NAMES = ("banking77", "clinc", "docstrings", "newsgroups20")
SIZES = (300, 1000, SAMPLE)  # texts that a student is fitted on


@dataclass(frozen=True)
class StudentPlan:
    """What is measured: each set with every seed."""

    sets: Sequence[str] = NAMES
    seeds: int = 3

    def cells(self) -> list["StudentCell"]:
        """All cells, those of a set one after the other."""
        return [StudentCell(name, seed) for name in self.sets for seed in range(self.seeds)]


@dataclass(frozen=True)
class StudentCell:
    """One draw of the texts that students are fitted on, and of those held out, from a set's training rows."""

    set: str
    seed: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.set}-{self.seed}"


@dataclass(frozen=True)
class _Line:
    """A student: texts it was fitted on, its agreement, and what share of the model's macro-F1 its vectors keep."""

    texts: int
    agreement: float
    regression: float
    nearest: float


def _bench(data: Path, folder: Path) -> Measure[StudentCell]:
    def measure(cell: StudentCell, _: Path) -> Record:
        return {"figures": [asdict(line) for line in _figures(LABELLED[cell.set](data), cell.seed, folder)]}

    return measure


def _figures(clean: LabelledSet, seed: int, folder: Path) -> Iterator[_Line]:
    train, test = ([text for text, _ in part] for part in (clean.train, clean.test))
    full, asked = (embedded(texts, folder) for texts in (train, test))
    by_model, pieces = _taught(clean, full, asked), Pieces.of_model(model_folder())
    order = np.random.default_rng(seed).permutation(len(train))
    held_out, known = order[:HELD_OUT], order[HELD_OUT:]
    for size in SIZES:
        if size > len(known):
            return
        student = fit([train[at] for at in known[:size]], full[known[:size]], pieces)
        vectors, theirs = (student.encode(texts).vectors for texts in (train, test))
        kept = [own / of_model for own, of_model in zip(_taught(clean, vectors, theirs), by_model, strict=True)]
        yield _Line(size, agreement(vectors[held_out], full[held_out]), *kept)


def _taught(clean: LabelledSet, vectors: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    """Macro-F1 on the test rows (vectors float32 [m, d]) of what learned from training rows (float32 [n, d]): a
    logistic regression, and the nearest neighbour."""
    from sklearn.metrics import f1_score

    labels, truth = ([label for _, label in part] for part in (clean.train, clean.test))
    found = [labels[at] for at in nearest(vectors, test, 1)[0][:, 0]]
    by_nearest = float(f1_score(truth, found, labels=sorted(set(truth)), average="macro", zero_division=0.0))
    return macro_f1(vectors, labels, test, truth), by_nearest


def _tables(found: Finished[StudentCell], plan: StudentPlan, command: str) -> list[Table]:
    rows = []
    for name in plan.sets:
        own = [record["figures"] for cell, record in found if cell.set == name]
        for at, first in enumerate(own[0]):
            agreed, by_regression, by_nearest = (
                fmean(one[at][key] for one in own) for key in ("agreement", "regression", "nearest")
            )
            least = min(min(one[at]["regression"], one[at]["nearest"]) for one in own)
            figures = (agreed, by_regression, by_nearest, least)
            rows.append((name, first["texts"], *(round(figure, 4) for figure in figures)))
    notes = (
        f"Means over {plan.seeds} draws. Agreement: the share of the 10 nearest of {HELD_OUT} texts, none of which it "
        "was fitted on, that are the same by student and model. The others are shares of the macro-F1 on the test "
        "split that the model's own vectors teach: a logistic regression (C = 10), the nearest neighbour, the lower "
        "of the two in the worst draw.",
    )
    columns = ("set", "texts", "agreement", "regression", "nearest neighbour", "least")
    return [Table("Static students", columns, tuple(rows), notes, command)]


#: Fits students on ever more texts of each set.
EXPERIMENT = Experiment[StudentPlan, StudentCell]("student", _bench, _tables)
