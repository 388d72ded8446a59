"""What each strategy costs: seconds and memory of ``recryst tool select`` on many synthetic rows."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl

from ...state.errors import StorageError
from ...state.params.selection import SelectionStrategy
from ...state.phrases import Advance, silent
from ..speed.rows import mixture
from ..table import Table

STRATEGIES: tuple[SelectionStrategy, ...] = get_args(SelectionStrategy)
_KEEP = "10%"
_VOCABULARY, _WORDS = 20_000, 20  # words there are, by Zipf's law, and words of a text
_TARGET = 1000  # rows of the target
_SECONDS, _GIGABYTES = 60, 3  # that a strategy may take of 200,000 rows on two cores
_RSS = 1 if sys.platform == "darwin" else 1024  # bytes in which a system counts the memory of a process


def run(strategies: Sequence[str], rows: int, command: str = "", advance: Advance = silent) -> Table:
    """Select a tenth of a seeded mixture of topics, each strategy in a process of its own, the file read and written.

    Raises:
        StorageError: a command failed; what it said is named.
    """
    lines = []
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name) / "in.parquet", Path(name) / "target.parquet"
        table = _table(rows)
        table.write_parquet(source)
        table.head(_TARGET).write_parquet(target)
        del table
        for strategy in strategies or STRATEGIES:
            seconds, peak = _measured(source, Path(name) / "out.parquet", strategy, target)
            kept = pl.scan_parquet(Path(name) / "out.parquet").select(pl.len()).collect().item()
            met = "yes" if seconds < _SECONDS and peak < _GIGABYTES else "no"
            lines.append((strategy, kept, round(seconds, 1), round(peak, 2), met))
            advance(1)
    note = (
        f"{rows:,} rows of 384 dimensions in overlapping topics of unequal size, with texts of {_WORDS} words; each "
        f"strategy in a process of its own, from Parquet to Parquet, start and compiling included. Asked for of "
        f"200,000 rows: less than {_SECONDS} s and {_GIGABYTES} GB on two cores. {os.cpu_count()} cores here."
    )
    return Table(
        "What a selection costs", ("strategy", "kept", "seconds", "peak GB", "met"), tuple(lines), (note,), command
    )


def _table(rows: int) -> pl.DataFrame:
    """Rows with vectors, a quality and texts."""
    random = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(_VOCABULARY)])
    drawn = np.minimum(random.zipf(1.2, (rows, _WORDS)), _VOCABULARY) - 1
    vectors = mixture(rows, 0)
    return pl.DataFrame(
        {
            "text": [" ".join(words[own]) for own in drawn],
            "quality": random.random(rows),
            "vector": pl.Series(vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])),
        }
    )


def _measured(source: Path, out: Path, strategy: str, target: Path) -> tuple[float, float]:
    """Seconds and peak gigabytes of the process that selects."""
    code = "from recryst.agent.cli import main; main()"
    settings = ["--set", f"strategy={strategy}", "--set", f"target={target}", "--keep", _KEEP]
    begun = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code, "tool", "select", str(source), str(out), *settings],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        raise StorageError(f"selecting by {strategy} failed: {said.decode(errors='replace').strip()[-300:]}")
    return time.perf_counter() - begun, used.ru_maxrss * _RSS / 1e9
