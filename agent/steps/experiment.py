"""The experiment of a round: measure the baseline once, decide, act on a trial copy, measure, keep or roll back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...state.config import ClusterParams
from ...state.decision import Critique, Decision, Outcome, RoundRecord
from ...state.events import Effect
from ...state.phrases import action_in_words, counted
from ...state.progress import Advance
from ...state.report import ClusterReport, Objective
from ...state.rows import check_ledger, counts
from ...tools.judge.probe import ProbeResult
from ...tools.vectors.cluster import ClusterResult
from ...tools.vectors.score import ClusterScores
from ..decide.candidates import build_candidates
from ..decide.decide import decide as take_decision
from ..decide.decide import ends_converged, pays
from ..decide.facts import gather_budget, gather_facts, state_key
from ..decide.policy import policy
from ..session import Session, derived_seed
from . import actions
from .describe import clustering_in_force, scores_in_force
from .measured import (
    View,
    choose_probe,
    cluster_view,
    clustering_noise,
    labels_frame,
    probe_view,
    resolved,
    score_view,
    scores_json,
    view,
)
from .measured import measure as measure_objective


def baseline(session: Session) -> None:
    """Once, before anything is tried: choose the probe and its budget, and measure the data as it stands."""
    if "objective" in session.state.values:
        return
    with session.step("baseline", session.config.probe.seeds, "trainings") as advance:
        seen = view(session)
        result = clustering_in_force(session)
        scores = scores_in_force(session, seen, result, advance)
        kind, budget = choose_probe(session, seen)
        params = ClusterParams(**session.state.values["clustering"])
        clustering_sd = clustering_noise(session, seen, params, advance)
        probe = probe_view(session, seen, kind, budget, advance)
        objective = measure_objective(session, seen, result, scores, probe, clustering_sd).model_dump(mode="json")
    session.record(
        "baseline",
        values={
            "probe_kind": kind,
            "probe_budget": budget,
            "probe_scores": probe.scores.tolist(),
            "objective": objective,
        },
        inputs=["ledger", "labels", "anchor_vectors"],
        params={"probe": kind, "budget": budget},
        metrics={"objective": objective, "clustering_sd": clustering_sd, "probe_scores": probe.scores.tolist()},
    )


def decide(session: Session) -> None:
    """Build the candidates and let the policy choose one; everything it saw is logged."""
    with session.step("decide"):
        report = ClusterReport.model_validate(session.store.json(session.state.artefacts["report"]))
        critiques = tuple(
            Critique.model_validate(item) for item in session.store.json(session.state.artefacts["critiques"])
        )
        facts = gather_facts(session.config, session.state.values, session.ledger())
        history = tuple(session.history())
        budget = gather_budget(session.config, history, session.log.events)
        candidates = build_candidates(report, critiques, facts, history, session.config.caps)
        mind = session.config.mind("policy")
        chooser = policy(mind, session.model)
        decision = take_decision(chooser, report, critiques, candidates, history, budget)
        chosen = next(candidate for candidate in candidates if candidate.id == decision.candidate)
    values: dict[str, Any] = {"decision": decision.model_dump(mode="json"), "decision_key": chosen.key}
    if decision.action == "stop":
        values["stop_reason"] = "; ".join(decision.reasons)
        values["converged"] = ends_converged(decision)
        session.reporter.say(f"round {session.state.round}: stop ({values['stop_reason']})")
    session.record(
        "decide",
        values=values,
        inputs=["report", "critiques", "ledger"],
        actor="rules" if mind == "rules" else "agent",
        candidates=[candidate.model_dump(mode="json") for candidate in candidates],
        action=decision.action,
        params=decision.params,
        reasons=list(decision.reasons),
        rejected=[rejected.model_dump() for rejected in decision.rejected],
        budget=budget.model_dump(),
        metrics={"facts": facts.model_dump(mode="json"), "k": report.k, **counts(session.ledger())},
    )


def act(session: Session) -> None:
    """Carry out the decision on a trial copy of the ledger; nothing is in force before it was measured."""
    decision = Decision.model_validate(session.state.values["decision"])
    with session.step("act") as advance:
        trial = actions.carry_out(session, decision, advance)
        before = session.state.artefacts["ledger"]
        after = session.store.put_frame(trial.ledger)
    session.record(
        "act",
        artefacts={**trial.artefacts, "trial_ledger": after},
        values={
            "trial": {
                "clustering": trial.clustering,
                "thresholds": trial.thresholds,
                "refused": trial.refused,
                "embedded": trial.embedded,
                # Embedding rows for a trial changes the neighbours of all; if it does not pay, these come back.
                "before": {role: session.state.artefacts.get(role) for role in trial.artefacts},
            }
        },
        inputs=["ledger", "labels"],
        action=decision.action,
        params=decision.params,
        outcome="refused" if trial.refused else None,
        reasons=[trial.refused] if trial.refused else [],
        metrics={
            "embedded": trial.embedded,
            **counts(trial.ledger),
            **({} if trial.synthesis is None else {"synthesis": trial.synthesis}),
        },
        effects=[Effect(kind="ledger", before_sha=before, after_sha=after, rows=trial.rows).model_dump()],
    )


@dataclass(frozen=True)
class _Measured:
    """A trial that was clustered, scored and probed."""

    seen: View
    result: ClusterResult
    params: ClusterParams
    space: np.ndarray | None
    scores: ClusterScores
    probe: ProbeResult
    objective: Objective


def _measure_trial(session: Session, advance: Advance) -> _Measured:
    values = session.state.values
    seen = view(session, "trial_ledger")
    wanted = ClusterParams(**values["trial"]["clustering"])
    result, space = cluster_view(session, seen, wanted, derived_seed(session.config, 3), session.array("centroids"))
    params = resolved(wanted, result)
    scores = score_view(session, seen, result, params, space, advance)
    if np.array_equal(seen.rows, session.kept()):
        probe = ProbeResult(values["probe_kind"], np.asarray(values["probe_scores"]))
    else:
        probe = probe_view(session, seen, values["probe_kind"], values["probe_budget"], advance)
    clustering_sd = Objective.model_validate(values["objective"]).clustering_sd
    if values["decision"]["action"] == "change_k":
        clustering_sd = clustering_noise(session, seen, params, advance)
    objective = measure_objective(session, seen, result, scores, probe, clustering_sd)
    return _Measured(seen, result, params, space, scores, probe, objective)


def measure(session: Session) -> None:
    """Measure the trial on the anchor against the noise; keep it or roll it back."""
    values = session.state.values
    before = Objective.model_validate(values["objective"])
    artefacts: dict[str, str | None] = {"trial_ledger": None, **values["trial"]["before"]}
    changes: dict[str, Any] = {"trial": None}
    outcome: Outcome
    reasons: tuple[str, ...]
    measured, verdict, agreement, kappa = None, None, 1.0, 1.0
    if refused := values["trial"]["refused"]:
        outcome, reasons = "refused", (refused,)
    else:
        with session.step("measure", None, "trainings") as advance:
            measured = _measure_trial(session, advance)
        verdict = pays(before, measured.objective, session.config.objective)
        outcome, reasons = verdict.outcome, verdict.reasons
        labels = labels_frame(measured.seen, measured.result)
        agreement, kappa = actions.agreements(session.frame("labels"), labels, session.kept(), measured.seen.rows)
        if outcome == "kept":
            artefacts = {"trial_ledger": None, **_in_force(session, measured)}
            changes |= _values_in_force(session, measured)
        if session.config.approve:
            changes["offer"] = None if outcome == "kept" else _offer(session, measured)
    ledger = session.ledger("trial_ledger" if outcome == "kept" else "ledger")
    check_ledger(ledger, values["ingested"])
    decision = Decision.model_validate(values["decision"])
    record = RoundRecord(
        round=session.state.round,
        state_key=values["state_key"],
        key=values["decision_key"],
        action=decision.action,
        params=decision.params,
        outcome=outcome,
        reasons=reasons,
        verdict=verdict,
        kept=counts(ledger)["kept"],
        k=len(measured.result.centroids) if measured and outcome == "kept" else len(session.array("centroids")),
        embedded=embedded_in_round(session),
        before=before,
        after=measured.objective if measured else None,
        label_agreement=round(agreement, 6),
        keep_agreement=round(kappa, 6),
    )
    session.record(
        "measure",
        artefacts=artefacts,
        values=changes,
        inputs=["trial_ledger", "ledger", "anchor_vectors"],
        outcome=outcome,
        action=decision.action,
        params=decision.params,
        reasons=list(reasons),
        metrics={"record": record.model_dump(mode="json")},
    )
    _show(session, record)


def _in_force(session: Session, measured: _Measured) -> dict[str, str | None]:
    """The artefacts that put a trial that paid in force."""
    store = session.store
    return {
        "ledger": session.state.artefacts["trial_ledger"],
        "labels": store.put_frame(labels_frame(measured.seen, measured.result)),
        "centroids": store.put_array(measured.result.centroids),
        "space": None if measured.space is None else store.put_array(measured.space),
        "scores": store.put_json(scores_json(measured.scores)),
    }


def _values_in_force(session: Session, measured: _Measured) -> dict[str, Any]:
    """The values of the state that go with them."""
    clustering = measured.params.model_dump(mode="json")
    return {
        "clustering": clustering,
        "state_key": state_key(measured.seen.rows, clustering),
        "objective": measured.objective.model_dump(mode="json"),
        "probe_scores": measured.probe.scores.tolist(),
        "thresholds": session.state.values["trial"]["thresholds"],
    }


def _offer(session: Session, measured: _Measured) -> dict[str, Any]:
    """What a person may put in force although it was rolled back, with what the trial itself brought in."""
    brought_in = {role: session.state.artefacts.get(role) for role in session.state.values["trial"]["before"]}
    return {
        "artefacts": {**brought_in, **_in_force(session, measured)},
        "values": _values_in_force(session, measured),
    }


def embedded_in_round(session: Session) -> int:
    """Rows embedded anew since the round began."""
    begun = session.log.of_type("embed")[-1].seq
    return sum(int(event.metrics.get("embedded", 0)) for event in session.log.events[begun:])


def _show(session: Session, record: RoundRecord) -> None:
    """One line for the finished round."""
    session.reporter.say(
        f"round {record.round}: {action_in_words(record.action, record.params)} → {record.outcome.replace('_', ' ')}"
        f" ({record.reasons[0]}); {record.kept:,} kept in {counted(record.k, 'cluster')}",
        "green" if record.outcome == "kept" else "",
    )
