"""The quality score of the rows: learned once from a teacher or from endorsed rows, then predicted for every row.

The score never acts alone: it is one figure of a cluster, half of the order in which ``prune`` keeps rows, and a second
condition of ``refilter_by_quality``.
"""

import numpy as np
import polars as pl

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.values import LearnedQuality, Role, Values
from ....tools.judge.quality import QualityModel, fit_scores, predict
from ...llm.ask import ROWS_PER_QUESTION
from ...session import Session
from ...view import View
from ..base import Content, Draft, Step
from ..measured import shortened
from .lessons import Lesson, endorsed_vectors, from_endorsed, from_teacher, given_vectors, has_teacher

#: The share of rows with the lowest scores, on which an action may act where the rules suspect them as well.
LOWEST_SHARE = 0.1


class Quality(Step[np.ndarray | None]):
    """Learn the score where there is something to learn from; later, score the rows that were embedded since.

    The measurement is the vectors of the endorsed rows (float32 [m, d]); None where none are named, or all is learned.
    """

    name = "quality"
    unit = "questions"
    takes = "the vectors of the endorsed rows"
    tolerance = 2e-3  # of a score of 5, for sums on another machine

    def due(self, view: View) -> bool:
        learned = view.values.quality
        if learned is None:
            return view.config.quality.like is not None or has_teacher(view.config)
        return bool(learned.used) and view.values.quality_of != view.ref("vectors")

    def total(self, view: View) -> int | None:
        asked = has_teacher(view.config) and view.values.quality is None
        return -(-view.config.quality.teacher_rows // ROWS_PER_QUESTION) if asked else None

    def measure(self, session: Session, view: View, advance: Advance) -> np.ndarray | None:
        learn_from = view.values.quality is None and view.config.quality.like is not None
        return endorsed_vectors(session, view) if learn_from else None

    def logged(self, view: View, event: events.Quality) -> np.ndarray | None:
        """As for every step: float32 [m, d], or None.

        Raises:
            IntegrityError: the vectors are not the user's own, where these were given.
        """
        if view.values.quality is not None or view.config.quality.like is None:
            return None
        liked = np.asarray(view.store.array(event.state.artefacts["endorsed_vectors"] or ""))
        if view.has("liked_vectors") and not _same(liked, shortened(view, given_vectors(view.array("liked_vectors")))):
            raise IntegrityError("the vectors of the endorsed rows are not those that were read")
        return liked

    def derive(self, view: View, measured: np.ndarray | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            InputError: the endorsed rows cannot be used.
            ModelError: the language model cannot be reached.
        """
        pool, vectors = view.array("pool"), view.array("vectors")
        if view.values.quality is not None:
            scores = pool_scores(view.array("quality_model"), pool, vectors)
            return Draft(
                artefacts={"quality": scores},
                values=Values(quality_of=view.ref("vectors")),
                inputs=("quality_model", "pool", "vectors"),
                fields={"rows": scores.height},
            )
        lessons = [] if measured is None else [from_endorsed(view, measured)]
        lessons += [from_teacher(view, advance)] if has_teacher(view.config) else []
        return _learned(view, lessons)


def _same(logged: np.ndarray, again: np.ndarray) -> bool:
    """Whether vectors are those that were read, but for what sums on another machine differ by."""
    return logged.shape == again.shape and np.allclose(logged, again, rtol=0, atol=1e-6)


def _learned(view: View, lessons: list[Lesson]) -> Draft:
    """The score that lessons give, which of them count, and what a person is told of them."""
    folds, seed = view.config.quality.folds, view.seed(8, 1)
    learned = {
        one.name: fit_scores(one.vectors, one.scores, folds, seed) if len(one.scores) >= one.least else None
        for one in lessons
    }
    used = {name: model for name, model in sorted(learned.items()) if model and model.agreement.better_than_chance}
    artefacts: dict[Role, Content] = {role: held for lesson in lessons for role, held in lesson.artefacts.items()}
    quality, values = LearnedQuality(used=tuple(used), below=None), Values()
    if used:
        coefficients = np.stack([model.coefficients for model in used.values()])
        scores = pool_scores(coefficients, view.array("pool"), view.array("vectors"))
        artefacts |= {"quality_model": coefficients, "quality": scores}
        quality = quality.model_copy(update={"below": lowest(scores)})
        values = Values(quality_of=view.ref("vectors"))
    told = [_sentence(lesson, learned[lesson.name]) for lesson in lessons]
    if len(used) > 1:
        told.append("quality: a row's score is the mean of what the two classifiers predict")
    return Draft(
        artefacts=artefacts,
        values=values.patched(Values(quality=quality, notes=(*view.values.notes, *told))),
        inputs=("ledger", "text", "vectors", "liked"),
        fields={"learned": {lesson.name: _figures(lesson, learned[lesson.name]) for lesson in lessons}},
        reasons=tuple(told),
        outcome=None if used else "not_used",
        lines=tuple((sentence, "" if used else "yellow") for sentence in told),
    )


def pool_scores(coefficients: np.ndarray, pool: np.ndarray, vectors: np.ndarray) -> pl.DataFrame:
    """The score of every embedded row: the mean of what the classifiers predict.

    Args:
        coefficients: float32 [classifiers, d+1]; ``pool``: positions, uint32 [n]; ``vectors``: float32 [n, d].

    Returns:
        ``row`` uint32 and ``score`` float32 in [0, 5].
    """
    scores = np.mean([predict(one, vectors) for one in np.asarray(coefficients)], axis=0, dtype=np.float64)
    return pl.DataFrame({"row": pool, "score": scores.round(6).astype(np.float32)})


def lowest(scores: pl.DataFrame) -> float:
    """The score that a tenth of the rows stay below. It is settled once, so that the bar does not follow the rows."""
    return round(float(np.quantile(scores["score"].to_numpy(), LOWEST_SHARE)), 6)


def _figures(lesson: Lesson, model: QualityModel | None) -> dict[str, int | float | str | None]:
    """Where a lesson comes from and how well it was learned, for the log."""
    return {**lesson.figures, "rows": len(lesson.scores), **(model.agreement.figures() if model else {})}


def _sentence(lesson: Lesson, model: QualityModel | None) -> str:
    """What a person is told of a lesson."""
    if model is None:
        return f"{lesson.title}: only {len(lesson.scores)} rows have a score, {lesson.least} are needed; it is not used"
    agreement = model.agreement
    auc = "" if agreement.auc is None else f", AUC {agreement.auc:.2f}"
    verdict = "" if agreement.better_than_chance else ". That is no better than chance: it is not used"
    return (
        f"{lesson.title}: learned from {agreement.rows:,} rows; on rows left out, rank correlation "
        f"{agreement.spearman:.2f}{auc}, off by {agreement.mae:.2f} of 5 (always the mean: {agreement.mean_mae:.2f})"
        f"{verdict}"
    )
