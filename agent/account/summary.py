"""What a run came to, read from its log and store: the object ``--json`` prints and the tables a person sees."""

from __future__ import annotations

import resource
import sys
from typing import Any

import polars as pl

from ...state.decision import RoundRecord
from ...state.events import Event
from ...state.log import EventLog
from ...state.rows import counts, removed_by_reason
from ...state.run import RunDirectory, RunState, fold
from ...state.store import Store
from ..decide.facts import spent_on_models
from ..llm.budget import BUDGET
from .stages import stages, taken


def peak_memory_mb() -> float:
    """The largest resident size this process has had, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def rounds(events: list[Event]) -> list[dict[str, Any]]:
    """One entry per decided round: the finished experiments, the ``stop`` that had none, and what a person put in
    force against the measurement (``keep``, ``undo``), with the outcome ``by_person``."""
    table: list[dict[str, Any]] = []
    state = RunState()
    embedded = 0
    stood: dict[str, Any] = {}  # what the last decision was about
    rejected: list[dict[str, str]] = []
    for event in events:
        embedded = (0 if event.type == "embed" else embedded) + int(event.metrics.get("embedded", 0))
        if event.type == "decide":
            stood, rejected = event.metrics, event.rejected
        elif event.type == "measure":
            record = RoundRecord.model_validate(event.metrics["record"])
            table.append(
                {
                    **record.model_dump(mode="json", include=_SHOWN),
                    "reasons": state.values["decision"]["reasons"],
                    "rejected": rejected,
                    "verdict": list(record.reasons),
                    "noise": _noise(record),
                    "metrics": (record.after or record.before).model_dump(mode="json"),
                    "before": record.before.model_dump(mode="json"),
                }
            )
        elif event.type == "train":
            reasons = state.values["decision"]["reasons"]
            entry = _unmeasured("stop", "stopped", reasons, stood, state.values["objective"])
            table.append({**entry, "round": state.round, "embedded": embedded, "rejected": rejected})
        elif event.type in ("keep", "undo") and event.state is not None:
            entry = _unmeasured(
                event.type, "by_person", [_OVERRIDES[event.type]], event.metrics, state.values["objective"]
            )
            now = event.state.values.get("objective", state.values["objective"])
            table.append({**entry, "round": state.round, "embedded": embedded, "rejected": [], "metrics": now})
        state.apply(event)
    return table


_SHOWN = {"round", "action", "params", "kept", "k", "embedded", "outcome", "label_agreement", "keep_agreement"}
_OVERRIDES = {"keep": "a person overrode the measurement", "undo": "a person took the last change back"}


def _unmeasured(
    action: str, outcome: str, reasons: list[str], counted: dict[str, Any], objective: dict[str, Any]
) -> dict[str, Any]:
    """The entry of a round without a measurement; ``counted`` holds ``kept`` and ``k``."""
    return {
        "action": action,
        "params": {},
        "kept": counted["kept"],
        "k": counted["k"],
        "outcome": outcome,
        "label_agreement": 1.0,
        "keep_agreement": 1.0,
        "reasons": reasons,
        "verdict": [],
        "noise": None,
        "metrics": objective,
        "before": objective,
    }


def _noise(record: RoundRecord) -> dict[str, float] | None:
    """What the changes of the objective and of the probe were held against."""
    if record.verdict is None:
        return None
    return {"value": record.verdict.objective_noise, "probe": record.verdict.probe_noise}


def funnel(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of the input removed by stage and reason, in the order of the stages; first, what was ingested."""
    removed = (
        ledger.filter((pl.col("status") == "removed") & (pl.col("origin") == "input"))
        .group_by("stage", "reason")
        .agg(pl.len().alias("rows"), pl.col("event").min())
        .sort("event", "rows", "reason", descending=[False, True, False])
    )
    return [
        {"stage": "load", "reason": "ingested", "rows": counts(ledger)["ingested"]},
        *removed.select("stage", "reason", "rows").to_dicts(),
    ]


def syntheses(events: list[Event]) -> list[dict[str, Any]]:
    """One entry per ``synthesise`` action: seeds → generated → dropped by reason → kept, and the trial's outcome."""
    found = []
    state = RunState()
    for event in events:
        state.apply(event)
        if event.type == "act" and event.metrics.get("synthesis"):
            found.append({"round": state.round, "outcome": "on trial", **event.metrics["synthesis"]})
        elif event.type == "measure" and found and found[-1]["round"] == state.round:
            found[-1]["outcome"] = event.outcome
    return found


def seconds_by_step(events: list[Event]) -> dict[str, float]:
    """Seconds each step took, over all rounds and attempts."""
    seconds: dict[str, float] = {}
    for event in events:
        if event.seconds is not None:
            seconds[event.type] = round(seconds.get(event.type, 0.0) + event.seconds, 3)
    return seconds


def spent(events: list[Event]) -> dict[str, Any] | None:
    """What the language model was asked and cost, by the log; None where the run has none."""
    calls = [call for event in events for call in event.llm]
    if not events or events[0].params["config"]["llm"]["model"] is None:
        return None
    priced = all(call.usd is not None for call in calls)
    return {
        "model": events[0].params["config"]["llm"]["model"],
        "questions": len(calls),
        "requests": sum(call.attempts for call in calls),
        "cached": sum(call.cache_hit for call in calls),
        "unusable": sum(bool(call.problem) and call.response_sha is not None for call in calls),
        "not_asked": sum(call.problem == BUDGET for call in calls),
        "tokens": spent_on_models(events)[1],
        "usd": round(spent_on_models(events)[0], 6) if priced else None,
    }


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
        "stages": stages(store, log.events),
        "taken": taken(store, log.events),
        "rounds": rounds(log.events),
        "converged": state.values.get("converged", False),
        "stop_reason": state.values.get("stop_reason"),
        "models": state.values.get("models", []),
        "llm": spent(log.events),
        "synthesis": syntheses(log.events),
        "curated_sha256": state.values.get("curated_sha256"),
        "log_head": log.head,
        "seconds": seconds_by_step(log.events),
        "peak_memory_mb": peak_memory_mb(),
    }
