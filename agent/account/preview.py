"""What other thresholds of the quality rules would change in a run, from the values that were noted for every row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state.config import Config
from ...state.errors import UsageError
from ...state.log import read_log
from ...state.rows import Removal, kept_rows
from ...state.run import RunDirectory, RunState, fold
from ...state.store import Store
from ...tools.text import filters
from ..decide.caps import refusal
from ..order import PREPARE

EXAMPLES = 5  # rows shown of those that would go, and of those that would come back
_EXCERPT = 160


@dataclass(frozen=True)
class Preview:
    """What would change: rules with the rows that fail them, and the rows that would go or come back.

    ``rules``: rule, limit and fails, each before and after. ``going`` and ``coming``: id, rule, value, limit and the
    text's beginning, in input order; a row that comes back tells the rule that had taken it. Neither looks further than
    the rules: a row that comes back may still be a near-duplicate.
    """

    profile: str
    thresholds: dict[str, float | None]  # all that would be set over the profile's
    rules: list[dict[str, Any]]
    going: pl.DataFrame
    coming: pl.DataFrame
    refused: str | None  # why the caps would refuse it


def preview(root: Path, changes: Mapping[str, float | None]) -> Preview:
    """What ``changes`` (rule → threshold, None: off) would change in the run at ``root``; nothing is written.

    Raises:
        UsageError: the run was not filtered yet or has no rules, or there is no such rule; the nearest is named.
        IntegrityError: the log or an artefact was changed.
    """
    run = RunDirectory.open(root)
    events, _ = read_log(run.log)
    state, store = fold(events), Store(run.artifacts)
    _, config = run.read_settings()
    if "annotations" not in state.artefacts:
        raise UsageError(f"{root} has not filtered its rows yet; `recryst resume {root}` goes on")
    profile = state.values["profile"]
    if profile == "none":
        raise UsageError(f"{root} ran without quality rules (filter.profile is none); there is nothing to filter again")
    now = dict(state.values["thresholds"])
    then = {**now, **changes}
    before, after = filters.bounds(profile, now), filters.bounds(profile, then)
    annotations, ledger = store.frame(state.artefacts["annotations"]), store.frame(state.artefacts["ledger"])
    kept = np.sort(np.concatenate([kept_rows(ledger), kept_rows(ledger, "anchor")]))
    kept = kept[kept < state.values["ingested"]]
    charged = ledger.filter((pl.col("status") == "removed") & pl.col("reason").is_in(list(before)))
    taken = charged["row"].to_numpy()
    going = filters.judge(annotations[kept], kept, after)
    still = [removal.rows for removal in filters.judge(annotations[taken], taken, after)]
    coming = np.setdiff1d(taken, np.concatenate([*still, taken[:0]]))
    text = store.frame(state.artefacts["text"], ["text"])["text"]
    return Preview(
        profile=profile,
        thresholds=then,
        rules=_rules(annotations, np.concatenate([kept, taken]), before, after, changes),
        going=_listed(going, ledger, text),
        coming=charged.filter(pl.col("row").is_in(coming)).select(
            "id", rule="reason", value="score", limit="threshold", text=_excerpts(text, coming)
        ),
        refused=_refused(store, config, state, ledger, after),
    )


def _rules(
    annotations: pl.DataFrame,
    rows: np.ndarray,
    before: dict[str, filters.Bound],
    after: dict[str, filters.Bound],
    changes: Mapping[str, float | None],
) -> list[dict[str, Any]]:
    """Each changed rule with its limits, and how many of the rows that reached the rules fail it."""
    measured = annotations[rows]
    table = []
    for rule in changes:
        fails = {}
        for when, bounds in (("before", before), ("after", after)):
            one = {rule: bounds[rule]} if rule in bounds else {}
            found = filters.verdicts(measured, one)
            fails[when] = {
                "limit": bounds[rule].value if rule in bounds else None,
                "fails": int(found[rule].sum()) if one else 0,
            }
        table.append({"rule": rule, **fails})
    return table


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


def _refused(
    store: Store, config: Config, state: RunState, ledger: pl.DataFrame, rules: dict[str, filters.Bound]
) -> str | None:
    """Why the filter of a new run would be refused by its caps; None where they hold.

    It would judge every row of the input that has reached the filter: those that no earlier step took.
    """
    earlier = pl.col("stage").is_in(PREPARE[: PREPARE.index("filter")]) & (pl.col("status") == "removed")
    rows = ledger.filter((pl.col("origin") == "input") & ~earlier)["row"].to_numpy()
    removed = [one.rows for one in filters.judge(store.frame(state.artefacts["annotations"])[rows], rows, rules)]
    sources = None
    if state.values.get("source_column") is not None:
        sources = store.frame(state.artefacts["rows"], ["source"])["source"]
    gone = np.concatenate([*removed, rows[:0]])
    return refusal("filter", rows, gone, config.caps.clean_fraction, "caps.clean_fraction", sources)
