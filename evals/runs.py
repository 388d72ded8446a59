"""Whole runs inside an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from ..agent.cli.claim import begin
from ..agent.cli.progress import Reporter
from ..agent.start import go
from ..agent.view import View
from ..state import events
from ..state.actions import Action
from ..state.config import Config
from ..state.events import Event

E = TypeVar("E", bound=events.Base)


def refine(source: Path, root: Path, config: Config) -> FinishedRun:
    """Run ``source`` to its end in ``root``; a run that is there already is resumed, a finished one only read.

    Raises:
        UsageError: ``root`` holds a run of another input or other settings.
    """
    reporter = Reporter(quiet=True)
    with begin(str(source), config, root, reporter.say) as directory:
        go(directory, reporter)
    return FinishedRun(root)


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
