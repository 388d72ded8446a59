"""What the quality score is learned from: rows that a language model scored, and rows that a person endorsed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from ..state.config import Config
from ..state.errors import InputError
from ..state.progress import Advance, silent
from ..tools import clean
from ..tools.quality import HIGHEST, LOWEST
from .evaluate import text_vectors
from .session import Session, derived_seed
from .side_files import LEAST_LIKED
from .teacher import LEAST_SCORED, taught

#: Rows that stand for the rest beside the endorsed ones, at the least. Some of them are as good, which adds noise and
#: no bias to the order (learning from positive and unlabelled rows: Elkan and Noto 2008, §2).
LEAST_REST = 100

_SAME = 1 - 1e-6  # cosine of a text with itself


@dataclass(frozen=True)
class Lesson:
    """Rows by their vectors and scores, and what is told of where they come from."""

    name: str  # teacher | like
    title: str
    least: int  # rows below which nothing is learned from them
    vectors: np.ndarray  # float32 [m, d]
    scores: np.ndarray  # float64 [m] in [0, 5]
    figures: dict[str, Any]
    artefacts: dict[str, str | None] = field(default_factory=dict)


def from_teacher(session: Session, advance: Advance) -> Lesson:
    """Sampled rows as the language model scores them; ``advance`` is called with questions answered."""
    model = session.model
    assert model is not None
    text = session.frame("text", "text")["text"]
    scored = taught(model, session.config, session.kept(), text, advance)
    lesson = teacher_lesson(scored, session.array("pool"), np.asarray(session.array("vectors")), model.name)
    return replace(lesson, artefacts={"taught": session.store.put_frame(scored)})


def teacher_lesson(scored: pl.DataFrame, pool: np.ndarray, vectors: np.ndarray, teacher: str) -> Lesson:
    """What a teacher's scores teach.

    Args:
        scored: ``row`` and ``score``, null where there is none.
        pool: positions, uint32 [n]; ``vectors``: theirs, float32 [n, d].
        teacher: its name.
    """
    known = scored.drop_nulls()
    return Lesson(
        name="teacher",
        title=f"quality, as {teacher} sees it",
        least=LEAST_SCORED,
        vectors=vectors[np.searchsorted(pool, known["row"].to_numpy())],
        scores=known["score"].to_numpy(),
        figures={"asked": scored.height, "model": teacher},
    )


def from_endorsed(session: Session) -> Lesson:
    """What the endorsed rows teach; their vectors are stored, so that the audit learns the same from them.

    Raises:
        InputError: as ``endorsed_lesson``.
    """
    liked = _endorsed_vectors(session)
    pool, anchor = (np.asarray(session.array(role)) for role in ("vectors", "anchor_vectors"))
    lesson = endorsed_lesson(liked, pool, anchor, session.config)
    return replace(lesson, artefacts={"endorsed_vectors": session.store.put_array(liked)})


def endorsed_lesson(liked: np.ndarray, pool: np.ndarray, anchor: np.ndarray, config: Config) -> Lesson:
    """Endorsed rows, scored 5, and a random sample of the rows that are like none of them, scored 0.

    An endorsed row that is held out teaches nothing: rows that measure must not choose. A row of the data that says
    what an endorsed one says is no example of the rest.

    Args:
        liked: unit vectors of the endorsed rows, float32 [m, d]; ``pool`` of the data [n, d], ``anchor`` [a, d].
        config: what counts as a copy, and the run's seed.

    Raises:
        InputError: too few endorsed rows are left, or their vectors are of another length than the data's.
    """
    if liked.shape[1] != pool.shape[1]:
        raise InputError(f"quality.like: its vectors have {liked.shape[1]} numbers, those of the data {pool.shape[1]}")
    held_out = (liked @ anchor.T).max(axis=1) >= _SAME
    liked = liked[~held_out]
    if len(liked) < LEAST_LIKED:
        raise InputError(
            f"quality.like: {len(liked)} different rows can be learned from, at least {LEAST_LIKED} are needed "
            f"({int(held_out.sum())} more are held out to measure with)"
        )
    unlike = np.flatnonzero((pool @ liked.T).max(axis=1) < config.semantic.cosine)
    order = np.random.default_rng(derived_seed(config, 8, 2)).permutation(unlike)
    rest = np.sort(order[: max(len(liked), LEAST_REST)])
    return Lesson(
        name="like",
        title="quality, by the rows that were endorsed",
        least=LEAST_LIKED,
        vectors=np.concatenate([liked, pool[rest]]),
        scores=np.repeat([HIGHEST, LOWEST], [len(liked), len(rest)]),
        figures={"endorsed": len(liked), "rest": len(rest), "held_out": int(held_out.sum())},
    )


def _endorsed_vectors(session: Session) -> np.ndarray:
    """Unit vectors of the endorsed rows, each once, float32 [m, d]."""
    if "liked_vectors" in session.state.artefacts:
        return given_vectors(session.array("liked_vectors"))
    text = clean.normalise(session.frame("liked", "text")["text"], session.config.clean).fill_null("")
    return text_vectors(session, text.filter(text != "").unique(maintain_order=True), silent)[0]


def given_vectors(liked: np.ndarray) -> np.ndarray:
    """The endorsed rows' own vectors (float [m, d]), each once and of unit length, float32."""
    given = np.unique(np.asarray(liked, dtype=np.float32), axis=0)
    return np.asarray(given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12))
