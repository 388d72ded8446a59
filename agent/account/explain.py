"""Why one row stayed or went: its way through the log."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import polars as pl

from ...state.errors import UsageError
from ...state.events import Event
from ...state.log import read_log
from ...state.rows import LEDGER_SCHEMA
from ...state.run import RunDirectory, RunState, fold
from ...state.store import Store

_SEED_TEXT = 100  # characters of a seed that are told


def explain(root: Path, row_id: str) -> dict[str, Any]:
    """The ledger line of a row now, and every step that changed it or would have.

    Returns:
        ``{"row": {…ledger columns, text, …}, "steps": [{event, round, type, what, …}]}``. The row has its ``cluster``,
        its ``quality``, its ``labels`` and, if a language model wrote it, ``generator``, ``seeds`` and
        ``seed_texts``, each where there is one.

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
        now["seed_texts"] = _texts(store, state, now["seeds"])
    return {"row": {**now, "text": text, **_known(store, state, now["row"])}, "steps": _steps(store, events, row_id)}


def _known(store: Store, state: RunState, row: int) -> dict[str, Any]:
    """The row's cluster, predicted quality and labels, as far as it has them."""
    found: dict[str, Any] = {}
    for role, column, name in (("labels", "cluster", "cluster"), ("quality", "score", "quality")):
        if line := _at(store, state, role, row):
            found[name] = line[column]
    if labels := _at(store, state, "row_labels", row):
        found["labels"] = {name: labels[name] for name in ("domain", "tags", "difficulty", "labelled_by")}
    return found


def _at(store: Store, state: RunState, role: str, row: int) -> dict[str, Any] | None:
    """The line of a position in the table of a role; None where there is neither."""
    if role not in state.artefacts:
        return None
    found = store.frame(state.artefacts[role]).filter(pl.col("row") == row)
    return found.row(0, named=True) if found.height else None


def _texts(store: Store, state: RunState, ids: list[str]) -> list[str]:
    """The texts of seeds: rows of the run, or written by hand."""
    rows = store.frame(state.artefacts["rows"], ["id", "text"]).filter(pl.col("id").is_in(ids))
    known = dict(rows.iter_rows())
    if "seeds" in state.artefacts:
        known |= {seed["id"]: seed["text"] for seed in store.json(state.artefacts["seeds"])}
    return [known.get(id) or "" for id in ids]


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
        lines.append(f"  written by {row['generator']} after the rows")
        seeds = zip(row["seeds"], row["seed_texts"], strict=True)
        lines += [f"    {seed}: {text[:_SEED_TEXT]}" for seed, text in seeds]
    lines += _told_known(row)
    for step in found["steps"]:
        said = f"  event {step['event']}, {step['step']}"
        if step["round"]:
            said += f", round {step['round']}"
        said += f": {step['status']}{_because(step)}"
        if "outcome" in step:
            said += f" on trial; the trial was {step['outcome'].replace('_', ' ')}: {'; '.join(step['why'])}"
        lines.append(said)
    return lines


def _told_known(row: dict[str, Any]) -> list[str]:
    lines = []
    if "cluster" in row:
        lines.append(f"  cluster {row['cluster']}" + (" (noise: it belongs to none)" if row["cluster"] == -1 else ""))
    if "quality" in row:
        lines.append(f"  predicted quality {row['quality']:.2f} of 5")
    if labels := row.get("labels"):
        given = [labels["domain"], ", ".join(labels["tags"] or []), labels["difficulty"]]
        named = zip(("domain", "tags", "difficulty"), given, strict=True)
        said = "; ".join(f"{name} {value}" for name, value in named if value)
        by = f", given by {labels['labelled_by'].replace('_', '-')}" if labels["labelled_by"] else ""
        lines.append(f"  labels: {said or 'unsure'}{by}")
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
