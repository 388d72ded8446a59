"""The experiment of a round: measure the baseline once, decide, act on a trial copy, measure, keep or roll back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ...state import events
from ...state.actions import ChangeK, Stop, Synthesise
from ...state.config import ClusterParams
from ...state.decision import Outcome, RoundRecord
from ...state.phrases import Advance, counted, silent
from ...state.rows import check_ledger, counts, kept_rows
from ...state.values import Artefacts, Role, Trial, Values
from ..decide.candidates import build_candidates
from ..decide.caps import within_share
from ..decide.decide import REJECTED, ends_converged, pays
from ..decide.decide import decide as take_decision
from ..decide.facts import gather_budget, gather_facts
from ..decide.policy import Case, policy
from ..decide.undo import in_force
from ..session import Session
from ..synthesis.placement import LivePlacer, Placer, logged_placer
from ..synthesis.tables import Addition, add_rows
from ..view import View
from .base import Content, Draft, Step
from .describe import scores_in_force
from .measured import (
    Clustered,
    Embedded,
    KeptRows,
    Probed,
    ProbeKind,
    choose_probe,
    cluster_rows,
    clustering_in_force,
    clustering_noise,
    embed_missing,
    logged_clustered,
    logged_embedded,
    pool_contents,
    probe_rows,
    resolved,
    score_rows,
    scores_from_json,
    scores_json,
    worth,
)
from .removals import changed


class Baseline(Step[Probed]):
    """Once, before anything is tried: choose the probe and its budget, and measure the data as it stands."""

    name = "baseline"
    unit = "trainings"
    takes = "the probe's score by seed, and how much re-seeded clusterings differ"

    def due(self, view: View) -> bool:
        return view.values.objective is None

    def total(self, view: View) -> int | None:
        return view.config.probe.seeds

    def measure(self, session: Session, view: View, advance: Advance) -> Probed:
        kept, scores = KeptRows.of(view), scores_in_force(view, advance)
        kind, budget = choose_probe(view, kept)
        spread = clustering_noise(view, kept, view.clustering, advance)
        probe = probe_rows(view, kept.rows, kept.vectors, kind, budget, advance)
        return Probed(scores, tuple(probe.scores.tolist()), spread)

    def logged(self, view: View, event: events.StepEvent) -> Probed:
        values = event.state.values
        assert values.objective is not None
        return Probed(scores_in_force(view, silent), values.probe_scores, values.objective.clustering_sd)

    def derive(self, view: View, measured: Probed, advance: Advance = silent) -> Draft:
        kept = KeptRows.of(view)
        kind, budget = choose_probe(view, kept)
        objective = worth(view, kept, clustering_in_force(view), measured, kind)
        return Draft(
            values=Values(probe_kind=kind, probe_budget=budget, probe_scores=measured.probe, objective=objective),
            inputs=("ledger", "assignments", "anchor_vectors"),
        )


class Decide(Step[None]):
    """Build the candidates and let the policy choose one; everything it saw is logged."""

    name = "decide"

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        report, critiques, history = view.report(), view.critiques(), view.history()
        facts, budget = gather_facts(view), gather_budget(view)
        candidates = build_candidates(report, critiques, facts, history, view.config.caps)
        by = view.config.backend("policy")
        chooser = policy(view.model if by == "llm" else None)
        decision = take_decision(chooser, Case(report, critiques, candidates, history, budget))
        values, lines = Values(decision=decision), list[tuple[str, str]]()
        if isinstance(decision.action, Stop):
            reason = "; ".join(decision.reasons)
            values = values.patched(Values(stop_reason=reason, converged=ends_converged(decision)))
            lines.append((f"round {view.state.round}: stop ({reason})", ""))
        total = counts(view.ledger())
        return Draft(
            values=values,
            inputs=("report", "critiques", "ledger"),
            actor="rules" if by == "rules" else "agent",
            fields={"counts": total, "k": report.k, "facts": facts, "budget": budget, "candidates": candidates},
            lines=tuple(lines),
        )


@dataclass(frozen=True)
class _Instruments:
    """What an action needs besides the evidence, live or from the log: where new texts land, and vectors of rows."""

    place: Placer
    embed: Callable[[np.ndarray, np.ndarray | None], Embedded | None]  # positions, uint32 [n]; vectors [n, d], if known


class Act(Step[_Instruments]):
    """Carry out the decision on a trial copy of the ledger; nothing is in force before it was measured.

    Where an action leaves too few real rows beside the synthetic ones, the last of these go, too.
    """

    name = "act"
    takes = "where texts land that a language model wrote, and the vectors of rows that come back or are new"

    def measure(self, session: Session, view: View, advance: Advance) -> _Instruments:
        return _Instruments(
            LivePlacer(session, advance),
            lambda rows, vectors: embed_missing(session, view, rows, advance, vectors),
        )

    def logged(self, view: View, event: events.Act) -> _Instruments:
        return _Instruments(logged_placer(view, event), lambda rows, vectors: logged_embedded(view, event, rows))

    def derive(self, view: View, measured: _Instruments, advance: Advance = silent) -> Draft:
        action = view.decision.action
        clustering, thresholds = view.clustering, view.values.thresholds
        ledger, rows, refused, embedded = view.ledger(), 0, None, 0
        added = Addition(ledger)
        pool: Embedded | None = None
        if view.values.rejected:
            refused = REJECTED
        elif isinstance(action, Synthesise):
            added = add_rows(view, action, measured.place, advance)
            ledger, rows, refused = added.ledger, added.rows, added.refused
            embedded = measured.place.embedded
            if added.rows:
                pool = measured.embed(added.positions, added.vectors)
        elif not isinstance(action, ChangeK):
            change = changed(view, action, advance)
            ledger, rows, refused = change.ledger, change.rows, change.refused
            if not refused:
                pool = measured.embed(kept_rows(ledger), None)
                embedded = pool.embedded if pool else 0
        if not refused:
            clustering, thresholds = action.aims(clustering, thresholds)
        ledger = within_share(ledger, view.config.caps.synthetic_fraction, view.seq)
        known = added.positions if added.rows else kept_rows(ledger)
        artefacts: dict[Role, Content] = {**added.artefacts, **({} if refused else pool_contents(view, known, pool))}
        # Embedding rows for a trial changes the neighbours of all; if it does not pay, these come back.
        before: Artefacts = {role: view.state.artefacts.get(role) for role in artefacts}
        trial = Trial(clustering=clustering, thresholds=thresholds, refused=refused, before=before)
        return Draft(
            artefacts={**artefacts, "trial_ledger": ledger},
            values=Values(trial=trial),
            inputs=("ledger", "assignments"),
            outcome="refused" if refused else None,
            reasons=(refused,) if refused else (),
            fields={"counts": counts(ledger), "embedded": embedded, "synthesis": added.figures},
            changed=rows,
        )


@dataclass(frozen=True)
class _Measured(Probed):
    """A trial that was clustered, scored and probed."""

    clustered: Clustered
    params: ClusterParams


class Measure(Step[_Measured | None]):
    """Measure the trial on the anchor against the noise; keep it or roll it back. None: it was refused.

    The clustering of the trial is stored as evidence whatever becomes of it, so that the verdict can be derived again.
    """

    name = "measure"
    unit = "trainings"
    takes = (
        "the clustering and the scores of the trial, the probe's score by seed, and the spread of re-seeded clusterings"
    )

    def measure(self, session: Session, view: View, advance: Advance) -> _Measured | None:
        if view.trial.refused:
            return None
        kept = KeptRows.of(view, "trial_ledger")
        wanted = view.trial.clustering
        clustered = cluster_rows(view, kept, wanted, view.array("centroids"))
        params = resolved(wanted, clustered.result)
        scores = score_rows(view, kept, clustered, params, advance)
        probe = view.values.probe_scores
        if not np.array_equal(kept.rows, view.kept()):
            kind, budget = _probe(view)
            probe = tuple(probe_rows(view, kept.rows, kept.vectors, kind, budget, advance).scores.tolist())
        spread = view.objective.clustering_sd
        if isinstance(view.decision.action, ChangeK):
            spread = clustering_noise(view, kept, params, advance)
        return _Measured(scores, probe, spread, clustered, params)

    def logged(self, view: View, event: events.Measure) -> _Measured | None:
        record = event.record
        if view.trial.refused or record.after is None or event.clustering is None:
            return None
        clustered = logged_clustered(view, {**event.evidence}, event.clustering)
        scores = scores_from_json(view.store.json(event.evidence["scores"]))
        return _Measured(scores, event.probe_scores, record.after.clustering_sd, clustered, event.clustering)

    def derive(self, view: View, measured: _Measured | None, advance: Advance = silent) -> Draft:
        back: dict[Role, Content] = {"trial_ledger": None, **view.trial.before}
        if measured is None:
            record = _record(view, "refused", (view.trial.refused or "it was not measured",))
            return _ended(view, record, back, Values(trial=None))
        kept = KeptRows.of(view, "trial_ledger")
        after = worth(view, kept, measured.clustered, measured, _probe(view)[0])
        verdict = pays(view.objective, after, view.config.objective)
        tables = {**measured.clustered.contents(kept), "scores": scores_json(measured.scores)}
        agreement, kappa = agreements(view, kept.rows, measured.clustered.result.labels)
        found = {"verdict": verdict, "after": after, "label_agreement": agreement, "keep_agreement": kappa}
        record = _record(view, verdict.outcome, verdict.reasons).model_copy(update=found)
        values = Values(trial=None)
        if verdict.outcome == "kept":
            record = record.model_copy(update={"k": len(measured.clustered.result.centroids)})
            back = {"trial_ledger": None, "ledger": view.ref("trial_ledger"), **tables}
            values = values.patched(in_force(view, record, measured.params, measured.probe))
        if view.config.approve:
            values = values.patched(Values(offer=verdict.outcome != "kept"))
        draft = _ended(view, record, back, values).with_fields(clustering=measured.params, probe_scores=measured.probe)
        return replace(draft, evidence=tables)


def _probe(view: View) -> tuple[ProbeKind, int]:
    """The probe of the run and its budget."""
    assert view.values.probe_kind is not None
    return view.values.probe_kind, view.values.probe_budget


def _record(view: View, outcome: Outcome, reasons: tuple[str, ...]) -> RoundRecord:
    """The record of a round in which nothing was measured or nothing has changed."""
    ledger = view.ledger("trial_ledger" if outcome == "kept" else "ledger")
    check_ledger(ledger, view.values.ingested)
    begun = max(event.seq for event in view.events if isinstance(event, events.Embed))
    return RoundRecord(
        round=view.state.round,
        state_key=view.values.state_key or "",
        action=view.decision.action,
        outcome=outcome,
        reasons=reasons,
        verdict=None,
        kept=counts(ledger)["kept"],
        k=len(view.array("centroids")),
        embedded=sum(getattr(event, "embedded", 0) for event in view.events[begun:]),
        before=view.objective,
        after=None,
        label_agreement=1.0,
        keep_agreement=1.0,
    )


def _ended(view: View, record: RoundRecord, artefacts: Mapping[Role, Content], values: Values) -> Draft:
    """The draft of a finished round, with one line for a person."""
    line = (
        f"round {record.round}: {record.action.in_words()} → {record.outcome.replace('_', ' ')}"
        f" ({record.reasons[0]}); {record.kept:,} kept in {counted(record.k, 'cluster')}"
    )
    return Draft(
        artefacts=artefacts,
        values=values,
        inputs=("trial_ledger", "ledger", "anchor_vectors"),
        outcome=record.outcome,
        reasons=record.reasons,
        fields={"record": record},
        lines=((line, "green" if record.outcome == "kept" else ""),),
    )


def agreements(view: View, after: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """How much an action changed: AMI of the labels on rows in both, and Cohen's κ of the keep-sets.

    ``after``: kept positions after it, uint32 [n]; ``labels``: their clusters, int32 [n]. κ is over all positions.
    """
    from sklearn.metrics import adjusted_mutual_info_score, cohen_kappa_score

    both = view.frame("assignments").join(pl.DataFrame({"row": after, "new": labels}), on="row").sort("row")
    agreement = round(float(adjusted_mutual_info_score(both["cluster"].to_numpy(), both["new"].to_numpy())), 6)
    before = view.kept()
    if np.array_equal(before, after):
        return agreement, 1.0
    either = np.arange(max(before.max(), after.max()) + 1)
    return agreement, round(float(cohen_kappa_score(np.isin(either, before), np.isin(either, after))), 6)
