"""Before a decision: what each action on rows would be worth, measured on the held-out rows and against noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ....state import events
from ....state.canonical import sha256_bytes, sha256_json
from ....state.decision import Appraisal, Candidate, Verdict
from ....state.errors import IntegrityError
from ....state.phrases import Advance, counted, silent
from ....state.rows import kept_rows
from ...decide.candidates import build_candidates
from ...decide.facts import gather_facts
from ...decide.verdict import Look, Weights, appraised, pays_on_rows
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..measured import anchor_scores, confirmed_rows, covered_rows, held_out_weights
from .removals import LedgerChange, changed
from .rotation import Rotation, rotated


@dataclass(frozen=True)
class _Scores:
    """What the probes make of held-out rows: of the anchor once each action was carried out, float64 [actions, probes,
    m]; and of the kept rows, held out in turn, as they stand and once each was, float64 [1 + actions, probes, n].

    ``confirmed``: which of the latter the others bear out, bool [n].
    """

    anchor: np.ndarray
    rotated: np.ndarray
    confirmed: np.ndarray


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
    """Measure what every action on rows that may be chosen would be worth, each once for the same rows."""

    name = "appraise"
    unit = "actions"
    takes = "what the probes make of every held-out row, by action, and of every kept row where it was held out in turn"

    def due(self, view: View) -> bool:
        return bool(trials(view))

    def total(self, view: View) -> int:
        return len(_new(view))

    def measure(self, session: Session, view: View, advance: Advance) -> _Scores:
        new = _new(view)
        rotation = Rotation.of(view) if new else None
        anchor, rotated = list[np.ndarray](), list[np.ndarray]()
        for trial in new:
            anchor.append(trial_scores(view, trial))
            if rotation is not None:
                rotated.append(rotation.after(trial.candidate.action, trial.change))
            advance(1)
        probes = len(view.values.probes)
        if rotation is None:
            nothing = np.zeros((1 + len(new), probes, 0))
            return _Scores(_stacked(anchor, view), nothing, np.zeros(0, dtype=bool))
        return _Scores(_stacked(anchor, view), np.stack([rotation.as_they_stand(), *rotated]), rotation.confirmed)

    def logged(self, view: View, event: events.Appraise) -> _Scores:
        found = {role: np.asarray(view.store.array(reference)) for role, reference in event.evidence.items()}
        return _Scores(found["trial_scores"], found["rotated_scores"], found["rotated_confirmed"])

    def derive(self, view: View, measured: _Scores, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: there are scores of other actions or other rows.
        """
        new = _new(view)
        turns = rotated(view) if new else np.zeros(0, dtype=np.uint32)
        if len(new) != len(measured.anchor) or measured.rotated.shape[::2] != (1 + len(new), len(turns)):
            raise IntegrityError(f"{len(measured.anchor)} actions were measured, of {len(new)}, or other rows")
        looks = len(known_appraisals(view)) + len(new)
        held = Examined.of(view, turns, measured.confirmed)
        found = tuple(
            _appraisal(view, one, held.look(view, np.concatenate(scores, axis=1), before, one.kept, looks))
            for before in [np.concatenate([np.asarray(view.array("anchor_scores")), measured.rotated[0]], axis=1)]
            for one, *scores in zip(new, measured.anchor, measured.rotated[1:], strict=True)
        )
        paying = sum(one.verdict.outcome == "kept" for one in found)
        told = f"{counted(len(found), 'action')} on rows measured on {held.rows:,} held-out rows: {paying:,} would pay"
        return Draft(
            inputs=("ledger", "evidence", "anchor_scores", "anchor_vectors"),
            fields={"appraisals": found, "offered": {one.candidate.action.key: one.name for one in trials(view)}},
            evidence={
                "trial_scores": measured.anchor,
                "rotated_scores": measured.rotated,
                "rotated_confirmed": measured.confirmed,
            },
            lines=((told, ""),) if found else (),
        )


def _stacked(scores: list[np.ndarray], view: View) -> np.ndarray:
    """float64 [actions, probes, m], also of no action."""
    return np.stack(scores) if scores else np.zeros((0, len(view.values.probes), len(view.anchor())))


def known_appraisals(view: View) -> dict[str, Appraisal]:
    """What was measured so far, by the name of the rows before and after."""
    found = (one for event in view.events if isinstance(event, events.Appraise) for one in event.appraisals)
    return {one.rows: one for one in found}


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
            change = changed(view, candidate.action)
            if change.refused is None and change.rows:
                yield Trial(candidate, change, change_name(view, change))


def with_appraisals(view: View, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The candidates, those on rows with what was measured of them for the rows in force."""
    known, offered = known_appraisals(view), _offered(view)
    shown = []
    for candidate in candidates:
        name = offered.get(candidate.action.key) if candidate.available else None
        if name is None:
            shown.append(candidate)
            continue
        verdict = known[name].verdict
        figures = {"gain": verdict.gain, "needed": verdict.needed}
        shown.append(candidate.model_copy(update={"appraisal": verdict, "evidence": {**candidate.evidence, **figures}}))
    return tuple(shown)


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


def trial_scores(view: View, trial: Trial) -> np.ndarray:
    """What the probes make of the held-out rows once an action was carried out: float64 [probes, m]."""
    rows = trial.kept
    mask = np.isin(view.array("pool"), rows)
    vectors = np.asarray(view.array("vectors"))[mask]
    after = view if trial.change.relabelled is None else view.with_labels(trial.change.relabelled)
    return anchor_scores(after, view.values.probes, view.values.probe_budget, rows, vectors, silent)


def uncovered(view: View, before: np.ndarray, after: np.ndarray) -> float:
    """Share of the confirmed held-out rows that are covered by positions ``before`` (uint32 [n]) and not ``after``."""
    pool, confirmed = view.array("pool"), confirmed_rows(view)
    if not confirmed.any():
        return 0.0
    was, stays = (covered_rows(view, np.isin(pool, rows))[confirmed] for rows in (before, after))
    return float(was.mean() - stays.mean())


@dataclass(frozen=True)
class Examined:
    """The rows that an action is held against: the anchor, and of ``turns`` those that are held out in turn.

    ``rows``: how many they are; ``weights``: theirs, float64 [m + n] each.
    """

    rows: int
    weights: Weights

    @classmethod
    def of(cls, view: View, turns: np.ndarray, confirmed: np.ndarray) -> Examined:
        """``turns``: positions, uint32 [n]; ``confirmed``: which of them are, bool [n]."""
        rows = np.concatenate([view.anchor(), turns])
        sure = np.concatenate([confirmed_rows(view), confirmed])
        return cls(len(rows), held_out_weights(view, view.values.probes, rows, sure))

    def look(self, view: View, after: np.ndarray, before: np.ndarray, left: np.ndarray, looks: int) -> Look:
        """A look at what the probes make of the rows (float64 [probes, m + n] each) once positions ``left`` are left.

        ``left``: uint32 [rows]; ``looks``: how many there were so far, this one among them.
        """
        kept = view.kept()
        return Look(
            before,
            after,
            self.weights,
            view.values.probes,
            uncovered=uncovered(view, kept, left),
            removed=max(0, len(kept) - len(left)) / max(1, len(kept)),
            looks=looks,
        )


def look_at_anchor(view: View, scores: np.ndarray, left: np.ndarray, looks: int) -> Look:
    """The same on the anchor alone: ``scores`` float64 [probes, m]."""
    held = Examined.of(view, left[:0], np.zeros(0, dtype=bool))
    return held.look(view, scores, np.asarray(view.array("anchor_scores")), left, looks)


def _appraisal(view: View, trial: Trial, look: Look) -> Appraisal:
    verdict = pays_on_rows(trial.candidate.action, look, view.config.objective)
    removed = int(len(view.kept()) - len(np.intersect1d(view.kept(), trial.kept)))
    return Appraisal(action=trial.candidate.action.key, rows=trial.name, removed=removed, verdict=verdict)
