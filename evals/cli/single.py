"""The experiments that give their tables in one go."""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ...agent.cli.values import read_price
from ..attacks import FAMILIES
from ..selection import cost
from ..speed.experiment import LINES
from ..speed.pairs import Plan
from ..table import Table
from .plan import command_of
from .printing import data_option, printing


def _of_data(run: Callable[..., Table | list[Table]]) -> click.Command:
    """The command of the same name that prints what ``run`` gives of the data sets."""
    return printing(data_option(run))


@_of_data
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
    from ...agent.cli.progress import Reporter
    from .. import injection as experiment

    section = {"usd_per_million": options.pop("price"), **{key: options.pop(key) for key in ("base_url", "max_usd")}}
    settings = {"model": llm, **{key: value for key, value in section.items() if value is not None}}
    chosen = families or FAMILIES
    with Reporter().step("injection", experiment.number_of_runs(chosen), "runs") as advance:
        plan = experiment.Plan(families=chosen, **options)
        return experiment.run(data, settings, plan, out, shlex.join(["recryst", *sys.argv[1:]]), advance)


@_of_data
@click.option("--pairs", default=2000, show_default=True, help="Pairs of texts to compare, of each kind.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
def rouge(data: Path, pairs: int, seed: int) -> Table:
    """ROUGE-L against a pool: the same verdicts as rouge_score, and how much faster."""
    from ..rouge import run

    return run(data, pairs, seed)


@_of_data
def extraction(data: Path) -> Table:
    """HTML to main text: token F1 on gold pages, beside trafilatura's own."""
    from ..extraction import run

    return run(data)


@_of_data
def door(data: Path) -> Table:
    """Clean sets: what the first separation takes from them."""
    from ..door import run

    return run(data)


@_of_data
@click.option("--rows", type=click.IntRange(1), help="Documents compared, spread over all.  [default: all]")
def filters(data: Path, rows: int | None) -> list[Table]:
    """Quality rules: the verdicts of datatrove's filters, and how much faster."""
    from ..filters import run, speed

    return [run(data, rows), speed(data, rows)]


@_of_data
@click.option("--rows", type=click.IntRange(1), help="Rows of the speed comparison.  [default: 199,970]")
def dedup(data: Path, rows: int | None) -> list[Table]:
    """Duplicates: exact copies, planted edits, and speed beside a datasketch loop."""
    from ..dedup import ROWS, run

    return run(data, rows or ROWS)


@_of_data
def decontamination(data: Path) -> Table:
    """Benchmarks in the data: what is found where the truth is known."""
    from ..decontamination import run

    return run(data)


@_of_data
def storage(data: Path) -> Table:
    """Bytes on disk of three data sets, by format."""
    from ..storage import run

    return run(data)


@printing
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
    from ..speed.experiment import run

    return run(names, Plan(**options))


@printing
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(cost.STRATEGIES), help="[default: all]")
@click.option("--rows", default=200_000, show_default=True, type=click.IntRange(1000), help="Rows to select from.")
def selection(strategies: tuple[str, ...], rows: int) -> Table:
    """Selecting a tenth of many rows: seconds and memory of each strategy."""
    from ...agent.cli.progress import Reporter

    with Reporter().step("selection", len(strategies or cost.STRATEGIES), "strategies") as advance:
        return cost.run(strategies, rows, command_of(click.get_current_context()), advance)
