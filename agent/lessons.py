"""What the quality score is learned from: rows that a language model scored, and rows that a person endorsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


def has_teacher(session: Session) -> bool:
    """Whether a language model is to score a sample: one critiques, the rows can be read, the sample is not empty."""
    config = session.config
    return config.mind("critic") == "llm" and config.load.readable and config.quality.teacher_rows > 0


def from_teacher(session: Session, advance: Advance) -> Lesson:
    """Sampled rows as the language model scores them; ``advance`` is called with questions answered."""
    model = session.model
    assert model is not None
    text = session.frame("text", "text")["text"]
    scored = taught(model, session.config, session.kept(), text, advance)
    known = scored.drop_nulls()
    at = np.searchsorted(session.array("pool"), known["row"].to_numpy())
    return Lesson(
        name="teacher",
        title=f"quality, as {model.name} sees it",
        least=LEAST_SCORED,
        vectors=np.asarray(session.array("vectors"))[at],
        scores=known["score"].to_numpy(),
        figures={"asked": scored.height, "model": model.name},
        artefacts={"taught": session.store.put_frame(scored)},
    )


def from_endorsed(session: Session) -> Lesson:
    """Endorsed rows, scored 5, and a random sample of the rows that are like none of them, scored 0.

    An endorsed row that is held out teaches nothing: rows that measure must not choose. A row of the data that says
    what an endorsed one says is no example of the rest.

    Raises:
        InputError: too few endorsed rows are left, or their vectors are of another length than the data's.
    """
    pool, liked = np.asarray(session.array("vectors")), _endorsed_vectors(session)
    if liked.shape[1] != pool.shape[1]:
        raise InputError(f"quality.like: its vectors have {liked.shape[1]} numbers, those of the data {pool.shape[1]}")
    held_out = (liked @ np.asarray(session.array("anchor_vectors")).T).max(axis=1) >= _SAME
    liked = liked[~held_out]
    if len(liked) < LEAST_LIKED:
        raise InputError(
            f"quality.like: {len(liked)} different rows can be learned from, at least {LEAST_LIKED} are needed "
            f"({int(held_out.sum())} more are held out to measure with)"
        )
    unlike = np.flatnonzero((pool @ liked.T).max(axis=1) < session.config.critique.duplicate_cosine)
    order = np.random.default_rng(derived_seed(session.config, 8, 2)).permutation(unlike)
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
        given = np.unique(np.asarray(session.array("liked_vectors"), dtype=np.float32), axis=0)
        return np.asarray(given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12))
    text = clean.normalise(session.frame("liked", "text")["text"], session.config.clean).fill_null("")
    return text_vectors(session, text.filter(text != "").unique(maintain_order=True), silent)[0]
