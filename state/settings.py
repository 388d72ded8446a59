"""Reading the configuration: one YAML file (``recryst.yaml``), every key also settable as ``--set section.key=value``.

Unknown keys are refused with the nearest known one; an error names the file, option or setting that gave the value.
"""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .config import AT_ODDS, LACKS_MODEL, Config
from .errors import UsageError
from .params.llm import LlmParams
from .params.section import Section

_SHOWN = 60  # characters of a value that an error shows
_TOO_DEEP = "nested too deeply"


def known_keys() -> list[str]:
    """Every key that ``--set`` takes, as ``section.key`` (or ``key`` at the top)."""
    keys = []
    for name, field in Config.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            keys += [f"{name}.{key}" for key in section.model_fields]
        else:
            keys.append(name)
    return keys


def load_config(
    path: Path | None = None, settings: list[str] | None = None, options: Mapping[str, tuple[str, Any]] | None = None
) -> Config:
    """The configuration from a YAML file, then from options, then from ``key=value`` settings; the later wins.

    Args:
        path: a YAML file, or None for the defaults.
        settings: items such as ``cluster.k=12``; the value is read as YAML.
        options: by key, the command line's option that stands for it, and its value.

    Raises:
        UsageError: unreadable YAML, an unknown key (the nearest known one is named), a value out of range, or a setting
            of the language model that needs one.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            read = read_yaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the configuration {path}: {error}") from error
        except yaml.YAMLError as error:
            raise UsageError(f"{path}{yaml_fault(error)}") from error
        if not isinstance(read, dict | None):
            raise UsageError(f"{path} must hold keys and values, not a {type(read).__name__}")
        values = read or {}
    given: dict[str, str] = {}  # by key, what on the command line gave it
    for key, (option, value) in (options or {}).items():
        _put(values, key, value, option)
        given[key] = option
    for setting in settings or []:
        key, equals, raw = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting!r} needs the form section.key=value")
        key = key.strip()
        try:
            _put(values, key, read_yaml(raw), f"--set {key}")
        except yaml.YAMLError as error:
            raise UsageError(f"--set {key}: {raw[:_SHOWN]!r} is not a value") from error
        given[key] = f"--set {key}"
    where = "--set" if path is None else str(path)
    config = parse_config(values, where, given)
    # Not of the configuration itself: runs that were begun with such a bound are still read.
    needy = ("base_url", "max_usd", "max_tokens", "usd_per_million", "batch")
    idle = [name for name in needy if getattr(config.llm, name) != LlmParams.model_fields[name].default]
    if config.llm.model is None and idle:
        raise UsageError(_lacks_model(f"llm.{idle[0]}", where, given))
    return config


class _Loader(yaml.SafeLoader):
    """Of YAML 1.1's readings of a bare word those that YAML 1.2 has too.

    ``no`` (Norwegian) is no truth value, ``12:30`` no number to the base 60, ``010`` no octal one and a date no date.
    """


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.endswith((":null", ":merge"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)", "-+0123456789"),
    ("float", r"[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    ("float", r"\.[0-9][0-9_]*([eE][-+][0-9]+)?", "."),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_pattern})$"), list(_first))


def read_yaml(text: str) -> Any:
    """The value that a YAML text holds; ``yes``, ``no``, ``on``, ``off``, times and dates are words.

    Raises:
        YAMLError: it is not valid, or is nested too deeply.
    """
    try:
        return yaml.load(text, _Loader)  # a SafeLoader
    except RecursionError as error:
        raise yaml.YAMLError(_TOO_DEEP) from error
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from error


def _put(values: dict[str, Any], key: str, value: Any, given_by: str) -> None:
    """Set ``section.key`` within the values.

    Raises:
        UsageError: a section is a value already.
    """
    *sections, last = key.split(".")
    at = values
    for section in sections:
        at = at.setdefault(section, {})
        if not isinstance(at, dict):
            raise UsageError(f"{given_by}: {section!r} is a value, not a section")
    at[last] = value


def parse_config(values: dict[str, Any], where: str, given: Mapping[str, str] | None = None) -> Config:
    """Validate plain values into a ``Config``.

    Args:
        values: sections and keys.
        where: names their origin in errors.
        given: by key, the option or setting that gave it, which errors name instead of ``where``.

    Raises:
        UsageError: as ``load_config``.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UsageError(_sentence(error.errors()[0], where, given or {})) from error


def _sentence(error: ErrorDetails, where: str, given: Mapping[str, str]) -> str:
    """What is wrong with a value, and which value: ``--max-rounds (stop.max_rounds): … (got 0)``."""
    parts = [str(part) for part in error["loc"]]
    key = error["ctx"]["key"] if error["type"] == AT_ODDS else ".".join(parts)
    if error["type"] == LACKS_MODEL:
        return _lacks_model(error["ctx"]["key"], where, given)
    if error["type"] == "extra_forbidden":
        return f"{_origin(key, where, given)}: unknown key {key!r}; did you mean {_nearest(key)!r}?"
    message = fault_of(error)
    if error["type"] == "model_type":
        message = "must be a section, with keys and values below it"
    got = ""
    if isinstance(error["input"], str | int | float | None) and not key.endswith("base_url"):
        got = f" (got {repr(error['input'])[:_SHOWN]})"  # an address may hold a password
    origin = _origin(key, where, given)
    named = origin if origin.endswith(key) else f"{origin} ({key})" if origin.startswith("--") else f"{origin}: {key}"
    return f"{named}: {message}{got}"


def fault_of(error: ErrorDetails) -> str:
    """What is wrong with a value, in words; a bare word that YAML takes for something else than text has a remedy."""
    if error["type"] == "string_type" and isinstance(value := error["input"], bool | int | float):
        kind = "truth value" if isinstance(value, bool) else "number"
        return f"must be text, and YAML takes it for a {kind}: put it in quotes, as in '\"{str(value).lower()}\"'"
    return error["msg"].removeprefix("Value error, ")


def _origin(key: str, where: str, given: Mapping[str, str]) -> str:
    """The option or setting that gave a key or what it lies in; ``where`` if none did."""
    while key not in given and "." in key:
        key = key.rpartition(".")[0]
    return given.get(key, where)


def _lacks_model(key: str, where: str, given: Mapping[str, str]) -> str:
    option = given.get(key, f"{where}: {key}")
    is_option = key in given and not option.startswith("--set")
    return f"{option} needs {'--llm PROVIDER:NAME' if is_option else 'llm.model (--llm PROVIDER:NAME)'}"


def _nearest(key: str) -> str:
    """The known key that an unknown one was most likely meant to be; at the top level a section comes first."""
    if "." not in key and (near := difflib.get_close_matches(key, Config.model_fields, n=1)):
        return near[0]
    return difflib.get_close_matches(key, known_keys(), n=1, cutoff=0.0)[0]


def yaml_fault(error: Exception) -> str:
    """`` line 3: not valid YAML: …`` to stand behind a file's name, without the lines of the file that PyYAML shows."""
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f" line {mark.line + 1}"
    said = _TOO_DEEP if isinstance(error, RecursionError) else next(iter(str(error).splitlines()), "")
    problem = getattr(error, "problem", None) or said
    return f"{line}: not valid YAML: {problem[:200]}"
