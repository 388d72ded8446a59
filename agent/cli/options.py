"""The options that ``run``, ``demo`` and ``chat`` share, the configuration they make, and whether it can be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from ...state.config import Config
from ...state.preparation import PROFILES
from ...state.settings import load_config
from ...tools.text.language import check_keep
from ...tools.text.scrub import check_scrub
from ...tools.vectors.remote_encoder import RemoteEncoder, is_remote
from ..llm.open import open_provider
from ..llm.prices import price_of

_Command = Callable[..., Any]

_SHORTCUTS = {
    "text_column": "load.text_column",
    "id_column": "load.id_column",
    "label_column": "load.label_column",
    "source_column": "load.source_column",
    "vector_column": "load.vector_column",
    "limit": "load.limit",
    "profile": "filter.profile",
    "model": "embed.model",
    "seed": "seed",
    "ablate": "ablate",
    "max_rounds": "stop.max_rounds",
    "max_minutes": "stop.max_minutes",
    "llm": "llm.model",
    "base_url": "llm.base_url",
    "max_usd": "llm.max_usd",
    "max_tokens": "llm.max_tokens",
    "price": "llm.usd_per_million",
    "batch": "llm.batch",
    "policy": "policy",
    "critic": "critic",
    "seeds": "synthesis.seeds",
    "like": "quality.like",
    "taxonomy": "label.taxonomy",
}


def read_price(context: click.Context, option: click.Parameter, value: str | None) -> list[float] | None:
    """``IN,OUT`` as two numbers."""
    if value is None:
        return None
    try:
        first, second = (float(part) for part in value.split(","))
        return [first, second]
    except ValueError:
        raise click.BadParameter(
            "must be two numbers, as in 3,15: dollars per million input and output tokens"
        ) from None


RUN_OPTIONS = [
    click.option("--out", type=click.Path(path_type=Path), help="Run directory.  [default: runs/NAME]"),
    click.option("--config", "config_file", type=click.Path(path_type=Path), help="A recryst.yaml."),
    click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting, e.g. cluster.k=40."),
    click.option("--seed", type=int, help="Seed of every random choice."),
    click.option("--limit", type=int, help="Read at most this many rows."),
    click.option("--max-rounds", type=int, help="Rounds at most."),
    click.option("--max-minutes", type=float, help="Start no further round after this many minutes."),
    click.option(
        "--ablate",
        is_flag=True,
        default=None,
        help="Measure what each stage before the loop was worth: the probe with and without it.",
    ),
    click.option("--no-train", is_flag=True, help="Leave out the final model."),
]
DATA_OPTIONS = [
    click.option("--text-column", help="Column that holds the text.  [default: recognised]"),
    click.option("--id-column", help="Column that holds a stable id.  [default: from content]"),
    click.option("--label-column", help="Column that holds a class label; the probe learns it."),
    click.option("--source-column", help="Column that names where a row came from; no step may empty a source."),
    click.option("--vector-column", help="Column of ready-made vectors (images, audio), used instead of embedding."),
    click.option("--profile", type=click.Choice(get_args(PROFILES)), help="Kind of text."),
    click.option("--model", help="Embedding model: minilm (embedded) or any Sentence Transformers model."),
]
MIND_OPTIONS = [
    click.option("--llm", metavar="PROVIDER:NAME", help="Language model: anthropic:NAME, openai:NAME or ollama:NAME."),
    click.option("--base-url", metavar="URL", help="Address of its server, e.g. of an OpenAI-compatible one."),
    click.option("--max-usd", type=float, help="Dollars the run may cost."),
    click.option("--max-tokens", type=int, help="Tokens the run may use."),
    click.option(
        "--price", callback=read_price, metavar="IN,OUT", help="Dollars per million tokens, for a model not known."
    ),
    click.option(
        "--batch",
        is_flag=True,
        default=None,
        help="Critiques, scores and labels by the provider's batch API: cheaper, later.",
    ),
    click.option("--policy", type=click.Choice(["rules", "llm"]), help="Who decides.  [default: the model, if any]"),
    click.option("--critic", type=click.Choice(["rules", "llm"]), help="Who critiques.  [default: the model, if any]"),
    click.option(
        "--seeds",
        type=click.Path(exists=True, resolve_path=True),
        help="Hand-written rows that synthesis may learn from.",
    ),
    click.option(
        "--like",
        type=click.Path(exists=True, resolve_path=True),
        help="A few dozen rows you endorse; they teach a score.",
    ),
    click.option(
        "--taxonomy",
        type=click.Path(exists=True, resolve_path=True),
        help="YAML of domains, tags and difficulties to label by.",
    ),
]
OUTPUT_OPTIONS = [
    click.option("--quiet", is_flag=True, help="No progress and no tables."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, on standard output."),
]


def with_options(options: Sequence[Callable[[_Command], _Command]]) -> Callable[[_Command], _Command]:
    """The decorator that gives a command all of ``options``, in their order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def settled(config_file: Path | None, settings: tuple[str, ...], no_train: bool, options: dict[str, Any]) -> Config:
    """The configuration from a file, then the shortcut options, then ``--set``.

    Raises:
        UsageError: a value cannot be; the option, setting or file that gave it is named.
    """
    given = {
        _SHORTCUTS[name]: (f"--{name.replace('_', '-')}", value) for name, value in options.items() if value is not None
    }
    if no_train:
        given["train.enabled"] = ("--no-train", False)
    return load_config(config_file, list(settings), given)


def ready(config: Config) -> None:
    """Find out what is missing before anything is read: a key, a package, a price, an address, a server.

    Raises:
        MissingExtraError: the vendor's package is not installed.
        ModelError: nothing listens at the address that was given.
        UsageError: anything else that the user can mend.
    """
    check_scrub(config.scrub)
    check_keep(config.language)
    if config.llm.model is not None:
        provider = open_provider(config.llm)
        price_of(provider.name, provider.model, config.llm, provider.local)
        provider.ready()
    if is_remote(config.embed.model):
        RemoteEncoder(config.embed).ready()
