"""The command line. Each command lives in the file of its kind; heavy imports wait until a command runs."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from ... import __version__
from ...state.errors import RecrystError
from ...state.sanitise import printable

# command → (module, one line of help): a module is imported when its command is used
_COMMANDS = {
    "run": ("run", "Refine a data set, unattended, until its metrics stop moving."),
    "demo": ("run", "Refine the docstrings of the installed Python standard library."),
    "chat": ("chat", "Talk about a data set; every action waits for your approval."),
    "resume": ("run", "Go on with a run that was stopped or killed."),
    "audit": ("inspect", "Verify a run's log and files, and derive every decision again."),
    "explain": ("inspect", "Tell why one row stayed or went."),
    "refilter": ("refilter", "Show what other quality thresholds would change in a run, then run with them."),
    "quantise": ("inspect", "Quantise a local causal language model to NF4 or INT8."),
    "tool": ("tool", "Run one tool on a table."),
    "eval": ("..evals.cli", "Run an experiment that shows what Recryst is worth."),  # by name: agent imports no evals
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f".{_COMMANDS[cmd_name][0]}", __package__)
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="recryst")
def cli() -> None:
    """Recryst refines a training set: embed, cluster, score, critique, decide, measure, and again.

    Every action is an experiment, measured on held-out rows and rolled back when it does not pay; every
    decision is on record.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error a user can mend is one sentence on standard error and a typed exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenisers' threads and forks do not mix
    try:
        result = cli.main(args=arguments, prog_name="recryst", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("stopped; `recryst resume` goes on", err=True)
        sys.exit(130)
    except RecrystError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(error.exit_code)
    sys.exit(result if isinstance(result, int) else 0)
