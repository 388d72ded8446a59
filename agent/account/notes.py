"""What people wrote down about single rows: words for people, which bear on nothing."""

from ...state.events import Approve
from ...state.report import Record
from ..view import View


class Note(Record):
    """A note on a row; the text is a person's."""

    event: int
    who: str
    ts: str  # when, as the log says
    note: str


def notes_on(view: View, row: int) -> tuple[Note, ...]:
    """The notes on the row at a position, the oldest first."""
    answers = (event for event in view.events if isinstance(event, Approve))
    return tuple(
        Note(event=event.seq, who=event.answer.who, ts=event.ts, note=event.answer.note.text)
        for event in answers
        if event.answer.note is not None and event.answer.note.row == row
    )
