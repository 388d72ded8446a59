"""What a language model that has no tools says of rows. Its words are for the person alone: the one that has tools is
told that they stand on the screen, and no word of them.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from pydantic import Field

from ...state.canonical import Json
from ...state.errors import MissingExtraError, ModelError, UsageError
from ...state.phrases import counted
from ...state.report import Record
from ..account import tables
from ..decide.proposals import Refusal
from ..llm import Provider
from ..llm.ask import Sheet, asked, listed, reader, schema, sheet
from ..registry import OneCluster, Reading
from .commands import By, Result, examples, judged
from .conversation import Conversation
from .edits import positions


def sent_to(provider: Provider) -> str:
    """What a person is told whose conversation may send rows."""
    where = f" at {provider.address}" if provider.address else ""
    whose = "this machine" if provider.local else "another machine"
    return f"--show-rows: rows that you ask about are sent to {provider.name}:{provider.model}{where}, on {whose}"


class _Description(Record):
    """The model's words on one cluster."""

    about: str = Field(max_length=600)
    outliers: str = Field(max_length=400)


class _Words(Record):
    """The model's answer to a question about rows."""

    answer: str = Field(min_length=1, max_length=1200)


R = TypeVar("R", bound=Record)


def _answer(talk: Conversation, kind: str, about: Json, form: type[R]) -> R | Result:
    """The answer to a question without tools, or what is shown and told where there is none."""
    problem = "the language model gave no usable answer, or its budget is spent"
    try:
        model = talk.session.model
        if model is None:
            raise Refusal("no language model is configured; /show shows rows and terms")
        found = model.ask(asked(kind, about, schema(form)), reader(form))
    except (ModelError, UsageError, MissingExtraError) as error:  # UsageError: a key is not in the environment
        found, problem = None, str(error)
    if found is None:  # a server's sentence may repeat what it was asked, which holds rows
        return Result((tables.line(problem, "yellow"),), {"error": "there is no answer"})
    return found


def _sheet(talk: Conversation, kind: str, rows: Sequence[int]) -> Sheet:
    return sheet(kind, talk.session.view.text(np.asarray(rows, dtype=np.uint32)).to_list())


def describe_cluster(talk: Conversation, params: OneCluster, by: By) -> Result:
    """What the rows that stand for a cluster have in common."""
    cluster, _ = judged(talk, params.cluster)
    found = _answer(talk, "describe", {"rows": listed(_sheet(talk, "describe", [*examples(cluster)]))}, _Description)
    if isinstance(found, Result):
        return found
    lines = [f"cluster {params.cluster}: {found.about}", *([found.outliers] if found.outliers else [])]
    return Result(tuple(tables.line(said) for said in lines), {"on_the_person's_screen": True})


def read_rows(talk: Conversation, params: Reading, by: By) -> Result:
    """What another question, which has no tools, finds out about rows; its answer names them by their ids."""
    if not talk.show_rows:
        raise Refusal("rows are not sent to a language model here; `recryst chat --show-rows` does so")
    view = talk.session.view
    if params.cluster is not None:
        rows = [*examples(judged(talk, params.cluster)[0])]
    else:
        try:
            rows = list(dict.fromkeys(positions(talk, params.rows)))
        except Refusal as refusal:  # it names the nearest id, which is data
            return Result((tables.line(str(refusal), "yellow"),), {"error": "there is no such row"})
    ledger = view.ledger()
    if view.state.last != "publish" and "sealed" in ledger["split"].gather(rows).to_list():
        raise Refusal("a row of them is sealed until the rounds are over")
    shown = _sheet(talk, "read", rows)
    found = _answer(talk, "read", {"question": params.question, "rows": listed(shown)}, _Words)
    if isinstance(found, Result):
        return found
    text = found.answer
    for one, id in zip(shown, ledger["id"].gather(rows), strict=True):
        text = text.replace(one, str(id))
    head = tables.line(f"{params.question} ({counted(len(rows), 'row')}, read by a model without tools)", "dim")
    known = {"on_the_person's_screen": "an answer", "rows_read": len(rows)}
    return Result((head, *map(tables.line, text.splitlines())), known)
