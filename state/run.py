"""The run directory: where a run's files lie, and who owns it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from .config import Config
from .errors import LockedError, UsageError, storage_error
from .settings import parse_config, read_yaml, yaml_fault
from .store import whole_file


class RunDirectory:
    """Paths of one run. ``create`` makes it, ``open`` finds it; ``lock`` claims it for this process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "run.yaml"
        self.table = root / "input.parquet"  # the input of a run that was given a table in memory
        self.log = root / "events.jsonl"
        self.checkpoints = root / "checkpoints.sqlite"
        self.artifacts = root / "artifacts"
        self.curated = root / "curated"
        self.removed = root / "removed"
        self.notes = root / "notes"
        self.report = root / "report.html"
        self.model = root / "model"
        self.card = root / "README.md"
        self.model_card = self.model / "README.md"
        self.llm = root / "llm"
        self.quarantine = root / "quarantine.jsonl"
        self.review = root / "review.csv"

    @classmethod
    def create(cls, root: Path, source: str, config: Config) -> RunDirectory:
        """Make the folder and write ``run.yaml``: the input and every setting.

        Raises:
            StorageError: the folder cannot be made or written.
        """
        run = cls(root)
        text = yaml.safe_dump({"input": source, "config": config.model_dump(mode="json")}, sort_keys=False)
        with whole_file(run.settings, temporary=run.settings.with_suffix(".tmp")) as made:
            root.mkdir(parents=True, exist_ok=True)
            made.write_text(text, encoding="utf-8")
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
            values = read_yaml(self.settings.read_text(encoding="utf-8"))
            return str(values["input"]), parse_config(values["config"], str(self.settings))
        except yaml.YAMLError as error:
            raise UsageError(f"{self.settings}{yaml_fault(error)}") from error
        except (OSError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {self.settings}: {error}") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Own the run until the block ends; the operating system frees it if the process dies.

        Raises:
            LockedError: another process owns it.
            StorageError: the folder cannot be written.
        """
        with contextlib.ExitStack() as opened:
            try:
                file = opened.enter_context((self.root / "lock").open("a+", encoding="utf-8"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
            except BlockingIOError as error:
                file.seek(0)
                owner = file.read().strip() or "unknown"
                raise LockedError(f"{self.root} is in use by process {owner}") from error
            except OSError as error:
                raise storage_error(error, self.root, "locking the run directory") from error
            yield
