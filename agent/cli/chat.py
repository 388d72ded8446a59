"""``recryst chat``."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

import click

from ...state.config import Config
from ...state.errors import InputError, ModelError, RecrystError, UsageError
from ...state.run import RunDirectory
from ..account.tables import show_summary
from .options import DATA_OPTIONS, MIND_OPTIONS, RUN_OPTIONS, ready, settled, with_options
from .progress import Reporter
from .run import open_run

MAX_ROUNDS = 50  # a person ends the rounds; this only bounds `run N` and forgotten scripts


@click.command()
@click.argument("source", metavar="SOURCE|RUN")
@with_options([*DATA_OPTIONS, *RUN_OPTIONS, *MIND_OPTIONS])
def chat(
    source: str,
    out: Path | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    no_train: bool,
    **options: Any,
) -> None:
    """Talk about the rows of SOURCE, or come back to the conversation in the run directory RUN.

    Each action is shown before it is carried out, and waits for your approval. Slash commands (/help) always work; with
    --llm anything else you type is answered by the language model, which sees figures and no rows.
    """
    reporter = Reporter()
    if (Path(source) / "run.yaml").is_file():
        if out or config_file or settings or no_train or any(value is not None for value in options.values()):
            raise UsageError(f"{source} is a run: its settings stand in {source}/run.yaml and cannot be changed")
        directory = RunDirectory.open(Path(source))
    else:
        directory = _new(source, out, _with_a_person(config_file, settings, no_train, options), reporter)
    with directory.lock():
        _converse(directory, reporter)


def _with_a_person(
    config_file: Path | None, settings: tuple[str, ...], no_train: bool, options: dict[str, Any]
) -> Config:
    """The configuration, with a person who approves and with room for as many rounds as a conversation takes."""
    config = settled(config_file, ("approve=true", *settings), no_train, options)
    if not config.approve:
        raise UsageError("approve=false is what `recryst run` does; in a chat every action waits for approval")
    if "max_rounds" not in config.stop.model_fields_set:
        config = config.model_copy(update={"stop": config.stop.model_copy(update={"max_rounds": MAX_ROUNDS})})
    return config


def _new(source: str, out: Path | None, config: Config, reporter: Reporter) -> RunDirectory:
    if source == "-":
        raise UsageError("a chat reads your words from standard input; give the rows as a file")
    if not source.startswith("hf:"):
        if not Path(source).exists():
            raise InputError(f"{source} does not exist")
        source = str(Path(source).resolve())
    ready(config)
    return open_run(source, out, config, reporter)


def _converse(directory: RunDirectory, reporter: Reporter) -> None:
    from ..account.summary import summary
    from ..chat.conversation import Conversation
    from ..chat.terminal import Terminal
    from ..graph import placed
    from ..session import Session

    session = Session(directory, reporter)
    ended = session.state.last == "publish"
    if not ended and not session.config.approve:
        raise UsageError(f"{directory.root} runs unattended: `recryst resume {directory.root}` goes on with it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if ended:
        click.echo("this run has ended: you can look and ask, and change nothing")
    else:
        session.start()
    try:
        with placed(session) as cycle:
            cycle.go_on()
            Terminal(Conversation(session, cycle)).run()
    except RecrystError as error:
        with contextlib.suppress(RecrystError):  # a full disk takes no event either; the sentence is still shown
            session.note_failure(str(error))
        if isinstance(error, ModelError):
            raise ModelError(f"{error}; `recryst chat {directory.root}` comes back") from error
        raise
    except KeyboardInterrupt:
        reporter.say("")
        reporter.say(f"stopped; `recryst chat {directory.root}` comes back")
        sys.exit(130)
    if session.state.last != "publish":
        reporter.say(f"left; `recryst chat {directory.root}` comes back")
    elif not ended:
        show_summary(directory, summary(directory))
