"""Taking rows out and bringing rows back: what each kind of action does to the ledger."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ....state.actions import (
    Action,
    Deduplicate,
    EditRows,
    Prune,
    Refilter,
    RefilterByQuality,
    Relabel,
    RemoveMarked,
    RemoveSuspects,
    Thresholds,
)
from ....state.params.preparation import SemanticParams
from ....state.phrases import Advance, silent
from ....state.rows import Removal, kept_rows, remove_rows, restore_rows, without
from ....tools.judge.select import prune_cluster, standing
from ....tools.repeats import dedup, minhash
from ....tools.repeats.semantic import keep_order, semantic_duplicates
from ....tools.text import filters
from ....tools.vectors.neighbors import NeighborGraph
from ...decide.caps import refusal
from ...decide.facts import doubtful, row_quality, strictness
from ...decide.person import REASON, pinned, with_edit
from ...decide.suspects import by_fault, marked, suspects
from ...view import View
from ..measured import neighbors_among
from ..probed import learns_labels
from ..repeats import contamination, keeping, of_one_label, quality_of_rules


@dataclass(frozen=True)
class LedgerChange:
    """The ledger that an action leaves, and the rows removed or brought back; or why it is refused."""

    ledger: pl.DataFrame
    rows: int = 0
    relabelled: pl.DataFrame | None = None  # all changed labels, where the action changes some: row, label
    answers: pl.DataFrame | None = None  # all that a person said of rows, where the action is one of theirs
    refused: str | None = None


def changed(view: View, action: Action, advance: Advance = silent) -> LedgerChange:
    """Take rows out, or bring rows back, on a copy of the ledger; a change that passes a cap is refused whole.
    Rows that a person keeps stay, unless the action is that person's.

    ``advance`` is told the rows whose text was looked at. An action that is about no row changes nothing.
    """
    if isinstance(action, EditRows):
        return _edited(view, action)
    ledger = view.ledger()
    back, stage, removals = np.zeros(0, dtype=np.uint32), "act", list[Removal]()
    relabelled: pl.DataFrame | None = None
    match action:
        case Deduplicate():
            params = SemanticParams(**action.model_dump(exclude={"action"}))
            kept = view.kept()
            removals = [alike(view, params, kept, neighbors_among(view, kept)[1])]
        case Prune():
            removals = [_pruned(view, action)]
        case RemoveSuspects():
            removals = by_fault(view.frame("evidence"), suspects(view, action))
        case Relabel():
            removal, relabelled = _relabelled(view, action)
            removals = [removal]
        case RemoveMarked():
            removals = [marked(view, action)]
        case RefilterByQuality(quality_below=below):
            removals = [doubtful(view, view.kept(), below)]
        case Refilter(thresholds=thresholds):
            back, removals = _judged_again(view, thresholds, advance)
            stage = "filter"
    stays = pinned(view)
    removals = [without(removal, stays) for removal in removals]
    removed = np.concatenate([removal.rows for removal in removals] or [back[:0]])
    if refused := _past_caps(view, action.action, removed):
        return LedgerChange(ledger, refused=refused)
    ledger = restore_rows(ledger, back, "act", "refilter", view.seq)
    for removal in removals:
        ledger = remove_rows(ledger, removal, stage, view.seq)
    new = 0 if relabelled is None else relabelled.height - changed_labels(view).height
    return LedgerChange(ledger, len(back) + len(removed) + new, relabelled)


def _edited(view: View, action: EditRows) -> LedgerChange:
    """What a person does with single rows."""
    ledger, rows = view.ledger(), np.asarray(action.rows, dtype=np.uint32)
    relabelled: pl.DataFrame | None = None
    refused = None
    match action.edit:
        case "drop":
            refused = _past_caps(view, "that", rows)
            after = remove_rows(ledger, Removal(REASON, rows), "act", view.seq)
        case "restore":
            if len(seen := np.setdiff1d(rows, _unseen(view, rows))):
                refused = (
                    f"row {ledger['id'][int(seen[0])]}, one of {len(seen):,}, nearly repeats a row that is held out, "
                    f"or stands in a benchmark or a corpus; nothing was changed"
                )
            after = restore_rows(ledger, rows, "act", REASON, view.seq)
        case "label":
            after, label = ledger, pl.lit(action.label)
            before = changed_labels(view).filter(~pl.col("row").is_in(rows))
            relabelled = pl.concat([before, pl.DataFrame({"row": rows}).with_columns(label=label)]).sort("row")
        case "protect":
            after = ledger
    if refused:
        return LedgerChange(ledger, refused=refused)
    changes = 0 if action.edit == "protect" else len(rows)
    return LedgerChange(after, changes, relabelled, with_edit(view, action))


def changed_labels(view: View) -> pl.DataFrame:
    """The labels that are changed already: row uint32, label string."""
    if view.has("relabelled"):
        return view.frame("relabelled")
    return pl.DataFrame(schema={"row": pl.UInt32, "label": pl.String})


def _relabelled(view: View, action: Relabel) -> tuple[Removal, pl.DataFrame]:
    """The suspect rows for which no other label is named, which go; and the labels once the others have theirs."""
    removal = suspects(view, action)
    evidence = view.frame("evidence", "row", "other_label")
    named = evidence.filter(pl.col("row").is_in(removal.rows) & pl.col("other_label").is_not_null())
    stays = np.isin(removal.rows, named["row"].to_numpy())
    before = changed_labels(view).filter(~pl.col("row").is_in(named["row"].implode()))
    after = pl.concat([before, named.rename({"other_label": "label"})]).sort("row")
    score = None if removal.score is None else removal.score[~stays]
    return Removal(removal.reason, removal.rows[~stays], score, removal.threshold), after


def alike(view: View, params: SemanticParams, rows: np.ndarray, graph: NeighborGraph) -> Removal:
    """The kept rows that say what another kept row says. No synthetic row makes a real one go.

    ``rows``: positions, uint32 [n], ascending; ``graph``: the neighbours among them.
    """
    order = keep_order(params.which_to_keep, len(rows), _merit(view, params, rows), rows >= view.values.ingested)
    return of_one_label(view, semantic_duplicates(graph, rows, params, order, view.text(rows)))


def _merit(view: View, params: SemanticParams, rows: np.ndarray) -> np.ndarray | None:
    """What decides which of two like rows stays, [n]; without a quality score, the quality rules' suspicion."""
    if params.which_to_keep == "longest":
        return view.texts().gather(rows).str.len_chars().fill_null(0).to_numpy()
    if params.which_to_keep == "best_quality":
        quality = row_quality(view, rows)
        return -strictness(view, rows) if quality is None else quality
    if params.which_to_keep == "first":
        return None
    similarity = view.frame("assignments", "similarity")["similarity"]
    return similarity.fill_nan(None).fill_null(0.0).to_numpy()  # noise is far from every centroid


def _pruned(view: View, action: Prune) -> Removal:
    """Rows of some clusters. What is noted of a row is its cosine to the centroid, or its standing where a quality
    score has half a say."""
    labels = view.frame("assignments")
    strategy = action.strategy
    taken, scores = [], []
    for number in action.clusters:
        members = labels.filter(pl.col("cluster") == number)
        similarity = members["similarity"].fill_nan(None).fill_null(0.0).to_numpy()
        rows = members["row"].to_numpy()
        quality = row_quality(view, rows)
        seed = view.seed(4, view.state.round, number + 1)
        chosen = prune_cluster(similarity, strategy, action.keep_fraction, seed, quality)
        measured = similarity
        if quality is not None and strategy in ("keep_furthest", "keep_closest"):
            measured = standing(similarity, strategy, quality)
        taken.append(rows[chosen])
        scores.append(measured[chosen])
    rows = np.concatenate(taken)
    order = np.argsort(rows)
    return Removal(f"prune_{strategy}", rows[order], np.concatenate(scores)[order])


def _judged_again(view: View, thresholds: Thresholds, advance: Advance) -> tuple[np.ndarray, list[Removal]]:
    """Rows that come back under new thresholds, unless they nearly repeat a kept row, and those that now fail."""
    ledger, config = view.ledger(), view.config
    bounds = filters.applied(filters.bounds(view.values.profile, thresholds), config.filter)
    annotations, kept = view.frame("annotations"), view.kept()
    filtered = ledger.filter((pl.col("status") == "removed") & (pl.col("stage") == "filter"))["row"].to_numpy()
    still_failing = [removal.rows for removal in filters.failing(annotations[filtered], filtered, bounds)]
    back = _unseen(view, np.setdiff1d(filtered, np.concatenate([filtered[:0], *still_failing])))
    settled = np.concatenate([kept, view.anchor()])
    rows = np.concatenate([settled, back])
    content = view.content(rows)
    text = dedup.compared(content)
    signed = minhash.SignedRows(text, rows, minhash.signatures(text, config.dedup, advance), content)
    quality = quality_of_rules(view, rows)
    # What comes back repeats nothing, whatever the target.
    params = keeping(config).model_copy(update={"target_rows": None})
    order = dedup.keep_order(signed, params, len(settled), quality)
    repeats = dedup.near_duplicates(signed, params, len(settled), order=order)
    return np.setdiff1d(back, repeats.rows), filters.failing(annotations[kept], kept, bounds)


def _unseen(view: View, rows: np.ndarray) -> np.ndarray:
    """Those of ``rows`` (positions, uint32 [n]) that stand in no corpus, hold no text of a benchmark, and belong to no
    row that is held out."""
    if view.has("groups"):
        groups = view.array("groups")
        rows = rows[~np.isin(groups[rows], groups[view.held_out()])]
    if view.has("in_corpus"):
        rows = np.setdiff1d(rows, view.frame("in_corpus", "row")["row"].to_numpy())
    if view.has("matches"):
        rows = np.setdiff1d(rows, contamination(view, rows).matches["row"].to_numpy())
    return rows


def _past_caps(view: View, step: str, removed: np.ndarray) -> str | None:
    """The caps: of one step, of all actions together, and of a whole source or class. Synthetic rows do not count."""
    caps, ingested = view.config.caps, view.values.ingested
    kept, removed = (rows[rows < ingested] for rows in (kept_rows(view.ledger()), removed))
    cleaned = view.values.cleaned_rows - len(view.held_out())
    if len(kept) - len(removed) < (1 - caps.total_fraction) * cleaned:
        return (
            f"{step} would leave {len(kept) - len(removed):,} of {cleaned:,} cleaned rows, below the floor of "
            f"{1 - caps.total_fraction:.0%} (caps.total_fraction); nothing was removed"
        )
    parts = {"source": view.sources(), "class": view.labels() if learns_labels(view, kept) else None}
    return refusal(step, kept, removed, caps.step_fraction, "caps.step_fraction", parts)
