"""The experiment of a round: measure the baseline once, act on a trial copy, measure, keep or roll back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ...state import events
from ...state.actions import ChangeK, EditRows, Synthesise
from ...state.decision import Outcome, RoundRecord, Verdict
from ...state.errors import IntegrityError
from ...state.params.vectors import ClusterParams
from ...state.phrases import Advance, counted, silent
from ...state.report import Objective
from ...state.rows import check_ledger, counts, kept_rows
from ...state.values import Artefacts, Role, Trial, Values
from ...tools.vectors.score import ClusterScores
from ..decide.caps import within_share
from ..decide.decide import REJECTED
from ..decide.person import pinned
from ..decide.undo import in_force
from ..decide.verdict import decided_by_a_person, may_pay_on_clustering, on_rows, pays_on_clustering, pays_on_rows
from ..session import Session
from ..synthesis.placement import LivePlacer, Placer, logged_placer
from ..synthesis.tables import Addition, add_rows
from ..view import View
from .base import Content, Draft, Step
from .clean import logged_frame
from .describe import scores_in_force
from .measured import (
    Clustered,
    Embedded,
    KeptRows,
    cluster_rows,
    clustering_in_force,
    embed_missing,
    logged_clustered,
    logged_embedded,
    pool_contents,
    resolved,
    score_rows,
    scores_from_json,
    scores_json,
)
from .probed import Probed, anchor_scores, choose_probes, clustering_noise, confirmed_rows, quality, worth
from .rows.appraise import HeldOutRows, appraisal_of, looks_taken
from .rows.evidence import CONFIRMED, held_out_evidence
from .rows.removals import changed


@dataclass(frozen=True)
class _Begun(Probed):
    """The data as they stand when the loop begins, and what the probes' rows are held against."""

    held_out: pl.DataFrame  # row, label_support where there are labels


class Baseline(Step[_Begun]):
    """Once, before anything is tried: choose the probes, measure the data as they stand, and confirm held-out rows.

    The held-out rows come from the crude set. One is confirmed where the training rows bear its label out.
    """

    name = "baseline"
    unit = "probes"
    takes = (
        "what the probes make of every held-out row, how well each is borne out, and how much re-seeded clusterings "
        "differ"
    )

    def due(self, view: View) -> bool:
        return view.values.objective is None

    def measure(self, session: Session, view: View, advance: Advance) -> _Begun:
        kept, scores = KeptRows.of(view), scores_in_force(view, advance)
        names, budget = choose_probes(view, kept)
        spread = clustering_noise(view, kept, view.clustering, advance)
        anchor = anchor_scores(view, names, budget, kept.rows, kept.vectors, advance)
        return _Begun(scores, anchor, spread, held_out_evidence(view, kept))

    def logged(self, view: View, event: events.StepEvent) -> _Begun:
        objective, artefacts = event.state.values.objective, event.state.artefacts
        assert objective is not None
        anchor = np.asarray(view.store.array(artefacts["anchor_scores"] or ""))
        held_out = logged_frame(view, event, "anchor_evidence").drop("confirmed")
        return _Begun(scores_in_force(view, silent), anchor, objective.clustering_sd, held_out)

    def derive(self, view: View, measured: _Begun, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: other rows were measured than are held out.
        """
        kept = KeptRows.of(view)
        names, budget = choose_probes(view, kept)
        if not np.array_equal(measured.held_out["row"].to_numpy(), view.anchor()):
            raise IntegrityError("the held-out rows are not those that were measured")
        held_out = measured.held_out.with_columns(confirmed=borne_out(view, measured.held_out))
        objective = worth(view, kept, clustering_in_force(view), measured, names, held_out["confirmed"].to_numpy())
        return Draft(
            artefacts={"anchor_scores": measured.anchor, "anchor_evidence": held_out},
            values=Values(probes=names, probe_budget=budget, objective=objective),
            inputs=("ledger", "assignments", "anchor_vectors"),
        )


def borne_out(view: View, held_out: pl.DataFrame) -> pl.Series:
    """Which held-out rows the training rows bear out, or a person: those with enough support, or where there are no
    labels, all."""
    if "label_support" not in held_out.columns:
        return pl.repeat(True, held_out.height, dtype=pl.Boolean, eager=True)
    told = held_out["row"].is_in(pl.Series(pinned(view)).implode())
    return (held_out["label_support"] >= CONFIRMED).fill_null(True) | told


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
        beside: dict[Role, Content] = {}  # the ledger
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
                told: dict[Role, Content] = {"relabelled": change.relabelled, "answers": change.answers}
                beside = {role: content for role, content in told.items() if content is not None}
                pool = measured.embed(kept_rows(ledger), None)
                embedded = pool.embedded if pool else 0
        if not refused:
            clustering, thresholds = action.aims(clustering, thresholds)
        ledger = within_share(ledger, view.config.caps.synthetic_fraction, view.seq)
        known = added.positions if added.rows else kept_rows(ledger)
        joined = {} if refused else pool_contents(view, known, pool)
        artefacts: dict[Role, Content] = {**added.artefacts, **joined, **beside}
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
        "the clustering and the scores of the trial, what the probes make of every held-out row, and the spread of "
        "re-seeded clusterings"
    )

    def measure(self, session: Session, view: View, advance: Advance) -> _Measured | None:
        if view.trial.refused:
            return None
        kept = KeptRows.of(view, "trial_ledger")
        wanted = view.trial.clustering
        clustered = cluster_rows(view, kept, wanted, view.array("centroids"))
        params = resolved(wanted, clustered.result)
        scores = score_rows(view, kept, clustered, params, advance)
        anchor = np.asarray(view.array("anchor_scores"))
        if on_rows(view.decision.action):
            names, budget = view.values.probes, view.values.probe_budget
            anchor = anchor_scores(view, names, budget, kept.rows, kept.vectors, advance)
        spread = view.objective.clustering_sd
        if _re_seeded(view, clustered, scores):
            spread = clustering_noise(view, kept, params, advance)
        return _Measured(scores, anchor, spread, clustered, params)

    def logged(self, view: View, event: events.Measure) -> _Measured | None:
        record = event.record
        if view.trial.refused or record.after is None or event.clustering is None:
            return None
        clustered = logged_clustered(view, {**event.evidence}, event.clustering)
        scores = scores_from_json(view.store.json(event.evidence["scores"]))
        anchor = np.asarray(view.store.array(event.evidence["anchor_scores"]))
        params = resolved(view.trial.clustering, clustered.result)
        again = _re_seeded(view, clustered, scores)
        spread = record.after.clustering_sd if again else view.objective.clustering_sd
        return _Measured(scores, anchor, spread, clustered, params)

    def derive(self, view: View, measured: _Measured | None, advance: Advance = silent) -> Draft:
        back: dict[Role, Content] = {"trial_ledger": None, **view.trial.before}
        if measured is None:
            record = _record(view, "refused", (view.trial.refused or "it was not measured",))
            return _ended(view, record, back, Values(trial=None))
        kept = KeptRows.of(view, "trial_ledger")
        after = worth(view, kept, measured.clustered, measured, view.values.probes, confirmed_rows(view))
        verdict = _verdict(view, measured, after)
        tables: dict[Role, Content] = {
            **measured.clustered.contents(kept),
            "scores": scores_json(measured.scores),
            "anchor_scores": measured.anchor,
        }
        agreement, kappa = agreements(view, kept.rows, measured.clustered.result.labels)
        found = {"verdict": verdict, "after": after, "label_agreement": agreement, "keep_agreement": kappa}
        record = _record(view, verdict.outcome, verdict.reasons).model_copy(update=found)
        values = Values(trial=None)
        if verdict.outcome == "kept":
            record = record.model_copy(update={"k": len(measured.clustered.result.centroids)})
            back = {"trial_ledger": None, "ledger": view.ref("trial_ledger"), **tables}
            values = values.patched(in_force(view, record, measured.params))
        if view.config.approve:
            values = values.patched(Values(offer=verdict.outcome != "kept"))
        draft = _ended(view, record, back, values).with_fields(clustering=measured.params)
        return replace(draft, evidence=tables)


def _re_seeded(view: View, clustered: Clustered, scores: ClusterScores) -> bool:
    """Whether the spread of a trial's clustering is measured: where none could let it pass, that of before stands."""
    if not isinstance(view.decision.action, ChangeK):
        return False
    reached = quality(view, clustered.result.labels, scores.silhouette, scores.stability)
    return may_pay_on_clustering(view.objective, reached, view.config.objective)


def _verdict(view: View, measured: _Measured, after: Objective) -> Verdict:
    """Whether the trial paid: on the held-out rows, or where only the clustering is another, by its quality."""
    action, params = view.decision.action, view.config.objective
    looks = looks_taken(view, action)
    if not on_rows(action):
        return pays_on_clustering(view.objective, after, looks, params)
    if (verdict := appraisal_of(view)) is not None:  # of the same rows, on more of them than the anchor
        return verdict
    look = HeldOutRows.of(view).look(view, measured.anchor, view.kept("trial_ledger"), looks)
    verdict = pays_on_rows(action, look, params)
    return decided_by_a_person(verdict) if isinstance(action, EditRows) else verdict


def _record(view: View, outcome: Outcome, reasons: tuple[str, ...]) -> RoundRecord:
    """The record of a round in which nothing was measured or nothing has changed."""
    ledger = view.ledger("trial_ledger" if outcome == "kept" else "ledger")
    check_ledger(ledger, view.values.ingested)
    begun = max(event.seq for event in view.events if isinstance(event, events.Embed))
    return RoundRecord(
        round=view.state.round,
        state_key=view.values.state_key or "",
        rows_key=view.values.evidence_of or "",
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
