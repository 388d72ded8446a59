"""The folder of a run: found, claimed for this process and made ready, or refused.

A folder is claimed before anything is written into it, and what it holds is compared with what is wanted only then, so
that of two processes that start at once neither works on the other's settings.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...state.canonical import canonical_json, sha256_bytes, sha256_file
from ...state.config import Config
from ...state.errors import InputError, LockedError, RecrystError, UsageError, storage_error
from ...state.events import Load
from ...state.log import last_step, read_log
from ...state.run import RunDirectory
from ...state.store import whole_file

_FINISHED = "{} is finished, and is only shown; for a new run choose another --out, or remove that folder"
_SHOWN = 60  # characters of a setting
_Say = Callable[[str], None]


def located(source: str) -> str:
    """A source as a run keeps it: the absolute path of what is on this disk.

    Raises:
        InputError: it is not there.
    """
    if source == "-" or source.startswith("hf:"):
        return source
    if not Path(source).exists():
        raise InputError(f"{source} does not exist")
    return str(Path(source).resolve())


@dataclass(frozen=True)
class _Wanted:
    """What a run is to be: its source, or a table as the bytes of a Parquet file, and every setting."""

    source: str
    config: Config
    table: bytes | None

    def source_in(self, directory: RunDirectory) -> str:
        """The source as it stands in the settings of a run in ``directory``."""
        return self.source if self.table is None else str(directory.table.resolve())


@contextmanager
def begin(
    source: str, config: Config, out: Path | None, say: _Say, table: bytes | None = None
) -> Iterator[RunDirectory]:
    """The folder of a new run, or of the one that the same command started, owned by this process within the block.

    Without ``out`` it is the first of ``runs/NAME``, ``runs/NAME-2``, … that holds the same run unfinished and that no
    other process works on, else the first that is free. A run that stopped before its rows were read, mostly on a
    mistake, has nothing to keep: it is begun anew.

    Args:
        source: the input, as ``located`` gives it.
        config: every setting.
        out: the folder, or None.
        say: is told which run is gone on with.
        table: instead of ``source``, the bytes of a Parquet file, which is written into the run's folder.

    Raises:
        LockedError: another process works in ``out``.
        UsageError: ``out`` holds something else, or the input has changed since. Where the block raises this, or an
            InputError, before it has read a row, the folder goes.
    """
    wanted, was_there = _Wanted(source, config, table), out is not None and out.exists()
    with ExitStack() as claim:
        if out is not None:
            directory, standing = _explicit(out, wanted, claim)
        else:
            root = Path("runs") / (name_of(source) if table is None else "table")
            directory, standing = _by_default(root, wanted, claim, say)
        if standing == "dead":
            _empty(directory)
        if standing in ("dead", "new"):
            RunDirectory.create(directory.root, wanted.source_in(directory), config)
        _put_table(directory, table)
        fresh = standing in ("dead", "new")
        if not fresh:
            if _input_changed(directory):
                given = source if table is None else "the table"
                raise UsageError(f"{given} has changed since the run in {directory.root} read it; choose another --out")
            say(_FINISHED.format(directory.root) if standing == "finished" else f"going on with {directory.root}")
        try:
            yield directory
        except (InputError, UsageError):
            if fresh and _nothing_read(directory):
                _take_away(directory, was_there)
            raise


_Standing = Literal["new", "same", "finished", "dead", "other"]


def _explicit(root: Path, wanted: _Wanted, claim: ExitStack) -> tuple[RunDirectory, _Standing]:
    """The folder that was named, claimed, and what it holds."""
    directory = RunDirectory(root)
    if root.exists() and not root.is_dir():
        raise UsageError(f"{root} is a file; choose another --out")
    if not directory.settings.is_file() and _standing(directory, wanted) == "other":  # not even a lock goes into it
        raise UsageError(f"{root} is not empty and not a run; choose another --out")
    _claim(directory, claim)
    standing = _standing(directory, wanted)
    if standing == "other":
        raise UsageError(f"{root} {_difference(directory, wanted)}; choose another --out")
    return directory, standing


def _by_default(root: Path, wanted: _Wanted, claim: ExitStack, say: _Say) -> tuple[RunDirectory, _Standing]:
    """The first of ``root``, ``root-2``, … that can be gone on with, else the first that can be begun; claimed."""
    finished = None
    for usable in (("same",), ("new", "dead")):
        number, at = 1, root
        while at.exists() or "new" in usable:
            directory = RunDirectory(at)
            found = _told(directory, wanted)
            finished = at if found == "finished" else finished
            if found in usable:
                with ExitStack() as attempt:
                    try:
                        _claim(directory, attempt)
                    except LockedError as error:
                        say(f"{error}; another folder is taken")
                    else:
                        standing = _told(directory, wanted)
                        if standing in usable:  # still: another process may have been quicker
                            if finished and standing != "same":
                                say(f"{finished} is the same run, finished: `recryst resume` shows it; {at} is new")
                            claim.push(attempt.pop_all())
                            return directory, standing
            number += 1
            at = root.with_name(f"{root.name}-{number}")
    raise AssertionError("there is always a next name")


def _claim(directory: RunDirectory, claim: ExitStack) -> None:
    """Own a folder, made if absent, until ``claim`` is closed."""
    try:
        directory.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, directory.root, "making the run directory") from error
    claim.enter_context(directory.lock())


def _standing(directory: RunDirectory, wanted: _Wanted) -> _Standing:
    """What a folder holds: nothing, the wanted run, unfinished or not, a run that read no rows, or something else."""
    if not directory.settings.is_file():
        half_made = {directory.settings.with_suffix(".tmp").name, "lock"}  # by a kill before the run began
        found = [path.name for path in directory.root.iterdir()] if directory.root.exists() else []
        return "new" if half_made.issuperset(found) else "other"
    if _same(directory, wanted):
        return "finished" if last_step(directory.log) == "publish" else "same"
    return "dead" if _nothing_read(directory) else "other"


def _told(directory: RunDirectory, wanted: _Wanted) -> _Standing:
    """``_standing`` of a folder nobody named: one that cannot be made sense of, or is being changed, is left alone."""
    try:
        return _standing(directory, wanted)
    except (RecrystError, OSError):
        return "other"


def _same(directory: RunDirectory, wanted: _Wanted) -> bool:
    """Whether the run in a folder has the wanted input and settings."""
    if directory.read_settings() != (wanted.source_in(directory), wanted.config):
        return False
    if wanted.table is None or not directory.table.is_file():
        return True
    return sha256_file(directory.table) == sha256_bytes(wanted.table)


def _difference(directory: RunDirectory, wanted: _Wanted) -> str:
    """What the run that is there has and this command has not: the input, or the first setting, with both values."""
    before, source = directory.read_settings(), wanted.source_in(directory)
    if before[0] != source:
        return f"is a run of {before[0]}, not of {source}"
    old, new = (dict(_flat(config.model_dump(mode="json"))) for config in (before[1], wanted.config))
    key = next((key for key in {**old, **new} if key not in old or key not in new or old[key] != new[key]), None)
    if key is None:
        return "is a run of another table"
    if key.endswith("base_url"):  # an address is for nobody who looks over a shoulder
        return f"was begun with another {key}"
    was, now = (canonical_json(values.get(key)).decode()[:_SHOWN] for values in (old, new))
    return f"was begun with {key} = {was}, not {now}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``section.key`` and its value, in the order of the configuration."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _empty(directory: RunDirectory) -> None:
    """Take away what a run left that stopped before its rows were read.

    Raises:
        StorageError: a file cannot be removed.
    """
    try:  # the settings stay until the new ones replace them, and the log until all it speaks of is gone
        for folder in (directory.artifacts, directory.llm):
            if folder.exists():
                shutil.rmtree(folder)
        for path in sorted(directory.root.iterdir()):
            if path not in (directory.settings, directory.log, directory.root / "lock"):
                path.unlink()
        directory.log.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, directory.root, "emptying the run directory") from error


def _take_away(directory: RunDirectory, was_there: bool) -> None:
    """Leave nothing behind of a run that stopped on a mistake; a folder that was there before stays, empty."""
    aside = directory.root.with_name(f".{directory.root.name}.{os.getpid()}.tmp")  # no other process begins in it
    with suppress(OSError):
        directory.root.rename(aside)
        shutil.rmtree(aside)
        if was_there:
            directory.root.mkdir(exist_ok=True)


def _nothing_read(directory: RunDirectory) -> bool:
    """Whether the run stopped before its rows were read, and the folder holds nothing but what it wrote till then."""
    ours = {directory.settings, directory.log, directory.root / "lock", directory.quarantine}
    ours |= {directory.settings.with_suffix(".tmp"), *directory.root.glob(f"{directory.checkpoints.name}*")}
    folders = {directory.artifacts, directory.llm}
    found = set(directory.root.iterdir())
    tables = {directory.table, directory.table.with_name(f".{directory.table.name}.tmp")}
    if tables & found and directory.read_settings()[0] == str(directory.table.resolve()):
        ours |= tables
    if any(path.is_symlink() or not (path.is_dir() if path in folders else path in ours) for path in found):
        return False
    if directory.llm in found and any(directory.llm.iterdir()):  # answers that were paid for
        return False
    if directory.log not in found:
        return directory.artifacts not in found or not any(directory.artifacts.iterdir())
    return all(event.type in ("start", "resume", "error") for event in read_log(directory.log)[0])


def _put_table(directory: RunDirectory, table: bytes | None) -> None:
    """Write the table of a run into its folder, if it is not there yet; whole, or not at all.

    Raises:
        StorageError: the disk is full or not writable.
    """
    if table is None or directory.table.is_file():
        return
    with whole_file(directory.table, "writing the input to") as made:
        made.write_bytes(table)


def _input_changed(directory: RunDirectory) -> bool:
    """Whether the input file is no longer the one the run has read."""
    path = Path(directory.read_settings()[0])
    if not directory.log.is_file() or not path.is_file():
        return False
    read = [event.input_sha256 for event in read_log(directory.log)[0] if isinstance(event, Load)]
    return bool(read) and read[0] != sha256_file(path)


def name_of(source: str) -> str:
    """The name that a run of a source has, where it is given none."""
    stem = "stdin" if source == "-" else Path(source.removeprefix("hf:")).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "run"
