"""The quality score of the rows: learned once from a teacher or from endorsed rows, then predicted for every row.

The score never acts alone: it is one figure of a cluster, half of the order in which ``prune`` keeps rows, and a second
condition of ``refilter``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ...state.config import Config
from ...tools.judge.quality import Agreement, QualityModel, fit_scores, predict
from ..llm.ask import ROWS_PER_QUESTION
from ..session import Session, derived_seed
from .lessons import Lesson, from_endorsed, from_teacher, has_teacher

#: The share of rows with the lowest scores, on which ``refilter`` may act where the rules suspect them as well.
LOWEST_SHARE = 0.1


def quality(session: Session) -> None:
    """Learn the score where there is something to learn from; later, score the rows that were embedded since.

    Raises:
        InputError: the endorsed rows cannot be used.
        ModelError: the language model cannot be reached.
    """
    learned = session.state.values.get("quality")
    if learned is None and (session.config.quality.like is not None or has_teacher(session.config)):
        _learn(session)
    elif learned and learned["used"] and session.state.values["quality_of"] != session.state.artefacts["vectors"]:
        with session.step("quality"):
            scores = pool_scores(session.array("quality_model"), session.array("pool"), session.array("vectors"))
        session.record(
            "quality",
            artefacts={"quality": session.store.put_frame(scores)},
            values={"quality_of": session.state.artefacts["vectors"]},
            inputs=["quality_model", "pool", "vectors"],
            metrics={"rows": scores.height},
        )


def _learn(session: Session) -> None:
    config = session.config
    questions = -(-config.quality.teacher_rows // ROWS_PER_QUESTION) if has_teacher(config) else None
    with session.step("quality", questions, "questions") as advance:
        lessons = [] if config.quality.like is None else [from_endorsed(session)]
        lessons += [from_teacher(session, advance)] if has_teacher(config) else []
        learned = {lesson.name: learn(config, lesson) for lesson in lessons}
        used = {name: model for name, model in learned.items() if model and model.agreement.better_than_chance}
        artefacts = {role: ref for lesson in lessons for role, ref in lesson.artefacts.items()}
        values: dict[str, Any] = {"quality": {"used": sorted(used), "below": None}}
        if used:
            coefficients = np.stack([used[name].coefficients for name in sorted(used)])
            scores = pool_scores(coefficients, session.array("pool"), session.array("vectors"))
            artefacts["quality_model"] = session.store.put_array(coefficients)
            artefacts["quality"] = session.store.put_frame(scores)
            values["quality"]["below"] = lowest(scores)
            values["quality_of"] = session.state.artefacts["vectors"]
    said = [_sentence(lesson, learned[lesson.name]) for lesson in lessons]
    if len(used) > 1:
        said.append("quality: a row's score is the mean of what the two classifiers predict")
    for sentence in said:
        session.reporter.say(sentence, "" if used else "yellow")
    session.record(
        "quality",
        artefacts=artefacts,
        values={**values, "notes": [*session.state.values["notes"], *said]},
        inputs=["ledger", "text", "vectors", *(["liked"] if "liked" in session.state.artefacts else [])],
        params=config.quality.model_dump(mode="json"),
        metrics={
            **values["quality"],
            "learned": {lesson.name: figures(lesson, learned[lesson.name]) for lesson in lessons},
        },
        reasons=said,
        outcome=None if used else "not_used",
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


def learn(config: Config, lesson: Lesson) -> QualityModel | None:
    """What is learned from a lesson; None where it has too few rows."""
    if len(lesson.scores) < lesson.least:
        return None
    return fit_scores(lesson.vectors, lesson.scores, config.quality.folds, derived_seed(config, 8, 1))


def figures(lesson: Lesson, model: QualityModel | None) -> dict[str, Any]:
    """Where a lesson comes from and how well it was learned, for the log."""
    return {**lesson.figures, "rows": len(lesson.scores), **(model.agreement.figures() if model else {})}


def _sentence(lesson: Lesson, model: QualityModel | None) -> str:
    """What a person is told of a lesson."""
    if model is None:
        return f"{lesson.title}: only {len(lesson.scores)} rows have a score, {lesson.least} are needed; it is not used"
    agreement: Agreement = model.agreement
    auc = "" if agreement.auc is None else f", AUC {agreement.auc:.2f}"
    verdict = "" if agreement.better_than_chance else ". That is no better than chance: it is not used"
    return (
        f"{lesson.title}: learned from {agreement.rows:,} rows; on rows left out, rank correlation "
        f"{agreement.spearman:.2f}{auc}, off by {agreement.mae:.2f} of 5 (always the mean: {agreement.mean_mae:.2f})"
        f"{verdict}"
    )
