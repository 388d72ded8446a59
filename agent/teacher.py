"""The teacher: a language model scores a few sampled rows for quality, for a classifier to learn from.

The rows reach a model without tools, under opaque ids, and all that is read of its answer is a number from 0 to 5
for each.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ..state.config import Config
from ..state.progress import Advance, silent
from .llm.client import Model
from .llm.reading import reader, schema
from .questionnaire import ROWS_PER_QUESTION, ShortText, by_row, each_row_once, request, sheets
from .session import derived_seed

#: Scored rows below which nothing is learned from them: five folds of six.
LEAST_SCORED = 30


def has_teacher(config: Config) -> bool:
    """Whether a language model is to score a sample: one critiques, the rows can be read, the sample is not empty."""
    return config.mind("critic") == "llm" and config.load.readable and config.quality.teacher_rows > 0


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
    asked = sheets("quality", texts)
    questions = [request("quality", sheet, schema(RowScores)) for sheet in asked]
    model.prefetch(questions)
    answers = model.ask_many(questions, reader(RowScores, each_row_once(asked, _entries)), advance)
    scores = [np.nan if entry is None else entry.score for entry in by_row(asked, answers, _entries)]
    return np.array(scores, dtype=np.float64)


def _entries(answer: RowScores) -> list[RowScore]:
    return answer.scores
