"""``recryst tool NAME IN [OUT]``: one tool on a table."""

from __future__ import annotations

import difflib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_origin

import click
import orjson
import yaml
from pydantic import BaseModel, ValidationError

from ...state.canonical import Json
from ...state.errors import UsageError
from ...state.phrases import counted
from ...state.settings import fault_of, read_yaml
from ...tools.table_tool import TableTool
from ..registry import Capability, table_tools
from .values import read_names

if TYPE_CHECKING:
    from .apply import Applied

M = TypeVar("M", bound=BaseModel)


class _Tools(click.Group):
    """One sub-command per registered tool; a tool is imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(table_tools())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = table_tools().get(cmd_name)
        return None if found is None else command(found)


def command(capability: Capability) -> click.Command:
    """The command of one tool."""
    tool: TableTool = capability.load()

    def call(
        source: str,
        target: Path | None,
        settings: tuple[str, ...],
        as_json: bool,
        **options: Any,  # those of ``Job`` that the tool has
    ) -> None:
        from .apply import Applied, Job, apply
        from .progress import Reporter

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        given = [f"{name}={value}" for name in tool.options if (value := options.pop(name)) is not None]
        job = Job(source, target, **options)
        try:
            result = apply(tool, read_params(capability.params, (*settings, *given)), job, Reporter())
        except KeyboardInterrupt:
            click.echo(
                "stopped; nothing was written" if target is None else f"stopped; {target} is as it was", err=True
            )
            sys.exit(130)
        if not isinstance(result, Applied):
            click.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
        elif as_json:
            click.echo(orjson.dumps(result, default=BaseModel.model_dump))
        else:
            _show(result, target, tool.removals is not None and not job.annotate)

    keys = ", ".join(capability.params.model_fields)
    return click.Command(
        capability.name,
        callback=call,
        help=f"{capability.description}\n\nSettings: {keys}.",
        short_help=capability.description,
        params=_options(tool, capability.params),
    )


def _options(tool: TableTool, params: type[BaseModel]) -> list[click.Parameter]:
    """The arguments and options of a tool's command, those alone that mean something to it."""
    path = click.Path(path_type=Path)
    options: list[click.Parameter] = [
        click.Argument(["source"], metavar="IN"),
        click.Argument(["target"], metavar="[OUT]", required=False, type=path),
        click.Option(["--set", "settings"], multiple=True, metavar="KEY=VALUE", help="A setting of the tool."),
    ]
    if tool.needs == "text":
        options.append(click.Option(["--text-column"], help="Column that holds the text.  [default: recognised]"))
        said = "Columns by which rows differ.  [default: recognised]"
        options.append(
            click.Option(["--content-columns"], metavar="NAMES", multiple=True, callback=read_names, help=said)
        )
    if tool.annotate is not None or tool.removals is not None:
        options.append(click.Option(["--annotate"], is_flag=True, help="Keep every row; add the tool's columns."))
        said = "Write the rows taken out there, each with its evidence."
        options.append(click.Option(["--removed"], metavar="FILE", type=path, help=said))
    for name in tool.options:
        said = str(params.model_fields[name].description)
        options.append(click.Option([f"--{name}"], help=f"{said[0].upper()}{said[1:]}."))
    if tool.needs in ("", "vector"):
        said = "Column that holds the vectors.  [default: vector]"
        options.append(click.Option(["--vector-column"], help=said))
    if tool.on_table is not None:
        options.append(click.Option(["--seed"], type=int, default=0, show_default=True))
    return [*options, click.Option(["--json", "as_json"], is_flag=True, help="Print the figures as one JSON object.")]


def _show(result: Applied, target: Path | None, removes: bool) -> None:
    """The rows that are left and, by reason, those that are not, on standard error."""
    gone = f", {result.rows_in - result.rows_out:,} taken out" if removes else ""
    click.echo(f"{target}: {counted(result.rows_out, 'row')}{gone}", err=True)
    for reason, rows in result.removed.items():
        click.echo(f"  {reason}: {rows:,}", err=True)


def read_params(model: type[M], settings: tuple[str, ...]) -> M:
    """The input model of a tool from ``key=value`` settings, each value read as YAML.

    A single value stands for a list of one. Where the model has ``thresholds``, a rule is set by its own name, as in
    ``gopher.max_symbol_ratio=0.05``.

    Raises:
        UsageError: an unknown key (the nearest known one is named), or a value that cannot be.
    """
    values: Json = {}
    for setting in settings:
        key, equals, raw = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} needs the form key=value")
        try:
            value = read_yaml(raw)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {key}: {raw[:60]!r} is not a value") from error
        _put(model, values, key.strip(), value)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"--set {where}: {fault_of(first)}; the keys are {', '.join(model.model_fields)}") from error


def _put(model: type[BaseModel], values: Json, key: str, value: Any) -> None:
    """Set one key among the values."""
    fields = model.model_fields
    if "." in key and "thresholds" in fields:
        values.setdefault("thresholds", {})[key.removeprefix("thresholds.")] = value
    elif key not in fields:
        (nearest,) = difflib.get_close_matches(key, fields, n=1, cutoff=0.0)
        raise UsageError(
            f"--set {key}: there is no such key; did you mean {nearest!r}? The keys are {', '.join(fields)}"
        )
    elif key == "thresholds" and isinstance(value, dict):
        values[key] = {**values.get(key, {}), **value}
    else:
        values[key] = [value] if isinstance(value, str) and get_origin(fields[key].annotation) is tuple else value


@click.group(cls=_Tools)
def tool() -> None:
    """Run one tool on a table: IN is Parquet or anything `recryst run` reads, OUT is Parquet or JSONL."""
