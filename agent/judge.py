"""The last gate of synthesis: a language model that accepts or rejects each new row, and sees nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..state.progress import Advance, silent
from .llm.client import Model
from .llm.reading import reader, schema
from .questionnaire import ShortText, by_row, each_row_once, request, sheets

Word = Literal["accept", "reject"]


class Verdict(BaseModel):
    """The word on one row, reasons first."""

    model_config = ConfigDict(extra="forbid")

    id: str
    reasons: list[ShortText] = Field(min_length=1, max_length=4)
    verdict: Word


class Verdicts(BaseModel):
    """The answer on the rows of one question."""

    model_config = ConfigDict(extra="forbid")

    verdicts: list[Verdict]


def judge(model: Model, texts: list[str], advance: Advance = silent) -> list[Word | None]:
    """The judge's word on each text; None where it gave no usable answer.

    The texts are shown as data, under opaque ids, to a model without tools.
    """
    asked = sheets("judge", texts)
    questions = [request("judge", sheet, schema(Verdicts)) for sheet in asked]
    answers = model.ask_many(questions, reader(Verdicts, each_row_once(asked, _entries)), advance)
    return [None if entry is None else entry.verdict for entry in by_row(asked, answers, _entries)]


def _entries(answer: Verdicts) -> list[Verdict]:
    return answer.verdicts
