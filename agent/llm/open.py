"""The language-model providers by name; a vendor's module is imported when it is named."""

import difflib
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

from ...state.config import Config
from ...state.errors import UsageError
from ...state.events import Event
from ...state.notes import LlmCall
from ...state.params.llm import LlmParams
from ..decide.facts import spent_on_models
from . import Provider
from .answers import Answers
from .budget import Purse
from .client import Model
from .prices import price_of

_CLASSES = {"anthropic": "Anthropic", "openai": "OpenAI", "ollama": "Ollama", "scripted": "Scripted"}


def open_provider(params: LlmParams) -> Provider:
    """The provider that ``llm.model`` names. Neither network, key, script nor the vendor's package is touched yet.

    Raises:
        UsageError: the name is not VENDOR:NAME, the vendor is not known (the nearest is named), or has no batches
            where they are asked for.
    """
    vendor, _, model = (params.model or "").partition(":")
    if vendor not in _CLASSES:
        near = difflib.get_close_matches(vendor, _CLASSES, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(
            f"llm.model: no provider {vendor!r}{hint}; it reads anthropic:NAME, openai:NAME, ollama:NAME or"
            " scripted:PATH"
        )
    if not model.strip():
        raise UsageError(f"llm.model: {vendor}: lacks the model's name, as in {vendor}:NAME")
    provider: Provider = getattr(import_module(f".{vendor}", __package__), _CLASSES[vendor])(model, params)
    if params.batch and not provider.batches:
        raise UsageError(f"{params.model} has no batches: leave --batch (llm.batch) off")
    return provider


def open_model(folder: Path, config: Config, events: Iterable[Event]) -> Model | None:
    """The language model the configuration names, ready to be asked; None where it names none.

    Its record is in ``folder``. What the calls of ``events``, the log so far, cost is spent.

    Raises:
        UsageError: the name or the address is wrong, or ``llm.max_usd`` is set and the price is not known.
    """
    params = config.llm
    if params.model is None:
        return None
    events = list(events)
    provider = open_provider(params)
    price = price_of(provider.name, provider.model, params, provider.local)
    purse = Purse(price, params, *spent_on_models(events))
    earlier = [call for event in events for call in event.llm]
    return Model(provider, Answers(folder), purse, params, earlier)


def offline_model(folder: Path, config: Config, calls: Sequence[LlmCall]) -> Model:
    """The model that answers the questions of one event from the record; it never touches the network.

    Raises:
        UsageError: the configuration names no model that is known.
    """
    provider = open_provider(config.llm)
    return Model(provider, Answers(folder), Purse(None, config.llm), config.llm, replayed=calls)
