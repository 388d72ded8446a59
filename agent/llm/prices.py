"""What a million tokens cost, from a dated table (``prices.yaml``), or as the user says."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

from ...state.config import LlmParams
from ...state.errors import UsageError
from ...tools.vendors import is_own
from . import Usage

_DATE = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")  # claude-haiku-4-5-20251001, gpt-6.1-sol-2026-09-29
_DEAREST_CACHE_WRITE = 1.25  # times the input price, at both vendors


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens; ``batch`` is the factor for answers that come by batch.

    A request with more than ``long_from`` input tokens costs ``long_factor`` times as much.
    """

    input: float
    output: float
    cache_write: float
    cache_read: float
    batch: float = 0.5
    long_from: int | None = None
    long_factor: float = 1.0

    def of(self, usage: Usage, batched: bool = False) -> float:
        """Dollars of one answer."""
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_write_tokens * self.cache_write
            + usage.cache_read_tokens * self.cache_read
        )
        factor = self._factor(usage.total - usage.output_tokens)
        return total * factor * (self.batch if batched else 1.0) / 1e6

    def worst(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars that so many tokens cost at most, however the provider books them."""
        dearest = max(self.input, self.cache_write, self.cache_read)
        total = input_tokens * dearest + output_tokens * max(self.output, dearest)
        return total * self._factor(input_tokens + output_tokens) / 1e6

    def _factor(self, tokens: int) -> float:
        return self.long_factor if self.long_from is not None and tokens > self.long_from else 1.0


FREE = Price(0.0, 0.0, 0.0, 0.0)


def price_of(provider: str, model: str, params: LlmParams, local: bool) -> Price | None:
    """What the model costs: what the user says, nothing for an Ollama here, the table's price, or None if unknown.

    The table holds for the vendors' own servers; who else serves a model of the same name has prices of their own, and
    what listens on this machine may pass questions on to a server that bills them.

    Args:
        provider: anthropic, openai or ollama.
        model: its name at the provider, with or without a date at the end.
        params: ``usd_per_million`` wins over all; ``base_url`` says who serves the model.
        local: the server is on this machine.

    Raises:
        UsageError: the price is unknown, but ``params.max_usd`` bounds what may be spent; or a price is negative.
    """
    if params.usd_per_million is not None:
        return _said(*params.usd_per_million)
    if local and provider == "ollama":
        return FREE
    rows = _table().get(provider, {})
    price = rows.get(model) or rows.get(_DATE.sub("", model))
    if price is not None and is_own(provider, params.base_url):
        return price
    if params.max_usd is not None:
        raise UsageError(
            f"what {provider}:{model} costs is not known, so --max-usd cannot hold: give the dollars for a million"
            " input and output tokens with --price IN,OUT (llm.usd_per_million)"
        )
    return None


def _said(input_usd: float, output_usd: float) -> Price:
    """The user's price; what they do not name is taken at its dearest, so that no bound is passed."""
    if min(input_usd, output_usd) < 0:
        raise UsageError("llm.usd_per_million: a price cannot be negative")
    return Price(input_usd, output_usd, input_usd * _DEAREST_CACHE_WRITE, input_usd, batch=1.0)


@functools.cache
def _table() -> dict[str, dict[str, Price]]:
    """The prices by vendor and model."""
    text = resources.files(__package__).joinpath("prices.yaml").read_text(encoding="utf-8")
    vendors: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {
        vendor: {model: Price(**row, batch=table["batch"]) for model, row in table["models"].items()}
        for vendor, table in vendors.items()
    }
