"""A study of your own files: what a model learns from the rows that each strategy keeps, at each size.

The grid that a person would otherwise write: inputs × strategies × sizes × models × seeds, beside all rows.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from statistics import median
from typing import Any, get_args

import numpy as np
import polars as pl

from ...state.canonical import sha256_file, sha256_json
from ...state.errors import InputError, UsageError
from ...state.params.preparation import AnchorParams, LoadParams
from ...state.params.selection import SelectionStrategy, SelectParams
from ...state.phrases import counted
from ...tools.judge.evidence.discriminant import Labelled
from ...tools.judge.learned import macro_f1
from ...tools.judge.probe import bits_per_byte, nearest_neighbor
from ...tools.judge.select import choose_anchor
from ...tools.judge.selection.choose import chosen
from ...tools.read.load import load
from ..experiment import Experiment, Finished, Measure, Record, embedded
from ..plots.panels import Dots, Panel, Plot, bounds
from ..table import Cell as Value
from ..table import Table

#: Those that need no column of numbers beside the text.
STRATEGIES = tuple(name for name in get_args(SelectionStrategy) if "quality" not in name)
_AIMED = frozenset({"dsir", "nearest"})  # those that need a target: what the rows are to be like
_ALL = "all"
_HELD_OUT = AnchorParams(fraction=0.2, max_rows=20_000)
_TEXT_BYTES = 2_000_000  # of the held-out texts that are predicted


@dataclass(frozen=True)
class Rows:
    """Texts [n] with their vectors (float32 [n, d] of unit length) and labels (strings [n]; None: there are none)."""

    texts: pl.Series
    vectors: np.ndarray
    labels: pl.Series | None
    left_out: int = 0  # rows without a text, or without a label where there are labels

    def at(self, rows: np.ndarray) -> "Rows":
        """Some of them (positions [m])."""
        return Rows(self.texts[rows], self.vectors[rows], None if self.labels is None else self.labels[rows])


def _logistic(train: Rows, test: Rows) -> float:
    return macro_f1(train.vectors, _labels(train), test.vectors, _labels(test))


def _nearest(train: Rows, test: Rows) -> float:
    names = {name: at for at, name in enumerate(sorted({*_labels(train), *_labels(test)}))}
    known, asked = (
        Labelled(one.vectors, np.array([names[label] for label in _labels(one)], dtype=np.int64))
        for one in (train, test)
    )
    return float(nearest_neighbor(known, asked).mean())


def _ngram(train: Rows, test: Rows) -> float:
    known, asked = (np.frombuffer(("\n".join(one.texts) + "\n").encode(), dtype=np.uint8) for one in (train, test))
    return bits_per_byte(known, asked[:_TEXT_BYTES])


_AUTO = "auto"
#: Model → what it is scored by, and how.
_SCORED: dict[str, tuple[str, Callable[[Rows, Rows], float]]] = {
    "logistic": ("macro-F1", _logistic),
    "nearest": ("accuracy", _nearest),
    "ngram": ("bits per byte", _ngram),
}
MODELS = (_AUTO, *_SCORED)


@dataclass(frozen=True)
class StudyPlan:
    """What is measured: ``keeps`` are shares (10%) or numbers of rows; ``test``: None holds a fifth of the rows out."""

    inputs: Sequence[str]
    test: str | None = None
    strategies: Sequence[str] = ("random", "furthest", "semdedup", "d4", "hierarchical")
    keeps: Sequence[str] = ("10%", "50%")
    models: Sequence[str] = (_AUTO,)
    seeds: int = 3
    text_column: str | None = None
    label_column: str | None = None
    target: str | None = None
    digests: Sequence[str] = ()  # of each input with the test rows and the target; (): they are no files

    def cells(self) -> list["StudyCell"]:
        """All cells, those of an input one after the other."""
        kept = [(strategy, keep) for keep in self.keeps for strategy in self.strategies]
        given = self.test, self.text_column, self.label_column, self.target
        return [
            StudyCell(number, file, digest, strategy, keep, seed, tuple(self.models), *given)
            for number, (file, digest) in enumerate(zip_longest(self.inputs, self.digests, fillvalue=""))
            for seed in range(self.seeds)
            for strategy, keep in [(_ALL, "100%"), *kept]
        ]


@dataclass(frozen=True)
class StudyCell:
    """One choice of rows of one input, and the models that learn from them."""

    number: int  # of the input
    input: str
    digest: str
    strategy: str
    keep: str
    seed: int
    model: tuple[str, ...]
    test: str | None
    text_column: str | None
    label_column: str | None
    target: str | None

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.number}-{self.strategy}-{self.keep.replace('%', 'pct')}-{self.seed}"


def plan_of(**options: Any) -> StudyPlan:
    """The plan, with what the files hold now: cells of other rows are not read back.

    Raises:
        UsageError: a strategy needs a target, and none is named.
    """
    plan = StudyPlan(**{**options, "inputs": tuple(dict.fromkeys(options["inputs"]))})
    if plan.target is None and (lacking := _AIMED & set(plan.strategies)):
        raise UsageError(f"--strategy {min(lacking)} needs --target FILE: what the rows are to be like")
    beside = [file for file in (plan.test, plan.target) if file is not None]
    return replace(plan, digests=[_digest([file, *beside]) for file in plan.inputs])


def _digest(files: Sequence[str]) -> str:
    """Of what some files hold; of what is no file, its name."""
    return sha256_json([sha256_file(Path(file)) if Path(file).is_file() else file for file in files])


class _Bench:
    """The inputs, embedded; the last that was asked for stays in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = lru_cache(maxsize=2)(self._rows)  # an input and its test rows

    def parts(self, cell: StudyCell) -> tuple[Rows, Rows]:
        """The rows to select from, and those that score."""
        rows = self._read(cell.input, cell.text_column, cell.label_column)
        if cell.test is not None:
            return rows, self._read(cell.test, cell.text_column, cell.label_column)
        groups = rows.texts.rank("dense").to_numpy()
        every = np.arange(len(rows.texts), dtype=np.uint32)
        held_out = choose_anchor(every, _HELD_OUT, cell.seed, groups)
        return rows.at(np.setdiff1d(every, held_out)), rows.at(held_out)

    def kept(self, cell: StudyCell, rows: Rows, at: Path) -> np.ndarray:
        """Which rows a cell learns from, positions [m]; ``at``: its folder, which no other process writes into."""
        if cell.strategy == _ALL:
            return np.arange(len(rows.texts))
        target = cell.target
        if cell.strategy in _AIMED and target is not None:
            target = str(self._aim(target, cell.text_column, at))
        params = SelectParams.model_validate({"strategy": cell.strategy, "keep": _portion(cell.keep), "target": target})
        vectors = pl.Series("vector", rows.vectors, dtype=pl.Array(pl.Float32, rows.vectors.shape[1]))
        return chosen(pl.DataFrame({"text": rows.texts, "vector": vectors}), params, cell.seed)

    def _rows(self, file: str, text_column: str | None, label_column: str | None) -> Rows:
        params = LoadParams(text_column=text_column, label_column=label_column)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            table = pl.read_parquet(load(file, params, Path(folder)).rows, columns=["text", "label"])
        labelled, rows = table["label"].null_count() < table.height, table.height
        table = table.drop_nulls(["text", "label"] if labelled else ["text"])
        vectors = embedded(table["text"].to_list(), self.folder)
        return Rows(table["text"], vectors, table["label"] if labelled else None, rows - table.height)

    def _aim(self, file: str, text_column: str | None, at: Path) -> Path:
        """The texts and vectors of a target as the strategies read them."""
        rows, path = self._read(file, text_column, None), at / "target.parquet"
        vectors = pl.Series(rows.vectors, dtype=pl.Array(pl.Float32, rows.vectors.shape[1]))
        pl.DataFrame({"text": rows.texts, "vector": vectors}).write_parquet(path)
        return path


def _portion(keep: str) -> str | int:
    """A number of rows as one; anything else is read as a share."""
    return int(keep) if keep.isdecimal() else keep


def _labels(rows: Rows) -> list[str]:
    return [] if rows.labels is None else rows.labels.to_list()


def _check_labels(cell: StudyCell, rows: Rows, test: Rows) -> None:
    """Raises InputError where labels cannot be learned."""
    for file, part in ((cell.input, rows), (cell.test or cell.input, test)):
        if part.labels is None:
            raise InputError(f"{file} has no labels to learn: name --label-column, or take --model ngram")
    assert rows.labels is not None
    if rows.labels.n_unique() < 2:
        raise InputError(f"{cell.input}: its labels are all the same, so that there is nothing to learn")


def _bench(data: Path, folder: Path) -> Measure[StudyCell]:
    bench = _Bench(folder)

    def measure(cell: StudyCell, at: Path) -> Record:
        rows, test = bench.parts(cell)
        by_default = "ngram" if rows.labels is None else "logistic"
        models = dict.fromkeys(by_default if model == _AUTO else model for model in cell.model)
        if set(models) - {"ngram"}:
            _check_labels(cell, rows, test)
        kept = bench.kept(cell, rows, at)
        if not len(kept) or not len(test.texts):
            raise InputError(f"{cell.input}: too few rows to learn from some and score on others")
        return {
            "rows": len(kept),
            "left_out": rows.left_out,
            "scores": {model: _SCORED[model][1](rows.at(kept), test) for model in models},
        }

    return measure


# Tables ----------------------------------------------------------------------------------------------------------

_Groups = dict[tuple[str, str, str, str], list[float]]  # input, model, size and strategy → a score for each seed


def _tables(found: Finished[StudyCell], plan: StudyPlan, command: str) -> list[Table]:
    groups: _Groups = {}
    sizes: dict[tuple[str, str, str], int] = {}
    for cell, record in found:
        sizes[cell.input, cell.keep, cell.strategy] = record["rows"]
        for model, score in record["scores"].items():
            groups.setdefault((cell.input, model, cell.keep, cell.strategy), []).append(score)
    lines: list[tuple[Value, ...]] = []
    for (file, model, keep, strategy), scores in groups.items():
        best, least = (min, max) if model == "ngram" else (max, min)
        figures = [round(of(scores), 4) for of in (median, best, least)]
        rows = sizes[file, keep, strategy]
        lines.append((file, model, _SCORED[model][0], keep, strategy, rows, len(scores), *figures))
    lines.sort(key=lambda line: (str(line[0]), str(line[1])))
    left_out = {cell.input: record["left_out"] for cell, record in found if record["left_out"]}
    lacking = [f"{file}: {counted(rows, 'row')} without a text or a label left out." for file, rows in left_out.items()]
    held_out = f"the rows of {plan.test}" if plan.test else "a fifth of the rows, drawn by seed, equal texts together"
    notes = (
        f"Scored on {held_out}. logistic: C = 10 on MiniLM vectors; nearest: the nearest row's label; ngram: a byte "
        "n-gram model, fewer bits are better. Best and least of the seeds.",
        *lacking,
    )
    columns = ("input", "model", "score", "keep", "strategy", "rows", "seeds", "median", "best", "least")
    return [Table("What is learned from a selection", columns, tuple(lines), notes, command, _plot(groups))]


def _plot(groups: _Groups) -> Plot:
    """A panel for each input and model, a line for each strategy and size."""
    panels, files = [], {file for file, _, _, _ in groups}
    alone = len({Path(file).name for file in files}) == len(files)
    for file, model in dict.fromkeys((file, model) for file, model, _, _ in groups):
        dots = {
            _line(keep, strategy): Dots(tuple(scores))
            for (one, other, keep, strategy), scores in groups.items()
            if (one, other) == (file, model)
        }
        low, high = bounds([point for one in dots.values() for point in one.points])
        panels.append(Panel(f"{Path(file).name if alone else file}, {model}", _SCORED[model][0], low, high, dots))
    lines: dict[str, dict[str, None]] = {}
    for _, _, keep, strategy in groups:
        lines.setdefault("All rows" if strategy == _ALL else f"{keep} kept", {})[_line(keep, strategy)] = None
    named = tuple((heading, tuple(names)) for heading, names in lines.items())
    note = "A dot is a seed, the stroke their mean."
    return Plot("study", "What is learned from a selection", named, tuple(panels), note)


def _line(keep: str, strategy: str) -> str:
    return strategy if strategy == _ALL else f"{strategy} {keep}"


#: Learns from what each strategy keeps of a user's own rows.
EXPERIMENT = Experiment[StudyPlan, StudyCell]("study", _bench, _tables)
