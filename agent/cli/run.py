"""``recryst run``, ``demo`` and ``resume``."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from ...state.canonical import sha256_file
from ...state.config import Config, load_config
from ...state.errors import InputError, RecrystError, UsageError
from ...state.log import read_log
from ...state.run import RunDirectory
from ...tools.remote_encoder import RemoteEncoder, is_remote
from ..llm.prices import price_of
from ..llm.registry import open_provider
from ..progress import Reporter
from .show import show_summary

_Command = Callable[..., Any]

_SHORTCUTS = {
    "text_column": "load.text_column",
    "id_column": "load.id_column",
    "label_column": "load.label_column",
    "source_column": "load.source_column",
    "vector_column": "load.vector_column",
    "limit": "load.limit",
    "profile": "filter.profile",
    "model": "embed.model",
    "seed": "seed",
    "max_rounds": "stop.max_rounds",
    "max_minutes": "stop.max_minutes",
    "llm": "llm.model",
    "base_url": "llm.base_url",
    "max_usd": "llm.max_usd",
    "max_tokens": "llm.max_tokens",
    "price": "llm.usd_per_million",
    "batch": "llm.batch",
    "policy": "policy",
    "critic": "critic",
    "seeds": "synthesis.seeds",
    "like": "quality.like",
    "taxonomy": "label.taxonomy",
}


def read_price(context: click.Context, option: click.Parameter, value: str | None) -> list[float] | None:
    """``IN,OUT`` as two numbers."""
    if value is None:
        return None
    try:
        first, second = (float(part) for part in value.split(","))
        return [first, second]
    except ValueError:
        raise click.BadParameter(
            "must be two numbers, as in 3,15: dollars per million input and output tokens"
        ) from None


_OPTIONS = [
    click.option("--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/NAME]"),
    click.option("--config", "config_file", type=click.Path(path_type=Path), help="A recryst.yaml."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. cluster.k=40."),
    click.option("--seed", type=int, help="Seed of every random choice."),
    click.option("--limit", type=int, help="Read at most this many rows."),
    click.option("--max-rounds", type=int, help="Rounds at most."),
    click.option("--max-minutes", type=float, help="Start no further round after this many minutes."),
    click.option("--no-train", is_flag=True, help="Leave out the final model."),
]
_DATA_OPTIONS = [
    click.option("--text-column", help="Column that holds the text.  [default: recognised]"),
    click.option("--id-column", help="Column that holds a stable id.  [default: from content]"),
    click.option("--label-column", help="Column that holds a class label; the probe learns it."),
    click.option("--source-column", help="Column that names where a row came from; no step may empty a source."),
    click.option("--vector-column", help="Column of ready-made vectors (images, audio), used instead of embedding."),
    click.option("--profile", type=click.Choice(["auto", "web", "instruction", "short", "none"]), help="Kind of text."),
    click.option("--model", help="Embedding model: minilm (embedded) or any Sentence Transformers model."),
]
_MIND_OPTIONS = [
    click.option("--llm", metavar="PROVIDER:NAME", help="Language model: anthropic:NAME, openai:NAME or ollama:NAME."),
    click.option("--base-url", metavar="URL", help="Address of its server, e.g. of an OpenAI-compatible one."),
    click.option("--max-usd", type=float, help="Dollars the run may cost."),
    click.option("--max-tokens", type=int, help="Tokens the run may use."),
    click.option(
        "--price", callback=read_price, metavar="IN,OUT", help="Dollars per million tokens, for a model not known."
    ),
    click.option("--batch", is_flag=True, default=None, help="Critiques by the provider's batch API: cheaper, later."),
    click.option("--policy", type=click.Choice(["rules", "llm"]), help="Who decides.  [default: the model, if any]"),
    click.option("--critic", type=click.Choice(["rules", "llm"]), help="Who critiques.  [default: the model, if any]"),
    click.option(
        "--seeds",
        type=click.Path(exists=True, resolve_path=True),
        help="Hand-written rows that synthesis may learn from.",
    ),
    click.option(
        "--like",
        type=click.Path(exists=True, resolve_path=True),
        help="A few dozen rows you endorse; they teach a score.",
    ),
    click.option(
        "--taxonomy",
        type=click.Path(exists=True, resolve_path=True),
        help="YAML of domains, tags and difficulties to label by.",
    ),
]
_OUTPUT_OPTIONS = [
    click.option("--quiet", is_flag=True, help="No progress and no tables."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, on standard output."),
]


def _with(options: Sequence[Callable[[_Command], _Command]]) -> Callable[[_Command], _Command]:
    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _config(config_file: Path | None, settings: tuple[str, ...], no_train: bool, options: dict[str, Any]) -> Config:
    """The configuration from a file, then the shortcut options, then ``--set``."""
    items = [
        f"{_SHORTCUTS[name]}={orjson.dumps(value).decode()}" for name, value in options.items() if value is not None
    ]
    if no_train:
        items.append("train.enabled=false")
    return load_config(config_file, [*items, *settings])


@click.command()
@click.argument("source")
@_with([*_DATA_OPTIONS, *_OPTIONS, *_MIND_OPTIONS, *_OUTPUT_OPTIONS])
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

    SOURCE is a JSONL(.gz/.zst), JSON, CSV, TSV or Parquet file, a folder of text files, `-` for JSONL on
    standard input, or hf:OWNER/NAME[:CONFIG][@SPLIT] for a Hugging Face data set (fetched from the hub).

    The same command again resumes a run that did not finish.
    """
    config = _config(config_file, settings, no_train, options)
    if source != "-" and not source.startswith("hf:"):
        if not Path(source).exists():
            raise InputError(f"{source} does not exist")
        source = str(Path(source).resolve())
    _ready(config)
    _begin(source, out, config, Reporter(quiet), as_json)


@click.command()
@_with([*_OPTIONS, *_MIND_OPTIONS, *_OUTPUT_OPTIONS])
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
    config = _config(config_file, settings, no_train, options)
    _ready(config)
    folder = Path("runs")
    folder.mkdir(exist_ok=True)
    path = (folder / "docstrings.jsonl").resolve()
    with reporter.step("docstrings"):
        write_docstrings(path)
    _begin(str(path), out or folder / "demo", config, reporter, as_json)


@click.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@_with(_OUTPUT_OPTIONS)
def resume(run_directory: Path, quiet: bool, as_json: bool) -> None:
    """Go on with RUN where its log ends; a finished run is only shown."""
    _go(RunDirectory.open(run_directory), Reporter(quiet), as_json)


def _ready(config: Config) -> None:
    """Find out what is missing before anything is read: a key, a package, a price, an address."""
    if config.llm.model is not None:
        provider = open_provider(config.llm)
        provider.ready()
        price_of(provider.name, provider.model, config.llm, provider.local)
    if is_remote(config.embed.model):
        RemoteEncoder(config.embed).ready()


def _begin(source: str, out: Path | None, config: Config, reporter: Reporter, as_json: bool) -> None:
    """Start a run, or go on with the one the same command started."""
    _go(open_run(source, out, config, reporter), reporter, as_json)


def open_run(source: str, out: Path | None, config: Config, reporter: Reporter) -> RunDirectory:
    """The directory of a new run, or of the unfinished one that the same command started.

    Raises:
        UsageError: the directory holds something else, or the input has changed since.
    """
    root = out or Path("runs") / _name(source)
    if out is None:
        root = _unfinished(root, source, config)
    directory = RunDirectory(root)
    if directory.settings.is_file():
        if directory.read_settings() != (source, config):
            raise UsageError(f"{root} is a run with another input or other settings; choose another --out")
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


def _name(source: str) -> str:
    stem = "stdin" if source == "-" else Path(source.removeprefix("hf:")).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "run"


def _unfinished(root: Path, source: str, config: Config) -> Path:
    """``root`` if it is free or holds the same run unfinished, else the first ``root-2``, ``root-3``, … that is."""
    number, at = 1, root
    while at.exists():
        directory = RunDirectory(at)
        if directory.settings.is_file() and directory.read_settings() == (source, config) and not _finished(directory):
            return at
        number += 1
        at = root.with_name(f"{root.name}-{number}")
    return at


def _finished(directory: RunDirectory) -> bool:
    return directory.log.is_file() and b'"type":"publish"' in directory.log.read_bytes()


def _input_changed(directory: RunDirectory, source: str) -> bool:
    """Whether the input file is no longer the one the run has read."""
    if not directory.log.is_file() or not Path(source).is_file():
        return False
    read = [event.metrics.get("input_sha256") for event in read_log(directory.log)[0] if event.type == "load"]
    return bool(read) and read[0] != sha256_file(Path(source))


def _go(directory: RunDirectory, reporter: Reporter, as_json: bool) -> None:
    from .. import graph
    from ..session import Session
    from ..summary import summary

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
                raise
            except KeyboardInterrupt:
                reporter.say(f"stopped; `recryst resume {directory.root}` goes on")
                sys.exit(130)
        result = summary(directory)
    if as_json:
        click.echo(orjson.dumps(result))
    elif not reporter.quiet:
        show_summary(directory, result)
