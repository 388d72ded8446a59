"""Quality rules on text, in three profiles: what counts as junk depends on the kind of text.

A *measure* is one number about one text; a *rule* is a bound on it, named ``min_`` or ``max_`` and the measure. The
measures of every rule are taken once (``annotate``), so other thresholds need no second look at the text.

Rules and thresholds of the ``web`` profile: MassiveText's quality and repetition filters (Gopher, Rae et al. 2021,
arXiv 2112.11446, §A.1.1 and Table A1) and C4's (Raffel et al. 2020, arXiv 1910.10683, §2.2), as Hugging Face's
datatrove has them. They were made for English web pages: fifty words would drop nearly all of a set of questions, so
``instruction`` and ``short`` bound only what is junk in any text.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from ..state.config import FilterParams
from ..state.errors import UsageError
from ..state.rows import Removal
from .measures import MEASURES, annotate
from .registry import Tool

SHORT_MEDIAN_WORDS = 50  # below this median the web profile's own floor of 50 words would drop most rows
_MARGIN = np.float32(0.1)  # how near to a limit is suspicious

_UNBOUNDED = {
    "words",
    "characters",
    "mean_word_length",
    "longest_word",
    "symbol_word_ratio",
    "stop_words",
    "lorem_ipsum",
}


@dataclass(frozen=True)
class Bound:
    """The limit of one rule: a row fails below a ``min`` and above a ``max``, and passes at the limit itself."""

    kind: Literal["min", "max"]
    value: float
    description: str


def _bound(rule: str, value: float) -> Bound:
    kind: Literal["min", "max"] = "min" if rule.startswith("min_") else "max"
    return Bound(kind, value, f"{'at least' if kind == 'min' else 'at most'}: {MEASURES[rule[4:]]}")


def _profile(**limits: float) -> dict[str, Bound]:
    return {rule: _bound(rule, value) for rule, value in limits.items()}


# In the order in which a row is charged: the plainest fault first.
PROFILES: dict[str, dict[str, Bound]] = {
    "web": _profile(
        min_words=50,
        max_words=100_000,
        max_replacement_characters=0.01,
        min_mean_word_length=3,
        max_mean_word_length=10,
        max_longest_word=1000,
        min_alpha_words=0.8,
        max_symbol_word_ratio=0.1,
        max_bullet_lines=0.9,
        max_ellipsis_lines=0.3,
        max_duplicate_lines=0.3,
        max_duplicate_line_characters=0.2,
        max_top_2gram_characters=0.2,
        min_stop_words=2,
        max_lorem_ipsum=0,
    ),
    "instruction": _profile(
        min_words=1,
        max_empty_answers=0,
        max_replacement_characters=0.01,
        max_non_alphanumeric_characters=0.7,
        max_repeated_word=0.7,
        max_duplicate_lines=0.8,
        max_top_2gram_characters=0.7,
    ),
    "short": _profile(
        min_words=1,
        max_replacement_characters=0.01,
        max_non_alphanumeric_characters=0.7,
        max_repeated_word=0.7,
        max_top_2gram_characters=0.7,
    ),
    "none": {},
}


def choose_profile(text: pl.Series, shape: str) -> str:
    """The profile that suits the rows: ``instruction``, ``short`` or ``web``.

    Args:
        text: strings, [n]; nulls do not count.
        shape: what the loader recognised. ``alpaca``, ``sharegpt`` and ``messages`` are instructions; any other
            shape is ``short`` where the median text has fewer than ``SHORT_MEDIAN_WORDS`` words, else ``web``.
    """
    if shape in ("alpaca", "sharegpt", "messages"):
        return "instruction"
    words = text.str.count_matches(r"\S+").to_frame("words").select(pl.col("words").median().fill_null(0.0)).item()
    return "short" if words < SHORT_MEDIAN_WORDS else "web"


def bounds(profile: str, overrides: dict[str, float]) -> dict[str, Bound]:
    """The rules of a profile with some limits set otherwise; a rule the profile lacks is added after its own.

    Raises:
        UsageError: no such profile or rule; the nearest known one is named.
    """
    if profile not in PROFILES:
        nearest = difflib.get_close_matches(profile, PROFILES, n=1, cutoff=0.0)
        raise UsageError(f"filter.profile: there is no profile {profile!r}; did you mean {nearest[0]!r}?")
    known = [f"{kind}_{measure}" for measure in MEASURES for kind in ("min", "max")]
    chosen = dict(PROFILES[profile])
    for rule, value in overrides.items():
        if rule not in known:
            nearest = difflib.get_close_matches(rule, [*chosen, *known], n=1, cutoff=0.0)
            raise UsageError(f"filter.thresholds: there is no rule {rule!r}; did you mean {nearest[0]!r}?")
        chosen[rule] = replace(chosen.get(rule) or _bound(rule, value), value=float(value))
    return chosen


def judge(annotations: pl.DataFrame, rows: np.ndarray, bounds: dict[str, Bound]) -> list[Removal]:
    """The rows that fail a rule, each charged to the first it fails.

    Args:
        annotations: what ``annotate`` gave, n rows.
        rows: positions, uint32 [n]; ``annotations[i]`` belongs to ``rows[i]``.
        bounds: the rules, in the order in which they charge.

    Returns:
        One ``Removal`` for each rule that takes a row out: its name as reason, the measure as score, its limit as
        threshold.
    """
    order = np.argsort(rows)
    standing = np.ones(len(rows), dtype=bool)
    removals = []
    for rule, bound in bounds.items():
        values = annotations[rule[4:]].to_numpy()
        limit = np.float32(bound.value)  # in the measure's own precision: exactly at the limit passes
        fails = standing & (values < limit if bound.kind == "min" else values > limit)
        standing &= ~fails
        if fails.any():
            at = order[fails[order]]
            removals.append(Removal(rule, rows[at], values[at].astype(np.float64), bound.value))
    return removals


def strictness(annotations: pl.DataFrame, bounds: dict[str, Bound]) -> np.ndarray:
    """How suspicious each row is: the share of rules whose limit it is within 10 % of, or beyond.

    A limit of 0 has no tenth, so only what is beyond it counts.

    Args:
        annotations: what ``annotate`` gave, n rows.
        bounds: the rules.

    Returns:
        float32 [n] in [0, 1]; 0 everywhere without rules.
    """
    near = np.zeros(annotations.height, dtype=np.float32)
    for rule, bound in bounds.items():
        values, limit = annotations[rule[4:]].to_numpy(), np.float32(bound.value)
        if limit == 0:
            near += values < 0 if bound.kind == "min" else values > 0
        else:
            near += values <= limit * (1 + _MARGIN) if bound.kind == "min" else values >= limit * (1 - _MARGIN)
    return near / np.float32(max(len(bounds), 1))


def loosened(bounds: dict[str, Bound], rule: str, factor: float) -> dict[str, float]:
    """The override that makes one rule ``factor`` times looser; empty where it cannot be (a limit of 0, a full share).

    Raises:
        UsageError: the rule is not among ``bounds``, or the factor is not above 1.
    """
    if rule not in bounds:
        nearest = difflib.get_close_matches(rule, bounds, n=1, cutoff=0.0)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise UsageError(f"no rule {rule!r} is in force{hint}")
    if factor <= 1:
        raise UsageError(f"a rule is loosened by a factor above 1, not {factor}")
    bound = bounds[rule]
    value = bound.value * factor if bound.kind == "max" else bound.value / factor
    if rule[4:] not in _UNBOUNDED:
        value = min(value, 1.0)
    value = float(f"{value:.4g}")
    return {} if value == bound.value else {rule: value}


def _on_table(frame: pl.DataFrame, params: FilterParams, seed: int) -> pl.DataFrame:
    """The frame without the rows whose ``text`` fails a rule; ``auto`` goes by the length of the texts."""
    profile = choose_profile(frame["text"], "text") if params.profile == "auto" else params.profile
    positions = np.arange(frame.height, dtype=np.uint32)
    removals = judge(annotate(frame["text"]), positions, bounds(profile, params.thresholds))
    removed = np.concatenate([removal.rows for removal in removals]) if removals else positions[:0]
    return frame[np.delete(positions, removed)]


TOOL = Tool(
    name="filter",
    version=1,
    description="Take out rows whose `text` fails a quality rule (Gopher, C4); the profile sets which rules hold.",
    params=FilterParams,
    result=list,
    run=judge,
    on_table=_on_table,
)
