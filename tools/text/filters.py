"""Quality rules on text, in profiles: what counts as junk depends on the kind of text.

A *measure* is one number about one text; a *rule* is a bound on it, named ``FAMILY.min_MEASURE`` or
``FAMILY.max_MEASURE`` for the measure ``FAMILY.MEASURE``. The families and their sources stand in ``measures``, the
limits in ``profiles``.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...state.phrases import Advance
from ...state.preparation import FilterParams
from ...state.rows import Removal
from ..table_tool import TableTool
from .measures import MEASURES, annotate
from .profiles import LIMITS

SHORT_MEDIAN_WORDS = 50  # below this median the web profile's own floor of 50 words would drop most rows
_MARGIN = np.float32(0.1)  # how near to a limit is suspicious

Kind = Literal["min", "max"]

# Rule → the kind of its bound, and its measure.
_RULES: dict[str, tuple[Kind, str]] = {
    f"{family}.{kind}_{name}": (kind, f"{family}.{name}")
    for family, name in (measure.split(".") for measure in MEASURES)
    for kind in ("min", "max")
}
_UNBOUNDED = {
    "basic.words", "basic.characters", "basic.longest_word", "gopher.words", "gopher.mean_word_length",
    "gopher.symbol_ratio", "gopher.stop_words", "c4.sentences", "c4.lorem_ipsum", "c4.curly_brackets",
    "fineweb.newlines_per_word", *(f"gopher.top_{n}gram_characters" for n in (2, 3, 4)),  # occurrences may overlap
}  # fmt: skip


@dataclass(frozen=True)
class Bound:
    """The limit of one rule: a row fails below a ``min`` and above a ``max``, and passes at the limit itself."""

    kind: Kind
    measure: str
    value: float

    def fails(self, annotations: pl.DataFrame) -> np.ndarray:
        """Which rows fail: bool [n]. The limit has the measure's own precision, so that exactly at the limit passes."""
        values, limit = annotations[self.measure].to_numpy(), np.float32(self.value)
        return np.asarray(values < limit if self.kind == "min" else values > limit)


# In the order in which a row is charged.
PROFILES: dict[str, dict[str, Bound]] = {
    name: {rule: Bound(*_RULES[rule], value) for rule, value in limits.items()} for name, limits in LIMITS.items()
}
_ANY_PROFILE = tuple(dict.fromkeys(rule for rules in PROFILES.values() for rule in rules))


def choose_profile(text: pl.Series, shape: str) -> str:
    """The profile that suits the rows (strings, [n]; nulls do not count) of a shape that the loader recognised.

    Any shape but chats and instructions is ``short`` where the median text has fewer than ``SHORT_MEDIAN_WORDS`` words,
    else ``web``.
    """
    if shape in ("sharegpt", "messages"):
        return "chat"
    if shape == "alpaca":
        return "instruction"
    words = text.str.count_matches(r"\S+").to_frame("words").select(pl.col("words").median().fill_null(0.0)).item()
    return "short" if words < SHORT_MEDIAN_WORDS else "web"


def bounds(profile: str, overrides: dict[str, float | None]) -> dict[str, Bound]:
    """The rules of a profile with some limits set otherwise; a rule the profile lacks is added after its own.

    ``overrides``: rule to limit; None switches the rule off.

    Raises:
        UsageError: no such profile or rule; the nearest known one is named.
    """
    if profile not in PROFILES:
        nearest = difflib.get_close_matches(profile, PROFILES, n=1, cutoff=0.0)
        raise UsageError(f"filter.profile: there is no profile {profile!r}; did you mean {nearest[0]!r}?")
    chosen = dict(PROFILES[profile])
    for rule, value in overrides.items():
        if rule not in _RULES:
            raise UsageError(f"filter.thresholds: there is no rule {rule!r}; did you mean {_nearest(rule, chosen)!r}?")
        if value is None:
            chosen.pop(rule, None)
        else:
            chosen[rule] = Bound(*_RULES[rule], float(value))
    return chosen


def _nearest(rule: str, chosen: dict[str, Bound]) -> str:
    """The known rule most like ``rule``: one of the same name in another family before one of a like name."""
    known = [*chosen, *_ANY_PROFILE, *_RULES]
    name = rule.rpartition(".")[2]
    return next(
        (one for one in known if one.endswith(f".{name}")), difflib.get_close_matches(rule, known, n=1, cutoff=0.0)[0]
    )


def verdicts(annotations: pl.DataFrame, bounds: dict[str, Bound]) -> pl.DataFrame:
    """Which rows of what ``annotate`` gave fail which rule: a Boolean column for each rule, named as the rule."""
    return pl.DataFrame({rule: bound.fails(annotations) for rule, bound in bounds.items()})


def failing(annotations: pl.DataFrame, rows: np.ndarray, bounds: dict[str, Bound]) -> list[Removal]:
    """The rows that fail a rule, each charged to the first of ``bounds`` that it fails.

    ``annotations``: what ``annotate`` gave for ``rows`` (positions, uint32 [n]).

    Returns:
        One ``Removal`` for each rule that takes a row out: its name as reason, the measure as score, its limit as
        threshold.
    """
    order = np.argsort(rows)
    standing = np.ones(len(rows), dtype=bool)
    removals = []
    for rule, bound in bounds.items():
        fails = standing & bound.fails(annotations)
        standing &= ~fails
        if fails.any():
            at = order[fails[order]]
            values = annotations[bound.measure].to_numpy()
            removals.append(Removal(rule, rows[at], values[at].astype(np.float64), bound.value))
    return removals


def strictness(annotations: pl.DataFrame, bounds: dict[str, Bound]) -> np.ndarray:
    """How suspicious each row is, float32 [n]: the share of rules whose limit it is within 10 % of, or beyond.

    A limit of 0 has no tenth, so only what is beyond it counts; without rules no row is suspicious.
    """
    near = np.zeros(annotations.height, dtype=np.float32)
    for bound in bounds.values():
        values, limit = annotations[bound.measure].to_numpy(), np.float32(bound.value)
        if limit == 0:
            near += bound.fails(annotations)
        else:
            near += values <= limit * (1 + _MARGIN) if bound.kind == "min" else values >= limit * (1 - _MARGIN)
    return near / np.float32(max(len(bounds), 1))


def loosened(bounds: dict[str, Bound], rule: str, factor: float) -> dict[str, float | None]:
    """The override that makes one rule ``factor`` (above 1) times looser; empty where it cannot be, as at a limit of 0.

    Raises:
        UsageError: the rule is not among ``bounds``.
    """
    if rule not in bounds:
        nearest = difflib.get_close_matches(rule, bounds, n=1, cutoff=0.0)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise UsageError(f"no rule {rule!r} is in force{hint}")
    bound = bounds[rule]
    value = bound.value * factor if bound.kind == "max" else bound.value / factor
    if bound.measure not in _UNBOUNDED:
        value = min(value, 1.0)
    value = float(f"{value:.4g}")
    return {} if value == bound.value else {rule: value}


def _in_force(text: pl.Series, params: FilterParams) -> dict[str, Bound]:
    return bounds(choose_profile(text, "text") if params.profile == "auto" else params.profile, params.thresholds)


def _annotate(rows: pl.DataFrame, params: FilterParams) -> pl.DataFrame:
    """Every measure of the texts, and for each rule a column ``fails.RULE``.

    The columns do not depend on the texts: with the profile ``auto`` they are those of all profiles, and null where a
    rule does not hold for the profile that suits these texts.
    """
    text = rows["text"]
    annotations, rules = annotate(text, rows["empty_answer"]), _in_force(text, params)
    failed = verdicts(annotations, rules)
    added = [rule for rule, value in params.thresholds.items() if value is not None]
    names = dict.fromkeys([*_ANY_PROFILE, *added]) if params.profile == "auto" else rules
    unheld = pl.lit(None, dtype=pl.Boolean)
    return annotations.with_columns(**{f"fails.{rule}": failed[rule] if rule in rules else unheld for rule in names})


def _removals(rows: pl.DataFrame, params: FilterParams, advance: Advance) -> list[Removal]:
    annotations = annotate(rows["text"], rows["empty_answer"], advance)
    return failing(annotations, np.arange(rows.height, dtype=np.uint32), _in_force(rows["text"], params))


TOOL = TableTool("filter", annotate=_annotate, removals=_removals)
