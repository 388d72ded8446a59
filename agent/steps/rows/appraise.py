"""Before a decision: what each action on rows would be worth, measured on the held-out rows and against noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ....state import events
from ....state.actions import Action
from ....state.canonical import sha256_bytes, sha256_json
from ....state.config import Config
from ....state.decision import Appraisal, Candidate, Change, Verdict
from ....state.errors import IntegrityError
from ....state.phrases import Advance, counted, silent
from ....state.rows import kept_rows
from ....state.values import Role
from ...decide.candidates import build_candidates
from ...decide.facts import gather_facts
from ...decide.verdict import Look, Weights, appraised, change, on_rows, pays_on_rows
from ...session import Session
from ...view import View
from ..base import Content, Draft, Step
from ..probed import (
    KnownRows,
    Pool,
    anchor_held_out,
    confirmed_rows,
    covered_by_chance,
    covered_rows,
    held_out_scores,
    held_out_weights,
    pool_scores,
)
from .removals import LedgerChange, changed
from .rotation import Rotation, rotated


@dataclass(frozen=True)
class Standing:
    """The held-out rows before an action: the anchor, then the kept rows that are held out in turn.

    ``scores``: what the probes make of them, float64 [probes, held]; ``confirmed``: which of the latter the others
    bear out, bool [n].
    """

    scores: np.ndarray
    confirmed: np.ndarray


@dataclass(frozen=True)
class _Scores:
    """What the probes make of the held-out rows as they stand, and once each action was carried out: float64 [actions,
    probes, held]."""

    standing: Standing
    after: np.ndarray


@dataclass(frozen=True)
class Trial:
    """An action that is looked at, what it would change, and the name of the rows and labels before and after."""

    candidate: Candidate
    change: LedgerChange
    name: str

    @property
    def kept(self) -> np.ndarray:
        """Positions of the training rows it leaves, uint32 [n]."""
        return kept_rows(self.change.ledger)


class Appraise(Step[_Scores]):
    """Measure what every action on rows that may be chosen would be worth, each once for the same rows.

    Rules have it all measured. A language model that may look has measured what it asks for, when it decides.
    """

    name = "appraise"
    unit = "actions"
    takes = "what the probes make of every held-out row, by action, and of every kept row where it was held out in turn"

    def due(self, view: View) -> bool:
        return not looks_first(view.config) and bool(trials(view))

    def total(self, view: View) -> int:
        return len(_new(view))

    def measure(self, session: Session, view: View, advance: Advance) -> _Scores:
        found = list[np.ndarray]()
        for trial in _new(view):
            found.append(trial_scores(view, trial))
            advance(1)
        as_it_is = standing(view)
        return _Scores(as_it_is, np.stack(found) if found else as_it_is.scores[np.newaxis][:0])

    def logged(self, view: View, event: events.Appraise) -> _Scores:
        return _Scores(logged_standing(view, event.evidence), view.store.array(event.evidence["trial_scores"]))

    def derive(self, view: View, measured: _Scores, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: there are scores of other actions or other rows.
        """
        new = _new(view)
        if len(new) != len(measured.after):
            raise IntegrityError(f"{len(measured.after)} actions were measured, of {len(new)}")
        held_out, looks = HeldOutRows.of(view, measured.standing), len(known_appraisals(view)) + len(new)
        found = tuple(
            appraisal(view, one, held_out.look(view, scores, one.kept, looks))
            for one, scores in zip(new, measured.after, strict=True)
        )
        paying = sum(one.verdict.outcome == "kept" for one in found)
        rows = measured.standing.scores.shape[1]
        told = f"{counted(len(found), 'action')} on rows measured on {rows:,} held-out rows: {paying:,} would pay"
        return Draft(
            inputs=("ledger", "evidence", "anchor_scores", "anchor_vectors"),
            fields={"appraisals": found, "offered": {one.candidate.action.key: one.name for one in trials(view)}},
            evidence={"trial_scores": measured.after, **standing_contents(measured.standing)},
            lines=((told, ""),) if found else (),
        )


def known_appraisals(view: View) -> dict[str, Appraisal]:
    """What was measured so far, by the name of the rows before and after."""
    measured = (event for event in view.events if isinstance(event, events.Appraise | events.Decide))
    return {one.rows: one for event in measured for one in event.appraisals}


def looks_taken(view: View, action: Action) -> int:
    """How often the held-out rows were looked at, for an action on trial among them: appraised, or only tried out."""
    known = known_appraisals(view).values()
    appraised_keys = {one.action for one in known}
    tried = {record.action.key for record in view.history() if record.verdict is not None and on_rows(record.action)}
    if on_rows(action):
        tried.add(action.key)
    return max(1, len(known) + len(tried - appraised_keys))


def looks_first(config: Config) -> bool:
    """Whether who decides is a language model that may look at what it likes before it chooses."""
    return config.backend("policy") == "llm" and config.llm.looks > 0


def trials(view: View) -> tuple[Trial, ...]:
    """The actions on rows that may be chosen in this round and that change something."""
    if "trials" not in view.memo:
        view.memo["trials"] = tuple(_trials(view))
    found: tuple[Trial, ...] = view.memo["trials"]
    return found


def _trials(view: View) -> Iterator[Trial]:
    candidates = build_candidates(view.report(), view.critiques(), gather_facts(view), view.history(), view.config.caps)
    for candidate in candidates:
        if candidate.available and appraised(candidate.action):
            trial = trial_of(view, candidate)
            if trial.change.refused is None and trial.change.rows:
                yield trial


def trial_of(view: View, candidate: Candidate) -> Trial:
    """An action and what it would change, or why it is refused."""
    change = changed(view, candidate.action)
    return Trial(candidate, change, change_name(view, change))


def with_appraisals(view: View, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The candidates, those on rows with what was measured of them for the rows in force."""
    known = known_appraisals(view)
    if not known:
        return candidates
    names = {one.candidate.action.key: one.name for one in trials(view)} if looks_first(view.config) else _offered(view)
    return tuple(with_verdict(one, known.get(names.get(one.action.key, ""))) for one in candidates)


def with_verdict(candidate: Candidate, found: Appraisal | None) -> Candidate:
    """The candidate with what was measured of it, its gain among its figures; None: nothing was."""
    if found is None:
        return candidate
    figures = {"gain": found.verdict.gain, "needed": found.verdict.needed}
    return candidate.model_copy(update={"appraisal": found.verdict, "evidence": {**candidate.evidence, **figures}})


def _offered(view: View) -> dict[str, str]:
    """The names of what the actions come to that were looked at for the decision that comes next."""
    for event in reversed(view.events):
        if isinstance(event, events.Appraise):
            return event.offered
        if isinstance(event, events.Measure | events.Override):
            break
    return {}


def appraisal_of(view: View) -> Verdict | None:
    """What was measured of the action that was decided on, before it was; None where it was not."""
    decision = view.decision
    for event in reversed(view.events):
        if isinstance(event, events.Decide | events.Approve):
            for candidate in event.candidates:
                if (candidate.id, candidate.action) == (decision.candidate, decision.action):
                    return candidate.appraisal
        if isinstance(event, events.Measure):
            break
    return None


def change_name(view: View, change: LedgerChange) -> str:
    """Names the rows and labels in force and those that a change leaves."""
    before, after = view.kept(), kept_rows(change.ledger)
    labels = None if change.relabelled is None else sha256_json(change.relabelled.to_dict(as_series=False))
    parts = [
        sha256_bytes(before.tobytes()),
        sha256_bytes(after.tobytes()),
        view.state.artefacts.get("relabelled"),
        labels,
    ]
    return sha256_json(parts)[:16]


def _new(view: View) -> list[Trial]:
    """The trials that were not measured yet; of those that come to the same, the first."""
    seen, new = set(known_appraisals(view)), list[Trial]()
    for trial in trials(view):
        if trial.name not in seen:
            seen.add(trial.name)
            new.append(trial)
    return new


def standing(view: View) -> Standing:
    """The held-out rows as they stand, measured."""
    rotation, anchor = _rotation(view), np.asarray(view.array("anchor_scores"))
    if rotation is None:
        return Standing(anchor, np.zeros(0, dtype=bool))
    return Standing(np.concatenate([anchor, rotation.as_they_stand()], axis=1), rotation.confirmed)


def standing_contents(measured: Standing) -> dict[Role, Content]:
    """As an event keeps it."""
    return {"standing_scores": measured.scores, "rotated_confirmed": measured.confirmed}


def logged_standing(view: View, evidence: Mapping[Role, str]) -> Standing:
    """The same, read back."""
    scores, confirmed = (view.store.array(evidence[role]) for role in ("standing_scores", "rotated_confirmed"))
    return Standing(np.asarray(scores), np.asarray(confirmed))


def trial_scores(view: View, trial: Trial) -> np.ndarray:
    """What the probes make of the held-out rows once an action was carried out: float64 [probes, held]."""
    after = view if trial.change.relabelled is None else view.with_labels(trial.change.relabelled)
    held, rows = anchor_held_out(view, view.values.probes), trial.kept
    if "nearest_neighbor" in view.values.probes:
        anchor = pool_scores(after, rows, held, Pool.of(view))
    else:
        vectors = np.asarray(view.array("vectors"))[np.isin(view.array("pool"), rows)]
        known = KnownRows(rows, vectors)
        anchor = held_out_scores(after, (view.values.probes, view.values.probe_budget), known, held, silent)
    rotation = _rotation(view)
    if rotation is None:
        return anchor
    return np.concatenate([anchor, rotation.after(trial.candidate.action, trial.change)], axis=1)


def _rotation(view: View) -> Rotation | None:
    if "rotation" not in view.memo:
        view.memo["rotation"] = Rotation.of(view)
    found: Rotation | None = view.memo["rotation"]
    return found


def coverage(view: View, before: np.ndarray, after: np.ndarray) -> Change:
    """How many more of the confirmed anchor rows positions ``after`` (uint32 [n]) cover than as many of those
    ``before`` would by chance: thinner rows cover less, whichever they are."""
    pool, confirmed = view.array("pool"), confirmed_rows(view)
    share = max(0.0, 1.0 - len(after) / max(1, len(before)))
    by_chance = covered_by_chance(view, np.isin(pool, before), share)[confirmed]
    stays = covered_rows(view, np.isin(pool, after))[confirmed].astype(float)
    return change("coverage", by_chance, stays, np.ones(len(stays)))


@dataclass(frozen=True)
class HeldOutRows:
    """The rows that an action is held against: what the probes make of them before it (float64 [probes, held]), and
    what they weigh (float64 [held] each)."""

    before: np.ndarray
    weights: Weights

    @classmethod
    def of(cls, view: View, measured: Standing | None = None) -> HeldOutRows:
        """The anchor, and the rows that are held out in turn; None: the anchor alone.

        Raises:
            IntegrityError: other rows were measured.
        """
        turns, confirmed = view.anchor()[:0], np.zeros(0, dtype=bool)
        before = np.asarray(view.array("anchor_scores"))
        if measured is not None:
            turns, confirmed, before = rotated(view), measured.confirmed, measured.scores
        rows = np.concatenate([view.anchor(), turns])
        if before.shape[1] != len(rows) or len(confirmed) != len(turns):
            raise IntegrityError("other rows were measured than are held out")
        sure = np.concatenate([confirmed_rows(view), confirmed])
        return cls(before, held_out_weights(view, view.values.probes, rows, sure))

    def look(self, view: View, after: np.ndarray, left: np.ndarray, looks: int) -> Look:
        """A look at what the probes make of the rows (``after``, float64 [probes, held]) once positions are left.

        ``left``: uint32 [rows]; ``looks``: how many there were so far, this one among them.
        """
        kept = view.kept()
        return Look(
            self.before,
            after,
            self.weights,
            view.values.probes,
            coverage=coverage(view, kept, left),
            removed=max(0, len(kept) - len(left)) / max(1, len(kept)),
            looks=looks,
        )


def appraisal(view: View, trial: Trial, look: Look) -> Appraisal:
    """What a trial would be worth by one look at the held-out rows."""
    verdict = pays_on_rows(trial.candidate.action, look, view.config.objective)
    removed = int(len(view.kept()) - len(np.intersect1d(view.kept(), trial.kept)))
    return Appraisal(action=trial.candidate.action.key, rows=trial.name, removed=removed, verdict=verdict)
