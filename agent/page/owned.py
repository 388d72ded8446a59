"""The runs that a process works on, each behind a desk of its own, while their folders are locked."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass

from ...state.log import last_step
from ...state.run import RunDirectory
from ..cli.progress import Telling
from .desk import Desk


@dataclass(frozen=True)
class _Owned:
    """A run that this process works on; ``freed`` ends when its folder is unlocked again."""

    desk: Desk
    freed: threading.Thread


class OwnedRuns:
    """By the names of their folders; ``who`` answers for the person, and ``show_rows`` as in ``Conversation``."""

    def __init__(self, who: str, show_rows: bool = False) -> None:
        self._who, self._show_rows = who, show_rows
        self._owned: dict[str, _Owned] = {}
        self._lock = threading.RLock()

    def own(self, run: str, opening: Callable[[], AbstractContextManager[RunDirectory]]) -> None:
        """Work on a run until it has ended; nothing where this process does already, or where it has.

        ``opening`` locks its folder.

        Raises:
            RecrystError: as ``recryst chat`` ends.
        """
        with self._lock:
            if self.works_on(run):
                return
            with ExitStack() as stack:
                directory = stack.enter_context(opening())
                if last_step(directory.log) == "publish":
                    return
                desk = Desk(directory, Telling(quiet=True), self._who, self._show_rows)
                kept = stack.pop_all()
            freed = threading.Thread(target=_free, args=(desk, kept), name="recryst-lock", daemon=True)
            self._owned[run] = _Owned(desk, freed)
            desk.start()
            freed.start()

    def works_on(self, run: str) -> bool:
        """Whether this process has the folder of the run locked."""
        return (owned := self._owned.get(run)) is not None and owned.freed.is_alive()

    def desk(self, run: str) -> Desk | None:
        """The loop of a run that this process owns, or has owned when it ended."""
        found = self._owned.get(run)
        return None if found is None else found.desk

    def let_go(self, run: str, seconds: float = 10) -> bool:
        """Leave a run that waits for an answer to whoever opens it next; whether it was left in time."""
        found = self._owned.get(run)
        if found is not None:
            found.desk.leave(seconds)
            found.freed.join(seconds)
        return found is None or not found.freed.is_alive()

    def leave(self, seconds: float) -> bool:
        """Let go of every run; whether all of them are at rest."""
        rested = [self.let_go(run, seconds) for run in list(self._owned)]
        return all(rested)


def _free(desk: Desk, claim: ExitStack) -> None:
    """Unlock a run when its loop has ended; one that failed before a row was read leaves nothing behind."""
    desk.wait()
    with suppress(BaseException), claim:  # the desk says what failed
        if desk.failed is not None:
            raise desk.failed
