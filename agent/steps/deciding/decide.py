"""The decision of a round: build the candidates, let the policy look at what it likes, and have it choose one."""

from collections import Counter

from ....state import events
from ....state.actions import Stop
from ....state.decision import Look
from ....state.phrases import Advance, silent
from ....state.rows import counts
from ....state.values import Values
from ...decide.candidates import build_candidates, untried_kinds
from ...decide.decide import chosen, decided, ends_converged
from ...decide.facts import gather_budget, gather_facts
from ...decide.looking import Looking
from ...decide.model_policy import NO_ANSWER
from ...decide.policy import Case, policy
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..rows.appraise import looks_first, with_appraisals
from .measuring import Live, Logged, Measuring
from .tools import Toolbox


class Decide(Step[Measuring | None]):
    """Let the policy choose one of the candidates; everything that it saw is logged. None: it looks at nothing."""

    name = "decide"
    unit = "looks"
    takes = (
        "what was measured because a language model looked at it: what the probes make of every held-out row, other "
        "clusterings and their scores; and that the time or the money for more looks was over"
    )

    def measure(self, session: Session, view: View, advance: Advance) -> Measuring | None:
        return Live(session, view, advance) if looks_first(view.config) else None

    def logged(self, view: View, event: events.Decide) -> Measuring | None:
        return Logged(view, event) if looks_first(view.config) else None

    def derive(self, view: View, measured: Measuring | None, advance: Advance = silent) -> Draft:
        report, critiques, history = view.report(), view.critiques(), view.history()
        facts, budget = gather_facts(view), gather_budget(view)
        candidates = with_appraisals(view, build_candidates(report, critiques, facts, history, view.config.caps))
        untried = untried_kinds(candidates, history, facts, measured=measured is None)
        case = Case(report, critiques, candidates, history, budget, untried)
        box = None if measured is None else Toolbox(view, case, facts, measured)
        looking = None if box is None or measured is None else Looking(box, view.config.llm.looks, measured.drive)
        by_rules = view.config.backend("policy") == "rules"
        choice = chosen(policy(None if by_rules else view.model, looking), case)
        decision = decided(case, choice)
        values, lines = Values(decision=decision), [*_told(choice.looks)]
        if NO_ANSWER in decision.reasons:
            by_rules = True
            lines.append((f"round {view.state.round}: {NO_ANSWER}", "yellow"))
        if isinstance(decision.action, Stop):
            reason = "; ".join(decision.reasons)
            values = values.patched(Values(stop_reason=reason, converged=ends_converged(decision)))
            lines.append((f"round {view.state.round}: stop ({reason})", ""))
        total, shown = counts(view.ledger()), choice.candidates or candidates
        fields = {"counts": total, "k": report.k, "facts": facts, "budget": budget, "candidates": shown}
        return Draft(
            values=values,
            inputs=("report", "critiques", "ledger"),
            actor="rules" if by_rules else "agent",
            fields=fields | {"looks": choice.looks, "appraisals": () if box is None else tuple(box.appraisals)},
            evidence={} if box is None else box.found.contents(),
            lines=tuple(lines),
        )


def _told(looks: tuple[Look, ...]) -> list[tuple[str, str]]:
    """What the model looked at, in one line."""
    called = Counter(one.tool for one in looks)
    said = ", ".join(tool if times == 1 else f"{tool} {times} times" for tool, times in called.items())
    return [(f"the language model looked first: {said}", "")] if looks else []
