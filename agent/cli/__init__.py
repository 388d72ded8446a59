"""The command line. Each command lives in the file of its kind; heavy imports wait until a command runs."""

import importlib
import sys

import click

from ... import __version__
from ...state.errors import RecrystError, StorageError, check_address_space, low_memory
from ...state.phrases import printable
from ...tools.program import leave, settle_program
from .streams import tolerant

# command → (module, one line of help): a module is imported when its command is used
_COMMANDS = {
    "run": ("run", "Refine a data set, unattended, until its metrics stop moving."),
    "demo": ("demo", "Refine docstrings of the Python standard library with planted faults: what is won back?"),
    "chat": ("chat", "Talk about a data set; every action waits for your approval."),
    "mcp": ("mcp", "Serve runs to other programs' agents, which look and propose; a person approves."),
    "resume": ("run", "Go on with a run that was stopped or killed."),
    "open": ("inspect", "Show a run, finished or still running, on a page in the browser."),
    "audit": ("inspect", "Verify a run's log and files, and derive every decision again."),
    "explain": ("inspect", "Tell why one row stayed or went."),
    "refilter": ("refilter", "Show what other quality thresholds would change in a run, then run with them."),
    "push": ("push", "Send the curated rows and the final model of a run to a hub, each with its card."),
    "quantise": ("inspect", "Export a local causal language model as NF4, INT8 or GGUF."),
    "tool": ("tool", "Run one tool on a table."),
    "eval": ("..evals.cli", "Run an experiment that shows what Recryst is worth."),  # by name: agent imports no evals
    "experiment": ("..evals.cli", "Measure a study that is written down in a plan, cell by cell."),
}
_RUNS = {"run", "demo", "chat", "mcp", "resume"}  # these need the memory that a run needs


class _Lazy(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if cmd_name in _RUNS:
            check_address_space()
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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error a user can mend is one sentence on standard error and a typed exit code.

    A command that carries out a run returns its exit code, which says what became of the run, whether or not standard
    output could be written. For any other command its output is all there is.

    Args:
        arguments: of a caller whose process goes on after ``SystemExit``; without them it is the program's, and ends.
    """
    settle_program()
    with tolerant() as lost:
        code = _exit_code(arguments)
        if (fault := lost()) is not None:
            click.echo(f"standard output could not be written: {fault.strerror}", err=True)
            code = StorageError.exit_code if code is None else code
    if arguments is None:
        leave(code or 0)
    sys.exit(code or 0)


def _exit_code(arguments: list[str] | None) -> int | None:
    """The exit code of a command, said to be so by the command or by its error; None where it ended well."""
    try:
        result = cli.main(args=arguments, prog_name="recryst", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("stopped; `recryst resume` goes on", err=True)
        return 130
    except BaseException as error:
        typed = error if isinstance(error, RecrystError) else low_memory(error)
        if typed is None:
            raise
        click.echo(f"error: {printable(str(typed))}", err=True)
        return typed.exit_code
    return result if isinstance(result, int) else None
