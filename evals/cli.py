"""``recryst eval``: run an experiment and print its table."""

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson

from ..agent.cli.values import read_price
from ..state.store import write_whole
from .attacks import FAMILIES
from .embedding.dimensions import NAMES as SMALLER
from .embedding.dimensions import DimensionsPlan
from .loop.faults import FLIPS, SEVERITIES
from .loop.sets import LABELLED, NAMES
from .plan import command_of, plan_option
from .selection import cost
from .selection.balance import BalancePlan
from .selection.mixtures import NAMES as MIXTURES
from .selection.pruning import STRATEGIES, PruningPlan
from .speed.experiment import LINES
from .speed.pairs import Plan
from .table import Table, shown

T = TypeVar("T")
_WIDEST = 1000  # characters of a table that is not on a screen
_DATA = click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
                     help="The folder of the data sets.")  # fmt: skip
_PRINTING = [
    click.option("--markdown", is_flag=True, help="Print the table as Markdown."),
    click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON object."),
]  # fmt: skip


@click.group(name="eval")
def eval() -> None:
    """Run an experiment that shows what Recryst is worth, and print its table."""


def _experiment(run: Callable[..., Table | list[Table]]) -> click.Command:
    """The command of the same name that prints what ``run`` gives of the data sets."""
    return _printing(_DATA(run))


def _printing(run: Callable[..., Table | list[Table]]) -> click.Command:
    """The command of the same name that prints what ``run`` gives."""

    @wraps(run)
    def printed(markdown: bool, as_json: bool, **options: Any) -> None:
        result = run(**options)
        _print(result, markdown, as_json)
        _draw([result] if isinstance(result, Table) else result, options.get("out"))

    for option in reversed(_PRINTING):
        printed = option(printed)
    return eval.command()(printed)


@_experiment
@click.option("--llm", required=True, help="Whom to measure: anthropic:NAME, openai:NAME or ollama:NAME.")
@click.option("--base-url", help="Address of the server.")
@click.option("--price", callback=read_price, metavar="IN,OUT", help="Dollars per million tokens, where not known.")
@click.option("--max-usd", type=float, help="Dollars each run may cost.")
@click.option("--family", "families", multiple=True, type=click.Choice(FAMILIES), help="Whose attacks.  [default: all]")
@click.option("--rows", default=2000, show_default=True, help="Rows of the sample.")
@click.option("--rate", default=0.05, show_default=True, help="Share of the rows that carry an attack.")
@click.option("--max-rounds", default=3, show_default=True, help="Rounds of each run.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample and the runs.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the runs there; go on with those that are there.")
def injection(data: Path, llm: str, families: tuple[str, ...], out: Path | None, **options: Any) -> Table:
    """Hostile rows: what they make a language model do to a run, and what they cannot."""
    from ..agent.cli.progress import Reporter
    from . import injection as experiment

    section = {"usd_per_million": options.pop("price"), **{key: options.pop(key) for key in ("base_url", "max_usd")}}
    settings = {"model": llm, **{key: value for key, value in section.items() if value is not None}}
    chosen = families or FAMILIES
    with Reporter().step("injection", experiment.number_of_runs(chosen), "runs") as advance:
        plan = experiment.Plan(families=chosen, **options)
        return experiment.run(data, settings, plan, out, shlex.join(["recryst", *sys.argv[1:]]), advance)


@_experiment
@click.option("--pairs", default=2000, show_default=True, help="Pairs of texts to compare, of each kind.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
def rouge(data: Path, pairs: int, seed: int) -> Table:
    """ROUGE-L against a pool: the same verdicts as rouge_score, and how much faster."""
    from .rouge import run

    return run(data, pairs, seed)


@_experiment
def extraction(data: Path) -> Table:
    """HTML to main text: token F1 on gold pages, beside trafilatura's own."""
    from .extraction import run

    return run(data)


@_experiment
def door(data: Path) -> Table:
    """Clean sets: what the first separation takes from them."""
    from .door import run

    return run(data)


@_experiment
@click.option("--rows", type=click.IntRange(1), help="Documents compared, spread over all.  [default: all]")
def filters(data: Path, rows: int | None) -> list[Table]:
    """Quality rules: the verdicts of datatrove's filters, and how much faster."""
    from .filters import run, speed

    return [run(data, rows), speed(data, rows)]


@_experiment
@click.option("--rows", type=click.IntRange(1), help="Rows of the speed comparison.  [default: 199,970]")
def dedup(data: Path, rows: int | None) -> list[Table]:
    """Duplicates: exact copies, planted edits, and speed beside a datasketch loop."""
    from .dedup import ROWS, run

    return run(data, rows or ROWS)


@_experiment
def decontamination(data: Path) -> Table:
    """Benchmarks in the data: what is found where the truth is known."""
    from .decontamination import run

    return run(data)


@_experiment
def storage(data: Path) -> Table:
    """Bytes on disk of three data sets, by format."""
    from .storage import run

    return run(data)


@_printing
@click.option(
    "--only", "names", multiple=True, type=click.Choice(tuple(LINES)), help="Which comparison.  [default: all]"
)
@click.option("--rows", default=Plan.rows, show_default=True, type=click.IntRange(1000), help="Rows of each.")
@click.option("--repeats", default=Plan.repeats, show_default=True, type=click.IntRange(1), help="Pairs of each.")
@click.option("--seed", default=Plan.seed, show_default=True, help="Seed of the rows.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of the data sets.  [default: without what is measured on them]",
)
def speed(names: tuple[str, ...], **options: Any) -> Table:
    """The heavy parts beside named peers: how many times faster, in one run, at a result as good."""
    from .speed.experiment import run

    return run(names, Plan(**options))


@_printing
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(cost.STRATEGIES), help="[default: all]")
@click.option("--rows", default=200_000, show_default=True, type=click.IntRange(1000), help="Rows to select from.")
def selection(strategies: tuple[str, ...], rows: int) -> Table:
    """Selecting a tenth of many rows: seconds and memory of each strategy."""
    from ..agent.cli.progress import Reporter

    with Reporter().step("selection", len(strategies or cost.STRATEGIES), "strategies") as advance:
        return cost.run(strategies, rows, command_of(click.get_current_context()), advance)


_OUT = "Keep the runs and the plot there; finished runs are read back.  [default: the plot alone, in this folder]"
_LOOP_OPTIONS = [
    click.option("--set", "sets", multiple=True, type=click.Choice(NAMES), help="Which set.  [default: all]"),
    click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Runs of each, from seed 0 on."),
    click.option("--rows", type=click.IntRange(50), help="Rows of each clean set, at most.  [default: 3,000 or 4,000]"),
    click.option("--out", type=click.Path(path_type=Path), help=_OUT),
    plan_option,
]  # fmt: skip


def _on_sets(run: Callable[..., Table | list[Table]]) -> Callable[..., Table | list[Table]]:
    """With the options of the experiments that make whole runs of several sets."""
    for option in reversed(_LOOP_OPTIONS):
        run = option(run)
    return run


@_experiment
@_on_sets
@click.option("--severity", "severities", multiple=True, type=click.Choice(tuple(SEVERITIES)),
              help="How many faults.  [default: middle]")  # fmt: skip
@click.option("--flips", default=FLIPS[0], show_default=True, type=click.Choice(FLIPS),
              help="Which class a wrong label names: any, or the nearest.")  # fmt: skip
def crude(data: Path, severities: tuple[str, ...], out: Path | None, **options: Any) -> list[Table]:
    """Crude sets: how much of what known faults cost a run wins back, beside single tools and chance."""
    from .loop import crude as experiment

    return _of_cells("crude", experiment.run, data, out, severities=severities or ("middle",), **options)


@_experiment
@_on_sets
def clean(data: Path, out: Path | None, **options: Any) -> Table:
    """Clean sets: what a run takes from them, and what that costs."""
    from .loop import clean as experiment

    return _of_cells("clean", experiment.run, data, out, **options)


@_experiment
@_on_sets
def human(data: Path, out: Path | None, **options: Any) -> Table:
    """Noise that people made: requests out of scope, and postings in two groups; is it found, and is that better?"""
    from .loop import human as experiment

    options["sets"] = [name for name in options["sets"] or experiment.FAULTS if name in experiment.FAULTS]
    return _of_cells("human", experiment.run, data, out, severities=(experiment.HUMAN,), **options)


@_experiment
@_on_sets
@click.option("--severity", "severities", multiple=True, type=click.Choice(tuple(SEVERITIES)),
              help="How many faults.  [default: middle]")  # fmt: skip
def policies(data: Path, severities: tuple[str, ...], out: Path | None, **options: Any) -> list[Table]:
    """Who decides: what rules, chance, a blind script and no loop recover of crude sets, and in how many rounds."""
    from .loop import policies as experiment

    options["sets"] = [name for name in options["sets"] or LABELLED if name in LABELLED]
    return _of_cells("policies", experiment.run, data, out, severities=severities or ("middle",), **options)


@_experiment
@click.option("--set", "sets", multiple=True, type=click.Choice(tuple(LABELLED)), help="Which set.  [default: all]")
@click.option("--severity", "severities", multiple=True, type=click.Choice(tuple(SEVERITIES)), default=("middle",),
              help="How many faults.  [default: middle]")  # fmt: skip
@click.option("--anchor", "anchors", multiple=True, type=click.IntRange(20), metavar="ROWS",
              help="Rows held out, as far as there are twice as many.  [default: a fifth of the rows]")  # fmt: skip
@click.option("--draws", default=12, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--rows", default=2000, show_default=True, type=click.IntRange(100), help="Rows of each run, at most.")
@click.option("--flips", default=FLIPS[0], show_default=True, type=click.Choice(FLIPS),
              help="Which class a wrong label names: any, or the nearest.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help=_OUT)
@plan_option
def gate(data: Path, sets: tuple[str, ...], anchors: tuple[int, ...], out: Path | None, **options: Any) -> list[Table]:
    """Planted actions: how often the gate rolls a harmful one back and keeps a useful one."""
    from .loop import gate as experiment

    plan = experiment.GatePlan(sets=sets or tuple(LABELLED), anchors=anchors or (experiment.DEFAULT,), **options)
    return _planned("gate", experiment.run, plan, data, out)


@_experiment
@click.option("--set", "sets", multiple=True, type=click.Choice(MIXTURES), help="Which set.  [default: all]")
@click.option("--seeds", default=BalancePlan.seeds, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--keep", default=BalancePlan.keep, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="Share of the rows that stays.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Keep the cells there; finished ones are read back.")
@plan_option
def balance(data: Path, out: Path | None, **options: Any) -> list[Table]:
    """Long tails: how evenly flat and hierarchical k-means take the classes, and what that teaches."""
    from .selection.balance import run

    plan = BalancePlan(**{name: value for name, value in options.items() if value != ()})
    return _planned("balance", run, plan, data, out)


@_experiment
@click.option("--k", "ks", multiple=True, type=click.IntRange(2), help="Clusters.  [default: 50 and 500]")
@click.option("--keep", "keeps", multiple=True, type=click.FloatRange(0, 1, min_open=True),
              help="Share of the digits that stays.  [default: 0.1 and 0.5]")  # fmt: skip
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(STRATEGIES),
              help="Which digits of a cluster stay.  [default: all three]")  # fmt: skip
@click.option("--seeds", default=PruningPlan.seeds, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--epochs", default=PruningPlan.epochs, show_default=True, type=click.IntRange(1), help="Of training.")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the cells there; finished ones are read back.")
@plan_option
def pruning_mnist(data: Path, out: Path | None, **options: Any) -> Table:
    """Pruned digits: what LeNet-5 learns from those furthest from their centroid, closest to it, or any."""
    from .selection.pruning import run

    plan = PruningPlan(**{name: value for name, value in options.items() if value != ()})
    return _planned("pruning-mnist", run, plan, data, out)


@_experiment
@click.option("--set", "sets", multiple=True, type=click.Choice(SMALLER), help="Which set.  [default: all]")
@click.option("--seeds", default=DimensionsPlan.seeds, show_default=True, type=click.IntRange(1), help="Draws of each.")
@click.option(
    "--rows", default=DimensionsPlan.rows, show_default=True, type=click.IntRange(50), help="Of each, at most."
)
@click.option("--out", type=click.Path(path_type=Path), help="Keep the cells there; finished ones are read back.")
@plan_option
def dimensions(data: Path, out: Path | None, **options: Any) -> list[Table]:
    """Vectors of fewer dimensions or bits: the neighbours they keep, and what they teach."""
    from .embedding.dimensions import run

    plan = DimensionsPlan(**{name: value for name, value in options.items() if value != ()})
    return _planned("dimensions", run, plan, data, out)


def _of_cells(
    name: str, run: Callable[..., T], data: Path, out: Path | None, *, sets: Sequence[str], **options: Any
) -> T:
    """The tables of an experiment that makes whole runs of several sets."""
    from .loop.cells import Plan

    return _planned(name, run, Plan(sets=sets or NAMES, **options), data, out)


def _planned(name: str, run: Callable[..., T], plan: Any, data: Path, out: Path | None) -> T:
    """The tables of an experiment, each cell of its plan a step of the progress that is shown."""
    from ..agent.cli.progress import Reporter

    with Reporter().step(name, len(plan.cells()), "cells") as advance:
        return run(data, plan, out, command_of(click.get_current_context()), advance)


def _draw(tables: Sequence[Table], out: Path | None) -> None:
    """Write the plots of tables that have one, and say where; the terminal keeps the tables alone."""
    for plot in [table.plot for table in tables if table.plot is not None]:
        path = (out or Path()) / f"recryst-eval-{plot.name}.svg"
        write_whole(path, plot.svg().encode())
        click.echo(f"Plot: {path}", err=True)


def _print(result: Table | list[Table], markdown: bool, as_json: bool) -> None:
    tables = [result] if isinstance(result, Table) else result
    if as_json:
        click.echo(orjson.dumps(tables[0].as_json() if isinstance(result, Table) else [t.as_json() for t in tables]))
    elif markdown:
        click.echo("\n\n".join(table.markdown() for table in tables))
    else:
        for table in tables:
            _show(table)


def _show(table: Table) -> None:
    """Print a table; no figure is cut: in a narrow terminal it folds, in a file the table is as wide as it needs."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, numeric in zip(table.columns, table.numeric(), strict=True):
        grid.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(*(shown(cell) for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        room = console.options.update(width=_WIDEST)
        console.width = max(console.width, console.measure(grid, options=room).maximum)
    console.print(grid)
    for note in table.notes:
        console.print(note)
