"""The group ``recryst eval``, and how its commands print what they found."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click
import orjson

from ...state.store import write_whole
from ..table import Table, shown

_WIDEST = 1000  # characters of a table that is not on a screen
data_option = click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
                           help="The folder of the data sets.")  # fmt: skip
printing_options = [
    click.option("--markdown", is_flag=True, help="Print the table as Markdown."),
    click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON object."),
]  # fmt: skip


@click.group(name="eval")
def eval() -> None:
    """Run an experiment that shows what Recryst is worth, and print its table."""


def printing(run: Callable[..., Table | list[Table]]) -> click.Command:
    """The command of the same name that prints what ``run`` gives."""

    @wraps(run)
    def printed(markdown: bool, as_json: bool, **options: Any) -> None:
        result = run(**options)
        _print(result, markdown, as_json)
        _draw([result] if isinstance(result, Table) else result, options.get("out"))

    for option in reversed(printing_options):
        printed = option(printed)
    return eval.command()(printed)


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
