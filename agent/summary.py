"""What a run came to, read from its log and store: the object ``--json`` prints and the tables a person sees."""

from __future__ import annotations

import resource
import sys
from typing import Any

import polars as pl

from ..state.decision import RoundRecord
from ..state.events import Event
from ..state.log import EventLog
from ..state.rows import counts, removed_by_reason
from ..state.run import RunDirectory, RunState, fold
from ..state.store import Store


def peak_memory_mb() -> float:
    """The largest resident size this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def rounds(events: list[Event]) -> list[dict[str, Any]]:
    """One entry per decided round: the finished experiments, and the ``stop`` that had none."""
    table: list[dict[str, Any]] = []
    state = RunState()
    embedded = 0
    why: list[str] = []
    for event in events:
        if event.type == "decide":
            why = event.reasons
        embedded = (0 if event.type == "embed" else embedded) + int(event.metrics.get("embedded", 0))
        if event.type == "measure":
            record = RoundRecord.model_validate(event.metrics["record"])
            shown = (
                "round",
                "action",
                "params",
                "kept",
                "k",
                "embedded",
                "outcome",
                "label_agreement",
                "keep_agreement",
            )
            table.append(
                {
                    **record.model_dump(mode="json", include=set(shown)),
                    "reasons": why,
                    "verdict": list(record.reasons),
                    "noise": _noise(record),
                    "metrics": (record.after or record.before).model_dump(mode="json"),
                    "before": record.before.model_dump(mode="json"),
                }
            )
        elif event.type == "decide" and event.action == "stop":
            table.append(
                {
                    "round": state.round,
                    "action": "stop",
                    "params": {},
                    "kept": event.metrics["kept"],
                    "k": event.metrics["k"],
                    "embedded": embedded,
                    "outcome": "stopped",
                    "label_agreement": 1.0,
                    "keep_agreement": 1.0,
                    "reasons": why,
                    "verdict": [],
                    "noise": None,
                    "metrics": state.values.get("objective"),
                    "before": state.values.get("objective"),
                }
            )
        state.apply(event)
    return table


def _noise(record: RoundRecord) -> dict[str, float] | None:
    """What the changes of the objective and of the probe were held against."""
    if record.verdict is None:
        return None
    return {"value": record.verdict.objective_noise, "probe": record.verdict.probe_noise}


def funnel(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows removed by stage and reason, in the order of the stages; the first entry is what was ingested."""
    removed = (
        ledger.filter(pl.col("status") == "removed")
        .group_by("stage", "reason")
        .agg(pl.len().alias("rows"), pl.col("event").min())
        .sort("event", "rows", "reason", descending=[False, True, False])
    )
    return [
        {"stage": "load", "reason": "ingested", "rows": counts(ledger)["ingested"]},
        *removed.select("stage", "reason", "rows").to_dicts(),
    ]


def seconds_by_step(events: list[Event]) -> dict[str, float]:
    """Seconds each step took, over all rounds and attempts."""
    seconds: dict[str, float] = {}
    for event in events:
        if event.seconds is not None:
            seconds[event.type] = round(seconds.get(event.type, 0.0) + event.seconds, 3)
    return seconds


def summary(run: RunDirectory) -> dict[str, Any]:
    """The whole run as one JSON object.

    Raises:
        IntegrityError: the log or an artefact was changed.
    """
    log, store = EventLog(run.log), Store(run.artifacts)
    state: RunState = fold(log.events)
    ledger = store.frame(state.artefacts["ledger"])
    return {
        "run": str(run.root),
        "rows": {"quarantined": state.values.get("quarantined", 0), **counts(ledger)},
        "anchor": ledger.filter(pl.col("split") == "anchor").height,
        "removed_by_reason": removed_by_reason(ledger),
        "funnel": funnel(ledger),
        "rounds": rounds(log.events),
        "converged": state.values.get("converged", False),
        "stop_reason": state.values.get("stop_reason"),
        "models": state.values.get("models", []),
        "curated_sha256": state.values.get("curated_sha256"),
        "log_head": log.head,
        "seconds": seconds_by_step(log.events),
        "peak_memory_mb": peak_memory_mb(),
    }
