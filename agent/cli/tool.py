"""``recryst tool NAME IN [OUT]``: one tool on a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
import orjson
import yaml

from ...state.errors import InputError, UsageError, storage_error
from ...state.words import counted
from ...tools.registry import NAMES
from ...tools.registry import tool as find_tool


class _Tools(click.Group):
    """One sub-command per registered tool; a tool is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in NAMES else None


def _command(name: str) -> click.Command:
    found = find_tool(name)
    keys = ", ".join(found.params.model_fields)

    def call(source: str, target: Path | None, settings: tuple[str, ...], seed: int) -> None:
        import polars as pl

        params, frame = _params(found.params, settings), _read(source)
        wanted = found.needs
        if wanted not in frame.columns:
            raise InputError(
                f"{source} has no column {wanted!r}, which {name} works on; it has {', '.join(frame.columns)}"
            )
        result = found.on_table(frame, params, seed)
        if isinstance(result, dict):
            click.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
            return
        if target is None:
            raise UsageError(f"`recryst tool {name}` makes a table: give it an OUT file (.parquet or .jsonl)")
        _write(result, target)
        assert isinstance(result, pl.DataFrame)
        gone = f", {frame.height - result.height:,} taken out" if result.columns == frame.columns else ""
        click.echo(f"{target}: {counted(result.height, 'row')}{gone}", err=True)

    return click.Command(
        name,
        callback=call,
        help=f"{found.description}\n\nSettings: {keys}.",
        short_help=found.description,
        params=[
            click.Argument(["source"], metavar="IN"),
            click.Argument(["target"], metavar="[OUT]", required=False, type=click.Path(path_type=Path)),
            click.Option(["--set", "settings"], multiple=True, metavar="KEY=VALUE", help="A setting of the tool."),
            click.Option(["--seed"], type=int, default=0, show_default=True),
        ],
    )


def _params(model: Any, settings: tuple[str, ...]) -> Any:
    """The input model of a tool from ``key=value`` settings."""
    from pydantic import ValidationError

    values = {}
    for setting in settings:
        key, equals, raw = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} needs the form key=value")
        try:
            values[key] = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {key}: {raw!r} is not a value") from error
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        known = ", ".join(model.model_fields)
        raise UsageError(f"--set {'.'.join(map(str, first['loc']))}: {first['msg']}; the keys are {known}") from error


def _read(source: str) -> Any:
    """The table of a file: Parquet as it is, any other input as ``load`` reads it, with its ``text``."""
    import polars as pl

    from ...state.config import LoadParams
    from ...tools.load import load

    if source.endswith(".parquet"):
        if not Path(source).is_file():
            raise InputError(f"{source} does not exist")
        try:
            return pl.read_parquet(source)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"{source} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error
    with tempfile.TemporaryDirectory() as folder:
        result = load(source, LoadParams(), Path(folder))
        originals = pl.read_parquet(result.originals).drop("row")
        rows = pl.read_parquet(result.rows, columns=["id", "text"])
        return originals.with_columns(rows["text"], *([] if "id" in originals.columns else [rows["id"]]))


def _write(frame: Any, target: Path) -> None:
    try:
        if target.suffix == ".parquet":
            frame.write_parquet(target, compression="zstd")
        elif target.suffix in (".jsonl", ".ndjson"):
            frame.write_ndjson(target)
        else:
            raise UsageError(f"{target}: the output is written as .parquet or .jsonl")
    except OSError as error:
        raise storage_error(error, target, "writing") from error


@click.group(cls=_Tools)
def tool() -> None:
    """Run one tool on a table: IN is Parquet or anything `recryst run` reads, OUT is Parquet or JSONL."""
