"""What a run may ask a language model, and what that may cost, before the first question is sent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...state.config import Config, LlmParams
from . import ANSWER_TOKENS
from .prices import Price

# Tokens of the instructions and the schema that stand before every question, and of the figures of a decision.
_INSTRUCTIONS = 900
_DECISION = 7_000
_DECISION_PER_CLUSTER = 200
_CLUSTERS_SHOWN = 40
# Characters of a row that are shown; no token is shorter than a character of plain text.
_ROW_LIMIT = 600
_PAIR_LIMIT = 300
_MARKING = 2  # the marks between words may double a row's tokens
_ROWS_PER_QUESTION = 10
_BATCHED = ("critique", "quality", "label")  # the kinds that are prefetched


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
    row = min(_MARKING * mean_tokens, _ROW_LIMIT)
    pair = 2 * min(_MARKING * mean_tokens, _PAIR_LIMIT)
    decision = _DECISION + _DECISION_PER_CLUSTER * min(k, _CLUSTERS_SHOWN)
    ten = _ROWS_PER_QUESTION * row
    # Kind: how many questions, and the tokens of one beyond its instructions.
    planned: dict[str, tuple[int, float]] = {}
    if config.llm.model is not None and config.mind("critic") == "llm":
        planned["critique"] = rounds * 2 * k, (config.critique.samples + 1) * row
        if config.cluster.algorithm == "kmeans":
            planned["same_theme"] = rounds * min(config.critique.max_pairs, 2 * k), pair
        planned["quality"] = math.ceil(min(config.quality.teacher_rows, rows) / _ROWS_PER_QUESTION), ten
    if config.llm.model is not None and config.mind("policy") == "llm":
        planned["decide"] = rounds, decision
    if config.llm.model is not None and config.label.taxonomy is not None:
        planned["label"] = math.ceil(min(config.label.max_model_rows, rows) / _ROWS_PER_QUESTION), ten

    inputs, outputs, usd = 0, 0, 0.0
    for kind, (calls, tokens) in planned.items():
        each = _INSTRUCTIONS + math.ceil(tokens)
        inputs += calls * each
        outputs += calls * ANSWER_TOKENS[kind]
        if price is not None:
            factor = price.batch if config.llm.batch and kind in _BATCHED else 1.0
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
