"""An action that a person put together, held to what holds for every candidate."""

import math

from ...state.actions import ChangeK, Prune
from ...state.config import CapsParams
from ...state.decision import Candidate, Facts
from ...state.errors import UsageError
from ...state.report import ClusterReport
from .candidates import Idea, removable


def own_candidate(action: ChangeK | Prune, report: ClusterReport, facts: Facts, caps: CapsParams) -> Candidate:
    """An action that a person put together, within the caps that hold for all.

    Args:
        action: what is wanted.
        report: the clusters in force.
        facts: the state of the data.
        caps: how many rows it may remove.

    Raises:
        UsageError: it is not a legal action on these clusters, or passes a cap.
    """
    rows = 0
    if isinstance(action, Prune):
        rows = _pruned_rows(action, report, facts, caps)
    elif action.algorithm != "kmeans" or action.k is None or action.k > facts.kept // 5:
        raise UsageError(f"k is a number from 2 to {facts.kept // 5:,}, a fifth of the {facts.kept:,} rows")
    idea = Idea(action, rows, ("asked for by hand",))
    return idea.candidate(report.round, "asked for", action.key, facts.state_key)


def _pruned_rows(action: Prune, report: ClusterReport, facts: Facts, caps: CapsParams) -> int:
    sizes = {cluster.cluster: cluster.size for cluster in report.clusters}
    if unknown := [number for number in action.clusters if number not in sizes]:
        raise UsageError(f"there is no cluster {unknown[0]}; there are {min(sizes)} to {max(sizes)}")
    if not action.clusters:
        raise UsageError("a prune names clusters, each once, and how: closest, furthest, random or drop")
    share = 0.0 if action.strategy == "drop" else action.keep_fraction
    rows = sum(sizes[number] - math.ceil(sizes[number] * share) for number in action.clusters)
    limit = max(0, removable(facts, caps))
    if not rows or rows > limit:
        raise UsageError(f"that would remove {rows:,} rows; one action may remove 1 to {limit:,} (caps.step_fraction)")
    return rows
