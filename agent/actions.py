"""Carrying out a decision on a trial copy: prune, refilter, change_k, synthesise. Caps are enforced here once more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from ..state.decision import Decision
from ..state.progress import Advance
from ..state.rows import Removal, kept_rows, remove_rows, restore_rows
from ..tools import dedup, filters
from ..tools.select import prune_cluster, standing
from .additions import add_rows
from .caps import refusal, within_share
from .converge import REJECTED
from .evaluate import extend_pool
from .facts import doubtful, row_quality
from .session import Session, derived_seed


@dataclass(frozen=True)
class Trial:
    """What an action would make of the run: a ledger, a clustering, thresholds, and what that cost."""

    ledger: pl.DataFrame
    clustering: dict[str, Any]
    thresholds: dict[str, float]
    rows: int = 0  # rows removed, brought back or added
    embedded: int = 0
    refused: str | None = None
    artefacts: dict[str, str | None] = field(default_factory=dict)
    synthesis: dict[str, Any] | None = None  # seeds → generated → dropped by reason → kept


def carry_out(session: Session, decision: Decision, advance: Advance) -> Trial:
    """The trial of one decision. A removal past its cap is refused and changes nothing.

    Where it leaves too few real rows beside the synthetic ones, the last of these go, too.

    Raises:
        ModelError: the language model is needed and cannot be reached.
    """
    trial = _carry_out(session, decision, advance)
    fraction = session.config.caps.synthetic_fraction
    return replace(trial, ledger=within_share(trial.ledger, fraction, session.log.next_seq))


def _carry_out(session: Session, decision: Decision, advance: Advance) -> Trial:
    values = session.state.values
    unchanged = {"ledger": session.ledger(), "clustering": values["clustering"], "thresholds": values["thresholds"]}
    if values.get("rejected"):
        return Trial(**unchanged, refused=REJECTED)
    if decision.action == "change_k":
        changed = {"k": None, "eps": None, "min_cluster_size": None, **decision.params}
        return Trial(**{**unchanged, "clustering": {**values["clustering"], **changed}})
    if decision.action == "prune":
        return _prune(session, decision, unchanged)
    if decision.action == "refilter":
        if "quality_below" in decision.params:
            return _refilter_by_quality(session, decision, unchanged)
        return _refilter(session, decision, unchanged, advance)
    return _synthesise(session, decision, unchanged, advance)


def _synthesise(session: Session, decision: Decision, unchanged: dict[str, Any], advance: Advance) -> Trial:
    added = add_rows(session, decision.params, advance)
    return Trial(
        **{**unchanged, "ledger": added.ledger},
        rows=added.rows,
        embedded=added.embedded,
        refused=added.refused,
        artefacts=added.artefacts,
        synthesis=added.figures,
    )


def _prune(session: Session, decision: Decision, unchanged: dict[str, Any]) -> Trial:
    """Rows of some clusters go. What is noted of a row is its cosine to the centroid, or its standing where a quality
    score has half a say."""
    params = decision.params
    labels = session.frame("labels")
    learned = session.frame("quality") if "quality" in session.state.artefacts else None
    taken, scores = [], []
    for number in params["clusters"]:
        members = labels.filter(pl.col("cluster") == number)
        similarity = members["similarity"].fill_nan(None).fill_null(0.0).to_numpy()
        seed = derived_seed(session.config, 4, session.state.round, number + 1)
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
    removal = Removal(f"prune_{params['strategy']}", rows[order], np.concatenate(scores)[order])
    refused = _refused(session, "prune", removal.rows)
    if refused:
        return Trial(**unchanged, refused=refused)
    ledger = remove_rows(unchanged["ledger"], removal, "act", session.log.next_seq)
    return Trial(**{**unchanged, "ledger": ledger}, rows=len(rows))


def _refilter(session: Session, decision: Decision, unchanged: dict[str, Any], advance: Advance) -> Trial:
    """Judge again with new thresholds: rows that now pass come back, unless they nearly repeat a kept row."""
    ledger, thresholds = unchanged["ledger"], decision.params["thresholds"]
    bounds = filters.bounds(session.state.values["profile"], thresholds)
    annotations = session.frame("annotations")
    kept = session.kept()
    filtered = ledger.filter((pl.col("status") == "removed") & (pl.col("stage") == "filter"))["row"].to_numpy()
    still_failing = [removal.rows for removal in filters.judge(annotations[filtered], filtered, bounds)]
    back = np.setdiff1d(filtered, np.concatenate(still_failing or [filtered[:0]]))
    settled = np.concatenate([kept, session.anchor()])
    rows = np.concatenate([settled, back])
    text = session.text(rows)
    signatures = dedup.signatures(text, session.config.dedup, advance)
    repeats = dedup.near_duplicates(text, rows, signatures, session.config.dedup, settled=len(settled))
    back = np.setdiff1d(back, repeats.rows)
    removals = filters.judge(annotations[kept], kept, bounds)
    refused = _refused(session, "refilter", np.concatenate([removal.rows for removal in removals] or [kept[:0]]))
    if refused:
        return Trial(**unchanged, refused=refused)
    event = session.log.next_seq
    ledger = restore_rows(ledger, back, "act", "refilter", event)
    for removal in removals:
        ledger = remove_rows(ledger, removal, "filter", event)
    artefacts, counts = extend_pool(session, kept_rows(ledger), advance)
    rows_changed = len(back) + sum(len(removal.rows) for removal in removals)
    return Trial(ledger, unchanged["clustering"], thresholds, rows_changed, counts["embedded"], artefacts=artefacts)


def _refilter_by_quality(session: Session, decision: Decision, unchanged: dict[str, Any]) -> Trial:
    """Take out the rows that the quality rules suspect and that score low as well."""
    quality, below = session.frame("quality"), decision.params["quality_below"]
    removal = doubtful(session.state.values, session.frame("annotations"), quality, session.kept(), below)
    if refused := _refused(session, "refilter", removal.rows):
        return Trial(**unchanged, refused=refused)
    ledger = remove_rows(unchanged["ledger"], removal, "act", session.log.next_seq)
    return Trial(**{**unchanged, "ledger": ledger}, rows=len(removal.rows))


def _refused(session: Session, step: str, removed: np.ndarray) -> str | None:
    """The caps: of one step, of all actions together, and of a whole source. Synthetic rows count for none of them."""
    caps, ingested = session.config.caps, session.state.values["ingested"]
    kept, removed = (rows[rows < ingested] for rows in (session.kept(), removed))
    cleaned = session.state.values["cleaned_rows"] - len(session.anchor())
    if len(kept) - len(removed) < (1 - caps.total_fraction) * cleaned:
        return (
            f"{step} would leave {len(kept) - len(removed):,} of {cleaned:,} cleaned rows, below the floor of "
            f"{1 - caps.total_fraction:.0%} (caps.total_fraction); nothing was removed"
        )
    return refusal(step, kept, removed, caps.step_fraction, "caps.step_fraction", session.sources())


def agreements(old: pl.DataFrame, new: pl.DataFrame, before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """How much an action changed: AMI of the labels on rows in both, and Cohen's κ of the keep-sets.

    Args:
        old: ``row`` and ``cluster`` before; ``new``: after.
        before: kept positions before, uint32 [n]; ``after``: after, [m]. κ is over all positions.
    """
    from sklearn.metrics import adjusted_mutual_info_score, cohen_kappa_score

    both = old.join(new, on="row", suffix="_new").sort("row")
    labels = float(adjusted_mutual_info_score(both["cluster"].to_numpy(), both["cluster_new"].to_numpy()))
    if np.array_equal(before, after):
        return labels, 1.0
    either = np.arange(max(before.max(), after.max()) + 1)
    return labels, float(cohen_kappa_score(np.isin(either, before), np.isin(either, after)))
