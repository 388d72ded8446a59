"""What people wrote down about single rows: words for people, which bear on nothing."""

from ...state.events import Approve
from ...state.report import Record
from ..view import View


class Note(Record):
    """A note on a row as it stands; the text is a person's."""

    event: int
    who: str
    ts: str  # when, as the log says
    note: str


def notes_on(view: View, row: int) -> tuple[Note, ...]:
    """The notes on the row at a position that stand, the oldest first: not those changed or withdrawn since."""
    found = dict[int, Note]()
    for event in view.events:
        if isinstance(event, Approve) and (note := event.answer.note) is not None and note.row == row:
            if note.replaces is not None:
                found.pop(note.replaces, None)
            if note.text.strip():
                found[event.seq] = Note(event=event.seq, who=event.answer.who, ts=event.ts, note=note.text)
    return tuple(found.values())
