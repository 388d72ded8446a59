"""The rules policy: the action on rows that was measured to pay best; where none does, another clustering is tried.

Among actions on rows whose gains differ by less than their noise, the one that takes the fewest rows is chosen.
Verified near-duplicates come last, for they need not gain. An action that was measured and would not pay is never
taken. Then, unmeasured before they are tried, kinds that were not tried on these rows before others: 1. bring back rows
a filter may have taken wrongly, 2. finer clusters where many are mixed, 3. coarser ones where many are unstable,
4. clusters by density, 5. new rows for thin clusters.
"""

from ...state.actions import Action, ChangeK, Refilter, Synthesise
from ...state.decision import Candidate
from .policy import Case, Choice
from .verdict import appraised


def choose(case: Case) -> Choice:
    """The candidate of the best measured gain, else the first available in the order; ``stop`` if there is no other."""
    paying = sorted((one for one in case.candidates if one.available and _pays(one)), key=_by_gain)
    if paying:
        least = _margin(paying[0])
        like = [one for one in paying if _net(one) >= _net(paying[0]) - least and not _exempt(one)] or paying[:1]
        chosen = min(like, key=lambda one: (one.rows, _by_gain(one)))
        ranked = [chosen, *(one for one in paying if one is not chosen)]
    else:
        ranked = []
    untried = (one for one in case.candidates if one.available and not appraised(one.action))
    ranked += sorted(untried, key=lambda one: (*_order(one.action, case), -one.rows, one.action.key))
    places = {other.id: f"number {place} in the rules' order" for place, other in enumerate(ranked[1:], start=2)}
    return Choice(ranked[0].id, _reasons(ranked[0]), {**_measured(case), **places})


def _pays(candidate: Candidate) -> bool:
    return candidate.appraisal is not None and candidate.appraisal.outcome == "kept"


def _exempt(candidate: Candidate) -> bool:
    """Whether it need not gain."""
    return candidate.appraisal is not None and candidate.appraisal.needed == 0.0


def _net(candidate: Candidate) -> float:
    """The measured gain less the price of the rows."""
    found = candidate.appraisal
    return 0.0 if found is None else found.gain - found.price


def _by_gain(candidate: Candidate) -> tuple[bool, float, int, str]:
    return (_exempt(candidate), -_net(candidate), candidate.rows, candidate.action.key)


def _margin(candidate: Candidate) -> float:
    """The standard error of its gain: another within it may be as good."""
    found = candidate.appraisal
    return 0.0 if found is None else found.changes[-1].error


def _reasons(candidate: Candidate) -> tuple[str, ...]:
    if candidate.appraisal is None:
        return candidate.reasons
    return (*candidate.reasons, f"measured on the held-out rows: {candidate.appraisal.reasons[0]}")


def _measured(case: Case) -> dict[str, str]:
    """Why those were not chosen that would not pay."""
    found = ((one.id, one.appraisal) for one in case.candidates)
    return {id: f"measured: {verdict.reasons[0]}" for id, verdict in found if verdict and verdict.outcome != "kept"}


def _order(action: Action, case: Case) -> tuple[bool, int]:
    """A kind that was not tried comes before another variant of one that was."""
    return action.action not in case.untried, _place(action, case)


def _place(action: Action, case: Case) -> int:
    match action:
        case Refilter():
            return 1
        case ChangeK(algorithm="kmeans", k=k):
            mixed = sum("mixed" in critique.issues for critique in case.critiques)
            unstable = sum("unstable" in critique.issues for critique in case.critiques)
            return 2 if ((k or 0) > case.report.k) == (mixed >= unstable) else 3
        case ChangeK():
            return 4
        case Synthesise():
            return 5
    return 6
