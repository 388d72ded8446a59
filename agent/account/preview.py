"""What other thresholds of the quality rules would change in a run, from the values that were noted for every row."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...state.report import Record
from ...state.rows import Removal
from ...tools.text import filters
from ..decide.caps import refusal
from ..view import View

EXAMPLES = 5  # rows shown of those that would go, and of those that would come back
_EXCERPT = 160

Bounds = dict[str, filters.Bound]


class Limit(Record):
    """A rule's threshold (None: off), and how many of the rows that reached the rules fail it."""

    limit: float | None
    fails: int


class Rule(Record):
    """A rule whose threshold would change."""

    rule: str
    before: Limit
    after: Limit


@dataclass(frozen=True)
class Preview:
    """What would change: rules with the rows that fail them, and the rows that would go or come back.

    ``going`` and ``coming``: id, rule, value, limit and the text's beginning, in input order; a row that comes back
    tells the rule that had taken it. Neither looks further than the rules: a row that comes back may still be a
    near-duplicate.
    """

    profile: str
    thresholds: dict[str, float | None]  # all that would be set over the profile's
    rules: tuple[Rule, ...]
    going: pl.DataFrame
    coming: pl.DataFrame
    refused: str | None  # why the caps would refuse it


def preview(view: View, changes: Mapping[str, float | None]) -> Preview:
    """What ``changes`` (rule → threshold, None: off) would change in the run; nothing is written.

    Raises:
        UsageError: the run was not filtered yet or has no rules, or there is no such rule; the nearest is named.
        IntegrityError: an artefact was changed.
    """
    root, profile = view.run.root, view.values.profile
    if not view.has("annotations"):
        raise UsageError(f"{root} has not filtered its rows yet; `recryst resume {root}` goes on")
    if profile == "none":
        raise UsageError(f"{root} ran without quality rules (filter.profile is none); there is nothing to filter again")
    now = view.values.thresholds
    then = {**now, **changes}
    before, after = filters.bounds(profile, now), filters.bounds(profile, then)
    # A rule whose threshold is set is named by it.
    params = view.config.filter.model_copy(update={"thresholds": then})
    taking = filters.applied(after, params)
    annotations, ledger, text = view.frame("annotations"), view.ledger(), view.texts()
    kept = np.sort(np.concatenate([view.kept(), view.held_out()]))
    kept = kept[kept < view.values.ingested]
    charged = ledger.filter((pl.col("status") == "removed") & pl.col("reason").is_in(list(before)))
    taken = charged["row"].to_numpy()
    still = [removal.rows for removal in filters.failing(annotations[taken], taken, taking)]
    coming = np.setdiff1d(taken, np.concatenate([*still, taken[:0]]))
    measured = annotations[np.concatenate([kept, taken])]
    return Preview(
        profile=profile,
        thresholds=then,
        rules=tuple(
            Rule(rule=rule, before=_limit(measured, before, rule), after=_limit(measured, after, rule))
            for rule in changes
        ),
        going=_listed(filters.failing(annotations[kept], kept, taking), ledger, text),
        coming=charged.filter(pl.col("row").is_in(coming)).select(
            "id", rule="reason", value="score", limit="threshold", text=_excerpts(text, coming)
        ),
        refused=_refused(view, taking),
    )


def _limit(measured: pl.DataFrame, bounds: Bounds, rule: str) -> Limit:
    if rule not in bounds:
        return Limit(limit=None, fails=0)
    fails = filters.verdicts(measured, {rule: bounds[rule]})[rule]
    return Limit(limit=bounds[rule].value, fails=int(fails.sum()))


def _listed(removals: list[Removal], ledger: pl.DataFrame, text: pl.Series) -> pl.DataFrame:
    """The rows of removals with the rule and value that took each."""
    schema = {"row": pl.UInt32, "rule": pl.String, "value": pl.Float64, "limit": pl.Float64}
    parts = [
        pl.DataFrame({"row": r.rows, "rule": [r.reason] * len(r.rows), "value": r.score, "limit": r.threshold}, schema)
        for r in removals
    ]
    found = pl.concat([pl.DataFrame(schema=schema), *parts]).sort("row")
    rows = found["row"].to_numpy()
    return found.select(
        ledger["id"].gather(rows).alias("id"), "rule", "value", "limit", _excerpts(text, rows).alias("text")
    )


def _excerpts(text: pl.Series, rows: np.ndarray) -> pl.Series:
    return text.gather(np.sort(rows)).fill_null("").str.slice(0, _EXCERPT)


def _refused(view: View, rules: Bounds) -> str | None:
    """Why the filter of a new run would be refused by its caps; None where they hold.

    It would judge every row of the input that has reached the filter: those that no earlier step took.
    """
    filtered = next(event.seq for event in view.events if event.type == "filter")
    reached = (pl.col("status") != "removed") | (pl.col("event") >= filtered)
    rows = view.ledger().filter((pl.col("origin") == "input") & reached)["row"].to_numpy()
    removed = [one.rows for one in filters.failing(view.frame("annotations")[rows], rows, rules)]
    gone = np.concatenate([*removed, rows[:0]])
    return refusal(
        "filter", rows, gone, view.config.caps.clean_fraction, "caps.clean_fraction", {"source": view.sources()}
    )
