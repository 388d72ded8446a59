"""What a person does with single rows in conversation, and the rows that the proposal that waits is about.

Each is put forward as an action of theirs and waits for their approval. A model has no such tool, and sees no row.
"""

from collections.abc import Callable
from typing import get_args

import polars as pl

from ...state.actions import Edit
from ...state.decision import RowNote
from ...state.phrases import counted
from ..account import tables
from ..account.explain import nearest_id
from ..account.going import going
from ..decide.person import own_edit
from ..decide.proposals import OwnEdit, PutForward, Refusal
from ..registry import NotedRow, Page, SomeRows
from .commands import By, Result
from .conversation import ENDED, Conversation


def positions(talk: Conversation, ids: list[str]) -> list[int]:
    """Where rows stand, by their ids.

    Raises:
        Refusal: one of them is no row's; the nearest is named.
    """
    ledger = talk.session.view.ledger()
    places = dict(ledger.filter(pl.col("id").is_in(ids)).select("id", "row").iter_rows())
    for id in ids:
        if id not in places:
            near = nearest_id(talk.session.view, id)
            raise Refusal(f"there is no row {id!r}" + (f"; did you mean {near!r}?" if near else ""))
    return [places[id] for id in ids]


def _edit(edit: Edit) -> Callable[..., Result]:
    def put(talk: Conversation, params: SomeRows, by: By) -> Result:
        own = OwnEdit(edit=edit, rows=positions(talk, params.rows), label=getattr(params, "label", None))
        action, beside = own_edit(talk.session.view, own)
        talk.put_forward("person", PutForward(action=action))
        return Result((tables.line(beside, "yellow"),) if beside else ())

    return put


restore_rows, drop_rows, protect_rows, label_rows = map(_edit, get_args(Edit))


def note_row(talk: Conversation, params: NotedRow, by: By) -> Result:
    """Write a note on a row; the proposal goes on waiting."""
    (row,) = positions(talk, [params.row])
    talk.tell(RowNote(row=row, text=params.note))
    return Result((tables.line(f"noted: /why {params.row} shows it"),))


def preview(talk: Conversation, params: Page, by: By) -> Result:
    """Some of the rows that the action that waits would take out, bring back or relabel, with their twins."""
    if talk.proposal is None:
        raise Refusal(ENDED)
    action = talk.proposal.candidate.action
    rows, refused = going(talk.session.view, action)
    if refused:
        return Result((tables.line(f"it would be refused: {refused}", "yellow"),))
    page = rows.slice(params.first - 1, params.many)
    if page.is_empty():
        return Result((tables.line(f"it is about {counted(rows.height, 'row')}"),))
    return Result((tables.going(page, params.first, rows.height),))
