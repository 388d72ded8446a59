"""The run directory: where a run's files lie, who owns it, and what state its log adds up to."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import yaml
from pydantic import BaseModel, Field

from .config import Config
from .errors import LockedError, UsageError, storage_error
from .events import Event
from .settings import parse_config


class RunState(BaseModel):
    """The state of a run: the fold of its events' patches. Small and JSON-native; arrays are references."""

    round: int = 0
    last: str = ""  # the type of the last step that finished
    artefacts: dict[str, str] = Field(default_factory=dict)
    values: dict[str, Any] = Field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Fold one event in; an event without a patch (start, resume, error) changes nothing."""
        if event.state is None:
            return
        self.last = event.type
        if event.state.round is not None:
            self.round = event.state.round
        for role, ref in event.state.artefacts.items():
            if ref is None:
                self.artefacts.pop(role, None)
            else:
                self.artefacts[role] = ref
        self.values.update(event.state.values)


def fold(events: Iterable[Event]) -> RunState:
    """The state that a sequence of events adds up to."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state


class RunDirectory:
    """Paths of one run. ``create`` makes it, ``open`` finds it; ``lock`` claims it for this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "run.yaml"
        self.log = root / "events.jsonl"
        self.checkpoints = root / "checkpoints.sqlite"
        self.artifacts = root / "artifacts"
        self.curated = root / "curated"
        self.report = root / "report.html"
        self.model = root / "model"
        self.card = root / "README.md"
        self.llm = root / "llm"
        self.quarantine = root / "quarantine.jsonl"

    @classmethod
    def create(cls, root: Path, source: str, config: Config) -> RunDirectory:
        """Make the folder and write ``run.yaml``: the input and every setting.

        Raises:
            StorageError: the folder cannot be made or written.
        """
        run = cls(root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump({"input": source, "config": config.model_dump(mode="json")}, sort_keys=False)
            temporary = run.settings.with_suffix(".tmp")
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(run.settings)
        except OSError as error:
            raise storage_error(error, root, "making the run directory") from error
        return run

    @classmethod
    def open(cls, root: Path) -> RunDirectory:
        """A run that exists.

        Raises:
            UsageError: there is no run in that folder.
        """
        run = cls(root)
        if not run.settings.is_file():
            raise UsageError(f"{root} is not a run: it has no run.yaml")
        return run

    def read_settings(self) -> tuple[str, Config]:
        """The input and the configuration of the run.

        Raises:
            UsageError: ``run.yaml`` is not what ``create`` wrote.
        """
        try:
            values = yaml.safe_load(self.settings.read_text(encoding="utf-8"))
            return str(values["input"]), parse_config(values["config"], str(self.settings))
        except (OSError, yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {self.settings}: {error}") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Own the run until the block ends; the operating system frees it if the process dies.

        Raises:
            LockedError: another process owns it.
        """
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise LockedError(f"{self.root} is in use by process {file.read().strip() or 'unknown'}") from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    def _lock_file(self) -> IO[str]:
        try:
            return (self.root / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise storage_error(error, self.root, "locking the run directory") from error
