"""What decontamination finds where the answer is known, what it takes where nothing should be found, and how fast."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..state.params.preparation import DecontaminateParams
from ..tools.repeats.contamination.benchmarks import Benchmarks, open_benchmarks
from ..tools.repeats.contamination.decontaminate import contaminated
from .data import existing, loaded
from .table import Cell, Table

COLUMNS = ("data", "against", "method", "rows", "flagged", "share", "repeats", "found", "open s", "match s", "rows/s")
METHODS = ("ngram", "longest_span")


@dataclass(frozen=True)
class Case:
    """Data held against benchmarks; ``column`` of the data and of the benchmark, where rows of both are the same."""

    data: str
    against: tuple[str, ...]
    column: tuple[str, str] | None = None


CASES = (
    Case("gsm8k/alpaca_format.jsonl.gz", ("gsm8k/train.jsonl.gz",), ("instruction", "question")),
    Case("gsm8k/alpaca_format.jsonl.gz", ("gsm8k/test.jsonl.gz",), ("instruction", "question")),
    Case("banking77/train.csv", ("banking77/test.csv",), ("text", "text")),
    Case("alpaca/alpaca.jsonl.gz", ("decontamination/HumanEval.jsonl.gz", "decontamination/TruthfulQA.csv")),
)  # fmt: skip


def run(data: Path) -> Table:
    """Each case by both methods, a line of the table each."""
    lines = []
    for case in CASES:
        rows, originals = loaded(existing(data, case.data))
        repeated = _repeated(case, data, originals)
        lines += [_line(case, data, method, rows["text"], repeated) for method in METHODS]
    notes = (
        "Repeats: rows whose question stands in the benchmark, but for blank space around it, and found: how many of "
        "them were flagged. One thread; the loops were compiled before. Opening reads and indexes the benchmarks.",
    )
    return Table("Decontamination", COLUMNS, tuple(lines), notes, "recryst eval decontamination --data DATA")


def _repeated(case: Case, data: Path, originals: pl.DataFrame) -> np.ndarray | None:
    """Rows of the data (int64 [n]) that repeat a benchmark's to the letter, where that is known."""
    if case.column is None:
        return None
    benchmark = loaded(existing(data, case.against[0]))[1]
    ours, theirs = originals[case.column[0]].str.strip_chars(), benchmark[case.column[1]].str.strip_chars()
    return np.flatnonzero(ours.is_in(theirs.implode()).to_numpy())


def _line(case: Case, data: Path, method: str, text: pl.Series, repeated: np.ndarray | None) -> tuple[Cell, ...]:
    paths = tuple(str(existing(data, name)) for name in case.against)
    params = DecontaminateParams.model_validate({"against": paths, "method": method})
    _flagged(text.head(1), open_benchmarks(paths, params), params)  # compiles
    begun = time.perf_counter()
    benchmarks = open_benchmarks(paths, params)
    opened = time.perf_counter()
    flagged = _flagged(text, benchmarks, params)
    done = time.perf_counter()
    found = None if repeated is None else int(np.isin(repeated, flagged).sum())
    return (
        case.data, ", ".join(case.against), method, len(text), len(flagged), len(flagged) / len(text),
        None if repeated is None else len(repeated), found,
        round(opened - begun, 3), round(done - opened, 3), round(len(text) / (done - opened)),
    )  # fmt: skip


def _flagged(text: pl.Series, benchmarks: Benchmarks, params: DecontaminateParams) -> np.ndarray:
    rows = np.arange(len(text), dtype=np.uint32)
    return np.concatenate([one.rows for one in contaminated(text, rows, benchmarks, params).removals])
