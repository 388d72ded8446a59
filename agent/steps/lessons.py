"""What the quality score is learned from: rows that a language model scored, and rows that a person endorsed."""

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ...state.config import Config
from ...state.errors import InputError
from ...state.phrases import Advance, silent
from ...state.values import Role
from ...tools.judge.quality import HIGHEST, LOWEST
from ...tools.text import clean
from ...tools.vectors.neighbors import unit
from ..llm.ask import ROWS_PER_QUESTION, ShortText, ask_about
from ..llm.client import Model
from ..session import Session
from ..view import View, derived_seed
from .base import Content
from .load import LEAST_LIKED
from .measured import text_vectors

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
    artefacts: dict[Role, Content] = field(default_factory=dict)


def from_teacher(view: View, advance: Advance) -> Lesson:
    """Sampled rows as the language model scores them; ``advance`` is called with questions answered."""
    model = view.model
    assert model is not None
    scored = taught(model, view.config, view.kept(), view.texts(), advance)
    lesson = teacher_lesson(scored, view.array("pool"), np.asarray(view.array("vectors")), model.name)
    return replace(lesson, artefacts={"taught": scored})


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


def from_endorsed(view: View, liked: np.ndarray) -> Lesson:
    """What the endorsed rows teach, by their unit vectors, float32 [m, d].

    Raises:
        InputError: as ``endorsed_lesson``.
    """
    pool, anchor = (np.asarray(view.array(role)) for role in ("vectors", "anchor_vectors"))
    return replace(endorsed_lesson(liked, pool, anchor, view.config), artefacts={"endorsed_vectors": liked})


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


def endorsed_vectors(session: Session) -> np.ndarray:
    """Unit vectors of the endorsed rows, each once, float32 [m, d]."""
    view = session.view
    if view.has("liked_vectors"):
        return given_vectors(view.array("liked_vectors"))
    text = clean.normalise(view.frame("liked", "text")["text"], view.config.clean).fill_null("")
    return text_vectors(session, text.filter(text != "").unique(maintain_order=True), silent)[0]


def given_vectors(liked: np.ndarray) -> np.ndarray:
    """The endorsed rows' own vectors (float [m, d]), each once and of unit length, float32."""
    given = np.unique(np.asarray(liked, dtype=np.float32), axis=0)
    return unit(given)


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


def taught(model: Model, config: Config, kept: np.ndarray, text: pl.Series, advance: Advance = silent) -> pl.DataFrame:
    """A random sample of the kept rows and what the model scores them, the same again for the audit.

    Args:
        model: who is asked.
        config: the sample's size and the run's seed.
        kept: positions, uint32 [n]; rows without text among them are left out, there is nothing to read.
        text: the text of every position.
        advance: called with questions answered.

    Returns:
        ``row`` uint32, ascending, and ``score`` float64, null where there is no usable answer.
    """
    known = kept[(text.gather(kept).fill_null("").str.strip_chars() != "").to_numpy()]
    order = np.random.default_rng(derived_seed(config, 8)).permutation(known)
    rows = np.sort(order[: config.quality.teacher_rows])
    scores = teacher_scores(model, text.gather(rows).to_list(), advance)
    return pl.DataFrame({"row": rows, "score": scores}).with_columns(pl.col("score").fill_nan(None))


def teacher_scores(model: Model, texts: list[str], advance: Advance = silent) -> np.ndarray:
    """What the model says of each of ``texts`` [n]: float64 [n] from 0 to 5, NaN where it gave no usable answer.

    ``advance`` is called with questions answered, ten texts each.
    """
    found = ask_about(model, "quality", texts, RowScores, lambda answer: answer.scores, advance)
    return np.array([np.nan if entry is None else entry.score for entry in found], dtype=np.float64)
