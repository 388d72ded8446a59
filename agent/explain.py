"""Why one row stayed or went: its way through the log."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import polars as pl

from ..state.errors import UsageError
from ..state.events import Event
from ..state.log import read_log
from ..state.rows import LEDGER_SCHEMA
from ..state.run import RunDirectory, fold
from ..state.store import Store


def explain(root: Path, row_id: str) -> dict[str, Any]:
    """The ledger line of a row now, and every step that changed it or would have.

    Returns:
        ``{"row": {…ledger columns, text}, "steps": [{event, round, type, what, …}]}``.

    Raises:
        UsageError: the run has no such row; the nearest id is named.
        IntegrityError: the log or an artefact was changed.
    """
    run = RunDirectory.open(root)
    events, _ = read_log(run.log)
    state, store = fold(events), Store(run.artifacts)
    if "ledger" not in state.artefacts:
        raise UsageError(f"{root} has not read its rows yet")
    now = _line(store, state.artefacts["ledger"], row_id)
    if now is None:
        ids = store.frame(state.artefacts["ledger"], ["id"])["id"].head(100_000).to_list()
        nearest = difflib.get_close_matches(row_id, ids, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise UsageError(f"{root} has no row {row_id!r}{hint}")
    text = store.frame(state.artefacts["rows"], ["text"])["text"][now["row"]]
    if now["origin"] == "synthesis":
        written = store.frame(state.artefacts["synthetic"]).filter(pl.col("row") == now["row"])
        now |= written.select("generator", "seeds").row(0, named=True)
    return {"row": {**now, "text": text}, "steps": _steps(store, events, row_id)}


def _line(store: Store, ref: str, row_id: str) -> dict[str, Any] | None:
    path = store.verified_path(ref)
    found = pl.scan_parquet(path).filter(pl.col("id") == row_id).select(list(LEDGER_SCHEMA)).collect()
    return found.row(0, named=True) if found.height else None


def _steps(store: Store, events: list[Event], row_id: str) -> list[dict[str, Any]]:
    """The changes of the row's line from ledger to ledger; a trial says what became of it."""
    steps: list[dict[str, Any]] = []
    before: dict[str, Any] | None = None
    round_now = 0
    for event in events:
        if event.state is None:
            continue
        round_now = event.state.round if event.state.round is not None else round_now
        ref = event.state.artefacts.get("trial_ledger") or event.state.artefacts.get("ledger")
        if event.type == "measure" and steps and steps[-1].get("trial") == round_now:
            steps[-1]["outcome"] = event.outcome
            steps[-1]["why"] = list(event.reasons)
            if event.outcome != "kept":
                before = steps[-1].pop("before")
            continue
        if not ref:
            continue
        line = _line(store, ref, row_id)
        if line is not None and line != before:
            step = {"event": event.seq, "round": round_now, "step": event.type, **line}
            if event.type == "act":
                step |= {"trial": round_now, "action": event.action, "before": before}
            steps.append(step)
            before = line
    for step in steps:
        step.pop("before", None)
        step.pop("trial", None)
    return steps


def told(found: dict[str, Any]) -> list[str]:
    """What ``explain`` found, in lines for a person; text of the data is in them as it is."""
    row = found["row"]
    lines = [f"row {row['id']} (position {row['row']}): {row['status']}{_because(row)}"]
    lines.append(f"  text: {(row['text'] or '')[:300]}")
    if row["origin"] == "synthesis":
        lines.append(f"  written by {row['generator']} after the rows {', '.join(row['seeds'])}")
    for step in found["steps"]:
        said = f"  event {step['event']}, {step['step']}"
        if step["round"]:
            said += f", round {step['round']}"
        said += f": {step['status']}{_because(step)}"
        if "outcome" in step:
            said += f" on trial; the trial was {step['outcome'].replace('_', ' ')}: {'; '.join(step['why'])}"
        lines.append(said)
    return lines


def _because(line: dict[str, Any]) -> str:
    said = f" by {line['stage']}: {line['reason']}" if line["status"] == "removed" else f" ({line['reason']})"
    if line["score"] is not None:
        said += f", score {line['score']:.4f}"
    if line["threshold"] is not None:
        said += f", threshold {line['threshold']:g}"
    if line["duplicate_of"] is not None:
        said += f", duplicate of row {line['duplicate_of']}"
    return said
