"""An experiment: cells that are measured one by one, or side by side, and the tables that are made of all of them.

A finished cell stands in a file of its own and is read back, so that an experiment that was stopped goes on with the
missing ones. What is measured of a cell depends on the cell and the data alone.
"""

import fcntl
import importlib
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import orjson
import polars as pl

from ..state.errors import StorageError, UsageError, storage_error
from ..state.phrases import Advance, silent
from ..state.store import whole_file, write_whole
from ..tools.judge.learned import vectors_of
from .table import Table

Record = dict[str, Any]  # a finished cell, as its JSON file holds it
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS")
_OTHER = {"digest": "content of the files"}  # what is no option, in words
_ORPHANED_EVERY = 1.0  # seconds between two looks whether the process is still waited for


class Measurable(Protocol):
    """A frozen dataclass of plain values with a folder for what is found of it."""

    @property
    def folder(self) -> str:
        """Its name."""


C = TypeVar("C", bound=Measurable)
C_co = TypeVar("C_co", bound=Measurable, covariant=True)


class Planned(Protocol[C_co]):
    """What is measured: a frozen dataclass of the options."""

    def cells(self) -> Sequence[C_co]:
        """All cells; what the cells of one set have in common is made anew least often in this order."""


P = TypeVar("P", bound=Planned[Any])
Measure = Callable[[C, Path], Record]
Finished = Sequence[tuple[C, Record]]


def _always(record: Record) -> bool:
    return True


@dataclass(frozen=True)
class Experiment(Generic[P, C]):
    """What makes tables of a plan. A module has one, by the name ``EXPERIMENT``, and finds it again in any process.

    Attributes:
        bench: given the folder of the data sets and that of the experiment, what measures a cell, with a folder of its
            own; what cells have in common stays in it.
        tables: of the finished cells, the plan, and the command that repeats the experiment.
        finished: whether what was found of a cell before has all that is asked now.
    """

    name: str
    bench: Callable[[Path, Path], Measure[C]]
    tables: Callable[[Finished[C], P, str], list[Table]]
    finished: Callable[[Record], bool] = _always

    def run(
        self,
        data: Path,
        plan: P,
        out: Path | None = None,
        command: str = "",
        advance: Advance = silent,
        jobs: int | None = None,
    ) -> list[Table]:
        """Measure what is not measured yet, and make the tables.

        Args:
            data: the folder of the data sets.
            out: keep the cells there, below the experiment's name, with ``cells.parquet`` and ``tables.md``, and read
                finished cells back; a temporary folder otherwise.
            advance: told the cells finished, of ``plan.cells()``.
            jobs: cells that are measured at a time, each in a process of its own with one thread; None: one after the
                other in this process.

        Raises:
            InputError: a set is not in the data folder.
            UsageError: ``out`` holds cells that were measured with other options.
            StorageError: a process died, or the disk is full.
        """
        cells = plan.cells()
        with _place(out, self.name) as folder:
            known = {at: record for at, cell in enumerate(cells) if (record := self._read(cell, folder)) is not None}
            if known:
                advance(len(known))
            todo = [at for at in range(len(cells)) if at not in known]
            if jobs is None:
                measure = self.bench(data, folder)
                new: Iterable[tuple[int, Record]] = ((at, _measured(measure, cells[at], folder)) for at in todo)
            else:
                new = _side_by_side(self.bench.__module__, [(at, cells[at]) for at in todo], data, folder, jobs)
            for at, record in new:
                known[at] = record
                advance(1)
            found = [(cell, known[at]) for at, cell in enumerate(cells)]
            tables = self.tables(found, plan, command)
            if out is not None:
                _keep(found, tables, folder)
        return tables

    def _read(self, cell: C, folder: Path) -> Record | None:
        """What was found of a cell before, where it is all that is asked."""
        path = folder / cell.folder / "cell.json"
        try:
            record: Record = orjson.loads(path.read_bytes())
            before: dict[str, Any] = record["cell"]
        except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
            return None  # what is no finished cell is measured
        values = orjson.loads(orjson.dumps(asdict(cast(Any, cell))))
        if before != values:
            differ = [_OTHER.get(name, f"--{name}") for name, value in values.items() if before.get(name) != value]
            raise UsageError(f"{path} was measured with another {' and '.join(differ)}; choose another --out")
        return record if self.finished(record) else None


def _measured(measure: Measure[C], cell: C, folder: Path) -> Record:
    """What is found of a cell; it stands in its folder from then on."""
    at = folder / cell.folder
    at.mkdir(parents=True, exist_ok=True)
    written = orjson.dumps({"cell": asdict(cast(Any, cell)), **measure(cell, at)}, option=orjson.OPT_INDENT_2)
    write_whole(at / "cell.json", written)
    record: Record = orjson.loads(written)  # as it is read back
    return record


@contextmanager
def _place(out: Path | None, name: str) -> Iterator[Path]:
    """The folder of an experiment: below ``out``, or one that is gone afterwards."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = (out or Path(temporary)) / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(error, folder, "making the folder") from error
        yield folder


# Side by side ----------------------------------------------------------------------------------------------------


def _side_by_side(
    module: str, cells: Sequence[tuple[int, C]], data: Path, folder: Path, jobs: int
) -> Iterator[tuple[int, Record]]:
    """What is found of numbered cells by so many processes, as they finish; one that fails ends the experiment."""
    if not cells:
        return
    context = multiprocessing.get_context("spawn")  # a fork would share the threads and locks of this process
    # All processes start with the first cell: those of a spawned pool do.
    with _one_thread_each(), ProcessPoolExecutor(min(jobs, len(cells)), context, _begin, (os.getpid(),)) as pool:
        try:
            futures = {pool.submit(_there, module, cell, data, folder): at for at, cell in cells}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise StorageError(
                f"a process that measured a cell was killed, perhaps for want of memory; what is finished stands in "
                f"{folder}: run it again, with fewer --jobs"
            ) from error
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()  # what they are at is measured again
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start in the block take one thread: a figure does not depend on how many work at a time."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin(parent: int) -> None:
    """In a process of its own: end when the one that waits for it was killed."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_ORPHANED_EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _there(module: str, cell: C, data: Path, folder: Path) -> Record:
    return _measured(_bench_of(module, data, folder), cell, folder)


@lru_cache(maxsize=1)
def _bench_of(module: str, data: Path, folder: Path) -> Measure[Any]:
    """What measures the cells of the experiment of a module, made once in a process."""
    made: Measure[Any] = importlib.import_module(module).EXPERIMENT.bench(data, folder)
    return made


def embedded(texts: Sequence[str], folder: Path) -> np.ndarray:
    """``vectors_of`` (float32 [n, d]), by one process at a time: others find in the cache what the first embedded."""
    with (folder / "embedding.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return vectors_of(texts, folder)


# Results ---------------------------------------------------------------------------------------------------------


def _keep(found: Finished[Any], tables: Sequence[Table], folder: Path) -> None:
    """Write the cells as one Parquet file, a row each, and the tables as Markdown."""
    frame = pl.from_dicts([_flat(record) for _, record in found], infer_schema_length=None, strict=False)
    with whole_file(folder / "cells.parquet") as made:
        frame.write_parquet(made, compression="zstd")
    write_whole(folder / "tables.md", ("\n\n".join(table.markdown() for table in tables) + "\n").encode())


def _flat(record: Record, prefix: str = "") -> dict[str, Any]:
    """A record with a column for each value, named by the keys that lead to it; lists stay, as JSON."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = orjson.dumps(value).decode() if isinstance(value, list) else value
    return flat
