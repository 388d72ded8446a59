"""``recryst experiment PLAN``: a study as one file, measured side by side, and gone on with where it was stopped."""

import shlex
from pathlib import Path
from typing import Any

import click

from ...state.errors import UsageError
from ...tools.cores import cores
from .cells import BY_CELLS
from .plan import MEANT, PlanFile, read_plan
from .printing import printing_options

_PLANS = Path(__file__).parents[1] / "plans"  # those that come with Recryst
_STOPPED = 130  # exit code of what was interrupted
_DATA = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.argument("plan", required=False)
@click.option("--data", type=_DATA, help="The folder of the data sets.")
@click.option("--out", type=click.Path(path_type=Path), help="For cells, tables and plots.  [default: NAME-results]")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time, each with one thread.  [default: the cores]")
@click.pass_context
def experiment(ctx: click.Context, /, plan: str | None, markdown: bool, as_json: bool, **given: Any) -> None:
    """Measure the cells of a plan, as many at a time as there are cores, and make its tables.

    PLAN is a YAML file: `experiment` says which it is, the other keys are the options of `recryst eval NAME`, a list
    standing for an option given several times. One of the plans that come with Recryst goes by its name; without PLAN
    they are listed. A stopped experiment goes on with the cells that are missing.
    """
    if plan is None:
        _list()
        return
    file = _found(plan)
    command = BY_CELLS[file.experiment]
    options = file.options(click.Context(command))
    if given["data"] is not None and "data" not in {param.name for param in command.params}:
        raise UsageError(f"--data: {file.experiment} reads the files that its plan names")
    options |= {name: str(value) for name, value in given.items() if value is not None}
    options = {"out": f"{file.name}-results", "jobs": str(cores()), **options}
    of_data = ["--data", str(given["data"])] if given["data"] else []
    ctx.meta[MEANT] = shlex.join(["recryst", "experiment", plan, *of_data])
    words = [word for word, asked in (("--markdown", markdown), ("--json", as_json)) if asked]
    with command.make_context(file.experiment, words, parent=ctx, default_map=options) as inner:
        click.echo(f"Results: {options['out']}", err=True)
        try:
            command.invoke(inner)
        except KeyboardInterrupt:
            click.echo("stopped; the same command goes on with the missing cells", err=True)
            ctx.exit(_STOPPED)


for _option in reversed(printing_options):
    experiment = _option(experiment)


def _list() -> None:
    """Name the plans that come with Recryst, each with its first line, a comment."""
    for file in sorted(_PLANS.glob("*.yaml"), key=lambda file: file.stem):
        click.echo(f"{file.stem:<18}{file.read_text('utf-8').splitlines()[0].lstrip('# ')}")


def _found(plan: str) -> PlanFile:
    """A plan by its path, or by its name where it comes with Recryst.

    Raises:
        UsageError: there is none, or it is no plan.
    """
    path, own = Path(plan), _PLANS / f"{plan}.yaml"
    if not path.is_file() and path.name == plan and own.is_file():
        path = own
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the plan {plan}: {error}; `recryst experiment` lists those there are") from error
    return read_plan(str(path) if path is own else plan, text, list(BY_CELLS))
