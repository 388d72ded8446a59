"""Dimensions: what vectors of fewer dimensions or fewer bits keep of the nearest neighbours, and what they teach."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from ...tools.judge.learned import macro_f1
from ...tools.vectors.axes import NEIGHBORS, along, neighbors_of, recall
from ..experiment import Experiment, Finished, Measure, Record, embedded
from ..loop.sets import LABELLED
from ..table import Table
from . import compact

NAMES = ("banking77", "clinc", "newsgroups20")
PARTS = (1, 2, 4, 8, 12)  # of the dimensions one is left
TRUNCATED, PRINCIPAL, ADAPTED = "truncated", "principal axes", "Matryoshka adapter"
_QUERIES = 2000  # test rows that ask for their neighbours
#: The shares of a baseline of 1,536 dimensions that are published beside 1/2, 1/4 and 1/12 of them.
_PUBLISHED = {2: "97 %", 4: "94 %", 12: "88 %"}


@dataclass(frozen=True)
class DimensionsPlan:
    """What is measured: each set with every seed; ``rows`` of its training split are searched and learned from."""

    sets: Sequence[str] = NAMES
    seeds: int = 3
    rows: int = 4000

    def cells(self) -> list["DimensionsCell"]:
        """All cells, those of a set one after the other."""
        return [DimensionsCell(name, seed, self.rows) for name in self.sets for seed in range(self.seeds)]


@dataclass(frozen=True)
class DimensionsCell:
    """One draw from a set, and the seed of its adapter."""

    set: str
    seed: int
    rows: int

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{self.set}-{self.seed}"


@dataclass(frozen=True)
class _Split:
    """Vectors (float32 [n, d] and [m, d]) with their labels; the second are the test rows."""

    vectors: np.ndarray
    labels: list[str]
    test: np.ndarray
    truth: list[str]


def _bench(data: Path, folder: Path) -> Measure[DimensionsCell]:
    def measure(cell: DimensionsCell, _: Path) -> Record:
        return {"figures": [asdict(line) for line in _figures(_drawn(data, cell, folder), cell.seed)]}

    return measure


def _tables(found: Finished[DimensionsCell], plan: DimensionsPlan, command: str) -> list[Table]:
    return [_by_method(found, plan, command), _beside_truncation(found, plan)]


def _drawn(data: Path, cell: DimensionsCell, folder: Path) -> _Split:
    """The rows of a cell and the test rows, embedded."""
    clean = LABELLED[cell.set](data)
    random = np.random.default_rng(cell.seed)
    chosen = np.sort(random.choice(len(clean.train), min(cell.rows, len(clean.train)), replace=False))
    rows = [clean.train[at] for at in chosen]
    vectors, test = (embedded([text for text, _ in part], folder) for part in (rows, clean.test))
    return _Split(vectors, [label for _, label in rows], test, [label for _, label in clean.test])


@dataclass(frozen=True)
class _Line:
    """One way to make vectors smaller: megabytes of a million, share of the neighbours, and macro-F1 (of 1)."""

    method: str
    dimensions: int
    megabytes: float
    recall: float
    macro_f1: float | None


def _figures(split: _Split, seed: int) -> Iterator[_Line]:
    full = split.vectors.shape[1]
    queries = split.test[:_QUERIES]
    true = neighbors_of(split.vectors, queries)
    sizes = [full // part for part in PARTS]

    def line(method: str, megabytes: float, vectors: np.ndarray, test: np.ndarray) -> _Line:
        found = recall(neighbors_of(vectors, test[:_QUERIES]), true)
        return _Line(method, vectors.shape[1], megabytes, found, macro_f1(vectors, split.labels, test, split.truth))

    made = {
        TRUNCATED: compact.untouched(split.vectors),
        PRINCIPAL: compact.principal_axes(split.vectors),
        ADAPTED: compact.matryoshka_axes(split.vectors, sizes[1:], seed),
    }
    yield line("all of it", full * 4, split.vectors, split.test)
    for size in sizes[1:]:
        for name, axes in made.items():
            yield line(name, size * 4, *(along(rows, axes[:, :size]) for rows in (split.vectors, split.test)))
    ranges = np.stack([split.vectors.min(axis=0), split.vectors.max(axis=0)])
    codes = {
        "one byte": (full, compact.from_bytes(compact.in_bytes(split.vectors, ranges), ranges), split.test),
        "one bit": (full / 8, compact.in_bits(split.vectors), compact.in_bits(split.test)),
    }
    for name, (megabytes, vectors, test) in codes.items():
        yield line(name, megabytes, vectors, test)
        near = neighbors_of(vectors, test[:_QUERIES], compact.RESCORED * NEIGHBORS)
        again = compact.rescored(near, split.vectors, queries, NEIGHBORS)
        yield _Line(f"{name}, rescored", full, megabytes, recall(again, true), None)


def _by_method(records: Sequence[tuple[DimensionsCell, Record]], plan: DimensionsPlan, command: str) -> Table:
    rows = []
    for name in plan.sets:
        own = [record["figures"] for cell, record in records if cell.set == name]
        full = fmean(one[0]["macro_f1"] for one in own)
        for at, first in enumerate(own[0]):
            lines = [one[at] for one in own]
            learned = None if first["macro_f1"] is None else fmean(one["macro_f1"] for one in lines)
            share = None if learned is None else round(learned / full, 4)
            found = round(fmean(one["recall"] for one in lines), 4)
            score = None if learned is None else round(learned, 4)
            rows.append((name, first["dimensions"], first["method"], first["megabytes"], found, score, share))
    published = ", ".join(f"{share} at 1/{part}" for part, share in _PUBLISHED.items())
    nearest, candidates = NEIGHBORS, compact.RESCORED * NEIGHBORS
    notes = (
        f"Means over {plan.seeds} draws of {plan.rows:,} rows at most, that are searched and learned from. Recall: of "
        f"the {nearest} nearest rows of up to {_QUERIES:,} test rows by all dimensions. MB: of a million vectors, as "
        "they are searched. macro-F1: logistic regression (C = 10), on the test split; its share: of that by all. "
        f"Published for a model of 1,536 dimensions that was trained to be cut: {published}.",
        f"Rescored: {candidates} candidates put in order by the vectors themselves, which are kept on disk.",
    )
    columns = ("set", "dimensions", "method", "MB", "recall@10", "macro-F1", "its share")
    return Table("Smaller vectors", columns, tuple(rows), notes, command)


def _beside_truncation(records: Sequence[tuple[DimensionsCell, Record]], plan: DimensionsPlan) -> Table:
    """By how much the adapter finds more neighbours and teaches more than truncation, in the worst of the seeds."""
    rows = []
    for name in plan.sets:
        own = [record["figures"] for cell, record in records if cell.set == name]
        for size in dict.fromkeys(line["dimensions"] for line in own[0] if line["method"] == ADAPTED):
            ahead = []
            for figures in own:
                by = {line["method"]: line for line in figures if line["dimensions"] == size}
                ahead.append([by[ADAPTED][key] - by[TRUNCATED][key] for key in ("recall", "macro_f1")])
            rows.append((name, size, *(round(min(one[at] for one in ahead), 4) for at in range(2))))
    columns = ("set", "dimensions", "recall@10, least lead", "macro-F1, least lead")
    return Table("The Matryoshka adapter beside plain truncation", columns, tuple(rows))


#: Makes the vectors of each set smaller in every way.
EXPERIMENT = Experiment[DimensionsPlan, DimensionsCell]("dimensions", _bench, _tables)
