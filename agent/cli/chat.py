"""``recryst chat``."""

import getpass
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from ...state.config import Config
from ...state.decision import MOST_OF_A_NAME
from ...state.errors import UsageError
from ...state.phrases import printable
from ...state.run import RunDirectory
from .claim import begin, located
from .options import DATA_OPTIONS, MODEL_OPTIONS, RUN_OPTIONS, ready, settled, with_options
from .progress import Reporter, Telling

MAX_ROUNDS = 50  # a person ends the rounds; this only bounds `run N` and forgotten scripts


@click.command()
@click.argument("source", metavar="SOURCE|RUN")
@click.option("--page", is_flag=True, help="Converse in the browser: the workbench, on this machine's own address.")
@click.option("--no-browser", is_flag=True, help="With --page: only show the address.")
@click.option("--as", "who", metavar="NAME", help="Who answers, as the log has it.  [default: the account's name]")
@click.option(
    "--show-rows", is_flag=True, help="Let the language model have rows read, by a question without tools, for you."
)
@with_options([*DATA_OPTIONS, *RUN_OPTIONS, *MODEL_OPTIONS])
def chat(
    source: str,
    out: Path | None,
    page: bool,
    no_browser: bool,
    who: str | None,
    show_rows: bool,
    **options: Any,
) -> int:
    """Talk about the rows of SOURCE, or come back to the conversation in the run directory RUN.

    Each action is shown before it is carried out, and waits for your approval. Slash commands (/help) always work; with
    --llm anything else you type is answered by the language model, which sees figures and no rows. --show-rows sends
    rows that you ask about to the same server, in a question of their own that can do nothing but answer you.
    """
    name = person_name(who)
    converse = partial(_converse, who=name, show_rows=show_rows)
    if page:
        from ..page.serve import need_server

        need_server()
        converse = partial(_on_the_page, browser=not no_browser, who=name, show_rows=show_rows)
    reporter = Reporter()
    if (Path(source) / "run.yaml").is_file():
        if out or any(value not in (None, (), False) for value in options.values()):
            raise UsageError(f"{source} is a run: its settings stand in {source}/run.yaml and cannot be changed")
        directory = RunDirectory.open(Path(source))
        with directory.lock():
            return converse(directory, reporter)
    config = with_a_person(options)
    if source == "-":
        raise UsageError("a chat reads your words from standard input; give the rows as a file")
    source = located(source)
    ready(config)
    with begin(source, config, out, reporter.say) as directory:
        return converse(directory, reporter)


def person_name(said: str | None) -> str:
    """The name that stands beside a person's answers: as they say, or that of the account; without one, none.

    Raises:
        UsageError: it is no name.
    """
    if said is None:
        try:
            said = getpass.getuser()
        except (KeyError, OSError, ImportError):  # an account without an entry
            return ""
    name = printable(said).strip()
    if not 0 < len(name) <= MOST_OF_A_NAME:
        raise UsageError(f"--as takes a name of 1 to {MOST_OF_A_NAME} characters")
    return name


def with_a_person(options: Mapping[str, Any]) -> Config:
    """The configuration, with a person who approves and with room for as many rounds as a conversation takes.

    Raises:
        UsageError: a value cannot be, or the settings say that nobody approves.
    """
    config = settled(options, ["approve=true"])
    if not config.approve:
        raise UsageError("approve=false is what `recryst run` does; in a chat every action waits for approval")
    if "max_rounds" not in config.stop.model_fields_set:
        config = config.model_copy(update={"stop": config.stop.model_copy(update={"max_rounds": MAX_ROUNDS})})
    return config


def _on_the_page(directory: RunDirectory, reporter: Reporter, browser: bool, who: str, show_rows: bool) -> int:
    """The same on the page; returns the exit code."""
    from ...state.log import last_step
    from ..account.summary import summary
    from ..account.tables import show_summary
    from ..page.desk import Desk
    from ..page.serve import converse, look
    from ..view import View

    if last_step(directory.log) == "publish":
        reporter.say("this run has ended: you can look, and change nothing")
        look(directory.root, reporter.say, browser)
        return 0
    config = directory.read_settings()[1]
    approved(directory, config)
    if show_rows:
        reporter.say(_where_rows_go(config))
    rested = converse(directory, Desk(directory, Telling(), who, show_rows), reporter.say, browser)
    if last_step(directory.log) == "publish":
        show_summary(directory, summary(View.open(directory.root)))
    else:
        reporter.say(f"left; `recryst chat {directory.root} --page` comes back")
    if not rested:
        os._exit(130)  # in the middle of a step, which nothing else stops; what was recorded before stands
    return 0


def approved(directory: RunDirectory, config: Config) -> None:
    """Whether a run that has not ended waits for a person's approval before it acts.

    Raises:
        UsageError: it does not.
    """
    if not config.approve:
        raise UsageError(f"{directory.root} runs unattended: `recryst resume {directory.root}` goes on with it")


def _where_rows_go(config: Config) -> str:
    """What --show-rows does in a run of these settings.

    Raises:
        UsageError: there is no language model.
    """
    from ..chat.reading import sent_to
    from ..llm.open import open_provider

    if config.llm.model is None:
        raise UsageError("--show-rows is about a language model: name one with --llm PROVIDER:NAME")
    return sent_to(open_provider(config.llm))


def _converse(directory: RunDirectory, reporter: Reporter, who: str, show_rows: bool) -> int:
    """The conversation about a run that this process owns; returns the exit code."""
    from ..session import Session

    session = Session(directory, reporter)
    ended = session.state.last == "publish"
    if not ended:
        approved(directory, session.config)
    if show_rows:
        reporter.say(_where_rows_go(session.config))
    from ..account.summary import summary
    from ..account.tables import show_summary
    from ..chat.conversation import Conversation
    from ..chat.terminal import Terminal, end
    from ..graph import placed
    from ..start import failures_noted

    signal.signal(signal.SIGTERM, end)
    if ended:
        click.echo("this run has ended: you can look and ask, and change nothing")
    else:
        session.start()
    back = f"`recryst chat {directory.root}` comes back"
    try:
        with failures_noted(session, back), placed(session) as cycle:
            cycle.go_on()
            Terminal(Conversation(session, cycle, who, show_rows)).run()
    except KeyboardInterrupt:
        reporter.say("")
        reporter.say(f"stopped; {back}")
        return 130
    if session.state.last != "publish":
        reporter.say(f"left; {back}")
    elif not ended:
        show_summary(directory, summary(session.view))
    return 0
