"""An event and all that stood before it, as the audit reads the log, and what it claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...state.config import Config
from ...state.decision import RoundRecord
from ...state.events import Event, StatePatch
from ...state.run import RunState
from ...state.store import Store

Claim = tuple[str, Any, Any]  # what, as derived, as logged


@dataclass(frozen=True)
class Logged:
    """One event: ``state`` is the fold of the events ``before``, ``history`` the rounds they finished."""

    store: Store
    config: Config
    state: RunState
    history: tuple[RoundRecord, ...]
    before: list[Event]
    event: Event

    @property
    def patch(self) -> StatePatch:
        """What the event changes.

        Raises:
            TypeError: it is a note, and changes nothing.
        """
        if self.event.state is None:
            raise TypeError(f"the event {self.event.type} changes nothing")
        return self.event.state
