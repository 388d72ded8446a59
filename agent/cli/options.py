"""The options of ``run``, ``demo`` and ``chat``, read from the configuration; and whether it can be used as it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from ...state.config import Config
from ...state.params.section import Option, Section
from ...state.settings import load_config
from ...tools.model.finetune import check_base
from ...tools.text.filters import check_apply
from ...tools.text.language import check_keep
from ...tools.text.scrub import check_scrub
from ...tools.vectors.encoders import minilm
from ...tools.vectors.encoders.remote import RemoteEncoder, is_remote
from ..llm.open import open_provider
from ..llm.prices import price_of
from .values import read_files, read_names, read_price

_Command = Callable[..., Any]
_Decorator = Callable[[_Command], _Command]


def _marked(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, str, Option, FieldInfo]]:
    """The keys that have a short name: that name, ``section.key``, the mark and the field."""
    for key, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _marked(field.annotation, f"{key}.")
        for mark in field.metadata:
            if isinstance(mark, Option):
                yield mark.name or key, f"{prefix}{key}", mark, field


def _option(name: str, mark: Option, field: FieldInfo) -> _Decorator:
    """The option of a key: its type, choices, help and default are the field's."""
    kind = field.annotation
    if get_origin(kind) is UnionType:  # or none
        kind = get_args(kind)[0]
    said = field.description or ""
    default = f"  [default: {field.default}]" if isinstance(field.default, str) else ""
    how: dict[str, Any] = {"help": f"{said[:1].upper()}{said[1:]}.{default}", "metavar": mark.metavar, "default": None}
    if kind is bool:
        how["is_flag"] = True
    elif get_origin(kind) is Literal:
        how["type"] = click.Choice(get_args(kind))
    elif get_origin(kind) is tuple:
        named = get_args(kind)[0] is str
        how |= {"callback": read_names if named else read_price, "multiple": named}
        if mark.file:
            how |= {"callback": read_files, "type": click.Path(exists=True, resolve_path=True)}
    elif mark.file:
        how["type"] = click.Path(exists=True, resolve_path=True)
    else:
        how["type"] = str if mark.text else kind
    return click.option(f"--{name.replace('_', '-')}", **how)


#: Short name → ``section.key``: the options of a run, and the keywords of the Python API.
SHORT = {name: key for name, key, _, _ in _marked()}


def _options(group: str) -> list[_Decorator]:
    return [_option(name, mark, field) for name, _, mark, field in _marked() if mark.group == group]


RUN_OPTIONS: list[_Decorator] = [
    click.option("--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/NAME]"),
    click.option("--config", "config_file", type=click.Path(path_type=Path), help="A recryst.yaml."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. cluster.k=40."),
    *_options("run"),
    click.option("--no-train", is_flag=True, help="Leave out the final model."),
]
DATA_OPTIONS = _options("data")
MODEL_OPTIONS = _options("model")
OUTPUT_OPTIONS: list[_Decorator] = [
    click.option("--quiet", is_flag=True, help="No progress and no tables."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, on standard output."),
]


def with_options(options: Sequence[_Decorator]) -> _Decorator:
    """The decorator that gives a command all of ``options``, in their order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def settled(options: Mapping[str, Any], settings: Sequence[str] = ()) -> Config:
    """The configuration from a file, then the options by their short names, then ``settings`` and ``--set``.

    Raises:
        UsageError: a value cannot be; the option, setting or file that gave it is named.
    """
    short = {name: value for name, value in options.items() if name in SHORT and value is not None}
    given = {SHORT[name]: (f"--{name.replace('_', '-')}", value) for name, value in short.items()}
    if options["no_train"]:
        given["train.enabled"] = ("--no-train", False)
    return load_config(options["config_file"], [*settings, *options["settings"]], given)


def ready(config: Config) -> None:
    """Find out what is missing before anything is read: a key, a package, a price, an address, a server.

    Raises:
        MissingExtraError: the vendor's package is not installed.
        ModelError: nothing listens at the address that was given.
        UsageError: anything else that the user can mend.
    """
    check_scrub(config.scrub)
    check_keep(config.language)
    check_apply(config.filter)
    if config.train.enabled and config.train.mode == "classifier":
        minilm.model_folder()
    elif config.train.enabled and config.train.begins_from is not None:
        check_base(config.train)
    if config.llm.model is not None:
        provider = open_provider(config.llm)
        price_of(provider.name, provider.model, config.llm, provider.local)
        provider.ready()
    if is_remote(config.embed.model):
        RemoteEncoder(config.embed).ready()
