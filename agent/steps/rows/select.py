"""When the rounds are over, the outcome that the user wants: so many training rows, or so few of them in doubt.

Rows go until it is reached. Which ones is measured where nobody has said it: some choices of the same size are held
against the anchor by the run's own probes, a random one always among them, and the best is taken.
"""

from __future__ import annotations

import numpy as np

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.report import Selected, Selection
from ....state.rows import counts, remove_rows
from ....tools.write.outcome import outcome_in_words, selection_in_words
from ...decide.verdict import change, mean_score
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..probed import anchor_scores
from .appraise import HeldOutRows
from .selections import Choice, Plan, plan


class Select(Step[np.ndarray]):
    """Take out rows until the outcome is reached.

    It is due where one is asked for, after the last decision and before the sealed rows are opened, so that their score
    is of what the run ends with. The measurement is what the probes make of the anchor for each choice: float64
    [choices, probes, m]. The caps do not bind it, as it is asked for; what a person keeps stays.
    """

    name = "select"
    unit = "selections"
    takes = "what the probes make of every row of the anchor, by choice of the rows that stay"

    def due(self, view: View) -> bool:
        return view.config.outcome.asked

    def total(self, view: View) -> int | None:
        return len(plan(view).choices)

    def measure(self, session: Session, view: View, advance: Advance) -> np.ndarray:
        found = []
        for choice in plan(view).choices:
            vectors = np.asarray(view.array("vectors"))[np.isin(view.array("pool"), choice.rows)]
            probes = (view.values.probes, view.values.probe_budget)
            found.append(anchor_scores(view, *probes, choice.rows, vectors, silent))
            advance(1)
        return np.stack(found) if found else np.asarray(view.array("anchor_scores"))[np.newaxis][:0]

    def logged(self, view: View, event: events.Select) -> np.ndarray:
        return np.asarray(view.store.array(event.evidence["selection_scores"]))

    def derive(self, view: View, measured: np.ndarray, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: there are scores of other choices or other rows.
        """
        found, before = plan(view), np.asarray(view.array("anchor_scores"))
        if measured.shape != (len(found.choices), *before.shape):
            raise IntegrityError(f"scores of shape {measured.shape} for {len(found.choices)} choices of rows")
        selections = _weighed(view, found, measured)
        taken = next((one for one, told in zip(found.choices, selections, strict=True) if told.taken), None)
        ledger, rows = view.ledger(), found.kept
        if taken is not None:
            rows = taken.rows
            for removal in taken.removals:
                ledger = remove_rows(ledger, removal, self.name, view.seq)
        wanted = view.config.outcome
        selected = Selected(
            keep=wanted.keep,
            target_noise=wanted.target_noise,
            before=len(found.kept),
            after=len(rows),
            in_doubt_before=found.doubted(found.kept),
            in_doubt=found.doubted(rows),
            score=round(mean_score(before.mean(axis=0), HeldOutRows.of(view).weights.confirmed), 6),
            selections=selections,
        )
        said = outcome_in_words(selected)
        return Draft(
            artefacts={"ledger": ledger},
            inputs=("ledger", "evidence", "vectors", "assignments", "anchor_scores", "anchor_vectors"),
            fields={"counts": counts(ledger), "selected": selected},
            reasons=(said,),
            outcome="reached" if selected.reached else "not_reached",
            changed=len(found.kept) - len(rows),
            evidence={"selection_scores": measured},
            lines=(
                *((selection_in_words(one), "green" if one.taken else "") for one in selections),
                (said, "" if selected.reached else "bold yellow"),
            ),
        )


def _weighed(view: View, found: Plan, measured: np.ndarray) -> tuple[Selection, ...]:
    """The choices with the mean of the probes on the anchor, and the one that is taken: what is asked for by name, or
    the best; of equals the random one, as then no method has shown anything.

    ``measured``: float64 [choices, probes, m].
    """
    weights = HeldOutRows.of(view).weights.confirmed
    lot = next((at for at, one in enumerate(found.choices) if one.name == "random"), 0)

    def weighed(one: Choice, scores: np.ndarray) -> Selection:
        told = Selection(name=one.name, rows=len(one.rows), score=round(mean_score(scores, weights), 6))
        if one.name == "random":
            return told
        moved = change("mean", measured[lot].mean(axis=0), scores, weights)
        return told.model_copy(update={"gain": moved.gain, "error": moved.error})

    told = [weighed(one, scores.mean(axis=0)) for one, scores in zip(found.choices, measured, strict=True)]
    if not told:
        return ()
    best = max(told, key=lambda one: (one.score, one.name == "random")).name if found.asked is None else found.asked
    return tuple(one.model_copy(update={"taken": one.name == best}) for one in told)
