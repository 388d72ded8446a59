"""What each stage of the first separation gained, and what it took from whom: read from a run's log and artefacts.

Rows are charged once, to the stage that the ledger names as it stood when the first separation ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...state.events import Event
from ...state.rows import kept_rows
from ...state.run import RunState, fold
from ...state.store import Store
from .groups import groups

LOOP = "loop"  # what the actions removed after the first separation, all rounds together
LEAST_ROWS = 20  # of a group that is told apart
MOST_GROUPS = 50  # of a kind; the smaller ones are counted together
FAR = 2.0  # times the average share removed, or the average share kept divided by it
SIGNIFICANCE = 0.001  # over all groups together
_COVERED = 0.5  # of what the rows that came in have of a kind, the removed ones must have


@dataclass(frozen=True)
class _First:
    """The first separation: its steps in order, and the run as it stood when they had ended, or as it stands."""

    steps: list[Event]
    state: RunState
    ended: bool

    def ledger(self, store: Store) -> pl.DataFrame:
        """The row ledger as they left it."""
        return store.frame(self.state.artefacts["ledger"])


def _first_separation(events: list[Event]) -> _First:
    """The steps before ``hold_out``; what else the log holds until then is no step."""
    end = next((at for at, event in enumerate(events) if event.type == "hold_out"), None)
    steps = [event for event in events[:end] if event.state is not None]
    return _First(steps, fold(events if end is None else events[: end + 1]), end is not None)


def stages(store: Store, events: list[Event]) -> list[dict[str, Any]]:
    """What each stage of the first separation did, in order; empty before any row was read.

    Each has ``stage``, ``rows`` that came in, ``removed``, ``reasons`` (rows by reason), ``bytes`` of text that came
    in, ``bytes_removed``, ``seconds``, ``refused`` (the sentence, where its cap let nothing go) and ``gain``: with
    ``--ablate`` what it was worth to the probe (see ``agent/steps/ablation.py``), else None. Bytes are those of the text in
    UTF-8 as it was read, before it was normalised, so that one stage leaves what the next one finds.

    Args:
        store: holds the artefacts of the run.
        events: its log.
    """
    first = _first_separation(events)
    if "ledger" not in first.state.artefacts:
        return []
    sizes = _text_sizes(store, first.state.artefacts["rows"])
    removed = (
        first.ledger(store)
        .filter(pl.col("status") == "removed")
        .join(sizes, on="row")
        .group_by("event", "reason")
        .agg(pl.len().alias("rows"), pl.col("bytes").sum())
        .sort("event", "rows", "reason", descending=[False, True, False])
    )
    gains = {one["stage"]: one for event in events if event.type == "ablate" for one in event.metrics["stages"]}
    rows, size, table = sizes.height, int(sizes["bytes"].sum()), []
    for step in first.steps:
        mine = removed.filter(pl.col("event") == step.seq)
        gone, lost = int(mine["rows"].sum()), int(mine["bytes"].sum())
        table.append(
            {
                "stage": step.type,
                "rows": rows,
                "removed": gone,
                "reasons": dict(mine.select("reason", "rows").iter_rows()),
                "bytes": size,
                "bytes_removed": lost,
                "seconds": step.seconds or 0.0,
                "refused": "; ".join(step.reasons) if step.outcome == "refused" else None,
                "gain": gains.get(step.type),
            }
        )
        rows, size = rows - gone, size - lost
    return table


def _text_sizes(store: Store, ref: str) -> pl.DataFrame:
    """``row`` and ``bytes`` (uint64) of every text as read; only lengths are held in memory, never the texts."""
    length = pl.col("text").str.len_bytes().fill_null(0).cast(pl.UInt64).alias("bytes")
    return pl.scan_parquet(store.verified_path(ref)).select("row", length).collect(engine="streaming")


def taken(store: Store, events: list[Event]) -> list[dict[str, Any]]:
    """From whom each stage took: rates of removal by label, language, source, domain and cluster.

    One entry for each stage that removed rows, after them ``loop``, and each group of at least ``LEAST_ROWS`` rows of
    the input, at most ``MOST_GROUPS`` of a kind (the largest): ``stage``, ``kind``, ``group`` (None: all smaller groups
    together, ``groups`` of them), ``rows`` that came in, ``removed``, ``rate``, ``average`` (the stage's rate over all
    rows that came in) and ``high``. Left out are a kind with a single group, languages in the stage that removes by
    language, and a kind that the rows a stage removed seldom have (clusters, where they were never embedded).

    ``high`` is a group hit far above the average: its rate is at least ``FAR`` times the average, or the share it keeps
    at most the average share divided by ``FAR``; and so many of its rows are gone that drawing as many rows at random
    from all that came in would reach it with a probability below ``SIGNIFICANCE`` divided by the number of groups
    tested (hypergeometric test, one-sided; Bonferroni). The first bound says that the difference matters, the second
    that it is no chance; neither says that it is wrong.

    Args:
        store: holds the artefacts of the run.
        events: its log.
    """
    first, now = _first_separation(events), fold(events)
    if "ledger" not in first.state.artefacts:
        return []
    names, exits = _exits(store, first, now)
    everyone = _entered_and_removed(np.bincount(exits, minlength=len(names) + 1)[None, :])
    found = []
    for kind, members in groups(store, first.state, now, len(exits)).items():
        table = _tally(members, exits, len(names) + 1)
        if table is not None:
            found += _entries(kind, names, table, everyone)
    return _called_out(sorted(found, key=lambda entry: names.index(entry["stage"])))


_HELD_OUT = "hold_out"  # an exit that is no removal: the loop cannot take the anchor's rows


def _exits(store: Store, first: _First, now: RunState) -> tuple[list[str], np.ndarray]:
    """The stages in order, and by position the number of the one at which a row left: intp [n]; their number: none."""
    ledger = first.ledger(store)
    names = [step.type for step in first.steps] + ([_HELD_OUT, LOOP] if first.ended else [])
    removed = (ledger["status"] == "removed").to_numpy()
    exits = np.full(ledger.height, len(names))
    exits[removed] = np.searchsorted([step.seq for step in first.steps], ledger["event"].to_numpy()[removed])
    if first.ended:
        exits[kept_rows(ledger, "anchor")] = names.index(_HELD_OUT)
        later = (store.frame(now.artefacts["ledger"], ["status"])["status"] == "removed").head(ledger.height)
        exits[later.to_numpy() & (exits == len(names))] = names.index(LOOP)
    return names, exits


def _entered_and_removed(left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that came to each stage and that it removed, int64 [groups, stages], from the rows that left at each stage
    or, in the last column, at none: int64 [groups, stages + 1]."""
    removed = left[:, :-1]
    return left.sum(axis=1, keepdims=True) - np.cumsum(removed, axis=1) + removed, removed


def _tally(members: pl.Series, exits: np.ndarray, width: int) -> tuple[list[tuple[str | None, int]], np.ndarray] | None:
    """The groups told apart, with the groups each stands for, and the rows of each by exit: int64 [groups, width]."""
    tally = pl.DataFrame({"group": members, "exit": exits}).drop_nulls().group_by("group", "exit").len()
    totals = tally.group_by("group").agg(pl.col("len").sum()).sort("len", "group", descending=[True, False])
    if totals.height < 2:
        return None
    shown = totals.filter(pl.col("len") >= LEAST_ROWS).head(MOST_GROUPS).select("group").with_row_index("place")
    placed = tally.join(shown, on="group", how="left").with_columns(pl.col("place").fill_null(shown.height))
    rows = np.zeros((shown.height + 1, width), dtype=np.int64)
    for at, exit, count in placed.group_by("place", "exit").agg(pl.col("len").sum()).iter_rows():
        rows[at, exit] = count
    named: list[tuple[str | None, int]] = [(name, 1) for name in shown["group"]]
    if (others := totals.height - shown.height) == 0:
        return named, rows[:-1]
    return [*named, (None, others)], rows


def _entries(
    kind: str,
    names: list[str],
    table: tuple[list[tuple[str | None, int]], np.ndarray],
    everyone: tuple[np.ndarray, np.ndarray],
) -> list[dict[str, Any]]:
    """The entries of one kind, with the probability ``p`` of so many removals by chance."""
    from scipy.stats import hypergeom

    named, left = table
    entered, removed = _entered_and_removed(left)
    all_entered, all_removed = (counts[0] for counts in everyone)
    chance = hypergeom.sf(removed - 1, all_entered, all_removed, entered)
    # The share of the removed rows that have a group, against that share of all rows that came in.
    told = removed.sum(axis=0) * all_entered >= _COVERED * entered.sum(axis=0) * all_removed
    found = []
    for at, stage in enumerate(names):
        if not all_removed[at] or not told[at] or stage in (_HELD_OUT, kind):
            continue
        average = float(all_removed[at] / all_entered[at])
        for group, (name, count) in enumerate(named):
            rows, gone = int(entered[group, at]), int(removed[group, at])
            if rows:
                found.append(
                    {
                        "stage": stage,
                        "kind": kind,
                        "group": name,
                        "groups": count,
                        "rows": rows,
                        "removed": gone,
                        "rate": round(gone / rows, 6),
                        "average": round(average, 6),
                        "p": float(chance[group, at]),
                    }
                )
    return found


def _called_out(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries with ``high`` in the place of ``p``; groups counted together are not tested."""
    tested = sum(entry["group"] is not None for entry in entries)
    for entry in entries:
        rate, average, p = entry["rate"], entry["average"], entry.pop("p")
        far = rate >= FAR * average or 1 - rate <= (1 - average) / FAR
        entry["high"] = entry["group"] is not None and far and p < SIGNIFICANCE / tested
    return entries
