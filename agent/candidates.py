"""Candidates: the legal, capped actions of a round, built by code from the cluster report.

A policy may only pick one of these; it can neither invent an action nor widen one. The function is pure, so
the auditor builds the same candidates from the logged evidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..state.canonical import sha256_json
from ..state.config import CapsParams
from ..state.decision import ActionKind, Candidate, Critique, RoundRecord
from ..state.report import ClusterReport, Record

KEEP_FRACTION = {"drop": 0.0, "thin": 0.7, "trim": 0.8}
EVEN_FRACTION = 0.7
STRATEGY = {"drop": "drop", "thin": "keep_furthest", "trim": "keep_closest"}


class Facts(Record):
    """What candidates are built from besides the report: numbers only, logged with the decision."""

    state_key: str  # names the kept rows and the clustering
    kept: int
    cleaned: int  # training rows when the loop began
    clustering: dict[str, Any]  # algorithm and its k, eps or min_cluster_size, in force
    filtered: dict[str, int]  # rows each quality rule removed
    refilters: dict[str, dict[str, float]]  # rule → thresholds that would loosen it
    language_model: bool


def build_candidates(
    report: ClusterReport,
    critiques: tuple[Critique, ...],
    facts: Facts,
    history: tuple[RoundRecord, ...],
    caps: CapsParams,
) -> tuple[Candidate, ...]:
    """Every candidate of the round; those already tried on this very state are shown but not available."""
    drafts = [
        *_prunes(report, critiques, facts, caps),
        *_refilters(facts),
        *_regroupings(report, critiques, facts),
        *_synthesis(report, facts),
        _draft("stop", {}, 0, ("the data may be as good as these actions make it",)),
    ]
    tried = {record.key: record for record in history if record.state_key == facts.state_key}
    candidates = []
    for number, draft in enumerate(drafts):
        blocked = draft.pop("blocked", "")
        if (record := tried.get(draft["key"])) is not None:
            blocked = f"tried on this state in round {record.round}: {record.outcome.replace('_', ' ')}"
        opaque = sha256_json([report.round, number, draft["key"], facts.state_key])[:8]
        candidates.append(Candidate(id=opaque, **draft, available=not blocked, unavailable_because=blocked))
    return tuple(candidates)


def _draft(
    action: ActionKind, params: dict[str, Any], rows: int, reasons: Iterable[str], blocked: str = ""
) -> dict[str, Any]:
    key = sha256_json([action, params])[:16]
    return {
        "key": key,
        "action": action,
        "params": params,
        "rows": rows,
        "reasons": tuple(reasons),
        "blocked": blocked,
    }


def _prunes(
    report: ClusterReport, critiques: tuple[Critique, ...], facts: Facts, caps: CapsParams
) -> Iterable[dict[str, Any]]:
    """One prune per verdict, over the clusters that call for it, gravest first, as many as the cap admits."""
    spare = facts.kept - int((1 - caps.total_fraction) * facts.cleaned)
    limit = min(int(caps.step_fraction * facts.kept), spare)
    evidence = {cluster.cluster: cluster for cluster in report.clusters}
    for verdict in ("drop", "thin", "trim"):
        gravity = {"drop": "low_quality", "thin": "near_duplicates", "trim": "outliers"}[verdict]
        called = sorted(
            (critique for critique in critiques if critique.verdict == verdict),
            key=lambda critique: (-getattr(evidence[critique.cluster], gravity), critique.cluster),
        )
        chosen, rows = [], 0
        for critique in called:
            size = evidence[critique.cluster].size
            removed = size - math.ceil(size * KEEP_FRACTION[verdict])
            if rows + removed <= limit:
                chosen.append(critique)
                rows += removed
        if chosen and rows:
            params = {
                "clusters": [critique.cluster for critique in chosen],
                "strategy": STRATEGY[verdict],
                "keep_fraction": KEEP_FRACTION[verdict],
            }
            reasons = [f"cluster {c.cluster}: {'; '.join(c.reasons)}" for c in chosen[:5]]
            if len(chosen) > 5:
                reasons.append(f"and {len(chosen) - 5} more clusters with the same verdict")
            yield _draft("prune", params, rows, reasons)
        elif called:
            reason = f"the {len(called)} clusters concerned are larger than the cap of {max(limit, 0):,} rows"
            yield _draft("prune", {"clusters": [], "strategy": STRATEGY[verdict]}, 0, (), blocked=reason)
    yield from _thin_large(report, limit)


def _thin_large(report: ClusterReport, limit: int) -> Iterable[dict[str, Any]]:
    """Thin clusters far above the median size at random, towards an even spread of masses."""
    real = [cluster for cluster in report.clusters if cluster.cluster >= 0]
    if len(real) < 3:
        return
    median = sorted(cluster.size for cluster in real)[len(real) // 2]
    large = sorted((c for c in real if c.size > 3 * median), key=lambda c: (-c.size, c.cluster))
    chosen, rows = [], 0
    for cluster in large:
        removed = cluster.size - math.ceil(cluster.size * EVEN_FRACTION)
        if rows + removed <= limit:
            chosen.append(cluster.cluster)
            rows += removed
    if chosen:
        params = {"clusters": chosen, "strategy": "keep_random", "keep_fraction": EVEN_FRACTION}
        yield _draft(
            "prune", params, rows, (f"{len(chosen)} clusters have over 3 times the median of {median:,} rows",)
        )


def _refilters(facts: Facts) -> Iterable[dict[str, Any]]:
    """Loosen the rule that took most rows: the objective tells whether they were missed."""
    rules = sorted(facts.refilters, key=lambda rule: (-facts.filtered.get(rule, 0), rule))[:2]
    for rule in rules:
        rows = facts.filtered.get(rule, 0)
        if rows:
            params = {"thresholds": facts.refilters[rule]}
            yield _draft("refilter", params, rows, (f"the rule {rule} removed {rows:,} rows; they may be missed",))


def _regroupings(report: ClusterReport, critiques: tuple[Critique, ...], facts: Facts) -> Iterable[dict[str, Any]]:
    """Finer, coarser, or by density."""
    total = max(1, len(critiques))
    mixed = sum("mixed" in critique.issues for critique in critiques)
    unstable = sum("unstable" in critique.issues for critique in critiques)
    if facts.clustering["algorithm"] == "kmeans":
        k = int(facts.clustering["k"])
        finer, coarser = min(k * 3 // 2 + 1, facts.kept // 5), max(k * 2 // 3, 2)
        if finer > k:
            yield _draft(
                "change_k", {"algorithm": "kmeans", "k": finer}, 0, (f"{mixed} of {total} clusters are mixed",)
            )
        if coarser < k:
            reason = f"{unstable} of {total} clusters are unstable"
            yield _draft("change_k", {"algorithm": "kmeans", "k": coarser}, 0, (reason,))
        size = max(10, facts.kept // 200)
        reason = "clusters of any shape, and rows that belong to none"
        yield _draft("change_k", {"algorithm": "hdbscan", "min_cluster_size": size}, 0, (reason,))
        return
    size = int(facts.clustering["min_cluster_size"])
    yield _draft("change_k", {"algorithm": "hdbscan", "min_cluster_size": size * 2}, 0, ("larger densities",))
    if size >= 6:
        yield _draft("change_k", {"algorithm": "hdbscan", "min_cluster_size": size // 2}, 0, ("smaller densities",))
    k = max(8, report.k)
    share = report.noise / max(1, report.rows)
    yield _draft("change_k", {"algorithm": "kmeans", "k": k}, 0, (f"{share:.0%} of the rows are in no cluster",))


def _synthesis(report: ClusterReport, facts: Facts) -> Iterable[dict[str, Any]]:
    """New rows for thin clusters; needs a language model."""
    real = sorted((c for c in report.clusters if c.cluster >= 0), key=lambda c: (c.size, c.cluster))
    if not real or facts.language_model:
        return
    params = {"clusters": [cluster.cluster for cluster in real[:3]], "count": 0}
    blocked = "no language model is configured"
    yield _draft("synthesise", params, 0, ("the smallest clusters could be filled up",), blocked)
