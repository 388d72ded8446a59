"""Start a run and carry it out: the one way in for the command line, for Python and for the evaluations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ..state.config import Config
from ..state.errors import (
    InputError,
    LowMemoryError,
    ModelError,
    RecrystError,
    UsageError,
    check_address_space,
    low_memory,
)
from ..state.run import RunDirectory
from ..state.settings import known_keys, load_config
from ..tools.program import settle_libraries
from .account.run import Run as Run
from .cli.claim import begin, located
from .cli.options import SHORT, ready
from .cli.progress import Reporter

if TYPE_CHECKING:
    from .session import Session


def refine(
    source: Any,
    *,
    out: str | Path | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Refine a data set, unattended, until its metrics stop moving; the same call again resumes an unfinished run.

    Args:
        source: a path or name as ``recryst run`` takes it; or a pandas, Polars or Arrow table or a
            ``datasets.Dataset``, which is written into the run's folder as ``input.parquet``.
        out: the run's folder; by default ``runs/NAME``.
        config: a ``recryst.yaml``.
        settings: any keys of the configuration, by section or dotted: ``{"cluster.k": 12}``.
        quiet: show no progress.
        **options: the short names of the command line, as in ``label_column="intent"``, ``seed=1`` or ``max_rounds=3``,
            and sections, as in ``train={"enabled": False}``.

    Raises:
        RecrystError: of the kind that ``recryst run`` ends with; ``state.errors`` lists them.
    """
    check_address_space()
    wanted = configured(config, {**options, **(settings or {})})
    named = isinstance(source, str | os.PathLike)
    name, table = (located(os.fspath(source)), None) if named else ("", _parquet(source))
    ready(wanted)
    settle_libraries()
    reporter = Reporter(quiet)
    with begin(name, wanted, None if out is None else Path(out), reporter.say, table) as directory:
        go(directory, reporter)
    return Run(directory.root)


def open(path: str | Path) -> Run:
    """A run, finished or not, to be read.

    Raises:
        UsageError: there is no run in that folder.
    """
    return Run(path)


def resume(directory: RunDirectory, quiet: bool = False) -> None:
    """Go on with a run where its log ends.

    Raises:
        LockedError: another process works on it.
    """
    check_address_space()
    with directory.lock():
        go(directory, Reporter(quiet))


def configured(config: str | Path | None, given: Mapping[str, Any]) -> Config:
    """The configuration from a file and from values by short name, by section or by dotted key; the values win.

    Raises:
        UsageError: an unknown key (the nearest known one is named), or a value that cannot be.
    """
    keys = set(known_keys())

    def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str, Any]]:
        for name, value in values.items():
            key = f"{prefix}{name}"
            if isinstance(value, Mapping) and key not in keys:
                yield from flat(value, f"{key}.")
            else:
                value = str(Path(value).resolve()) if isinstance(value, os.PathLike) else value
                yield SHORT.get(key, key), key, value

    path = None if config is None else Path(config)
    return load_config(path, [], {key: (name, value) for key, name, value in flat(given)})


def _parquet(source: Any) -> bytes:
    """A table in memory as the bytes of a Parquet file, the same for the same table.

    Raises:
        UsageError: it is not a table.
        InputError: a column has values that no Arrow type holds.
    """
    if isinstance(source, Mapping) and hasattr(source, "with_format"):
        raise UsageError(f"this is a set of splits: give one of them, such as [{next(iter(source), '')!r}]")
    try:
        if hasattr(source, "with_format"):  # a datasets.Dataset; its selection of rows is applied
            table = source.with_format("arrow")[:]
        elif type(source).__module__.startswith("pandas"):  # the index is no column
            table = pa.Table.from_pandas(source, preserve_index=False)
        elif isinstance(source, pl.DataFrame):  # with Arrow's old string type: the new one has few functions yet
            table = source.to_arrow(compat_level=pl.CompatLevel.oldest())
        elif hasattr(source, "__arrow_c_stream__"):
            table = pa.table(source)
        else:
            kinds = "a path, a pandas, Polars or Arrow table, or a datasets.Dataset"
            raise UsageError(f"{type(source).__name__} is no kind of table that can be refined: give {kinds}")
        sink = pa.BufferOutputStream()
        pq.write_table(table.combine_chunks().replace_schema_metadata(None), sink, compression="zstd")
    except (pa.ArrowException, AttributeError) as error:
        raise InputError(f"the table cannot be written as Parquet: {error}") from error
    return bytes(sink.getvalue().to_pybytes())


def go(directory: RunDirectory, reporter: Reporter) -> bool:
    """Carry out a run, owned by this process, from where its log ends.

    Returns:
        False if a proposal waits for a person's answer, which only ``recryst chat`` takes.

    Raises:
        ModelError: the language model refused or could not be reached; the run can be resumed.
    """
    from .session import Session

    session = Session(directory, reporter)
    if session.state.last == "publish":
        return True
    from . import graph  # not before it is sure that there is something to do: LangGraph takes seconds to load

    session.start()
    with failures_noted(session, f"`recryst resume {directory.root}` goes on"):
        ended = graph.run(session)
    if not ended:
        reporter.say(f"an action waits for a person's approval: `recryst chat {directory.root}` goes on")
    return ended


@contextmanager
def failures_noted(session: Session, remedy: str) -> Iterator[None]:
    """Leave in the log why the block failed, in the sentence that a user is shown.

    Raises:
        ModelError: with the ``remedy``, as the run can be gone on with.
        LowMemoryError: memory ran out, in whichever library's words.
    """
    try:
        yield
    except BaseException as error:
        typed = error if isinstance(error, RecrystError) else low_memory(error)
        if typed is None:
            raise
        with suppress(RecrystError):  # a full disk takes no event either; the sentence is still shown
            session.append("error", error=str(typed))
        if isinstance(typed, ModelError | LowMemoryError):
            raise type(typed)(f"{typed}; {remedy}") from error
        raise
