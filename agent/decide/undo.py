"""Overriding the measurement: what `keep` puts in force, and what `undo` takes back. Functions of the log alone.

Both are events of their own, and nothing is erased. The changes that stand form a stack: an action that was kept, by
its measurement or by a person, or what a person said of rows, goes on top, and `undo` takes the top one off. An undo is
not undone by another, which takes off the next change; the same action is asked for again instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ...state.actions import Action, EditRows
from ...state.decision import RoundRecord
from ...state.errors import UsageError
from ...state.events import Act, Approve, Event, Measure
from ...state.params.vectors import ClusterParams
from ...state.values import Artefacts, Values
from ..view import View
from .facts import state_key
from .person import answers, pinned

# What belongs to the round in progress and not to the data.
_ROUND = {"offer": False, "trial": None}
_ANSWERS = ("answer", "rejected", "auto_rounds", "stop_reason", "converged")


@dataclass(frozen=True)
class Override:
    """The artefacts and values that come in force with an event; None takes a role away.

    ``answers``: what a person has said of rows from then on, where that is another.
    """

    artefacts: Artefacts = field(default_factory=dict)
    values: Values = field(default_factory=Values)
    answers: pl.DataFrame | None = None


def kept(view: View) -> Override:
    """What the last trial would have put in force, had it not been rolled back.

    Raises:
        UsageError: the last trial was not rolled back, or the data have changed since; or it is against what a person
            said of single rows.
    """
    if not view.values.offer:
        raise UsageError("there is no trial to keep: the last one was not rolled back, or the data have changed since")
    measured = next(event for event in reversed(view.events) if isinstance(event, Measure))
    tried = view.at(measured.seq)
    if not np.isin(pinned(view), np.append(tried.kept("trial_ledger"), view.anchor())).all():
        raise UsageError("the trial takes out rows that you keep; nothing was done")
    brought_in: Artefacts = {role: tried.state.artefacts.get(role) for role in tried.trial.before}
    assert measured.clustering is not None
    values = in_force(tried, measured.record, measured.clustering)
    tables: Artefacts = {"space": None, **measured.evidence}
    return Override({**brought_in, "ledger": tried.ref("trial_ledger"), **tables}, values.patched(Values(**_ROUND)))


def in_force(view: View, record: RoundRecord, clustering: ClusterParams) -> Values:
    """The values that come in force with the trial of a view, as it was measured."""
    return Values(
        clustering=clustering,
        state_key=state_key(view.kept("trial_ledger"), clustering),
        objective=record.after,
        thresholds=view.trial.thresholds,
    )


def undone(view: View) -> Override:
    """What brings the run back to before the last change that stands: every artefact and value as it was then.

    What a person has said of rows stays said, but for that which came in force with the change.

    Raises:
        UsageError: no change stands.
    """
    standing = _standing(view.events)
    if not standing:
        raise UsageError("there is nothing to undo: no action is in force")
    then, now = view.at(standing[-1]).state, view.state
    artefacts: Artefacts = {
        role: then.artefacts.get(role)
        for role in sorted({*now.artefacts, *then.artefacts} - {"answers"})
        if now.artefacts.get(role) != then.artefacts.get(role)
    }
    names = sorted((now.values.model_fields_set | then.values.model_fields_set) - {*_ANSWERS, *_ROUND})
    values = {name: getattr(then.values, name) for name in names}
    changed = {name: value for name, value in values.items() if getattr(now.values, name) != value}
    said = _said(view, standing)
    return Override(artefacts, Values(**changed, **_ROUND), None if said.equals(answers(view)) else said)


def _said(view: View, standing: Sequence[int]) -> pl.DataFrame:
    """What a person has said of rows (as ``answers``), but of those of which it came in force with the top change what
    they had said before."""
    top, now = standing[-1], answers(view)
    if view.events[top].type == "apply":
        earlier = [event.seq for event in view.events[:top] if event.type == "answers"]
        last = max([*earlier, *(seq for seq in standing[:-1] if view.events[seq].type == "apply")], default=-1)
        before = answers(view.at(last + 1))
        told = now.join(before, on=before.columns, how="anti", nulls_equal=True)["row"].to_list()
        since = [event.answer.about for event in view.events[top:] if isinstance(event, Approve)]
        rows = set(told) - {about.row for about in since if about is not None}
        rows = rows.difference(*(_edited(view, seq) for seq in standing[:-1] if seq > last))
    elif rows := _edited(view, top):
        before = answers(view.at(top))
    else:
        return now
    of = pl.col("row").is_in(list(rows))
    return pl.concat([now.filter(~of), before.filter(of)]).sort("row")


def _edited(view: View, seq: int) -> set[int]:
    """The rows that the action of an event names, where it is a person's on single rows."""
    action = _action(view, seq)
    return set(action.rows) if isinstance(action, EditRows) else set()


def standing_actions(view: View) -> tuple[Action, ...]:
    """The actions in force, in order."""
    return tuple(_action(view, seq) for seq in _standing(view.events) if view.events[seq].type != "apply")


def _action(view: View, seq: int) -> Action:
    """What an event put in force: the decision that was carried out, or the trial that a person kept after all.

    Another decision waits when a person says that.
    """
    if view.events[seq].type == "keep":
        return next(event for event in reversed(view.events[:seq]) if isinstance(event, Measure)).record.action
    return view.at(seq).decision.action


def _standing(events: Sequence[Event]) -> list[int]:
    """For each change in force the number of the event that began it, in order."""
    begun, standing = 0, list[int]()
    for event in events:
        if isinstance(event, Act):
            begun = event.seq
        elif isinstance(event, Measure) and event.outcome == "kept":
            standing.append(begun)
        elif event.type in ("keep", "apply"):
            standing.append(event.seq)
        elif event.type == "undo":
            standing.pop()
    return standing
