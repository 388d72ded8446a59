"""A plan: the options of an experiment in a YAML file, under their own names without the dashes."""

import difflib
import shlex
from pathlib import Path
from typing import Any

import click
import yaml
from click.core import ParameterSource

from ..state.errors import UsageError
from ..state.settings import read_yaml, yaml_fault

_PLAN = "plan"
_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
_SHOWN = 60  # characters of a value that an error shows


def _take(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Make what a plan says the defaults of the command."""
    if path is not None:
        ctx.default_map = planned(ctx, path)


#: The option; what stands beside it on the command line wins over the file.
plan_option = click.option(
    "--plan", type=click.Path(path_type=Path), callback=_take, is_eager=True, expose_value=False,
    help="A YAML file with the other options under their names (set: [banking77, clinc]); those given here win.",
)  # fmt: skip


def planned(ctx: click.Context, path: Path) -> dict[str, Any]:
    """The values of a plan by the parameters of the command that they stand for, as words of a command line.

    Raises:
        UsageError: the file cannot be read, or a key or a value is none of the command; the sentence names file, line
            and key.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values, lines = read_yaml(text), _lines(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the plan {path}: {error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}{yaml_fault(error)}") from error
    if not isinstance(values, dict | None):
        raise UsageError(f"{path} must hold keys and values, not a {type(values).__name__}")
    known = _options(ctx)
    found = {}
    for key, value in (values or {}).items():
        where = f"{path} line {lines.get(str(key), 1)}"
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise UsageError(f"{where}: unknown key {str(key)!r}; did you mean {near!r}?")
        option = known[key]
        found[str(option.name)] = _checked(ctx, option, value, f"{where}: {key}")
    return found


def command_of(ctx: click.Context) -> str:
    """The command line that repeats the experiment without the plan: every option that was given, in either way."""
    words = ["recryst", "eval", str(ctx.info_name)]
    for key, option in _options(ctx).items():
        value = ctx.params.get(str(option.name))
        if ctx.get_parameter_source(str(option.name)) not in _GIVEN or option.is_flag:
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [f"--{key}", str(one)]
    return shlex.join(words)


def _options(ctx: click.Context) -> dict[str, click.Option]:
    """The options of a command by their names without the dashes, but for the plan and the help."""
    options = [param for param in ctx.command.params if isinstance(param, click.Option)]
    return {option.opts[0].lstrip("-"): option for option in options if option.name != _PLAN}


def _checked(ctx: click.Context, option: click.Option, value: Any, where: str) -> Any:
    """A value as words, which the command reads like those of a command line.

    Raises:
        UsageError: it is none of the option.
    """
    several = value if isinstance(value, list) else [value]
    got = f"(got {repr(value)[:_SHOWN]})"
    if not option.multiple and isinstance(value, list):
        raise UsageError(f"{where}: takes one value, not a list {got}")
    if any(one is None or isinstance(one, list | dict) for one in several):
        kind = "a value or a list of values" if option.multiple else "a value"
        raise UsageError(f"{where}: must be {kind} {got}")
    words = [str(one) for one in several]
    try:
        for word in words:
            option.type.convert(word, option, ctx)
    except click.BadParameter as error:
        raise UsageError(f"{where}: {error.message} {got}") from error
    return words if option.multiple else words[0]


def _lines(text: str) -> dict[str, int]:
    """The line, from 1 on, of each key at the top of a YAML text.

    Raises:
        YAMLError: a key stands there twice, of which one would be lost.
    """
    top = yaml.compose(text, yaml.SafeLoader)
    lines: dict[str, int] = {}
    for key, _ in top.value if isinstance(top, yaml.MappingNode) else ():
        if key.value in lines:
            raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands there twice", problem_mark=key.start_mark)
        lines[str(key.value)] = key.start_mark.line + 1
    return lines
