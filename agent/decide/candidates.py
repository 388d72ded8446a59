"""Candidates: the legal, capped actions of a round, built by code from the cluster report.

A policy may only pick one of these; it can neither invent an action nor widen one. The function is pure, so
the auditor builds the same candidates from the logged evidence.
"""

import math
from collections.abc import Iterable
from operator import attrgetter
from statistics import median_high

from ...state.actions import (
    Action,
    ChangeK,
    Deduplicate,
    EditRows,
    Prune,
    Refilter,
    RefilterByQuality,
    Relabel,
    RemoveMarked,
    RemoveSuspects,
    Stop,
    Strategy,
    Synthesise,
)
from ...state.canonical import Json, sha256_json
from ...state.decision import Candidate, Critique, Facts, RoundRecord, VerdictKind
from ...state.errors import UsageError
from ...state.params.rounds import CapsParams
from ...state.phrases import counted
from ...state.report import ClusterEvidence, ClusterReport
from .verdict import appraised

#: Verdict → how its prune chooses, the share of the rows that stays, and the figure that says how grave it is.
_PRUNES: dict[VerdictKind, tuple[Strategy, float, str]] = {
    "drop": ("drop", 0.0, "low_quality"),
    "thin": ("keep_furthest", 0.7, "near_duplicates"),
    "trim": ("keep_closest", 0.8, "outliers"),
}
EVEN_FRACTION = 0.7
FEWEST_SEEDS = 6  # rows a cluster needs to be written for: as many as one question shows


def _idea(
    action: Action, rows: int, *reasons: str, blocked: str = "", evidence: dict[str, float] | None = None
) -> Candidate:
    """An action that might be offered, without an id yet; ``blocked`` says why it cannot be chosen."""
    return Candidate(
        id="",
        action=action,
        rows=rows,
        reasons=reasons,
        evidence=evidence or {},
        available=not blocked,
        unavailable_because=blocked,
    )


def build_candidates(
    report: ClusterReport,
    critiques: tuple[Critique, ...],
    facts: Facts,
    history: tuple[RoundRecord, ...],
    caps: CapsParams,
) -> tuple[Candidate, ...]:
    """Every candidate of the round; those tried on this very state are shown but not available.

    An action on rows was tried on rows and their labels, however they are clustered, unless it names clusters.
    """
    ideas = [
        *_prunes(report, critiques, facts, caps),
        *_marked(facts, caps),
        *_suspects(facts, caps),
        *_deduplication(facts, caps),
        *_refilters(facts),
        *_refilter_by_quality(facts, caps),
        *_regroupings(report, critiques, facts),
        *_synthesis(report, facts),
        _idea(Stop(), 0, "the data may be as good as these actions make it"),
    ]
    names = (_opaque(report.round, number, idea.action.key, facts.state_key) for number, idea in enumerate(ideas))
    return tuple(_offered(idea, name, facts, history) for idea, name in zip(ideas, names, strict=True))


def _offered(idea: Candidate, name: str, facts: Facts, history: tuple[RoundRecord, ...]) -> Candidate:
    """An idea under its id; one that was tried on this state is not available."""
    changes: Json = {"id": name}
    for record in history:
        if record.action.key == idea.action.key and _same_state(record, facts):
            because = f"tried on this state in round {record.round}: {record.outcome.replace('_', ' ')}"
            changes |= {"available": False, "unavailable_because": because}
    return idea.model_copy(update=changes)


def untried_kinds(
    candidates: tuple[Candidate, ...], history: tuple[RoundRecord, ...], facts: Facts, measured: bool
) -> frozenset[str]:
    """The kinds of action that the evidence calls for and that were neither measured nor tried on these rows.

    Another clustering is called for only where figures speak for it. ``measured``: whatever can be measured before a
    decision was, so that an action on rows without a measurement would be refused or change nothing.
    """
    called_for = (
        one
        for one in candidates
        if one.available
        and not isinstance(one.action, Stop)
        and (one.evidence or not isinstance(one.action, ChangeK))
        and not (measured and one.appraisal is None and appraised(one.action))
    )
    tried = {one.action.action for one in candidates if one.appraisal is not None}
    tried |= {record.action.action for record in history if record.rows_key == facts.rows_key}
    return frozenset(one.action.action for one in called_for) - tried


def _same_state(record: RoundRecord, facts: Facts) -> bool:
    by_cluster = isinstance(record.action, ChangeK | Prune | Synthesise)
    return record.state_key == facts.state_key if by_cluster else record.rows_key == facts.rows_key


def _opaque(*parts: object) -> str:
    return sha256_json(parts)[:8]


def _removable(facts: Facts, caps: CapsParams) -> int:
    """Rows that one action may remove: its own cap, and what is left of the cap of all actions together."""
    real = facts.kept - facts.synthetic
    return max(0, min(int(caps.step_fraction * real), real - int((1 - caps.total_fraction) * facts.cleaned)))


def own_candidate(
    action: ChangeK | Prune | EditRows, report: ClusterReport, facts: Facts, caps: CapsParams
) -> Candidate:
    """An action that a person put together, within the caps that hold for all.

    Raises:
        UsageError: it is not a legal action on these clusters, or passes a cap.
    """
    rows = 0
    if isinstance(action, Prune):
        rows = _pruned_rows(action, report, _removable(facts, caps))
    elif isinstance(action, EditRows):
        rows = len(action.rows)
        if action.edit == "drop" and rows > (limit := _removable(facts, caps)):
            raise UsageError(f"that would remove {rows:,} rows; one action may remove {limit:,} (caps.step_fraction)")
    elif action.algorithm != "kmeans" or action.k is None or action.k > facts.kept // 5:
        raise UsageError(f"k is a number from 2 to {facts.kept // 5:,}, a fifth of the {facts.kept:,} rows")
    name = _opaque(report.round, "asked for", action.key, facts.state_key)
    return _idea(action, rows, "asked for by hand").model_copy(update={"id": name})


def looked_at(action: ChangeK, report: ClusterReport, facts: Facts, history: tuple[RoundRecord, ...]) -> Candidate:
    """Another clustering that a policy tries out before it decides, to be chosen as it stands.

    Raises:
        UsageError: there would be too few clusters, or too small ones.
    """
    size, most = action.k or action.min_cluster_size or 0, facts.kept // 5
    if not 2 <= size <= most:
        raise UsageError(f"the size is a number from 2 to {most:,}, a fifth of the {facts.kept:,} rows")
    idea = _idea(action, 0, "looked at by the language model")
    return _offered(idea, _opaque(report.round, "looked at", action.key, facts.state_key), facts, history)


def _pruned_rows(action: Prune, report: ClusterReport, limit: int) -> int:
    sizes = {cluster.cluster: cluster.size for cluster in report.clusters}
    if unknown := [number for number in action.clusters if number not in sizes]:
        raise UsageError(f"there is no cluster {unknown[0]}; there are {min(sizes)} to {max(sizes)}")
    if not action.clusters:
        raise UsageError("a prune names clusters, each once, and how: closest, furthest, random or drop")
    share = 0.0 if action.strategy == "drop" else action.keep_fraction
    rows = sum(_lost(sizes[number], share) for number in action.clusters)
    if not rows or rows > limit:
        raise UsageError(f"that would remove {rows:,} rows; one action may remove 1 to {limit:,} (caps.step_fraction)")
    return rows


def _lost(size: int, keep_fraction: float) -> int:
    return size - math.ceil(size * keep_fraction)


def _within(limit: int, clusters: list[ClusterEvidence], keep_fraction: float) -> tuple[list[ClusterEvidence], int]:
    """Those of the clusters, one after the other, that together lose no more rows than the cap admits; their rows."""
    chosen, rows = [], 0
    for cluster in clusters:
        lost = _lost(cluster.size, keep_fraction)
        if rows + lost <= limit:
            chosen.append(cluster)
            rows += lost
    return chosen, rows


def _prunes(
    report: ClusterReport, critiques: tuple[Critique, ...], facts: Facts, caps: CapsParams
) -> Iterable[Candidate]:
    """One prune per verdict, over the clusters that call for it, gravest first, as many as the cap admits."""
    limit = _removable(facts, caps)
    judged = {critique.cluster: critique for critique in critiques}
    for verdict, (strategy, fraction, figure) in _PRUNES.items():
        gravity = attrgetter(figure)
        called = sorted(
            (cluster for cluster in report.clusters if judged[cluster.cluster].verdict == verdict),
            key=lambda cluster: (-gravity(cluster), cluster.cluster),
        )
        chosen, rows = _within(limit, called, fraction)
        if rows:
            numbers = tuple(cluster.cluster for cluster in chosen)
            action = Prune(clusters=numbers, strategy=strategy, keep_fraction=fraction)
            reasons = [f"cluster {number}: {'; '.join(judged[number].reasons)}" for number in numbers[:5]]
            if len(chosen) > 5:
                reasons.append(f"and {len(chosen) - 5} more with the same verdict")
            mean = round(sum(map(gravity, chosen)) / len(chosen), 4)
            yield _idea(action, rows, *reasons, evidence={f"mean_{figure}": mean})
        elif called:
            each = f"each of the {len(called)} clusters" if len(called) > 1 else "the cluster"
            reason = f"{each} concerned would lose more than the cap of {counted(limit, 'row')}"
            yield _idea(Prune(clusters=(), strategy=strategy), 0, blocked=reason)
    yield from _thin_large(report, limit)


def _thin_large(report: ClusterReport, limit: int) -> Iterable[Candidate]:
    """Thin clusters far above the median size at random, towards an even spread of masses."""
    real = [cluster for cluster in report.clusters if cluster.cluster >= 0]
    if len(real) < 3:
        return
    median = median_high(cluster.size for cluster in real)
    large = sorted((c for c in real if c.size > 3 * median), key=lambda c: (-c.size, c.cluster))
    chosen, rows = _within(limit, large, EVEN_FRACTION)
    if chosen:
        numbers = tuple(cluster.cluster for cluster in chosen)
        action = Prune(clusters=numbers, strategy="keep_random", keep_fraction=EVEN_FRACTION)
        have = f"{counted(len(chosen), 'cluster')} {'has' if len(chosen) == 1 else 'have'}"
        yield _idea(action, rows, f"{have} over 3 times the median of {counted(median, 'row')}")


_METHODS = {
    "label_support": "out-of-sample probability and neighbours' votes; Chong et al. 2022, Wilson 1972",
    "label_margin": "logit margin of the own label beside its class, with the neighbours' votes; Northcutt et al. 2021",
    "pair_doubt": "a map from questions to answers that was fitted without the row, and how the set's answers end",
    "surprise": "bits per byte under a model of the other rows; Wenzek et al. 2020",
}


def _marked(facts: Facts, caps: CapsParams) -> Iterable[Candidate]:
    """What the first separation only marked, mark by mark."""
    limit = _removable(facts, caps)
    for mark, rows in facts.marked.items():
        action = RemoveMarked(mark=mark)
        reason = f"{mark} marks {counted(rows, 'row')}"
        if rows > limit:
            action = action.model_copy(update={"target_rows": facts.kept - limit})
            reason += f"; the cap admits {limit:,}"
        yield _idea(action, min(rows, limit), reason, blocked="" if limit else reason)


def _suspects(facts: Facts, caps: CapsParams) -> Iterable[Candidate]:
    """What the evidence on single rows speaks against, at each of its thresholds that takes another number of rows."""
    limit = _removable(facts, caps)
    for kind, by_threshold in facts.suspects.items():
        offered = set[int]()
        for threshold, rows in by_threshold.items():
            taken = min(rows, limit)
            if not taken or taken in offered:
                continue
            offered.add(taken)
            target = facts.kept - limit if rows > limit else None
            reason = f"{counted(rows, 'row')} past {kind} {threshold}"
            if method := _METHODS.get(kind):
                reason += f" ({method})"
            if target is not None:
                reason += f"; the cap admits {limit:,}"
            figures = {kind: float(threshold), "suspects": float(rows)}
            by = RemoveSuspects.model_validate({"by": kind, "threshold": float(threshold), "target_rows": target})
            yield _idea(by, taken, reason, evidence=figures)
            if kind == "label_support":
                yield _idea(Relabel(threshold=by.threshold, target_rows=target), taken, reason, evidence=figures)


def _deduplication(facts: Facts, caps: CapsParams) -> Iterable[Candidate]:
    """Take out rows that say in other words what another row says, the likest first, as many as the cap admits."""
    if not facts.alike:
        return
    limit = _removable(facts, caps)
    action = Deduplicate(**facts.semantic.model_dump())
    say = "row says" if facts.alike == 1 else "rows say"
    reason = f"{facts.alike:,} {say} what another row says (cosine {facts.semantic.cosine:g} or more)"
    if facts.alike > limit:
        action = action.model_copy(update={"target_rows": facts.kept - limit})
        reason += f"; the cap admits {limit:,}"
    figures = {"duplicates": float(facts.alike), "of_rows": float(facts.kept)}
    yield _idea(action, min(facts.alike, limit), reason, blocked="" if limit else reason, evidence=figures)


def _refilters(facts: Facts) -> Iterable[Candidate]:
    """Loosen the rule that took most rows: the objective tells whether they were missed."""
    rules = sorted(facts.refilters, key=lambda rule: (-facts.filtered.get(rule, 0), rule))[:2]
    for rule in rules:
        rows = facts.filtered.get(rule, 0)
        if rows:
            reason = f"the rule {rule} removed {counted(rows, 'row')}, which may be missed"
            yield _idea(Refilter(thresholds=facts.refilters[rule]), rows, reason)


def _refilter_by_quality(facts: Facts, caps: CapsParams) -> Iterable[Candidate]:
    """Take out what both the quality rules suspect and the quality score puts lowest."""
    if facts.quality_below is None or not facts.doubtful:
        return
    action = RefilterByQuality(thresholds=facts.thresholds, quality_below=facts.quality_below)
    limit = _removable(facts, caps)
    near = "row near a quality rule's limit scores" if facts.doubtful == 1 else "rows near a quality rule's limit score"
    reason = f"{facts.doubtful:,} {near} below {facts.quality_below:.2f}"
    blocked = "" if facts.doubtful <= limit else f"{reason}: more than the cap of {limit:,}"
    yield _idea(action, facts.doubtful, reason, blocked=blocked)


def _regroupings(report: ClusterReport, critiques: tuple[Critique, ...], facts: Facts) -> Iterable[Candidate]:
    """Finer, coarser, or by density."""
    total = max(1, len(critiques))
    mixed = sum("mixed" in critique.issues for critique in critiques)
    unstable = sum("unstable" in critique.issues for critique in critiques)
    if facts.clustering.algorithm == "kmeans":
        k = facts.clustering.k or 0
        yield from _as_fine_as_themes(k, facts)
        finer, coarser = min(k * 3 // 2 + 1, facts.kept // 5), max(k * 2 // 3, 2)
        if finer > k:
            reason, figures = _share(mixed, total, "mixed", "finer clusters are tried")
            yield _idea(ChangeK(algorithm="kmeans", k=finer), 0, reason, evidence=figures)
        if coarser < k:
            reason, figures = _share(unstable, total, "unstable", "coarser clusters are tried")
            yield _idea(ChangeK(algorithm="kmeans", k=coarser), 0, reason, evidence=figures)
        size = max(10, facts.kept // 200)
        reason = "clusters of any shape, and rows that belong to none"
        yield _idea(ChangeK(algorithm="hdbscan", min_cluster_size=size), 0, reason)
        return
    size = facts.clustering.min_cluster_size or 0
    yield _idea(ChangeK(algorithm="hdbscan", min_cluster_size=size * 2), 0, "larger densities")
    if size >= 6:
        yield _idea(ChangeK(algorithm="hdbscan", min_cluster_size=size // 2), 0, "smaller densities")
    k = max(8, report.k)
    share = report.noise / max(1, report.rows)
    reason = f"{share:.0%} of the rows are in no cluster" if report.noise else "nothing stands out; k-means is tried"
    yield _idea(ChangeK(algorithm="kmeans", k=k), 0, reason)


def _share(number: int, total: int, what: str, else_tried: str) -> tuple[str, dict[str, float]]:
    """How many clusters are ``what``, in words and as a figure; that none is would argue against the proposal."""
    if not number:
        return f"nothing stands out; {else_tried}", {}
    said = f"{number} of {counted(total, 'cluster')} {'is' if number == 1 else 'are'} {what}"
    return said, {f"{what}_clusters": float(number)}


def _as_fine_as_themes(k: int, facts: Facts) -> Iterable[Candidate]:
    """The number of clusters that the answers to "same theme?" argue for: one fewer per pair of clusters that share a
    theme, or one more per cluster that holds two; whichever stands out more."""
    seen = facts.granularity
    if seen is None:
        return
    fewer = seen.between_same / max(1, seen.between_asked)
    more = seen.within_different / max(1, seen.within_asked)
    wanted = max(2, k - seen.between_same) if fewer > more else min(k + seen.within_different, max(k, facts.kept // 5))
    if fewer != more and wanted != k:
        reason = (
            f"{seen.between_same} of {seen.between_asked} pairs of neighbouring clusters share a theme, and "
            f"{seen.within_different} of {seen.within_asked} clusters hold two"
        )
        figures = {"neighbours_sharing_a_theme": round(fewer, 3), "clusters_with_two_themes": round(more, 3)}
        yield _idea(ChangeK(algorithm="kmeans", k=wanted), 0, reason, evidence=figures)


def _synthesis(report: ClusterReport, facts: Facts) -> Iterable[Candidate]:
    """New rows for clusters below half the median size, up to that half, as far as their share allows."""
    real = [cluster for cluster in report.clusters if cluster.cluster >= 0]
    if not real:
        return
    wanted = median_high(cluster.size for cluster in real) // 2
    thin = [cluster for cluster in real if FEWEST_SEEDS <= cluster.size < wanted]
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
    yield _idea(action, sum(counts), reason, blocked=blocked, evidence=figures)
