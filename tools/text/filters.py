"""Quality rules on text, in profiles: what counts as junk depends on the kind of text.

A *measure* is one number about one text; a *rule* is a bound on it, named ``FAMILY.min_MEASURE`` or
``FAMILY.max_MEASURE`` for the measure ``FAMILY.MEASURE``. The families and their sources stand in ``measures``, the
limits in ``profiles``.
"""

import difflib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...state.params.preparation import FilterParams, LanguageParams
from ...state.phrases import Advance, silent
from ...state.rows import Removal
from ..table_tool import TableTool
from .kinds import is_code, read_as, word_counts
from .language import certain, identify
from .measures import MEASURES, annotate
from .profiles import LIMITS

SHORT_WORDS = 50  # below which a text is short: Gopher's floor
OTHERS = ("near_duplicate", "language", "all")  # what may take rows out beside the rules, by the names a user gives
READ_AS = "read_as"  # the column of annotations that says which rules may judge a row
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

_ENGLISH = frozenset(
    {"gopher.stop_words", "gopher.mean_word_length", "c4.sentences", "c4.boilerplate_lines", "fineweb.line_punctuation"}
)
# Measures of words: those of scripts that put no blanks between them are not known.
_WORDS = {name for name in MEASURES if any(part in name for part in ("word", "gram", "pair", "symbol_ratio"))}
#: By what a row is read as, the measures that say nothing about it.
SPARED = {
    "prose": frozenset[str](),
    "other": _ENGLISH,
    "unspaced": _ENGLISH | _WORDS,
    "code": frozenset(MEASURES)
    - {"basic.words", "basic.characters", "basic.empty_answers", "basic.replacement_characters"},
}


@dataclass(frozen=True)
class Bound:
    """The limit of one rule: a row fails below a ``min`` and above a ``max``, and passes at the limit itself.

    ``least_words``: it judges no text with fewer, whose shares say little.
    """

    kind: Kind
    measure: str
    value: float
    least_words: int = 0

    def fails(self, annotations: pl.DataFrame) -> np.ndarray:
        """Which rows fail: bool [n]. The limit has the measure's own precision, so that exactly at the limit passes."""
        values, limit = annotations[self.measure].to_numpy(), np.float32(self.value)
        beyond = values < limit if self.kind == "min" else values > limit
        return np.asarray(beyond & self.judges(annotations))

    def judges(self, annotations: pl.DataFrame) -> np.ndarray:
        """Which rows the rule may judge at all: bool [n]; by what they are read as, where the table says it."""
        known = READ_AS in annotations.columns
        kinds = annotations[READ_AS] if known else pl.repeat("prose", annotations.height, eager=True)
        judged = ~kinds.is_in([kind for kind, measures in SPARED.items() if self.measure in measures])
        if self.least_words:  # of a script without blanks, words are not known
            judged &= (annotations["basic.words"] >= self.least_words) | (kinds == "unspaced")
        return np.asarray(judged.to_numpy())


# In the order in which a row is charged.
PROFILES: dict[str, dict[str, Bound]] = {
    name: {
        rule: Bound(*_RULES[rule], value, SHORT_WORDS if name == "prose" and not rule.startswith("basic.") else 0)
        for rule, value in limits.items()
    }
    for name, limits in LIMITS.items()
}
_ANY_PROFILE = tuple(dict.fromkeys(rule for rules in PROFILES.values() for rule in rules))


def choose_profile(text: pl.Series, shape: str) -> tuple[str, str]:
    """The profile that suits the rows (strings, [n]; nulls do not count) of a shape that the loader recognised, and
    why, in words. ``web`` is never chosen: its floor of 50 words is for pages, and would take good short rows."""
    if shape in ("chat", "sharegpt", "messages"):
        return "chat", "the rows are conversations"
    if shape != "text":
        return "instruction", "the rows are prompts and answers, or the like"
    text = text.drop_nulls()
    code = int(is_code(text).sum())
    if 2 * code > len(text):
        return "code", f"{code / len(text):.0%} of the rows look like code"
    words = word_counts(text).to_frame("words").select(pl.col("words").median().fill_null(0.0)).item()
    if words < SHORT_WORDS:
        return "short", f"half of the rows have at most {words:g} words"
    return "prose", f"half of the rows have {words:g} words or more"


def measured(
    text: pl.Series,
    languages: pl.Series | None = None,
    empty_answer: pl.Series | None = None,
    advance: Advance = silent,
) -> pl.DataFrame:
    """Every measure of the texts (strings, [n]), and in ``read_as`` what each is read as.

    ``languages``: strings [n], null for unknown; None: what is certain of each text by itself. ``empty_answer``: as for
    ``annotate``.
    """
    if languages is None:
        languages = certain(identify(text), word_counts(text), LanguageParams().min_score)
    return annotate(text, empty_answer, advance).with_columns(read_as(text, languages).alias(READ_AS))


def spared(annotations: pl.DataFrame) -> dict[str, int]:
    """How many rows are read as what some rules do not judge, most first: ``code``, ``other``, ``unspaced``."""
    counted = annotations[READ_AS].value_counts(name="rows").filter(pl.col(READ_AS) != "prose")
    return dict(counted.sort("rows", READ_AS, descending=[True, False]).iter_rows())


def check_apply(params: FilterParams) -> None:
    """Refuse a name in ``apply`` that stands for nothing.

    Raises:
        UsageError: there is one; the nearest known name is given.
    """
    families = dict.fromkeys(rule.partition(".")[0] for rule in _RULES)
    for name in params.apply:
        if name not in _RULES and name not in families and name not in OTHERS:
            known = [*OTHERS, *families, *_ANY_PROFILE, *_RULES]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or [_nearest(name, {})]
            raise UsageError(
                f"filter.apply: {name!r} is no rule, family of rules, near_duplicate, language or all; did you mean "
                f"{near[0]!r}?"
            )


def is_applied(name: str, params: FilterParams) -> bool:
    """Whether the user named a rule, ``near_duplicate`` or ``language``, so that it may take rows out of a run: in
    ``apply``, by itself, by its family or with ``all``; or by a threshold of its own. Who names the profile ``notes``
    has asked for near-duplicates to be merged."""
    named = {"all", name, name.partition(".")[0]}
    if name == "near_duplicate" and params.is_notes:
        return True
    return not named.isdisjoint(params.apply) or params.thresholds.get(name) is not None


def applied(bounds: dict[str, Bound], params: FilterParams) -> dict[str, Bound]:
    """Those of the rules in force that may take rows out of a run."""
    return {rule: bound for rule, bound in bounds.items() if is_applied(rule, params)}


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
            chosen[rule] = replace(chosen.get(rule, Bound(*_RULES[rule], 0.0)), value=float(value))
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
            close = values <= limit * (1 + _MARGIN) if bound.kind == "min" else values >= limit * (1 - _MARGIN)
            near += close & bound.judges(annotations)
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
    check_apply(params)
    profile = choose_profile(text, "text")[0] if params.profile == "auto" else params.profile
    rules = bounds(profile, params.thresholds)
    return applied(rules, params) if params.apply else rules


def _annotate(rows: pl.DataFrame, params: FilterParams) -> pl.DataFrame:
    """Every measure of the texts, what they are read as, and for each rule a column ``fails.RULE``.

    The columns do not depend on the texts: with the profile ``auto`` they are those of all profiles, and null where a
    rule does not hold for the profile that suits these texts.
    """
    annotations, rules = measured(rows["text"], None, rows["empty_answer"]), _in_force(rows["text"], params)
    failed = verdicts(annotations, rules)
    added = [rule for rule, value in params.thresholds.items() if value is not None]
    names = dict.fromkeys([*_ANY_PROFILE, *added]) if params.profile == "auto" else rules
    unheld = pl.lit(None, dtype=pl.Boolean)
    return annotations.with_columns(**{f"fails.{rule}": failed[rule] if rule in rules else unheld for rule in names})


def _removals(rows: pl.DataFrame, params: FilterParams, advance: Advance) -> list[Removal]:
    annotations = measured(rows["text"], None, rows["empty_answer"], advance)
    return failing(annotations, np.arange(rows.height, dtype=np.uint32), _in_force(rows["text"], params))


TOOL = TableTool("filter", annotate=_annotate, removals=_removals)
