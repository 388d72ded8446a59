"""Carrying out a decision on a trial copy: prune, refilter, change_k, synthesise. Caps are enforced here once more."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from ...state.decision import Decision
from ...state.progress import Advance
from ...state.rows import kept_rows
from ..decide.caps import within_share
from ..decide.decide import REJECTED
from ..session import Session
from ..synthesis.tables import add_rows
from .measured import extend_pool
from .removals import changed


@dataclass(frozen=True)
class Trial:
    """What an action would make of the run: a ledger, a clustering, thresholds, and what that cost."""

    ledger: pl.DataFrame
    clustering: dict[str, Any]
    thresholds: dict[str, float | None]
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
    clustering, thresholds = aims(values, decision)
    unchanged: dict[str, Any] = {"ledger": session.ledger(), "clustering": clustering, "thresholds": thresholds}
    if values.get("rejected"):
        return Trial(**unchanged, refused=REJECTED)
    if decision.action == "change_k":
        return Trial(**unchanged)
    if decision.action == "synthesise":
        return _synthesise(session, decision, unchanged, advance)
    change = changed(session.store, session.config, session.state, decision, session.log.next_seq, advance)
    if change.refused:
        return Trial(change.ledger, values["clustering"], values["thresholds"], refused=change.refused)
    artefacts, counts = extend_pool(session, kept_rows(change.ledger), advance)
    return Trial(change.ledger, clustering, thresholds, change.rows, counts["embedded"], artefacts=artefacts)


def aims(values: dict[str, Any], decision: Decision) -> tuple[dict[str, Any], dict[str, float | None]]:
    """The clustering and the thresholds that an action tries out, from the run's ``values``."""
    clustering, thresholds = values["clustering"], values["thresholds"]
    if values.get("rejected"):
        return clustering, thresholds
    if decision.action == "change_k":
        clustering = {**clustering, "k": None, "eps": None, "min_cluster_size": None, **decision.params}
    if decision.action == "refilter" and "quality_below" not in decision.params:
        thresholds = decision.params["thresholds"]
    return clustering, thresholds


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
