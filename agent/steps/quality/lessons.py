"""What the quality score is learned from: rows that a language model scored, and rows that a person endorsed."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ....state.config import Config
from ....state.errors import InputError, IntegrityError
from ....state.phrases import Advance, silent
from ....state.values import Role
from ....tools.judge.quality import HIGHEST, LOWEST
from ....tools.text import clean
from ....tools.vectors.neighbors import unit
from ...llm.ask import ROWS_PER_QUESTION, ShortText, ask_about
from ...llm.client import Model
from ...session import Session
from ...view import View
from ..base import Content
from ..load import LEAST_LIKED
from ..measured import shortened, text_vectors

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
    figures: dict[str, int | str]
    artefacts: dict[Role, Content]


def from_teacher(view: View, advance: Advance) -> Lesson:
    """A random sample of the kept rows that can be read, as the language model scores them.

    ``advance`` is called with questions answered.
    """
    model, kept = view.model, view.kept()
    assert model is not None
    readable = kept[(view.text(kept).str.strip_chars() != "").to_numpy()]
    order = np.random.default_rng(view.seed(8)).permutation(readable)
    rows = np.sort(order[: view.config.quality.teacher_rows])
    scores = teacher_scores(model, view.text(rows).to_list(), advance)
    scored = pl.DataFrame({"row": rows, "score": scores}).with_columns(pl.col("score").fill_nan(None))
    known = scored.drop_nulls()
    return Lesson(
        name="teacher",
        title=f"quality, as {model.name} sees it",
        least=LEAST_SCORED,
        vectors=np.asarray(view.array("vectors"))[np.searchsorted(view.array("pool"), known["row"].to_numpy())],
        scores=known["score"].to_numpy(),
        figures={"asked": scored.height, "model": model.name},
        artefacts={"taught": scored},
    )


def from_endorsed(view: View, endorsed: np.ndarray) -> Lesson:
    """Endorsed rows (unit vectors, float32 [m, d]), scored 5, and a random sample of the rows like none of them, 0.

    An endorsed row that is held out teaches nothing: rows that measure must not choose. A row of the data that says
    what an endorsed one says is no example of the rest.

    Raises:
        InputError: too few endorsed rows are left, or their vectors are of another length than the data's.
    """
    pool = np.asarray(view.array("vectors"))
    numbers, expected = endorsed.shape[1], pool.shape[1]
    if numbers != expected:
        raise InputError(f"quality.like: its vectors have {numbers} numbers, those of the data {expected}")
    held_out = held_out_endorsed(view, endorsed)
    liked = endorsed[~held_out]
    if len(liked) < LEAST_LIKED:
        raise InputError(
            f"quality.like: {len(liked)} different rows can be learned from, at least {LEAST_LIKED} are needed "
            f"({int(held_out.sum())} more are held out to measure with)"
        )
    unlike = np.flatnonzero((pool @ liked.T).max(axis=1) < view.config.semantic.cosine)
    order = np.random.default_rng(view.seed(8, 2)).permutation(unlike)
    rest = np.sort(order[: max(len(liked), LEAST_REST)])
    return Lesson(
        name="like",
        title="quality, by the rows that were endorsed",
        least=LEAST_LIKED,
        vectors=np.concatenate([liked, pool[rest]]),
        scores=np.repeat([HIGHEST, LOWEST], [len(liked), len(rest)]),
        figures={"endorsed": len(liked), "rest": len(rest), "held_out": int(held_out.sum())},
        artefacts={"endorsed_vectors": endorsed},
    )


def endorsed_vectors(session: Session, view: View) -> np.ndarray:
    """Unit vectors of the endorsed rows, each once, float32 [m, d].

    Raises:
        InputError: the user's own are of another length than the data's, which were shortened.
    """
    if view.has("liked_vectors"):
        return shortened(view, given_vectors(view.array("liked_vectors")))
    return text_vectors(session, _endorsed_texts(view), silent)[0]


def held_out_endorsed(view: View, endorsed: np.ndarray) -> np.ndarray:
    """Which endorsed rows (float32 [m, d]) are held-out ones, anchor or sealed, and teach nothing: bool [m]."""
    anchor = np.asarray(view.array("anchor_vectors"))
    return np.asarray(((endorsed @ anchor.T).max(axis=1) >= _SAME) | _sealed(view, endorsed))


def _endorsed_texts(view: View) -> pl.Series:
    """What the endorsed rows say, normalised, each once: strings [m]."""
    text = clean.normalise(view.frame("liked", "text")["text"], view.config.clean).fill_null("")
    return text.filter(text != "").unique(maintain_order=True)


def _sealed(view: View, endorsed: np.ndarray) -> np.ndarray:
    """Which of the endorsed rows (float32 [m, d]) are sealed ones, known by their texts, as these have no vectors yet,
    or by the vectors that the user gave: bool [m].

    Raises:
        IntegrityError: there are not as many vectors as endorsed rows.
    """
    sealed = view.sealed()
    if not len(sealed):
        return np.zeros(len(endorsed), dtype=bool)
    if view.has("given_vectors"):
        own = shortened(view, unit(np.asarray(view.array("given_vectors")[sealed], dtype=np.float32)))
        return np.asarray((endorsed @ own.T).max(axis=1) >= _SAME)
    texts = _endorsed_texts(view)
    if len(texts) != len(endorsed):
        raise IntegrityError("the endorsed rows do not have a vector each")
    return texts.is_in(view.text(sealed).implode()).to_numpy()


def given_vectors(liked: np.ndarray) -> np.ndarray:
    """The endorsed rows' own vectors (float [m, d]), each once and of unit length, float32."""
    return unit(np.unique(np.asarray(liked, dtype=np.float32), axis=0))


#: Scored rows below which nothing is learned from them: five folds of six.
LEAST_SCORED = 30


def has_teacher(config: Config) -> bool:
    """Whether a language model is to score a sample: one critiques, the rows can be read, the sample is not empty."""
    return config.backend("critic") == "llm" and config.load.readable and config.quality.teacher_rows > 0


class RowScore(BaseModel):
    """The model's answer on one row. The reasons stand before the score, so that they are written before it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=20)
    reasons: list[ShortText] = Field(min_length=1, max_length=4)
    score: int = Field(ge=0, le=5)


class RowScores(BaseModel):
    """The model's answer on the rows of one question."""

    model_config = ConfigDict(extra="forbid")

    scores: list[RowScore] = Field(max_length=ROWS_PER_QUESTION)


def teacher_scores(model: Model, texts: list[str], advance: Advance = silent) -> np.ndarray:
    """What the model says of each of ``texts`` [n]: float64 [n] from 0 to 5, NaN where it gave no usable answer.

    ``advance`` is called with questions answered, ten texts each.
    """
    found = ask_about(model, "quality", texts, RowScores, lambda answer: answer.scores, advance)
    return np.array([np.nan if entry is None else entry.score for entry in found], dtype=np.float64)
