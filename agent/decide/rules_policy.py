"""The rules policy: takes the candidate with the most evidence behind it, by a documented order.

1. drop clusters of low quality, 2. take out rows that say what another row says, 3. thin clusters of near-duplicates,
4. trim sparse clusters, 5. bring back rows a filter may have taken wrongly, or take out rows that filters and quality
score both doubt, 6. finer clusters where many are mixed, 7. coarser ones where many are unstable, 8. even out large
clusters, 9. clusters by density, 10. new rows for thin clusters. Ties go to the candidate that touches more rows. The
order only says what is *tried* first: the measurement decides what stays.
"""

from ...state.actions import ChangeK, Deduplicate, Prune, Refilter, RefilterByQuality, Synthesise
from ...state.decision import Budget, Candidate, Critique, RoundRecord
from ...state.report import ClusterReport
from .policy import Choice

_PRUNE_ORDER = {"drop": 1, "keep_furthest": 3, "keep_closest": 4, "keep_random": 8}


def choose(
    report: ClusterReport,
    critiques: tuple[Critique, ...],
    candidates: tuple[Candidate, ...],
    history: tuple[RoundRecord, ...],
    budget: Budget,
) -> Choice:
    """The available candidate that stands first in the order; ``stop`` when there is no other."""
    ranked = sorted(
        (candidate for candidate in candidates if candidate.available),
        key=lambda candidate: (_order(candidate, report, critiques), -candidate.rows, candidate.action.key),
    )
    first = ranked[0]
    place = {candidate.id: position for position, candidate in enumerate(ranked)}
    return Choice(
        candidate=first.id,
        reasons=first.reasons,
        rejected={c.id: f"number {place[c.id] + 1} in the rules' order" for c in ranked[1:]},
    )


def _order(candidate: Candidate, report: ClusterReport, critiques: tuple[Critique, ...]) -> int:
    match candidate.action:
        case Prune(strategy=strategy):
            return _PRUNE_ORDER[strategy]
        case Deduplicate():
            return 2
        case Refilter() | RefilterByQuality():
            return 5
        case ChangeK(algorithm="kmeans", k=k):
            mixed = sum("mixed" in critique.issues for critique in critiques)
            unstable = sum("unstable" in critique.issues for critique in critiques)
            return 6 if ((k or 0) > report.k) == (mixed >= unstable) else 7
        case ChangeK():
            return 9
        case Synthesise():
            return 10
    return 11
