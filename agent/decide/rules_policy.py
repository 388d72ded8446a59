"""The rules policy: takes the candidate with the most evidence behind it, by a documented order.

1. drop clusters of low quality, 2. take out rows that say what another row says, 3. thin clusters of near-duplicates,
4. trim sparse clusters, 5. bring back rows a filter may have taken wrongly, or take out rows that filters and quality
score both doubt, 6. finer clusters where many are mixed, 7. coarser ones where many are unstable, 8. even out large
clusters, 9. clusters by density, 10. new rows for thin clusters. Ties go to the candidate that touches more rows. The
order only says what is *tried* first: the measurement decides what stays.
"""

from ...state.actions import Action, ChangeK, Deduplicate, Prune, Refilter, RefilterByQuality, Synthesise
from .policy import Case, Choice

_PRUNE_ORDER = {"drop": 1, "keep_furthest": 3, "keep_closest": 4, "keep_random": 8}


def choose(case: Case) -> Choice:
    """The available candidate that stands first in the order; ``stop`` when there is no other."""
    ranked = sorted(
        (candidate for candidate in case.candidates if candidate.available),
        key=lambda candidate: (_order(candidate.action, case), -candidate.rows, candidate.action.key),
    )
    rejected = {other.id: f"number {place} in the rules' order" for place, other in enumerate(ranked[1:], start=2)}
    return Choice(ranked[0].id, ranked[0].reasons, rejected)


def _order(action: Action, case: Case) -> int:
    match action:
        case Prune(strategy=strategy):
            return _PRUNE_ORDER[strategy]
        case Deduplicate():
            return 2
        case Refilter() | RefilterByQuality():
            return 5
        case ChangeK(algorithm="kmeans", k=k):
            mixed = sum("mixed" in critique.issues for critique in case.critiques)
            unstable = sum("unstable" in critique.issues for critique in case.critiques)
            return 6 if ((k or 0) > case.report.k) == (mixed >= unstable) else 7
        case ChangeK():
            return 9
        case Synthesise():
            return 10
    return 11
