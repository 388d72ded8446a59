"""What a decision rests on besides the report: the facts and the budget, derived alike by the loop and the audit."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from ...state.actions import EditRows
from ...state.canonical import sha256_bytes, sha256_json
from ...state.decision import Budget, Facts, RoundRecord
from ...state.events import Event, Measure, Override, StepEvent
from ...state.params.vectors import ClusterParams
from ...state.report import ClusterReport
from ...state.rows import Removal, kept_rows, synthetic_rows
from ...tools.text import filters
from ...tools.vectors.evidence import LOW_QUALITY
from ..view import View
from .caps import synthetic_bound
from .decide import converged
from .suspects import mark_counts, suspect_counts

History = tuple[RoundRecord, ...]

REFILTER_QUALITY = "refilter_quality"
LOOSER = 1.5  # how much a refilter candidate loosens the rule that took most rows


def strictness(view: View, rows: np.ndarray) -> np.ndarray:
    """How close positions (uint32 [n]) are to the limits of the quality rules in force: float32 [n] in [0, 1]."""
    values = view.values
    if values.profile == "none":
        return np.zeros(len(rows), dtype=np.float32)
    return filters.strictness(view.frame("annotations")[rows], filters.bounds(values.profile, values.thresholds))


def row_quality(view: View, rows: np.ndarray) -> np.ndarray | None:
    """The predicted quality of embedded positions (uint32 [n]): float32 [n] in [0, 5]; None where none was learned."""
    if not view.has("quality"):
        return None
    scores = view.frame("quality")
    return scores["score"].to_numpy()[np.searchsorted(scores["row"].to_numpy(), rows)]


def doubtful(view: View, rows: np.ndarray, below: float | None) -> Removal:
    """The rows that the quality rules suspect and that score below ``below``: neither is enough alone.

    Args:
        view: the run.
        rows: embedded positions, uint32 [n], ascending.
        below: a score; None where none was learned.
    """
    score = row_quality(view, rows)
    if score is None or below is None or not len(rows):
        return Removal(REFILTER_QUALITY, rows[:0])
    both = (strictness(view, rows) >= LOW_QUALITY) & (score < np.float32(below))
    return Removal(REFILTER_QUALITY, rows[both], score[both].astype(np.float64), below)


def state_key(rows: np.ndarray, clustering: ClusterParams) -> str:
    """A short name for a state of the data: its kept rows (positions, uint32 [n]) and how they are clustered."""
    return sha256_json([sha256_bytes(rows.tobytes()), clustering.model_dump(mode="json")])[:16]


def rows_key(view: View, rows: np.ndarray) -> str:
    """A short name for kept rows (positions, uint32 [n]) and the labels they have."""
    return sha256_json([sha256_bytes(rows.tobytes()), view.state.artefacts.get("relabelled")])[:16]


def critique_key(report: ClusterReport) -> str:
    """A short name for what a critic judges: the same report in a later round has the same name."""
    return sha256_json(report.model_dump(mode="json", exclude={"round"}))[:16]


def gather_budget(view: View) -> Budget:
    """What is left when the events so far have been logged; a killed step's time is not counted, nor is a round in
    which a person said what becomes of single rows."""
    stop, llm = view.config.stop, view.config.llm
    history = view.history()
    spent = sum(event.seconds for event in view.events if isinstance(event, StepEvent)) / 60.0
    usd, tokens = spent_on_models(view.events)
    return Budget(
        rounds_left=stop.max_rounds - sum(not isinstance(record.action, EditRows) for record in history),
        minutes_left=None if stop.max_minutes is None else round(stop.max_minutes - spent, 3),
        usd_left=None if llm.max_usd is None else round(llm.max_usd - usd, 8),
        tokens_left=None if llm.max_tokens is None else llm.max_tokens - tokens,
        held_still=converged(_since_override(history, view.events), stop, view.config.objective),
    )


def _since_override(history: History, events: Sequence[Event]) -> History:
    """The rounds since a person last overrode a measurement, or said what becomes of single rows: it moved the data."""
    measured = 0
    for event in reversed(events):
        edited = isinstance(event, Measure) and isinstance(event.record.action, EditRows)
        if isinstance(event, Override) or edited:
            return history[len(history) - measured :]
        measured += isinstance(event, Measure)
    return history


def spent_on_models(events: Iterable[Event]) -> tuple[float, int]:
    """Dollars and tokens that the logged calls cost, those that may have been billed in vain included."""
    calls = [call for event in events for call in event.llm]
    return sum(call.usd or 0.0 for call in calls), sum(sum(call.usage.values()) + call.unsure_tokens for call in calls)


def gather_facts(view: View) -> Facts:
    """The facts of the data in force."""
    config, values, ledger = view.config, view.values, view.ledger()
    filtered = ledger.filter((pl.col("status") == "removed") & (pl.col("stage") == "filter"))["reason"].value_counts()
    by_rule = dict(sorted(filtered.iter_rows()))
    refilters = {}
    if values.profile != "none":
        bounds = filters.bounds(values.profile, values.thresholds)
        for rule in by_rule:
            if looser := filters.loosened(bounds, rule, LOOSER):
                refilters[rule] = {**values.thresholds, **looser}
    rows = kept_rows(ledger)
    synthetic = len(synthetic_rows(ledger))
    bound = synthetic_bound(len(rows) - synthetic, config.caps.synthetic_fraction)
    return Facts(
        state_key=state_key(rows, view.clustering),
        rows_key=rows_key(view, rows),
        kept=len(rows),
        cleaned=values.cleaned_rows - len(view.held_out()),
        clustering=view.clustering,
        filtered=by_rule,
        refilters=refilters,
        language_model=config.llm.model is not None,
        text=config.load.vector_column is None,
        granularity=values.granularity,
        thresholds=values.thresholds,
        quality_below=view.quality_below,
        suspects=suspect_counts(view),
        marked=mark_counts(view),
        doubtful=values.doubtful,
        semantic=config.semantic,
        alike=values.alike,
        synthetic=synthetic,
        synthesis_room=max(0, min(config.synthesis.max_rows, bound - synthetic)),
    )
