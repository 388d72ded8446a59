"""Taking rows out and bringing rows back: what ``prune`` and ``refilter`` do, in the loop and again in the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...state.config import Config, SemanticParams
from ...state.decision import Decision
from ...state.progress import Advance, silent
from ...state.rows import Removal, kept_rows, remove_rows, restore_rows
from ...state.run import RunState
from ...state.store import Store
from ...tools.judge.select import DEDUPLICATE, prune_cluster, standing
from ...tools.repeats import dedup
from ...tools.repeats.semantic import keep_order, semantic_duplicates
from ...tools.text import filters
from ...tools.vectors.neighbors import NeighborGraph
from ..decide.caps import refusal
from ..decide.facts import doubtful, row_quality, strictness
from ..session import derived_seed
from .measured import neighbors_among
from .separation import contamination, quality_of_rules


@dataclass(frozen=True)
class Change:
    """The ledger that an action leaves, and the rows removed or brought back; or why it is refused."""

    ledger: pl.DataFrame
    rows: int = 0
    refused: str | None = None


def changed(
    store: Store, config: Config, state: RunState, decision: Decision, event: int, advance: Advance = silent
) -> Change:
    """Carry out a ``prune`` or a ``refilter`` on a copy of the ledger; one that passes a cap is refused whole.

    Args:
        store: holds the artefacts of ``state``.
        config: the caps, and the run's seed.
        state: the run as it stands.
        decision: the action.
        event: seq of the event that will tell of it.
        advance: told the rows whose text was looked at.
    """
    ledger = store.frame(state.artefacts["ledger"])
    back, stage = np.zeros(0, dtype=np.uint32), "act"
    if decision.action == "prune" and decision.params["strategy"] == DEDUPLICATE:
        known = {name: value for name, value in decision.params.items() if name in SemanticParams.model_fields}
        kept = kept_rows(ledger)
        _, graph = neighbors_among(store, state, kept)
        removals = [alike(store, state, SemanticParams(**known), kept, graph)]
    elif decision.action == "prune":
        removals = [_pruned(store, config, state, decision.params)]
    elif "quality_below" in decision.params:
        annotations, scores = store.frame(state.artefacts["annotations"]), store.frame(state.artefacts["quality"])
        below = decision.params["quality_below"]
        removals = [doubtful(state.values, annotations, scores, kept_rows(ledger), below)]
    else:
        back, removals = _judged_again(store, config, state, decision.params["thresholds"], ledger, advance)
        stage = "filter"
    removed = np.concatenate([removal.rows for removal in removals] or [back[:0]])
    if refused := _past_caps(store, config, state, decision.action, ledger, removed):
        return Change(ledger, refused=refused)
    ledger = restore_rows(ledger, back, "act", "refilter", event)
    for removal in removals:
        ledger = remove_rows(ledger, removal, stage, event)
    return Change(ledger, len(back) + len(removed))


def alike(store: Store, state: RunState, params: SemanticParams, rows: np.ndarray, graph: NeighborGraph) -> Removal:
    """The kept rows that say what another kept row says. No synthetic row makes a real one go.

    Args:
        store: holds the artefacts of ``state``.
        state: the run as it stands.
        params: what counts as the same, and which row stays.
        rows: positions of the kept rows, uint32 [n], ascending.
        graph: the neighbours among them.
    """
    measured = _measured(store, state, params, rows)
    order = keep_order(params.which_to_keep, len(rows), measured, rows >= state.values["ingested"])
    return semantic_duplicates(graph, rows, params, order)


def _measured(store: Store, state: RunState, params: SemanticParams, rows: np.ndarray) -> np.ndarray | None:
    """What decides which of two like rows stays, [n]; without a quality score, the quality rules' suspicion."""
    if params.which_to_keep == "longest":
        text = store.frame(state.artefacts["text"], ["text"])["text"].gather(rows)
        return text.str.len_chars().fill_null(0).to_numpy()
    if params.which_to_keep == "best_quality":
        if "quality" in state.artefacts:
            return row_quality(store.frame(state.artefacts["quality"]), rows)
        return -strictness(state.values, store.frame(state.artefacts["annotations"]), rows)
    if params.which_to_keep == "first":
        return None
    similarity = store.frame(state.artefacts["labels"], ["similarity"])["similarity"]
    return similarity.fill_nan(None).fill_null(0.0).to_numpy()  # noise is far from every centroid


def _pruned(store: Store, config: Config, state: RunState, params: dict[str, Any]) -> Removal:
    """Rows of some clusters. What is noted of a row is its cosine to the centroid, or its standing where a quality
    score has half a say."""
    labels = store.frame(state.artefacts["labels"])
    learned = store.frame(state.artefacts["quality"]) if "quality" in state.artefacts else None
    taken, scores = [], []
    for number in params["clusters"]:
        members = labels.filter(pl.col("cluster") == number)
        similarity = members["similarity"].fill_nan(None).fill_null(0.0).to_numpy()
        seed = derived_seed(config, 4, state.round, number + 1)
        rows = members["row"].to_numpy()
        quality = None if learned is None else row_quality(learned, rows)
        chosen = prune_cluster(similarity, params["strategy"], params["keep_fraction"], seed, quality)
        measured = similarity
        if quality is not None and params["strategy"] in ("keep_furthest", "keep_closest"):
            measured = standing(similarity, params["strategy"], quality)
        taken.append(rows[chosen])
        scores.append(measured[chosen])
    rows = np.concatenate(taken)
    order = np.argsort(rows)
    return Removal(f"prune_{params['strategy']}", rows[order], np.concatenate(scores)[order])


def _judged_again(
    store: Store,
    config: Config,
    state: RunState,
    thresholds: dict[str, float | None],
    ledger: pl.DataFrame,
    advance: Advance,
) -> tuple[np.ndarray, list[Removal]]:
    """Rows that come back under new thresholds, unless they nearly repeat a kept row, and those that now fail."""
    bounds = filters.bounds(state.values["profile"], thresholds)
    annotations = store.frame(state.artefacts["annotations"])
    kept = kept_rows(ledger)
    filtered = ledger.filter((pl.col("status") == "removed") & (pl.col("stage") == "filter"))["row"].to_numpy()
    still_failing = [removal.rows for removal in filters.judge(annotations[filtered], filtered, bounds)]
    back = np.setdiff1d(filtered, np.concatenate(still_failing or [filtered[:0]]))
    back = _unseen(store, config, state, back)
    settled = np.concatenate([kept, kept_rows(ledger, "anchor")])
    rows = np.concatenate([settled, back])
    text = store.frame(state.artefacts["text"], ["text"])["text"].gather(rows).fill_null("")
    signatures = dedup.signatures(text, config.dedup, advance)
    quality = quality_of_rules(annotations, rows, state.values, config)
    params = config.dedup.model_copy(
        update={"target_rows": None}
    )  # what comes back repeats nothing, whatever the target
    repeats = dedup.near_duplicates(text, rows, signatures, params, len(settled), quality=quality)
    return np.setdiff1d(back, repeats.rows), filters.judge(annotations[kept], kept, bounds)


def _unseen(store: Store, config: Config, state: RunState, rows: np.ndarray) -> np.ndarray:
    """Those of ``rows`` (positions, uint32 [n]) that stand in no corpus and hold no text of a benchmark."""
    if "in_corpus" in state.artefacts:
        rows = np.setdiff1d(rows, store.frame(state.artefacts["in_corpus"], ["row"])["row"].to_numpy())
    if "matches" in state.artefacts:
        text = store.frame(state.artefacts["text"], ["text"])["text"].gather(rows).fill_null("")
        found = contamination(text, rows, store.frame(state.artefacts["benchmarks"]), config)
        rows = np.setdiff1d(rows, found.matches["row"].to_numpy())
    return rows


def _past_caps(
    store: Store, config: Config, state: RunState, step: str, ledger: pl.DataFrame, removed: np.ndarray
) -> str | None:
    """The caps: of one step, of all actions together, and of a whole source. Synthetic rows count for none of them."""
    caps, ingested = config.caps, state.values["ingested"]
    kept, removed = (rows[rows < ingested] for rows in (kept_rows(ledger), removed))
    cleaned = state.values["cleaned_rows"] - len(kept_rows(ledger, "anchor"))
    if len(kept) - len(removed) < (1 - caps.total_fraction) * cleaned:
        return (
            f"{step} would leave {len(kept) - len(removed):,} of {cleaned:,} cleaned rows, below the floor of "
            f"{1 - caps.total_fraction:.0%} (caps.total_fraction); nothing was removed"
        )
    sources = None
    if state.values.get("source_column") is not None:
        sources = store.frame(state.artefacts["rows"], ["source"])["source"]
    return refusal(step, kept, removed, caps.step_fraction, "caps.step_fraction", sources)
