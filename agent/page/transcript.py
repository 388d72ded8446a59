"""What was said in the page's conversation, for the page to read as it grows."""

import io
import threading
from collections import deque
from itertools import islice

from rich.console import Console, RenderableType
from rich.text import Text

from ...state.canonical import Json
from ...state.phrases import printable

_WIDTH = 84  # characters of a table
_MOST = 2000  # entries that are kept


class Transcript:
    """The last entries in order, each with ``kind`` (person, shown, model) and ``text``; the last may still grow."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, str]] = deque(maxlen=_MOST)
        self._count = 0  # of all entries there were
        self._lock = threading.Lock()

    def heard(self, line: str) -> None:
        """What the person wrote."""
        self._add("person", _safe(line))

    def show(self, shown: RenderableType) -> None:
        """What a command shows: a table as a terminal would, words in lines that the page may break as it likes."""
        page = io.StringIO()
        if isinstance(shown, Text):
            page.write(shown.plain)
        else:
            Console(file=page, width=_WIDTH, color_system=None, highlight=False, emoji=False).print(shown)
        self._add("shown", "\n".join(line.rstrip() for line in _safe(page.getvalue()).split("\n")).strip("\n"))

    def stream(self, piece: str) -> None:
        """A piece of the language model's answer."""
        with self._lock:
            if self._entries and self._entries[-1]["kind"] == "model":
                self._entries[-1]["text"] += _safe(piece)
                return
        self._add("model", _safe(piece))

    @property
    def size(self) -> tuple[int, int]:
        """Entries there were, and characters of the last one: while that is the last they only grow."""
        with self._lock:
            return self._count, len(self._entries[-1]["text"]) if self._entries else 0

    def since(self, first: int) -> Json:
        """The entries from one on, the number of the ``first`` of them, and how many at the beginning are ``gone``."""
        with self._lock:
            gone = self._count - len(self._entries)
            first = min(max(first, gone), self._count)
            entries = [dict(one) for one in islice(self._entries, first - gone, None)]
            return {"first": first, "gone": gone, "entries": entries}

    def _add(self, kind: str, text: str) -> None:
        if text:
            with self._lock:
                self._entries.append({"kind": kind, "text": text})
                self._count += 1


def _safe(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
