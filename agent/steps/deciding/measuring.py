"""What a look measures: in the loop it is measured, in the audit read back from the event, in the same order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from ....state.errors import IntegrityError
from ....state.events import Decide
from ....state.params.vectors import ClusterParams
from ....state.phrases import Advance, silent
from ....state.values import Role
from ...decide.looking import MONEY_SHORT, OVER, TIME_OVER, Drive, Turn, plainly
from ...llm.budget import bound
from ...session import Session
from ...view import View
from ..base import Content, Plain
from ..measured import KeptRows, cluster_rows, resolved, score_rows
from ..rows.appraise import Standing, Trial, logged_standing, standing, standing_contents, trial_scores
from .turns import by_graph

_T = TypeVar("_T")


@dataclass(frozen=True)
class Regrouped:
    """The kept rows clustered otherwise: the cluster of each, int32 [n] (−1 noise), and how good that is."""

    labels: np.ndarray
    silhouette: float | None
    stability: float | None
    davies_bouldin: float | None


class Measuring(Protocol):
    """Where figures come from that cannot be derived."""

    drive: Drive

    def over(self, turn: Turn, taken: int) -> str:
        """As ``looking.Tools.over``."""

    def standing(self) -> Standing:
        """The held-out rows before any action."""

    def scores(self, trial: Trial) -> np.ndarray:
        """What the probes make of the held-out rows once an action was carried out: float64 [probes, held]."""

    def regrouped(self, params: ClusterParams) -> Regrouped:
        """The kept rows, clustered by other parameters."""


@dataclass
class Measurements:
    """What was measured for one decision, in its order; ``scores`` are float64 [probes, held] each."""

    standing: Standing | None = None
    scores: list[np.ndarray] = field(default_factory=list)
    regrouped: list[Regrouped] = field(default_factory=list)

    def contents(self) -> dict[Role, Content]:
        """As the event keeps it: float64 [actions, probes, held], int32 [clusterings, n], and the scores of these."""
        found: dict[Role, Content] = {}
        if self.scores and self.standing is not None:
            found = {"trial_scores": np.stack(self.scores), **standing_contents(self.standing)}
        if self.regrouped:
            found["looked_labels"] = np.stack([one.labels for one in self.regrouped])
            found["looked_scores"] = Plain(
                [{name: value for name, value in vars(one).items() if name != "labels"} for one in self.regrouped]
            )
        return found


class Live:
    """Measures, as long as time and money last."""

    drive: Drive = staticmethod(by_graph)

    def __init__(self, session: Session, view: View, advance: Advance) -> None:
        self._session, self._view, self._advance = session, view, advance
        self._until = time.monotonic() + view.config.llm.look_seconds

    def over(self, turn: Turn, taken: int) -> str:
        """As ``Measuring``."""
        if time.monotonic() >= self._until:
            return TIME_OVER
        model = self._session.model
        assert model is not None
        next_one = bound(model.provider.body(turn.request), turn.request.max_tokens)
        # One question on this look, and one more that chooses.
        return "" if model.purse.covers([next_one, next_one]) else MONEY_SHORT

    def standing(self) -> Standing:
        """As ``Measuring``."""
        return standing(self._view)

    def scores(self, trial: Trial) -> np.ndarray:
        """As ``Measuring``: float64 [probes, held]."""
        found = trial_scores(self._view, trial)
        self._advance(1)
        return found

    def regrouped(self, params: ClusterParams) -> Regrouped:
        """As ``Measuring``."""
        view, kept = self._view, KeptRows.of(self._view)
        clustered = cluster_rows(view, kept, params, view.array("centroids"))
        scores = score_rows(view, kept, clustered, resolved(params, clustered.result), silent)
        self._advance(1)
        labels = clustered.result.labels.astype(np.int32)
        return Regrouped(labels, scores.silhouette, scores.stability, scores.davies_bouldin)


class Logged:
    """Reads back what the loop measured."""

    drive: Drive = staticmethod(plainly)

    def __init__(self, view: View, event: Decide) -> None:
        self._event, self._view, evidence = event, view, event.evidence
        self._scores = iter(view.store.array(evidence["trial_scores"]) if "trial_scores" in evidence else ())
        labels = view.store.array(evidence["looked_labels"]) if "looked_labels" in evidence else ()
        scores = view.store.json(evidence["looked_scores"]) if "looked_scores" in evidence else ()
        self._regrouped = (Regrouped(np.asarray(one), **said) for one, said in zip(labels, scores, strict=True))

    def over(self, turn: Turn, taken: int) -> str:
        """As ``Measuring``."""
        looks = self._event.looks
        return looks[taken].refused if taken < len(looks) and looks[taken].refused in OVER else ""

    def standing(self) -> Standing:
        """As ``Measuring``.

        Raises:
            IntegrityError: it was not measured.
        """
        if "standing_scores" not in self._event.evidence:
            raise IntegrityError("more was looked at than was measured")
        return logged_standing(self._view, self._event.evidence)

    def scores(self, trial: Trial) -> np.ndarray:
        """As ``Measuring``: float64 [probes, held]."""
        return np.asarray(_next(self._scores))

    def regrouped(self, params: ClusterParams) -> Regrouped:
        """As ``Measuring``."""
        return _next(self._regrouped)


def _next(found: Iterator[_T]) -> _T:
    for one in found:
        return one
    raise IntegrityError("more was looked at than was measured")
