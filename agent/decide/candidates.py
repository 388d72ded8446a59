"""Candidates: the legal, capped actions of a round, built by code from the cluster report.

A policy may only pick one of these; it can neither invent an action nor widen one. The function is pure, so
the auditor builds the same candidates from the logged evidence.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ...state.actions import (
    Action,
    ChangeK,
    Deduplicate,
    Prune,
    Refilter,
    RefilterByQuality,
    Stop,
    Strategy,
    Synthesise,
)
from ...state.canonical import sha256_json
from ...state.config import CapsParams
from ...state.decision import Candidate, Critique, Facts, RoundRecord
from ...state.phrases import counted
from ...state.report import ClusterReport

KEEP_FRACTION = {"drop": 0.0, "thin": 0.7, "trim": 0.8}
EVEN_FRACTION = 0.7
FEWEST_SEEDS = 6  # rows a cluster needs to be written for: as many as one question shows
STRATEGY: dict[str, Strategy] = {"drop": "drop", "thin": "keep_furthest", "trim": "keep_closest"}


@dataclass(frozen=True)
class Idea:
    """An action that might be offered; ``blocked`` says why it cannot be chosen."""

    action: Action
    rows: int
    reasons: tuple[str, ...]
    blocked: str = ""
    evidence: dict[str, float] = field(default_factory=dict)

    def candidate(self, *opaque: object) -> Candidate:
        """The candidate, under an id made of ``opaque``."""
        return Candidate(
            id=sha256_json(list(opaque))[:8],
            action=self.action,
            rows=self.rows,
            reasons=self.reasons,
            evidence=self.evidence,
            available=not self.blocked,
            unavailable_because=self.blocked,
        )


def build_candidates(
    report: ClusterReport,
    critiques: tuple[Critique, ...],
    facts: Facts,
    history: tuple[RoundRecord, ...],
    caps: CapsParams,
) -> tuple[Candidate, ...]:
    """Every candidate of the round; those already tried on this very state are shown but not available."""
    ideas = [
        *_prunes(report, critiques, facts, caps),
        *_deduplication(facts, caps),
        *_refilters(facts),
        *_refilter_by_quality(facts, caps),
        *_regroupings(report, critiques, facts),
        *_synthesis(report, facts),
        Idea(Stop(), 0, ("the data may be as good as these actions make it",)),
    ]
    tried = {record.action.key: record for record in history if record.state_key == facts.state_key}
    candidates = []
    for number, idea in enumerate(ideas):
        key = idea.action.key
        if (record := tried.get(key)) is not None:
            outcome = record.outcome.replace("_", " ")
            idea = replace(idea, blocked=f"tried on this state in round {record.round}: {outcome}")
        candidates.append(idea.candidate(report.round, number, key, facts.state_key))
    return tuple(candidates)


def removable(facts: Facts, caps: CapsParams) -> int:
    """Rows that one action may remove: its own cap, and what is left of the cap of all actions together."""
    real = facts.kept - facts.synthetic
    return min(int(caps.step_fraction * real), real - int((1 - caps.total_fraction) * facts.cleaned))


def _prunes(report: ClusterReport, critiques: tuple[Critique, ...], facts: Facts, caps: CapsParams) -> Iterable[Idea]:
    """One prune per verdict, over the clusters that call for it, gravest first, as many as the cap admits."""
    limit = removable(facts, caps)
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
            action = Prune(
                clusters=tuple(critique.cluster for critique in chosen),
                strategy=STRATEGY[verdict],
                keep_fraction=KEEP_FRACTION[verdict],
            )
            reasons = [f"cluster {c.cluster}: {'; '.join(c.reasons)}" for c in chosen[:5]]
            if len(chosen) > 5:
                reasons.append(f"and {len(chosen) - 5} more with the same verdict")
            figures = {
                "mean_" + gravity: round(sum(getattr(evidence[c.cluster], gravity) for c in chosen) / len(chosen), 4)
            }
            yield Idea(action, rows, tuple(reasons), evidence=figures)
        elif called:
            each = f"each of the {len(called)} clusters" if len(called) > 1 else "the cluster"
            reason = f"{each} concerned would lose more than the cap of {counted(max(limit, 0), 'row')}"
            yield Idea(Prune(clusters=(), strategy=STRATEGY[verdict]), 0, (), reason)
    yield from _thin_large(report, limit)


def _thin_large(report: ClusterReport, limit: int) -> Iterable[Idea]:
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
        action = Prune(clusters=tuple(chosen), strategy="keep_random", keep_fraction=EVEN_FRACTION)
        have = f"{counted(len(chosen), 'cluster')} {'has' if len(chosen) == 1 else 'have'}"
        yield Idea(action, rows, (f"{have} over 3 times the median of {counted(median, 'row')}",))


def _deduplication(facts: Facts, caps: CapsParams) -> Iterable[Idea]:
    """Take out rows that say in other words what another row says, the likest first, as many as the cap admits."""
    if not facts.alike:
        return
    limit = max(removable(facts, caps), 0)
    action = Deduplicate(**facts.semantic.model_dump())
    say = "row says" if facts.alike == 1 else "rows say"
    reason = f"{facts.alike:,} {say} what another row says (cosine {facts.semantic.cosine:g} or more)"
    if facts.alike > limit:
        action = action.model_copy(update={"target_rows": facts.kept - limit})
        reason += f"; the cap admits {limit:,}"
    figures = {"duplicates": float(facts.alike), "of_rows": float(facts.kept)}
    rows = min(facts.alike, limit)
    yield Idea(action, rows, (reason,), "" if limit else reason, figures)


def _refilters(facts: Facts) -> Iterable[Idea]:
    """Loosen the rule that took most rows: the objective tells whether they were missed."""
    rules = sorted(facts.refilters, key=lambda rule: (-facts.filtered.get(rule, 0), rule))[:2]
    for rule in rules:
        rows = facts.filtered.get(rule, 0)
        if rows:
            reason = f"the rule {rule} removed {counted(rows, 'row')}, which may be missed"
            yield Idea(Refilter(thresholds=facts.refilters[rule]), rows, (reason,))


def _refilter_by_quality(facts: Facts, caps: CapsParams) -> Iterable[Idea]:
    """Take out what both the quality rules suspect and the quality score puts lowest."""
    if facts.quality_below is None or not facts.doubtful:
        return
    action = RefilterByQuality(thresholds=facts.thresholds, quality_below=facts.quality_below)
    limit = max(removable(facts, caps), 0)
    near = "row near a quality rule's limit scores" if facts.doubtful == 1 else "rows near a quality rule's limit score"
    reason = f"{facts.doubtful:,} {near} below {facts.quality_below:.2f}"
    blocked = "" if facts.doubtful <= limit else f"{reason}: more than the cap of {limit:,}"
    yield Idea(action, facts.doubtful, (reason,), blocked)


def _regroupings(report: ClusterReport, critiques: tuple[Critique, ...], facts: Facts) -> Iterable[Idea]:
    """Finer, coarser, or by density."""
    total = max(1, len(critiques))
    mixed = sum("mixed" in critique.issues for critique in critiques)
    unstable = sum("unstable" in critique.issues for critique in critiques)
    if facts.clustering.algorithm == "kmeans":
        k = facts.clustering.k or 0
        yield from _as_fine_as_themes(k, facts)
        finer, coarser = min(k * 3 // 2 + 1, facts.kept // 5), max(k * 2 // 3, 2)
        if finer > k:
            reason = _share(mixed, total, "mixed", "finer clusters are tried")
            yield Idea(ChangeK(algorithm="kmeans", k=finer), 0, (reason,))
        if coarser < k:
            reason = _share(unstable, total, "unstable", "coarser clusters are tried")
            yield Idea(ChangeK(algorithm="kmeans", k=coarser), 0, (reason,))
        size = max(10, facts.kept // 200)
        reason = "clusters of any shape, and rows that belong to none"
        yield Idea(ChangeK(algorithm="hdbscan", min_cluster_size=size), 0, (reason,))
        return
    size = facts.clustering.min_cluster_size or 0
    yield Idea(ChangeK(algorithm="hdbscan", min_cluster_size=size * 2), 0, ("larger densities",))
    if size >= 6:
        yield Idea(ChangeK(algorithm="hdbscan", min_cluster_size=size // 2), 0, ("smaller densities",))
    k = max(8, report.k)
    share = report.noise / max(1, report.rows)
    reason = f"{share:.0%} of the rows are in no cluster" if report.noise else "nothing stands out; k-means is tried"
    yield Idea(ChangeK(algorithm="kmeans", k=k), 0, (reason,))


def _share(number: int, total: int, what: str, else_tried: str) -> str:
    """How many clusters are ``what``; that none is would argue against the proposal, and is not said."""
    if not number:
        return f"nothing stands out; {else_tried}"
    return f"{number} of {counted(total, 'cluster')} {'is' if number == 1 else 'are'} {what}"


def _as_fine_as_themes(k: int, facts: Facts) -> Iterable[Idea]:
    """The number of clusters that the answers to "same theme?" argue for: one fewer per pair of clusters that share a
    theme, or one more per cluster that holds two; whichever stands out more."""
    seen = facts.granularity
    if seen is None:
        return
    fewer = seen.between_same / max(1, seen.between_asked)
    more = seen.within_different / max(1, seen.within_asked)
    wanted = max(2, k - seen.between_same) if fewer > more else min(k + seen.within_different, facts.kept // 5)
    if fewer != more and wanted != k:
        reason = (
            f"{seen.between_same} of {seen.between_asked} pairs of neighbouring clusters share a theme, and "
            f"{seen.within_different} of {seen.within_asked} clusters hold two"
        )
        figures = {"neighbours_sharing_a_theme": round(fewer, 3), "clusters_with_two_themes": round(more, 3)}
        yield Idea(ChangeK(algorithm="kmeans", k=wanted), 0, (reason,), evidence=figures)


def _synthesis(report: ClusterReport, facts: Facts) -> Iterable[Idea]:
    """New rows for clusters below half the median size, up to that half, as far as their share allows."""
    sizes = sorted(cluster.size for cluster in report.clusters if cluster.cluster >= 0)
    if not sizes:
        return
    wanted = sizes[len(sizes) // 2] // 2
    thin = [c for c in report.clusters if c.cluster >= 0 and FEWEST_SEEDS <= c.size < wanted]
    clusters: list[int] = []
    counts: list[int] = []
    for cluster in sorted(thin, key=lambda cluster: (cluster.size, cluster.cluster)):
        count = min(wanted - cluster.size, facts.synthesis_room - sum(counts))
        if count > 0:
            clusters.append(cluster.cluster)
            counts.append(count)
    if not facts.language_model:
        blocked = "no language model is configured"
    elif not facts.text:
        blocked = "the rows are vectors: a new one could not be written"
    elif not thin:
        blocked = f"no cluster has at least {FEWEST_SEEDS} rows and fewer than {wanted:,}, half the median"
    else:
        blocked = "" if clusters else f"the share of synthetic rows is reached ({facts.synthetic:,} of {facts.kept:,})"
    have = f"{counted(len(thin), 'cluster')} {'has' if len(thin) == 1 else 'have'}"
    reason = f"{have} fewer than {wanted:,} rows, half the median"
    figures = {"thin_clusters": float(len(thin)), "half_the_median": float(wanted)}
    action = Synthesise(clusters=tuple(clusters), counts=tuple(counts))
    yield Idea(action, sum(counts), (reason,), blocked, figures)
