"""What a decision rests on besides the report: the facts and the budget, derived alike by the loop and the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..state.canonical import sha256_bytes, sha256_json
from ..state.config import ObjectiveParams, StopParams
from ..state.decision import Budget, RoundRecord
from ..state.events import Event
from ..state.rows import kept_rows
from ..tools import filters
from .candidates import Facts
from .converge import converged

History = tuple[RoundRecord, ...]

LOOSER = 1.5  # how much a refilter candidate loosens the rule that took most rows


def state_key(rows: np.ndarray, clustering: dict[str, Any]) -> str:
    """A short name for a state of the data: its kept rows (positions, uint32 [n]) and how they are clustered."""
    return sha256_json([sha256_bytes(rows.tobytes()), clustering])[:16]


def gather_budget(stop: StopParams, objective: ObjectiveParams, history: History, events: Sequence[Event]) -> Budget:
    """What is left when the events so far have been logged; a killed step's time is not counted."""
    spent = sum(event.seconds or 0.0 for event in events) / 60.0
    return Budget(
        rounds_left=stop.max_rounds - len(history),
        minutes_left=None if stop.max_minutes is None else round(stop.max_minutes - spent, 3),
        held_still=converged(history, stop, objective),
    )


def gather_facts(values: dict[str, Any], ledger: pl.DataFrame) -> Facts:
    """The facts of the data in force: ``values`` of the run's state, and its ledger."""
    filtered = ledger.filter((pl.col("status") == "removed") & (pl.col("stage") == "filter"))["reason"].value_counts()
    by_rule = dict(sorted(filtered.iter_rows()))
    refilters = {}
    if values["profile"] != "none":
        bounds = filters.bounds(values["profile"], values["thresholds"])
        for rule in by_rule:
            if looser := filters.loosened(bounds, rule, LOOSER):
                refilters[rule] = {**values["thresholds"], **looser}
    rows = kept_rows(ledger)
    return Facts(
        state_key=state_key(rows, values["clustering"]),
        kept=len(rows),
        cleaned=values["cleaned_rows"] - len(kept_rows(ledger, "anchor")),
        clustering=values["clustering"],
        filtered=by_rule,
        refilters=refilters,
        language_model=False,
    )
