"""An action that a person put together, held to what holds for every candidate."""

from __future__ import annotations

import math
from typing import Any, Literal

from ...state.canonical import sha256_json
from ...state.config import CapsParams
from ...state.decision import Candidate
from ...state.errors import UsageError
from ...state.report import ClusterReport
from ...tools.judge.select import STRATEGIES
from .candidates import Facts, draft, removable


def human_candidate(
    action: Literal["change_k", "prune"],
    params: dict[str, Any],
    report: ClusterReport,
    facts: Facts,
    caps: CapsParams,
) -> Candidate:
    """An action that a person put together, within the caps that hold for all.

    Args:
        action: ``change_k`` with ``k``, or ``prune`` with ``clusters``, ``strategy`` and ``keep_fraction``.
        params: those.
        report: the clusters in force.
        facts: the state of the data.
        caps: how many rows it may remove.

    Raises:
        UsageError: it is not a legal action on these clusters, or passes a cap.
    """
    fields = _own_k(params, facts) if action == "change_k" else _own_prune(params, report, facts, caps)
    fields.pop("blocked")
    opaque = sha256_json([report.round, "asked for", fields["key"], facts.state_key])[:8]
    return Candidate(id=opaque, **fields)


def _own_k(params: dict[str, Any], facts: Facts) -> dict[str, Any]:
    k, most = params.get("k"), facts.kept // 5
    if set(params) != {"k"} or not isinstance(k, int) or not 2 <= k <= most:
        raise UsageError(f"k is a number from 2 to {most:,}, a fifth of the {facts.kept:,} rows")
    return draft("change_k", {"algorithm": "kmeans", "k": k}, 0, ("asked for by hand",))


def _own_prune(params: dict[str, Any], report: ClusterReport, facts: Facts, caps: CapsParams) -> dict[str, Any]:
    sizes = {cluster.cluster: cluster.size for cluster in report.clusters}
    clusters, strategy = params.get("clusters") or [], params.get("strategy")
    share = 0.0 if strategy == "drop" else params.get("keep_fraction")
    if unknown := [number for number in clusters if number not in sizes]:
        raise UsageError(f"there is no cluster {unknown[0]}; there are {min(sizes)} to {max(sizes)}")
    if not clusters or len(set(clusters)) < len(clusters) or strategy not in STRATEGIES:
        raise UsageError("a prune names clusters, each once, and how: closest, furthest, random or drop")
    if not isinstance(share, float) or not 0 <= share < 1:
        raise UsageError("the share of rows that stays is a number from 0 to below 1")
    rows = sum(sizes[number] - math.ceil(sizes[number] * share) for number in clusters)
    limit = max(0, removable(facts, caps))
    if not rows or rows > limit:
        raise UsageError(f"that would remove {rows:,} rows; one action may remove 1 to {limit:,} (caps.step_fraction)")
    wanted = {"clusters": clusters, "strategy": strategy, "keep_fraction": share}
    return draft("prune", wanted, rows, ("asked for by hand",))
