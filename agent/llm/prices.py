"""What a million tokens cost, from a dated table (``prices.yaml``), or as the user says."""

import functools
import math
import re
from dataclasses import dataclass
from importlib import resources

import yaml

from ...state.canonical import Json
from ...state.config import Config
from ...state.errors import UsageError
from ...state.params.llm import LlmParams
from ...tools.vectors.vendors import is_own
from . import ANSWER_TOKENS, BATCHED, DECISION_QUESTIONS, Usage
from .ask import ROWS_PER_QUESTION
from .datamark import LIMIT

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
    """What the model costs: what the user says, nothing for a script or an Ollama here, the table's price, or None.

    The table holds for the vendors' own servers; who else serves a model of the same name has prices of their own, and
    what listens on this machine may pass questions on to a server that bills them.

    Args:
        provider: anthropic, openai, ollama or scripted; ``local``: it is on this machine.
        model: its name at the provider, with or without a date at the end.
        params: ``usd_per_million`` wins over all; ``base_url`` says who serves the model.

    Raises:
        UsageError: the price is unknown, but ``params.max_usd`` bounds what may be spent; or a price is negative.
    """
    if params.usd_per_million is not None:
        return _said(*params.usd_per_million)
    if provider == "scripted" or (local and provider == "ollama"):
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
    vendors: dict[str, Json] = yaml.safe_load(text)
    return {
        vendor: {model: Price(**row, batch=table["batch"]) for model, row in table["models"].items()}
        for vendor, table in vendors.items()
    }


# Tokens of the instructions and the schema that stand before every question, and of the figures of a decision.
_INSTRUCTIONS = 900
_DECISION = 7_000
_DECISION_PER_CLUSTER = 200
_CLUSTERS_SHOWN = 40
# Characters of a row that are shown; no token is shorter than a character of plain text.
_PAIR_LIMIT = 300
_MARKING = 2  # the marks between words may double a row's tokens


@dataclass(frozen=True)
class Estimate:
    """Questions by kind, their tokens, and dollars (None where the price is not known)."""

    questions: dict[str, int]
    input_tokens: int
    output_tokens: int
    usd: float | None

    @property
    def calls(self) -> int:
        """All questions."""
        return sum(self.questions.values())


def estimate(config: Config, rows: int, k: int, mean_tokens: float, price: Price | None) -> Estimate:
    """An upper estimate: every round asks about every cluster twice, and every answer is as long as it may be.

    A cluster that did not change is not asked about again, and answers are mostly a third as long, so that a run costs
    rather less. Not in it: rows made by synthesis, and questions asked again because an answer could not be used.

    Args:
        config: who decides and critiques, and how many rounds, pairs and rows may be asked about.
        rows: kept training rows.
        k: clusters.
        mean_tokens: of a row's text, about a quarter of its characters.
        price: of the model, or None.
    """
    rounds = config.stop.max_rounds
    row = min(_MARKING * mean_tokens, LIMIT)
    pair = 2 * min(_MARKING * mean_tokens, _PAIR_LIMIT)
    decision = _DECISION + _DECISION_PER_CLUSTER * min(k, _CLUSTERS_SHOWN)
    ten = ROWS_PER_QUESTION * row
    # Kind: how many questions, and the tokens of one beyond its instructions.
    planned: dict[str, tuple[int, float]] = {}
    if config.llm.model is not None and config.backend("critic") == "llm":
        planned["critique"] = rounds * 2 * k, (config.critique.samples + 1) * row
        if config.cluster.algorithm == "kmeans":
            planned["same_theme"] = rounds * min(config.critique.max_pairs, 2 * k), pair
        planned["quality"] = math.ceil(min(config.quality.teacher_rows, rows) / ROWS_PER_QUESTION), ten
    if config.llm.model is not None and config.backend("policy") == "llm":
        planned["decide"] = rounds * min(1 + config.llm.looks, DECISION_QUESTIONS), decision
    if config.llm.model is not None and config.label.taxonomy is not None:
        planned["label"] = math.ceil(min(config.label.max_model_rows, rows) / ROWS_PER_QUESTION), ten

    inputs, outputs, usd = 0, 0, 0.0
    for kind, (calls, tokens) in planned.items():
        each = _INSTRUCTIONS + math.ceil(tokens)
        inputs += calls * each
        outputs += calls * ANSWER_TOKENS[kind]
        if price is not None:
            factor = price.batch if config.llm.batch and kind in BATCHED else 1.0
            usd += calls * factor * price.worst(each, ANSWER_TOKENS[kind])
    questions = {kind: calls for kind, (calls, _) in planned.items() if calls}
    return Estimate(questions, inputs, outputs, None if price is None else usd)


def exceeds(estimated: Estimate, params: LlmParams) -> bool:
    """Whether the estimate is more than the run may spend."""
    dear = params.max_usd is not None and estimated.usd is not None and estimated.usd > params.max_usd
    return dear or (
        params.max_tokens is not None and estimated.input_tokens + estimated.output_tokens > params.max_tokens
    )


def said(estimated: Estimate) -> str:
    """The estimate in one line."""
    if not estimated.calls:
        return "the language model is not asked anything"
    tokens = (estimated.input_tokens + estimated.output_tokens) / 1e6
    cost = "at a price that is not known" if estimated.usd is None else f"for ${estimated.usd:.2f}"
    kinds = ", ".join(f"{kind} {calls:,}" for kind, calls in estimated.questions.items())
    return f"at most {estimated.calls:,} questions and {tokens:.2f} million tokens {cost} ({kinds}), synthesis apart"
