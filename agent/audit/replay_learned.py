"""What follows from the evidence about quality scores and labels, derived again for the audit.

What a model of embeddings or of natural language inference says is taken as logged; what follows from it is not, nor is
what the language model is recorded to have answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ...state.rows import kept_rows
from ...state.run import RunState
from ...state.store import Store
from ...tools.judge.taxonomy import taxonomy_of
from ..decide.facts import doubtful
from ..llm.client import Model
from ..steps.label import label_rows, tally, with_rows
from ..steps.lessons import Lesson, endorsed_lesson, given_vectors, has_teacher, taught, teacher_lesson
from ..steps.quality import figures, learn, lowest, pool_scores
from .logged import Claim, Logged

_LAST_BITS = 2e-3  # of a score of 5, for sums on another machine


def quality_claims(at: Logged, model: Model | None) -> list[Claim]:
    """What was learned, from the teacher's recorded answers or the endorsed rows, and what it says of every row."""
    patch = at.patch
    pool, vectors = (np.asarray(at.store.array(at.state.artefacts[role])) for role in ("pool", "vectors"))
    if at.state.values.get("quality") is not None:
        again = pool_scores(at.store.array(at.state.artefacts["quality_model"]), pool, vectors)
        return [
            ("artefacts of the score", {"quality"}, set(patch.artefacts)),
            ("values of the score", {"quality_of": at.state.artefacts["vectors"]}, patch.values),
            ("predicted quality", True, _alike(again, at.store.frame(patch.artefacts["quality"] or ""))),
        ]
    claims: list[Claim] = []
    lessons = []
    if at.config.quality.like is not None:
        liked = np.asarray(at.store.array(patch.artefacts["endorsed_vectors"] or ""))
        if "liked_vectors" in at.state.artefacts:
            given = given_vectors(at.store.array(at.state.artefacts["liked_vectors"]))
            claims.append(("endorsed rows", True, np.array_equal(liked, given)))
        lessons.append(endorsed_lesson(liked, vectors, at.store.array(at.state.artefacts["anchor_vectors"]), at.config))
    if has_teacher(at.config):
        assert model is not None
        text = at.store.frame(at.state.artefacts["text"], ["text"])["text"]
        scored = taught(model, at.config, kept_rows(at.store.frame(at.state.artefacts["ledger"])), text)
        claims.append(("teacher's scores", True, scored.equals(at.store.frame(patch.artefacts["taught"] or ""))))
        lessons.append(teacher_lesson(scored, pool, vectors, model.name))
    return [*claims, *_learned_claims(at, lessons, pool, vectors)]


def _learned_claims(at: Logged, lessons: list[Lesson], pool: np.ndarray, vectors: np.ndarray) -> list[Claim]:
    """The classifiers that these lessons give, which of them count, and the score that counts as low."""
    patch = at.patch
    learned = {lesson.name: learn(at.config, lesson) for lesson in lessons}
    told = {lesson.name: figures(lesson, learned[lesson.name]) for lesson in lessons}
    used = {name: model for name, model in sorted(learned.items()) if model and model.agreement.better_than_chance}
    roles = {"taught" if lesson.name == "teacher" else "endorsed_vectors" for lesson in lessons}
    below, of = None, {}
    claims: list[Claim] = []
    if used:
        coefficients = np.asarray(at.store.array(patch.artefacts["quality_model"] or ""))
        again = np.stack([model.coefficients for model in used.values()])
        scores = at.store.frame(patch.artefacts["quality"] or "")
        claims += [
            ("classifiers", True, again.shape == coefficients.shape and _close(again, coefficients)),
            ("predicted quality", True, _alike(pool_scores(coefficients, pool, vectors), scores)),
        ]
        roles |= {"quality_model", "quality"}
        below, of = lowest(scores), {"quality_of": at.state.artefacts["vectors"]}
    wanted = {
        "quality": {"used": list(used), "below": below},
        "notes": [*at.state.values["notes"], *at.event.reasons],
        **of,
    }
    return [
        *claims,
        ("artefacts of the score", roles, set(patch.artefacts)),
        ("classifiers in use and lowest tenth", wanted, patch.values),
        ("how well it was learned", True, _same_figures(told, at.event.metrics["learned"])),
        ("outcome", None if used else "not_used", at.event.outcome),
    ]


def _close(derived: Any, logged: Any) -> bool:
    return bool(np.allclose(derived, logged, rtol=0, atol=_LAST_BITS))


def _alike(derived: pl.DataFrame, logged: pl.DataFrame) -> bool:
    """Whether two tables of scores name the same rows and differ in their last bits at most."""
    return derived["row"].equals(logged["row"]) and _close(derived["score"].to_numpy(), logged["score"].to_numpy())


def _same_figures(derived: dict[str, dict[str, Any]], logged: dict[str, dict[str, Any]]) -> bool:
    if {name: set(one) for name, one in derived.items()} != {name: set(one) for name, one in logged.items()}:
        return False
    pairs = [(one[key], logged[name][key]) for name, one in derived.items() for key in one]
    return all(_close(a, b) if isinstance(a, float) and isinstance(b, float) else a == b for a, b in pairs)


def doubtful_rows(store: Store, state: RunState, below: float | None) -> list[int]:
    """The kept rows that the quality rules suspect and that score below ``below``: positions, ascending."""
    if "quality" not in state.artefacts:
        return []
    kept = kept_rows(store.frame(state.artefacts["ledger"]))
    annotations, scores = store.frame(state.artefacts["annotations"]), store.frame(state.artefacts["quality"])
    found: list[int] = doubtful(state.values, annotations, scores, kept, below).rows.tolist()
    return found


def label_claims(at: Logged, model: Model | None) -> list[Claim]:
    """The labels, from the rules, what the zero-shot model said, and the recorded answers of the language model."""
    taxonomy = taxonomy_of(at.store.json(at.state.artefacts["taxonomy"]))
    ledger = at.store.frame(at.state.artefacts["ledger"])
    rows = np.sort(np.concatenate([kept_rows(ledger), kept_rows(ledger, "anchor")]))
    text = at.store.frame(at.state.artefacts["text"], ["text"])["text"].gather(rows).fill_null("")
    said = at.patch.artefacts.get("zero_shot")
    table = pl.DataFrame() if said is None else at.store.frame(said)
    zero_shot = None if at.config.label.nli_model is None else lambda text: table
    again, asked = label_rows(text, taxonomy, at.config, zero_shot, model)
    stored = at.store.frame(at.patch.artefacts["row_labels"] or "")
    return [
        ("answers of the zero-shot model", asked is not None, said is not None),
        ("labels", with_rows(again, rows).to_dict(as_series=False), stored.to_dict(as_series=False)),
        ("figures of the labels", tally(again, taxonomy), at.patch.values["labelled"]),
    ]
