"""``recryst run``, ``demo`` and ``resume``."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import orjson

from ...state.canonical import canonical_json, sha256_file
from ...state.config import Config
from ...state.errors import InputError, ModelError, RecrystError, UsageError, storage_error
from ...state.log import read_log
from ...state.run import RunDirectory
from ..account.tables import show_summary
from .options import DATA_OPTIONS, MIND_OPTIONS, OUTPUT_OPTIONS, RUN_OPTIONS, ready, settled, with_options
from .progress import Reporter

_SHOWN = 60  # characters of a setting


@click.command()
@click.argument("source")
@with_options([*DATA_OPTIONS, *RUN_OPTIONS, *MIND_OPTIONS, *OUTPUT_OPTIONS])
def run(
    source: str,
    out: Path | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    no_train: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Refine the rows of SOURCE, unattended, until the metrics stop moving.

    SOURCE is a JSONL(.gz/.zst), JSON, CSV, TSV or Parquet file, a folder or an archive of HTML, PDF, Markdown or text
    files, `-` for JSONL on standard input, or hf:OWNER/NAME[:CONFIG][@SPLIT] for a Hugging Face data set (fetched
    from the hub).

    The same command again resumes a run that did not finish.
    """
    config = settled(config_file, settings, no_train, options)
    if source != "-" and not source.startswith("hf:"):
        if not Path(source).exists():
            raise InputError(f"{source} does not exist")
        source = str(Path(source).resolve())
    ready(config)
    _begin(source, out, config, Reporter(quiet), as_json)


@click.command()
@with_options([*RUN_OPTIONS, *MIND_OPTIONS, *OUTPUT_OPTIONS])
def demo(
    out: Path | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    no_train: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Refine about 8,800 docstrings of the installed Python standard library; the module is the label."""
    from ...tools.docstrings import write_docstrings

    reporter = Reporter(quiet)
    options["label_column"] = "module"
    config = settled(config_file, settings, no_train, options)
    ready(config)
    folder = Path("runs")
    folder.mkdir(exist_ok=True)
    path = (folder / "docstrings.jsonl").resolve()
    with reporter.step("docstrings"):
        write_docstrings(path)
    _begin(str(path), out or folder / "demo", config, reporter, as_json)


@click.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@with_options(OUTPUT_OPTIONS)
def resume(run_directory: Path, quiet: bool, as_json: bool) -> None:
    """Go on with RUN where its log ends; a finished run is only shown."""
    go(RunDirectory.open(run_directory), Reporter(quiet), as_json)


def _begin(source: str, out: Path | None, config: Config, reporter: Reporter, as_json: bool) -> None:
    """Start a run, or go on with the one the same command started."""
    go(open_run(source, out, config, reporter), reporter, as_json)


def open_run(source: str, out: Path | None, config: Config, reporter: Reporter) -> RunDirectory:
    """The directory of a new run, or of the unfinished one that the same command started.

    A run that stopped before its rows were read, mostly on a mistake, has nothing to keep: it is begun anew.

    Raises:
        UsageError: the directory holds something else, or the input has changed since.
    """
    root = out or Path("runs") / _name(source)
    if out is None:
        root = _unfinished(root, source, config)
    directory = RunDirectory(root)
    if directory.settings.is_file():
        before = directory.read_settings()
        if before != (source, config):
            if not _emptied(directory):
                raise UsageError(f"{root} {_difference(before, (source, config))}; choose another --out")
            return RunDirectory.create(root, source, config)
        if _input_changed(directory, source):
            raise UsageError(f"{source} has changed since the run in {root} read it; choose another --out")
        reporter.say(f"going on with {root}")
    else:
        if root.exists() and not root.is_dir():
            raise UsageError(f"{root} is a file; choose another --out")
        half_made = {directory.settings.with_suffix(".tmp").name, "lock"}  # by a kill before the run began
        if root.exists() and any(path.name not in half_made for path in root.iterdir()):
            raise UsageError(f"{root} is not empty and not a run; choose another --out")
        directory = RunDirectory.create(root, source, config)
    return directory


def _difference(before: tuple[str, Config], now: tuple[str, Config]) -> str:
    """What the run that is there has and this command has not: the input, or the first setting, with both values."""
    if before[0] != now[0]:
        return f"is a run of {before[0]}, not of {now[0]}"
    old, new = (dict(_flat(config.model_dump(mode="json"))) for _, config in (before, now))
    key = next(key for key in {**old, **new} if key not in old or key not in new or old[key] != new[key])
    if key.endswith("base_url"):  # an address is for nobody who looks over a shoulder
        return f"was begun with another {key}"
    was, wanted = (canonical_json(values.get(key)).decode()[:_SHOWN] for values in (old, new))
    return f"was begun with {key} = {was}, not {wanted}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``section.key`` and its value, in the order of the configuration."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _emptied(directory: RunDirectory) -> bool:
    """Take away what a run left that stopped before its rows were read; False where there is more than that.

    Raises:
        LockedError: the run is just being carried out.
        StorageError: a file cannot be removed.
    """
    if not _nothing_read(directory):
        return False
    with directory.lock():
        if not _nothing_read(directory):  # another process was at it until now
            return False
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
    return True


def _nothing_read(directory: RunDirectory) -> bool:
    """Whether the run stopped before its rows were read, and the folder holds nothing but what it wrote till then."""
    ours = {directory.settings, directory.log, directory.root / "lock", directory.quarantine}
    ours |= {directory.settings.with_suffix(".tmp"), *directory.root.glob(f"{directory.checkpoints.name}*")}
    folders = {directory.artifacts, directory.llm}
    found = set(directory.root.iterdir())
    if any(path.is_symlink() or not (path.is_dir() if path in folders else path in ours) for path in found):
        return False
    if directory.llm in found and any(directory.llm.iterdir()):  # answers that were paid for
        return False
    if directory.log not in found:
        return directory.artifacts not in found or not any(directory.artifacts.iterdir())
    return all(event.type in ("start", "resume", "error") for event in read_log(directory.log)[0])


def _name(source: str) -> str:
    stem = "stdin" if source == "-" else Path(source.removeprefix("hf:")).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "run"


def _unfinished(root: Path, source: str, config: Config) -> Path:
    """The first of ``root``, ``root-2``, … that holds the same run unfinished; else the first that can be begun."""
    number, at = 1, root
    dead: Path | None = None
    while at.exists():
        directory = RunDirectory(at)
        if directory.settings.is_file():
            if directory.read_settings() == (source, config) and not _finished(directory):
                return at
            dead = dead or (at if _dead(directory) else None)
        number += 1
        at = root.with_name(f"{root.name}-{number}")
    return dead or at


def _dead(directory: RunDirectory) -> bool:
    """Whether the run stopped before its rows were read, and no process carries it out."""
    try:
        if not _nothing_read(directory):
            return False
        with directory.lock():
            return True
    except RecrystError:  # it is alive, or its log cannot be read: it is left alone
        return False


def _finished(directory: RunDirectory) -> bool:
    return directory.log.is_file() and b'"type":"publish"' in directory.log.read_bytes()


def _input_changed(directory: RunDirectory, source: str) -> bool:
    """Whether the input file is no longer the one the run has read."""
    if not directory.log.is_file() or not Path(source).is_file():
        return False
    read = [event.metrics.get("input_sha256") for event in read_log(directory.log)[0] if event.type == "load"]
    return bool(read) and read[0] != sha256_file(Path(source))


def go(directory: RunDirectory, reporter: Reporter, as_json: bool) -> None:
    """Carry out a run from where its log ends, and show what it came to.

    Raises:
        ModelError: the language model refused or could not be reached; the run can be resumed.
    """
    from .. import graph
    from ..account.summary import summary
    from ..session import Session

    with directory.lock():
        session = Session(directory, reporter)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if session.state.last != "publish":
            session.start()
            try:
                if not graph.run(session):
                    reporter.say(f"an action waits for a person's approval: `recryst chat {directory.root}` goes on")
                    return
            except RecrystError as error:
                with contextlib.suppress(
                    RecrystError
                ):  # a full disk takes no event either; the sentence is still shown
                    session.note_failure(str(error))
                if isinstance(error, ModelError):
                    raise ModelError(f"{error}; `recryst resume {directory.root}` goes on") from error
                raise
            except KeyboardInterrupt:
                reporter.say(f"stopped; `recryst resume {directory.root}` goes on")
                sys.exit(130)
        result = summary(directory)
    if as_json:
        click.echo(orjson.dumps(result))
    elif not reporter.quiet:
        show_summary(directory, result)
