"""What a step is: told once, for the loop that carries it out and for the audit that derives it again.

The loop calls ``measure``, then ``derive``, and records the draft. The audit reads the measurement back from the event
by ``logged``, calls the same ``derive``, and compares the whole event with the draft, tables by content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from ...state.notes import Effect, Input
from ...state.phrases import Advance, silent
from ...state.values import Role, StatePatch, Values
from ..view import View

if TYPE_CHECKING:
    from ..session import Session

M = TypeVar("M")


@dataclass(frozen=True)
class Plain:
    """A JSON value, to be stored as an artefact."""

    value: object


#: What an artefact holds (an Arrow table where its schema has to come back as it was), or the reference of one that is
#: stored already; None takes the role away.
Content: TypeAlias = pl.DataFrame | pa.Table | np.ndarray | Plain | str | None
Put = Callable[[Role, Content], str | None]


@dataclass(frozen=True)
class Draft:
    """The event of a step, as far as it follows from what stood before and from what was measured.

    ``fields`` are those of the step's own event. ``changed``: rows that another ledger changes, for its effect.
    ``files``: path below the run directory → SHA-256. ``lines``: what a person is told, each with its style.
    """

    artefacts: Mapping[Role, Content] = field(default_factory=dict)
    values: Values = field(default_factory=Values)
    inputs: tuple[Role, ...] = ()
    fields: Mapping[str, object] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    outcome: str | None = None
    actor: Literal["agent", "human", "rules"] = "agent"
    round: int | None = None
    changed: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[Role, Content] = field(default_factory=dict)
    lines: tuple[tuple[str, str], ...] = ()

    def with_fields(self, **fields: object) -> Draft:
        """The draft with further fields of the step's own event."""
        return replace(self, fields={**self.fields, **fields})

    def event(self, view: View, put: Put) -> dict[str, object]:
        """The fields of the event but for those of the clock and the chain; ``put`` turns contents into references."""
        stored: dict[int, str | None] = {}  # what is artefact and evidence alike is stored once

        def once(role: Role, content: Content) -> str | None:
            if id(content) not in stored:
                stored[id(content)] = put(role, content)
            return stored[id(content)]

        artefacts = {role: once(role, content) for role, content in self.artefacts.items()}
        fields = dict(self.fields)
        if self.evidence:
            evidence = {role: once(role, content) for role, content in self.evidence.items() if content is not None}
            fields["evidence"] = evidence
        effects = [Effect(kind=f"file:{path}", after_sha=sha) for path, sha in sorted(self.files.items())]
        if self.changed is not None:
            after = artefacts.get("trial_ledger") or artefacts.get("ledger") or view.ref("ledger")
            before = view.state.artefacts.get("ledger")
            effects.insert(0, Effect(kind="ledger", before_sha=before, after_sha=after, rows=self.changed))
        patch = StatePatch(round=self.round, artefacts=artefacts, values=self.values)
        return fields | {
            "state": patch.model_dump(mode="json"),
            "actor": self.actor,
            "config_sha": view.config.sha(),
            "seed": view.config.seed,
            "inputs": [Input(role=role, sha=view.ref(role)).model_dump() for role in self.inputs if view.has(role)],
            "reasons": list(self.reasons),
            "outcome": self.outcome,
            "effects": [effect.model_dump() for effect in effects],
        }


class Step(Generic[M]):
    """A step. Those that measure nothing leave ``measure`` and ``logged`` as they are.

    ``unit`` and ``total`` say how far it is; without a unit nothing is shown. ``takes`` names, for people, what the
    audit takes as logged. ``tolerance``: how far a figure derived on another machine may lie from the logged one.
    """

    name: str
    unit: str = "rows"
    takes: str = ""
    tolerance: float = 1e-6

    def due(self, view: View) -> bool:
        """Whether there is anything to do; a step that is not due leaves no event."""
        return True

    def total(self, view: View) -> int | None:
        """How many units of work there are, where that is known."""
        return None

    def measure(self, session: Session, view: View, advance: Advance) -> M:
        """What needs models, the network, other files or a person. The audit takes it as logged."""
        return None  # type: ignore[return-value]

    def logged(self, view: View, event: Any) -> M:
        """The same, read back from the event that tells of it, which is of the step's own type."""
        return None  # type: ignore[return-value]

    def derive(self, view: View, measured: M, advance: Advance = silent) -> Draft:
        """The event, from what stood before and what was measured: no clock, no randomness but the run's seed."""
        raise NotImplementedError


def run_step(step: Step[M], session: Session) -> None:
    """Carry out a step that is due, and record it."""
    view = session.view
    if not step.due(view):
        return
    with session.step(step.name, step.total(view), step.unit) as advance:
        draft = step.derive(view, step.measure(session, view, advance), advance)
    session.record(step.name, draft)
