"""The generator of new rows: which examples it is shown, what it is asked, and how its answer is read.

After Self-Instruct (Wang et al. 2023, arXiv 2212.10560, section 2.2): six real rows and up to two generated ones in a
prompt. What comes back is data and nothing else; ``gates.py`` decides what becomes of it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from pydantic import Field

from ...state.canonical import Json
from ...state.phrases import Advance, silent
from ...state.report import Record
from ...tools.read.shapes import Parts
from ..llm import Reply, Request
from ..llm.ask import ShortText, Unusable, ask_about, asked, parse
from ..llm.client import Model

REAL_EXAMPLES = 6
NEW_EXAMPLES = 2
HAND_WRITTEN = 2  # of the six, where hand-written seeds land in the cluster
ROWS_PER_QUESTION = 8
_SHOWN = 2000  # characters of each field of an example
_LEAST_OF_LABEL = 3  # rows a label must have in a cluster to be asked for, if any has

_T = TypeVar("_T")


@dataclass(frozen=True)
class Example:
    """A row that new ones may learn from."""

    id: str
    parts: Parts
    label: str | None


@dataclass(frozen=True)
class Target:
    """A cluster that rows are wanted for. ``cosines``: of its real rows to the centroid, float [n]."""

    cluster: int
    count: int
    own: tuple[Example, ...]  # its real rows, or a sample of them
    hand: tuple[Example, ...]  # hand-written seeds that land in it
    cosines: np.ndarray


class Asked(Record):
    """One question: the rows that are shown, by id, and how many are wanted."""

    number: int  # tells it apart from others of the run that show the same rows
    cluster: int
    label: str | None
    rows: int
    seeds: tuple[str, ...]


@dataclass(frozen=True)
class GeneratedRows:
    """The rows of one answer, or why there are none."""

    rows: tuple[object, ...]
    problem: Literal["truncated", "malformed"] | None = None


class _Rows(Record):
    """The outer form of an answer; each row is looked at by itself, so that a broken one does not lose the others."""

    rows: list[object]


def question(
    target: Target, accepted: Sequence[Example], fields: tuple[str, ...], number: int, rows: int, seed: Sequence[int]
) -> tuple[Asked, Request]:
    """One question for a cluster: what is asked, and the request.

    Args:
        target: the cluster.
        accepted: new rows of it that passed before.
        fields: of a row.
        number: of the question, in the run.
        rows: how many are wanted.
        seed: of the choice of examples.
    """
    examples, label = _examples(target, accepted, np.random.default_rng(list(seed)))
    about = Asked(
        number=number, cluster=target.cluster, label=label, rows=rows, seeds=tuple(example.id for example in examples)
    )
    said = {
        "request": number,
        "examples": [{name: text[:_SHOWN] for name, text in example.parts.items()} for example in examples],
        "fields": list(fields),
        "rows": rows,
        **({} if label is None else {"label": label}),
    }
    return about, asked("generate", said, _schema(fields))


def _examples(
    target: Target, accepted: Sequence[Example], rng: np.random.Generator
) -> tuple[list[Example], str | None]:
    """Six real rows of one label, where rows have labels, and up to two new ones; in a random order."""
    label = _label(target, rng)
    own, hand, new = (
        [example for example in examples if example.label == label] for examples in (target.own, target.hand, accepted)
    )
    written = _drawn(hand, HAND_WRITTEN, rng)
    real = written + _drawn(own, REAL_EXAMPLES - len(written), rng)
    chosen = real + _drawn(new, NEW_EXAMPLES, rng)
    return _drawn(chosen, len(chosen), rng), label


def _label(target: Target, rng: np.random.Generator) -> str | None:
    """The label to ask for: as often as rows of the cluster have it, those with hardly any row left out."""
    sizes = Counter(example.label for example in target.own)
    enough = [example.label for example in target.own if sizes[example.label] >= _LEAST_OF_LABEL]
    return _drawn(enough or [sizes.most_common(1)[0][0]], 1, rng)[0]


def _drawn(items: Sequence[_T], count: int, rng: np.random.Generator) -> list[_T]:
    return [items[at] for at in rng.permutation(len(items))[:count].tolist()]


def _schema(fields: tuple[str, ...]) -> Json:
    """The JSON schema of an answer."""

    def closed(properties: Json) -> Json:
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    return closed({"rows": {"type": "array", "items": closed({name: {"type": "string"} for name in fields})}})


def read(reply: Reply) -> GeneratedRows:
    """The rows of an answer. One that cannot be read is not asked for again: the next question shows other rows."""
    if reply.stop_reason == "length":
        return GeneratedRows((), "truncated")
    try:
        return GeneratedRows(tuple(parse(reply, _Rows).rows))
    except Unusable:
        return GeneratedRows((), "malformed")


def parts_of_answer(row: object, fields: tuple[str, ...]) -> Parts | None:
    """A row of an answer as its fields; None where it has others, or something that is not text."""
    if not isinstance(row, dict) or set(row) != set(fields) or not all(isinstance(row[name], str) for name in fields):
        return None
    try:
        "".join(row.values()).encode()
    except UnicodeEncodeError:  # half of a surrogate pair: no file can hold it
        return None
    return {name: row[name].strip() for name in fields}


Word = Literal["accept", "reject"]


class RowVerdict(Record):
    """The word on one row, reasons first."""

    id: str
    reasons: list[ShortText] = Field(min_length=1, max_length=4)
    verdict: Word


class RowVerdicts(Record):
    """The answer on the rows of one question."""

    verdicts: list[RowVerdict]


def accept_rows(model: Model, texts: list[str], advance: Advance = silent) -> list[Word | None]:
    """The judge's word on each text; None where it gave no usable answer.

    The texts are shown as data, under opaque ids, to a model without tools.
    """
    found = ask_about(model, "judge", texts, RowVerdicts, lambda answer: answer.verdicts, advance)
    return [None if entry is None else entry.verdict for entry in found]
