"""A plan: which experiment, and its options under their own names without the dashes, in a YAML file."""

import difflib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml
from click.core import ParameterSource

from ...state.errors import UsageError
from ...state.settings import read_yaml, yaml_fault

MEANT = "recryst.command"  # where a context holds the command that it stands for
_KEY = "experiment"
_SHOWN = 60  # characters of a value that an error shows


@dataclass(frozen=True)
class PlanFile:
    """A plan as it was read: its values, and the line of each key."""

    path: str
    experiment: str
    values: dict[str, Any]
    lines: dict[str, int]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    def options(self, ctx: click.Context) -> dict[str, Any]:
        """The values by the parameters of the command that they stand for, as words of a command line.

        Raises:
            UsageError: a key or a value is none of the command; the sentence names file, line and key.
        """
        known, found = _options(ctx), {}
        for key, value in self.values.items():
            where = f"{self.path} line {self.lines.get(key, 1)}"
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise UsageError(f"{where}: unknown key {key!r}; did you mean {near!r}?")
            option = known[key]
            found[str(option.name)] = _checked(ctx, option, value, f"{where}: {key}")
        return found


def read_plan(path: str, text: str, experiments: Sequence[str]) -> PlanFile:
    """The plan that a text holds; ``path`` is what errors call it.

    Raises:
        UsageError: it is no YAML with keys and values, or names none of the ``experiments``.
    """
    try:
        values, lines = read_yaml(text), _lines(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}{yaml_fault(error)}") from error
    if not isinstance(values, dict | None):
        raise UsageError(f"{path} must hold keys and values, not a {type(values).__name__}")
    found = {str(key): value for key, value in (values or {}).items()}
    name = found.pop(_KEY, None)
    if name not in experiments:
        got = "" if name is None else f" (got {repr(name)[:_SHOWN]})"
        raise UsageError(f"{path} line {lines.get(_KEY, 1)}: {_KEY}: must be one of {', '.join(experiments)}{got}")
    return PlanFile(path, str(name), found, lines)


def command_of(ctx: click.Context) -> str:
    """The command line that repeats the experiment: the plan, or every option that was given."""
    if MEANT in ctx.meta:
        return str(ctx.meta[MEANT])
    words = ["recryst", "eval", str(ctx.info_name)]
    for key, option in _options(ctx).items():
        value = ctx.params.get(str(option.name))
        if ctx.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE or option.is_flag:
            continue
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [f"--{key}", str(one)]
    return shlex.join(words)


def _options(ctx: click.Context) -> dict[str, click.Option]:
    """The options of a command by their names without the dashes, but for the help."""
    options = [param for param in ctx.command.params if isinstance(param, click.Option)]
    return {option.opts[0].lstrip("-"): option for option in options}


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
