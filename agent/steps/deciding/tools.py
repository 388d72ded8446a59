"""What a language model may look at before it chooses: each tool a function of the evidence and its arguments.

Figures, enumerations and ids go in and come out; nothing of a row, no label and no source. What is measured comes from
``measuring``, so that the audit's tools give what the loop's gave. The registry lists the tools.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ....state.actions import ChangeK
from ....state.decision import Appraisal, Candidate, Critique, Facts, Figure, Look
from ....state.errors import UsageError
from ....state.report import ClusterEvidence
from ....tools.judge import objective
from ...decide.candidates import looked_at
from ...decide.critique import rules_critic
from ...decide.looking import Call, Turn
from ...decide.policy import Case
from ...decide.proposals import Refusal
from ...decide.suspects import STRENGTHS, past
from ...decide.verdict import appraised
from ...registry import Dimensions, OneCandidate, OneCluster, OtherClusters, capability
from ...view import View
from ..measured import KeptRows
from ..rows.appraise import HeldOutRows, Trial, appraisal, known_appraisals, trial_of, with_verdict
from .measuring import Measurements, Measuring

Figures = dict[str, Figure]
_MOST_ROWS = 5000  # whose principal components are looked at


class Toolbox:
    """The tools on one decision, and what was found out so far: ``looking.Tools``."""

    def __init__(self, view: View, case: Case, facts: Facts, measuring: Measuring) -> None:
        self.view, self.case, self.facts = view, case, facts
        self.candidates = case.candidates
        self.appraisals: list[Appraisal] = []
        self.found = Measurements()
        self._measuring = measuring
        self._known = known_appraisals(view)

    def over(self, turn: Turn, taken: int) -> str:
        """As ``looking.Tools``."""
        return self._measuring.over(turn, taken)

    def look(self, call: Call) -> Look:
        """As ``looking.Tools``."""
        given = call.arguments.model_dump(mode="json")
        try:
            figures: Figures = capability(call.tool).load()(self, call.arguments)
        except Refusal as refusal:
            return Look(tool=call.tool, arguments=given, refused=str(refusal))
        return Look(tool=call.tool, arguments=given, figures=figures)

    def measure(self, name: str) -> None:
        """As ``looking.Tools``."""
        for candidate in (one for one in self.candidates if one.id == name):
            if candidate.available and candidate.appraisal is None and appraised(candidate.action):
                trial = trial_of(self.view, candidate)
                if trial.change.refused is None and trial.change.rows:
                    self.appraisal(trial)

    def measure_all(self) -> None:
        """As ``looking.Tools``."""
        for candidate in self.candidates:
            self.measure(candidate.id)

    def candidate(self, name: str) -> Candidate:
        """The candidate of an id.

        Raises:
            Refusal: there is none, or it cannot be chosen.
        """
        found = next((one for one in self.candidates if one.id == name and one.available), None)
        if found is None:
            raise Refusal("no candidate has that id")
        return found

    def judged(self, number: int) -> tuple[ClusterEvidence, Critique]:
        """A cluster in figures, and the verdict on it.

        Raises:
            Refusal: there is none of that number.
        """
        for cluster, critique in zip(self.case.report.clusters, self.case.critiques, strict=True):
            if cluster.cluster == number:
                return cluster, critique
        raise Refusal(f"there is no cluster {number}; they are 0 to {self.case.report.k - 1}")

    def appraisal(self, trial: Trial) -> Appraisal:
        """What an action would be worth, measured if it was not yet on these rows; its candidate then has it."""
        known = self._known.get(trial.name)
        if known is None:
            scores = self._measuring.scores(trial)
            self.found.scores.append(scores)
            look = self._held_out.look(self.view, scores, trial.kept, len(self._known) + 1)
            known = appraisal(self.view, trial, look)
            self._known[trial.name] = known
            self.appraisals.append(known)
        self._put(with_verdict(trial.candidate, known))
        return known

    @cached_property
    def _held_out(self) -> HeldOutRows:
        self.found.standing = self._measuring.standing()
        return HeldOutRows.of(self.view, self.found.standing)

    def regrouped(self, action: ChangeK) -> tuple[Candidate, Figures]:
        """Another clustering of the rows, scored; it is a candidate from then on.

        Raises:
            Refusal: there would be too few clusters, or too small ones.
        """
        same = (one for one in self.candidates if one.action.key == action.key)
        try:
            candidate = next(same, None) or looked_at(action, self.case.report, self.facts, self.case.history)
        except UsageError as error:
            raise Refusal(str(error)) from error
        clustering, _ = action.aims(self.view.clustering, self.view.values.thresholds)
        found = self._measuring.regrouped(clustering)
        self.found.regrouped.append(found)
        grouped = objective.Clustering(found.labels, found.silhouette, found.stability)
        quality = objective.clustering_quality(grouped, self.view.config.objective)
        figures: Figures = {
            "clusters": len(np.unique(found.labels[found.labels >= 0])),
            "noise": int((found.labels < 0).sum()),
            "silhouette": _rounded(found.silhouette),
            "davies_bouldin": _rounded(found.davies_bouldin),
            "balance": _rounded(objective.balance(found.labels)),
            "stability": _rounded(found.stability),
            "quality": _rounded(quality),
            "quality_in_force": _rounded(self.view.objective.clustering),
            "noise_of_quality": _rounded(2 * self.view.objective.clustering_sd),
        }
        if candidate.available:
            self._put(candidate)
        return candidate, figures

    def _put(self, candidate: Candidate) -> None:
        """Put a candidate among the others, in place of the one of its id; ``stop`` stays the last."""
        others = {one.id: one for one in self.candidates}
        if candidate.id in others:
            self.candidates = tuple({**others, candidate.id: candidate}.values())
        else:
            self.candidates = (*self.candidates[:-1], candidate, self.candidates[-1])


def appraise(box: Toolbox, params: OneCandidate) -> Figures:
    """What a candidate that takes out or relabels rows would be worth."""
    candidate = box.candidate(params.candidate)
    if not appraised(candidate.action):
        raise Refusal(f"{candidate.action.action} is measured only once it is chosen")
    trial = trial_of(box.view, candidate)
    if trial.change.refused is not None:
        raise Refusal("it would pass a cap, and be refused")
    if not trial.change.rows:
        raise Refusal("it would change nothing")
    found = box.appraisal(trial)
    verdict = found.verdict
    return {
        "pays": "yes" if verdict.outcome == "kept" else "no",
        "against": None if verdict.outcome == "kept" else "; ".join(verdict.reasons),
        "gain": verdict.gain,
        "error": verdict.changes[-1].error,
        "needed": verdict.needed,
        "price": verdict.price,
        "removed": found.removed,
        **{one.name: one.gain for one in verdict.changes[:-1]},
    }


def try_clusters(box: Toolbox, params: OtherClusters) -> Figures:
    """The rows clustered by other parameters."""
    size = params.size
    if size < 2:
        raise Refusal("the size is a number from 2")
    by_number = params.algorithm == "kmeans"
    action = ChangeK(
        algorithm=params.algorithm, k=size if by_number else None, min_cluster_size=None if by_number else size
    )
    candidate, figures = box.regrouped(action)
    return {"candidate": candidate.id if candidate.available else None, **figures}


def try_dimensions(box: Toolbox, params: Dimensions) -> Figures:
    """How much of the variance of the vectors their first principal components hold (Pearson 1901)."""
    vectors = KeptRows.of(box.view).vectors
    vectors = vectors[:: -(-len(vectors) // _MOST_ROWS)].astype(np.float64)
    if not 1 <= params.dimensions <= vectors.shape[1]:
        raise Refusal(f"the vectors have 1 to {vectors.shape[1]} dimensions")
    centred = vectors - vectors.mean(axis=0)
    shares = np.linalg.eigvalsh(centred.T @ centred)[::-1].clip(0)
    shares /= max(shares.sum(), 1e-12)
    # The participation ratio: how many equal components would spread the variance as these do.
    return {
        "variance": _rounded(float(shares[: params.dimensions].sum())),
        "effective_dimensions": _rounded(float(1 / max((shares**2).sum(), 1e-12))),
    }


def score_cluster(box: Toolbox, params: OneCluster) -> Figures:
    """All figures of one cluster, and how many of its rows the evidence on single rows speaks against."""
    cluster, _ = box.judged(params.cluster)
    figures: Figures = cluster.model_dump(mode="json", exclude={"cluster", "terms", "medoid", "boundary", "random"})
    if box.view.has("evidence"):
        evidence, labels = box.view.frame("evidence"), box.view.frame("assignments", "row", "cluster")
        rows = labels.filter(labels["cluster"] == params.cluster)["row"]
        mine = evidence.filter(evidence["row"].is_in(rows.implode()))
        kinds = (kind for kind in STRENGTHS if kind in evidence.columns)
        figures |= {f"past_{kind}": int(past(mine, kind, STRENGTHS[kind][-1]).sum()) for kind in kinds}
    return figures


def critique_cluster(box: Toolbox, params: OneCluster) -> Figures:
    """The verdict on one cluster by the run's critic, and by the rules."""
    _, critique = box.judged(params.cluster)
    by_rules = rules_critic.critique(box.case.report, box.view.config.critique)
    (rules,) = (one for one in by_rules if one.cluster == params.cluster)
    return {
        "by": critique.by,
        "verdict": critique.verdict,
        "issues": ", ".join(critique.issues),
        "coherence": critique.coherence,
        "quality": critique.quality,
        "review": "yes" if critique.review else "no",
        "verdict_by_rules": rules.verdict,
        "issues_by_rules": ", ".join(rules.issues),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
