"""``recryst eval``: run an experiment and print its table."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click
import orjson

from ..agent.cli.options import read_price
from .attacks import FAMILIES
from .table import Table, shown

_DATA = click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
                     help="The folder of the data sets.")  # fmt: skip
_OUTPUT = [
    click.option("--markdown", is_flag=True, help="Print the table as Markdown."),
    click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON object."),
]


@click.group(name="eval")
def eval() -> None:
    """Run an experiment that shows what Recryst is worth, and print its table."""


def _printed(command: Any) -> Any:
    for option in (*reversed(_OUTPUT), _DATA):
        command = option(command)
    return command


@eval.command()
@_printed
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
def injection(
    data: Path, markdown: bool, as_json: bool, llm: str, families: tuple[str, ...], out: Path | None, **options: Any
) -> None:
    """Hostile rows: what they make a language model do to a run, and what they cannot."""
    from ..agent.cli.progress import Reporter
    from . import injection as experiment

    section = {"usd_per_million": options.pop("price"), **{key: options.pop(key) for key in ("base_url", "max_usd")}}
    settings = {"model": llm, **{key: value for key, value in section.items() if value is not None}}
    chosen = families or FAMILIES
    with Reporter().step("injection", experiment.number_of_runs(chosen), "runs") as advance:
        plan = experiment.Plan(families=chosen, **options)
        table = experiment.run(data, settings, plan, out, _command(), advance)
    _print(table, markdown, as_json)


@eval.command()
@_printed
@click.option("--pairs", default=2000, show_default=True, help="Pairs of texts to compare, of each kind.")
@click.option("--seed", default=0, show_default=True, help="Seed of the sample.")
def rouge(data: Path, markdown: bool, as_json: bool, pairs: int, seed: int) -> None:
    """ROUGE-L against a pool: the same verdicts as rouge_score, and how much faster."""
    from .rouge import run

    _print(run(data, pairs, seed), markdown, as_json)


@eval.command()
@_printed
def extraction(data: Path, markdown: bool, as_json: bool) -> None:
    """HTML to main text: token F1 on gold pages, beside trafilatura's own."""
    from .extraction import run

    _print(run(data), markdown, as_json)


@eval.command()
@_printed
@click.option("--rows", type=click.IntRange(1), help="Documents compared, spread over all.  [default: all]")
def filters(data: Path, markdown: bool, as_json: bool, rows: int | None) -> None:
    """Quality rules: the verdicts of datatrove's filters, and how much faster."""
    from .filters import run, speed

    _print([run(data, rows), speed(data, rows)], markdown, as_json)


@eval.command()
@_printed
@click.option("--rows", type=click.IntRange(1), help="Rows of the speed comparison.  [default: 199,970]")
def dedup(data: Path, markdown: bool, as_json: bool, rows: int | None) -> None:
    """Duplicates: exact copies, planted edits, and speed beside a datasketch loop."""
    from .dedup import ROWS, run

    _print(run(data, rows or ROWS), markdown, as_json)


@eval.command()
@_printed
def decontamination(data: Path, markdown: bool, as_json: bool) -> None:
    """Benchmarks in the data: what is found where the truth is known."""
    from .decontamination import run

    _print(run(data), markdown, as_json)


@eval.command()
@_printed
def storage(data: Path, markdown: bool, as_json: bool) -> None:
    """Bytes on disk of three data sets, by format."""
    from .storage import run

    _print(run(data), markdown, as_json)


def _command() -> str:
    """The command line as typed."""
    return shlex.join(["recryst", *sys.argv[1:]])


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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for at, name in enumerate(table.columns):
        numeric = all(not isinstance(row[at], str) for row in table.rows)
        grid.add_column(name, justify="right" if numeric else "left")
    for row in table.rows:
        grid.add_row(*(shown(cell) for cell in row))
    console = Console(highlight=False, markup=False)
    console.print(grid)
    for note in table.notes:
        console.print(note)
