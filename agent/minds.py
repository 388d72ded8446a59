"""The language model of a run: the live one, and the one that answers from the record for the audit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..state.config import Config
from ..state.events import Event, LlmCall
from .facts import spent_on_models
from .llm.answers import Answers
from .llm.budget import Purse
from .llm.client import Model
from .llm.prices import price_of
from .llm.registry import open_provider


def open_model(folder: Path, config: Config, events: Iterable[Event]) -> Model | None:
    """The language model the configuration names, ready to be asked; None where it names none.

    Args:
        folder: where questions and answers are recorded.
        config: names the model and its bounds.
        events: the log so far; what its calls cost is spent.

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
