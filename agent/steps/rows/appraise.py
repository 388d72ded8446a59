"""Before a decision: what each action on rows would be worth, measured on the held-out rows and against noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ....state import events
from ....state.actions import Action
from ....state.canonical import sha256_bytes, sha256_json
from ....state.config import Config
from ....state.decision import Appraisal, Candidate
from ....state.errors import IntegrityError
from ....state.phrases import Advance, counted, silent
from ....state.rows import kept_rows
from ...decide.candidates import build_candidates
from ...decide.facts import gather_facts
from ...decide.verdict import Look, appraised, on_rows, pays_on_rows
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..measured import anchor_scores, anchor_weights, confirmed_rows, covered_rows
from .removals import LedgerChange, changed


@dataclass(frozen=True)
class _Scores:
    """What the probes make of the held-out rows once each action was carried out: float64 [actions, probes, m]."""

    array: np.ndarray


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
    takes = "what the probes make of every held-out row, by action"

    def due(self, view: View) -> bool:
        return not looks_first(view.config) and next(_new(view), None) is not None

    def measure(self, session: Session, view: View, advance: Advance) -> _Scores:
        found = list[np.ndarray]()
        for trial in _new(view):
            found.append(trial_scores(view, trial))
            advance(1)
        return _Scores(np.stack(found))

    def logged(self, view: View, event: events.Appraise) -> _Scores:
        return _Scores(np.asarray(view.store.array(event.evidence["trial_scores"])))

    def derive(self, view: View, measured: _Scores, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: there are scores of other actions.
        """
        trials = list(_new(view))
        if len(trials) != len(measured.array):
            raise IntegrityError(f"{len(measured.array)} actions were measured, of {len(trials)}")
        looks = len(known_appraisals(view)) + len(trials)
        found = tuple(appraisal(view, one, scores, looks) for one, scores in zip(trials, measured.array, strict=True))
        paying = sum(one.verdict.outcome == "kept" for one in found)
        return Draft(
            inputs=("ledger", "evidence", "anchor_scores", "anchor_vectors"),
            fields={"appraisals": found},
            evidence={"trial_scores": measured.array},
            lines=(
                (f"{counted(len(found), 'action')} on rows measured on the held-out rows: {paying:,} would pay", ""),
            ),
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


def trials(view: View) -> Iterator[Trial]:
    """The actions on rows that may be chosen in this round and that change something."""
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
    of = {} if not known else {one.candidate.action.key: known[one.name] for one in trials(view) if one.name in known}
    return tuple(with_verdict(one, of.get(one.action.key)) for one in candidates)


def with_verdict(candidate: Candidate, found: Appraisal | None) -> Candidate:
    """The candidate with what was measured of it, its gain among its figures; None: nothing was."""
    if found is None:
        return candidate
    figures = {"gain": found.verdict.gain, "needed": found.verdict.needed}
    return candidate.model_copy(update={"appraisal": found.verdict, "evidence": {**candidate.evidence, **figures}})


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


def _new(view: View) -> Iterator[Trial]:
    """The trials that were not measured yet; of those that come to the same, the first."""
    seen = set(known_appraisals(view))
    for trial in trials(view):
        if trial.name not in seen:
            seen.add(trial.name)
            yield trial


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


def look_at(view: View, scores: np.ndarray, after: np.ndarray, looks: int) -> Look:
    """A look at what the probes make of the held-out rows (float64 [probes, m]) once positions ``after`` are left.

    ``after``: uint32 [n]; ``looks``: how many there were so far, this one among them.
    """
    before = view.kept()
    return Look(
        np.asarray(view.array("anchor_scores")),
        scores,
        anchor_weights(view, view.values.probes, confirmed_rows(view)),
        view.values.probes,
        uncovered=uncovered(view, before, after),
        removed=max(0, len(before) - len(after)) / max(1, len(before)),
        looks=looks,
    )


def appraisal(view: View, trial: Trial, scores: np.ndarray, looks: int) -> Appraisal:
    """What a trial would be worth by its scores (float64 [probes, m]), as one of so many looks at the held-out rows."""
    look = look_at(view, scores, trial.kept, looks)
    verdict = pays_on_rows(trial.candidate.action, look, view.config.objective)
    removed = int(len(view.kept()) - len(np.intersect1d(view.kept(), trial.kept)))
    return Appraisal(action=trial.candidate.action.key, rows=trial.name, removed=removed, verdict=verdict)
