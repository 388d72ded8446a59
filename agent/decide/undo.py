"""Overriding the measurement: what `keep` puts in force, and what `undo` takes back. Functions of the log alone.

Both are events of their own, and nothing is erased. The changes that stand form a stack: an action that was kept, by
its measurement or by a person, goes on top, and `undo` takes the top one off. An undo is not undone by another, which
takes off the next change; the same action is asked for again instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...state.errors import UsageError
from ...state.events import Event
from ...state.run import RunState, fold

# What belongs to the round in progress and not to the data.
_ROUND = {"offer": None, "trial": None}
_ANSWERS = ("answer", "rejected", "auto_rounds", "stop_reason", "converged")


@dataclass(frozen=True)
class Change:
    """The artefacts and values that come in force with an event; None takes a role away."""

    artefacts: dict[str, str | None] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def kept(state: RunState) -> Change:
    """What the last trial would have put in force, had it not been rolled back.

    Raises:
        UsageError: the last trial was not rolled back, or the data have changed since.
    """
    offer = state.values.get("offer")
    if offer is None:
        raise UsageError("there is no trial to keep: the last one was not rolled back, or the data have changed since")
    return Change(offer["artefacts"], {**offer["values"], **_ROUND})


def undone(state: RunState, events: Sequence[Event]) -> Change:
    """What brings the run back to before the last change that stands: every artefact and value as it was then.

    Raises:
        UsageError: no change stands.
    """
    standing = _standing(events)
    if not standing:
        raise UsageError("there is nothing to undo: no action is in force")
    then = fold(events[: standing[-1]])
    artefacts = {
        role: then.artefacts.get(role)
        for role in sorted({*state.artefacts, *then.artefacts})
        if state.artefacts.get(role) != then.artefacts.get(role)
    }
    answers = {name: state.values.get(name) for name in _ANSWERS}
    values = {name: then.values.get(name) for name in sorted({*state.values, *then.values})} | answers | _ROUND
    missing = object()
    changed = {name: value for name, value in values.items() if state.values.get(name, missing) != value}
    return Change(artefacts, changed)


def _standing(events: Sequence[Event]) -> list[int]:
    """For each change in force the number of the event that began it, in order."""
    begun, standing = 0, list[int]()
    for event in events:
        if event.type == "act":
            begun = event.seq
        elif event.type == "measure" and event.outcome == "kept":
            standing.append(begun)
        elif event.type == "keep":
            standing.append(event.seq)
        elif event.type == "undo":
            standing.pop()
    return standing
