"""Whole runs inside an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from ..agent.cli.claim import begin
from ..agent.cli.progress import Reporter
from ..agent.session import Session
from ..agent.start import go
from ..agent.steps.base import run_step
from ..agent.steps.cycle import following
from ..agent.steps.measured import HANDED_OVER
from ..agent.view import View
from ..state import events
from ..state.actions import Action
from ..state.config import Config
from ..state.events import Event
from ..state.notes import Base
from ..tools.vectors.embed import write_known

E = TypeVar("E", bound=Base)


def refine(source: Path, root: Path, config: Config) -> FinishedRun:
    """Run ``source`` to its end in ``root``; a run that is there already is resumed, a finished one only read.

    Raises:
        UsageError: ``root`` holds a run of another input or other settings.
    """
    reporter = Reporter(quiet=True)
    with begin(str(source), config, root, reporter.say) as directory:
        go(directory, reporter)
    return FinishedRun(root)


def until_decision(source: Path, root: Path, config: Config, known: tuple[pl.Series, np.ndarray]) -> View:
    """A run of ``source`` in ``root`` as it stands before its first decision; one that stands there is only read.

    ``known``: texts that need not be embedded (strings [n], normalised) and their vectors (float32 [n, d]).

    Raises:
        UsageError: ``root`` holds a run of another input or other settings.
    """
    reporter = Reporter(quiet=True)
    with begin(str(source), config, root, reporter.say) as directory:
        session, begun = Session(directory, reporter), False
        while (step := following(session.view)) is not None and step.name != "decide":
            if not begun:
                write_known(root / HANDED_OVER, *known, config.embed)
                session.start()
                begun = True
            run_step(step, session)
    return View.open(root)


class FinishedRun:
    """The log and the artefacts of a run."""

    def __init__(self, root: Path) -> None:
        self.view = View.open(root)
        self.directory, self.events, self.config = self.view.run, self.view.events, self.view.config

    def of_type(self, kind: type[E]) -> list[E]:
        """The events of one step, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def after(self, event: Event) -> View:
        """The run as it stood after an event."""
        return self.view.at(event.seq + 1)

    def decisions(self) -> list[tuple[Action, str]]:
        """What was decided in each round, and what came of it."""
        outcomes = [event.record.outcome for event in self.of_type(events.Measure)]
        decided = [self.after(event).decision.action for event in self.of_type(events.Decide)]
        return [(action, outcomes[at] if at < len(outcomes) else "stopped") for at, action in enumerate(decided)]

    def requests(self, kind: str) -> Iterator[bytes]:
        """The recorded questions and answers of one kind, as bytes."""
        shas = {call.request_sha for event in self.events for call in event.llm if call.kind == kind}
        for sha in sorted(shas):
            path = self.directory.llm / f"{sha}.json"
            if path.is_file():
                yield path.read_bytes()
