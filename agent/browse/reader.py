"""The run on disk, read again whenever its log has grown: what every request of the page looks at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast

from ...state.errors import UsageError
from ...state.run import RunDirectory
from ..view import View

_T = TypeVar("_T")
_KEPT = 8  # views of earlier events, and tables, that stay in memory


class Reader:
    """One run, read through ``View``. It may be shared between threads: ``lock`` is held while a view is used."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = RLock()
        self._size = -1
        self._now: View | None = None
        self._then: OrderedDict[int, View] = OrderedDict()
        self._made: OrderedDict[tuple[object, ...], Any] = OrderedDict()

    def view(self, at: int | None = None) -> View:
        """The run as its log ends, or as it stood before the event ``at``.

        Raises:
            UsageError: there is no such event.
            IntegrityError: the log was changed.
        """
        size = self.size()
        if self._now is None or size != self._size:
            opened = self._opened()
            # The tables in memory go with the run, not with the view: what is in force mostly stays so.
            self._now = opened if self._now is None else replace(opened, held=self._now.held)
            self._size = size
        if at is None or at == self._now.seq:
            return self._now
        if not 0 <= at < self._now.seq:
            raise UsageError(f"there is no event {at}; the log has {self._now.seq}")
        if at not in self._then:
            # With tables of its own: reading an earlier state must not put those in force out of memory.
            self._then[at] = replace(self._now.at(at), held={})
            self._trim(self._then)
        return self._then[at]

    def _opened(self) -> View:
        run = RunDirectory.open(self.root)
        return View.open(self.root) if run.log.exists() else View.begun(run)

    def size(self) -> int:
        """Bytes of the log; it grows with every event."""
        path = self.root / "events.jsonl"
        return path.stat().st_size if path.exists() else 0

    def made(self, key: tuple[object, ...], make: Callable[[], _T]) -> _T:
        """What ``make`` gives, made once for a ``key`` that names all it follows from, and kept for a while."""
        if key not in self._made:
            self._made[key] = make()
            self._trim(self._made)
        self._made.move_to_end(key)
        return cast(_T, self._made[key])

    @staticmethod
    def _trim(kept: OrderedDict[Any, Any]) -> None:
        while len(kept) > _KEPT:
            kept.popitem(last=False)
