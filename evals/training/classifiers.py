"""Classifiers: what a small student, and a pruned model, keep of what their teacher knows.

Banking77 (Casanueva et al. 2020): all are trained on its train split and measured on its test split.
"""

import fcntl
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ...state.params.final_model import TrainParams
from ...state.phrases import counted
from ...state.store import whole_file
from ...tools.model.checkpoint import quiet
from ...tools.model.classifier.distil import distil
from ...tools.model.classifier.encoder import load_classifier, logits_of, save_classifier
from ...tools.model.classifier.evaluate import evaluate
from ...tools.model.classifier.final import headed, studied, tuned
from ...tools.model.classifier.inherit import student_of
from ...tools.model.classifier.prune import head_importance, mask_heads, mask_weights, settle, without_layers
from ...tools.model.classifier.rows import Rows, rows_of
from ...tools.model.classifier.train import Schedule
from ..experiment import Experiment, Finished, Measure, Record
from ..loop.sets import LabelledSet, banking77
from ..table import Table

TEACHER, HEAD, DISTILLED = "teacher", "frozen, with a head", "distilled"
_HALF = 0.5
#: Model → passes over the rows in which it wins back what pruning cost it.
PRUNED = {
    "half the layers, as they are": 0.0,
    "half the layers": 2.0,
    "half the heads": 0.5,
    "half the weights": 0.5,
}
MODELS = (TEACHER, HEAD, DISTILLED, *PRUNED)


@dataclass(frozen=True)
class ClassifiersPlan:
    """What is measured: every model, with every seed.

    ``epochs``: passes in which the teacher learns. ``rows``: of the train split, at most.
    """

    seeds: int = 3
    epochs: int = 3
    rows: int = 10_003

    def cells(self) -> list["ClassifiersCell"]:
        """All cells, those of a seed one after the other: they have their teacher in common."""
        return [ClassifiersCell(model, seed, self.epochs, self.rows) for seed in range(self.seeds) for model in MODELS]


@dataclass(frozen=True)
class ClassifiersCell:
    """One model."""

    model: str
    seed: int
    epochs: int
    rows: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.model.replace(', ', '-').replace(' ', '-')}-{self.seed}"

    @property
    def params(self) -> TrainParams:
        """How its teacher is trained."""
        return TrainParams(mode="classifier", epochs=self.epochs, tokens=10_000_000)


class _Bench:
    """The rows, and in the folder of the experiment the teacher of each seed, with what it makes of the rows."""

    def __init__(self, data: Path, folder: Path) -> None:
        self.data, self.folder = data, folder

    @cached_property
    def set(self) -> LabelledSet:
        return banking77(self.data)

    def rows(self, cell: ClassifiersCell) -> Rows:
        order = np.random.default_rng(cell.seed).permutation(len(self.set.train))[: cell.rows].tolist()
        return rows_of([self.set.train[at][0] for at in order], [self.set.train[at][1] for at in order])

    def teacher(self, cell: ClassifiersCell) -> tuple[Path, np.ndarray]:
        """The folder of a seed's teacher, and its answers; the first process that asks trains it, the others wait."""
        out = self.folder / f"trained-{cell.seed}-{cell.epochs}-{cell.rows}"
        answers = out.with_suffix(".npy")
        with out.with_suffix(".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not answers.exists():  # it is written last
                rows = self.rows(cell)
                with quiet():
                    model, tokenizer, _, resume = tuned(rows, cell.params, cell.seed, out)
                    save_classifier(model, tokenizer, out)
                    found = logits_of(model, tokenizer, rows.texts, cell.params.context)
                with whole_file(answers) as made, made.open("wb") as file:
                    np.save(file, found)
                resume.forget()
        return out, np.load(answers)

    def measure(self, cell: ClassifiersCell, at: Path) -> Record:
        """A model's figures; it is left in the folder of its cell."""
        out = at / "model"
        if cell.model == TEACHER:
            out, _ = self.teacher(cell)
        else:
            with quiet():
                save_classifier(*self.made(cell), out)
        texts, labels = zip(*self.set.test, strict=True)
        return asdict(evaluate(out, texts, labels, cell.params.context))

    def made(self, cell: ClassifiersCell) -> tuple[Any, Any]:
        """Another model than the teacher, and its tokenizer."""
        rows, params = self.rows(cell), cell.params
        if cell.model == HEAD:
            return headed(rows, params.context)
        folder, answers = self.teacher(cell)
        model, tokenizer = load_classifier(folder)
        if cell.model == DISTILLED:
            student, reader = student_of(model, tokenizer, rows.texts)
            distil(student, reader, rows.texts, answers, studied(params, cell.seed))
            return student, reader
        if cell.model == "half the heads":
            mask_heads(model, head_importance(model, tokenizer, rows, params.context, cell.seed), _HALF)
        elif cell.model == "half the weights":
            mask_weights(model, _HALF)
        else:
            model = without_layers(model, model.config.num_hidden_layers // 2)
        if (epochs := PRUNED[cell.model]) > 0:
            schedule = Schedule(epochs, params.peak, params.context, cell.seed, head=1.0)
            distil(model, tokenizer, rows.texts, answers, schedule)
        settle(model)
        return model, tokenizer


def _bench(data: Path, folder: Path) -> Measure[ClassifiersCell]:
    return _Bench(data, folder).measure


def _tables(records: Finished[ClassifiersCell], plan: ClassifiersPlan, command: str) -> list[Table]:
    taught = {cell.seed: record for cell, record in records if cell.model == TEACHER}
    rows = []
    for name in MODELS:
        own = [(record, taught[cell.seed]) for cell, record in records if cell.model == name]
        scores, right = ([record[key] for record, _ in own] for key in ("macro_f1", "accuracy"))
        kept = [100 * record["macro_f1"] / teacher["macro_f1"] for record, teacher in own]
        size = [100 * record["parameters"] / teacher["parameters"] for record, teacher in own]
        middle = {key: fmean(record[key] for record, _ in own) for key in ("parameters", "nonzero", "size_bytes")}
        rows.append((
            name, round(fmean(scores), 4), round(fmean(right), 4), round(fmean(kept), 1), round(min(kept), 1),
            round(middle["parameters"] / 1e6, 2), round(fmean(size), 1), round(middle["nonzero"] / 1e6, 2),
            round(middle["size_bytes"] / 1e6, 2),
        ))  # fmt: skip
    notes = (
        f"Banking77, trained on its train split in {plan.epochs} passes and measured on its test split, means over "
        f"{counted(plan.seeds, 'seed')}. Kept: the macro-F1 in per cent of the teacher's of that seed, and the least.",
        "Parameters in millions, all and those that are not 0; a zero takes as much of a file as any other number.",
    )
    columns = ("model", "macro-F1", "accuracy", "kept %", "least", "parameters", "% of teacher", "not 0", "MB")
    return [Table("What a small classifier keeps of its teacher", columns, tuple(rows), notes, command)]


#: Trains a teacher of each seed, and makes of it what is smaller.
EXPERIMENT = Experiment[ClassifiersPlan, ClassifiersCell]("classifiers", _bench, _tables)
