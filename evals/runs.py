"""Whole runs inside an experiment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ..agent import graph
from ..agent.cli.progress import Reporter
from ..agent.session import Session
from ..state.config import Config
from ..state.decision import Critique
from ..state.errors import UsageError
from ..state.events import Event
from ..state.log import read_log
from ..state.run import RunDirectory, fold
from ..state.store import Store


def refine(source: Path, root: Path, config: Config) -> FinishedRun:
    """Run ``source`` to its end in ``root``; a run that is there already is resumed, a finished one only read.

    Raises:
        UsageError: ``root`` holds a run of another input or other settings.
    """
    directory = RunDirectory(root)
    if not directory.settings.is_file():
        RunDirectory.create(root, str(source), config)
    elif directory.read_settings() != (str(source), config):
        raise UsageError(f"{root} is a run with another input or other settings; choose another --out")
    with directory.lock():
        session = Session(directory, Reporter(quiet=True))
        if session.state.last != "publish":
            session.start()
            graph.run(session)
    return FinishedRun(root)


class FinishedRun:
    """The log and the artefacts of a run."""

    def __init__(self, root: Path) -> None:
        self.directory = RunDirectory.open(root)
        self.events, _ = read_log(self.directory.log)
        self.store = Store(self.directory.artifacts)
        _, self.config = self.directory.read_settings()

    def of_type(self, name: str) -> list[Event]:
        """The events of one step, in order."""
        return [event for event in self.events if event.type == name]

    def frame(self, event: Event, role: str) -> pl.DataFrame:
        """The table that stood in a role after an event."""
        return self.store.frame(self._ref(event, role))

    def json(self, event: Event, role: str) -> Any:
        """The JSON value that stood in a role after an event."""
        return self.store.json(self._ref(event, role))

    def critiques(self) -> list[tuple[Critique, ...]]:
        """The critiques of every round."""
        return [self.critiques_at(event) for event in self.of_type("critique")]

    def critiques_at(self, event: Event) -> tuple[Critique, ...]:
        """The critiques in force after an event."""
        return tuple(Critique.model_validate(item) for item in self.json(event, "critiques"))

    def ledger(self) -> pl.DataFrame:
        """The ledger as it stands at the end."""
        return self.frame(self.events[-1], "ledger")

    def decisions(self) -> list[tuple[Any, ...]]:
        """What was decided in each round, and what came of it."""
        outcomes = [event.outcome for event in self.of_type("measure")]
        decided = [(event.action, event.params) for event in self.of_type("decide")]
        return [(*one, outcomes[at] if at < len(outcomes) else "stopped") for at, one in enumerate(decided)]

    def requests(self, kind: str | None = None) -> Iterator[bytes]:
        """The recorded questions and answers of one kind, or of all kinds, as bytes."""
        shas = {call.request_sha for event in self.events for call in event.llm if kind in (None, call.kind)}
        for sha in sorted(shas):
            path = self.directory.llm / f"{sha}.json"
            if path.is_file():
                yield path.read_bytes()

    def _ref(self, event: Event, role: str) -> str:
        return fold(self.events[: event.seq + 1]).artefacts[role]
