"""The runs below one folder, and those that this server owns. Whatever a client names stays below its folders."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import orjson

from ...state.canonical import Json
from ...state.config import Config
from ...state.errors import InputError, UsageError, storage_error
from ...state.log import last_step
from ...state.run import RunDirectory
from ..browse import folder
from ..browse.reader import Reader
from ..cli.chat import approved, person_name
from ..cli.claim import begin, name_of
from ..cli.options import ready
from ..page.owned import OwnedRuns

_READERS = 4  # runs that are kept in memory
_LOOK = 0.05  # seconds between two looks at the loop
SENT = "mcp.jsonl"  # which rows went to a client, when


class Runs(OwnedRuns):
    """Every run below ``folder``. ``config`` makes the settings of a new one from what a client may choose; ``data`` is
    the folder whose files may be read, None: no run can be begun."""

    def __init__(self, folder: Path, data: Path | None, config: Callable[[Json], Config]) -> None:
        super().__init__(person_name(None))
        self.folder, self.data = folder, data
        self._config = config
        self._reading = threading.RLock()
        self._readers: OrderedDict[str, Reader] = OrderedDict()

    # Names and paths ------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The runs there are."""
        return folder.names(self.folder)

    def root(self, run: str) -> Path:
        """The folder of a run, whether there is one or not.

        Raises:
            UsageError: that is no name, or it leads out of the folder of the runs.
        """
        return folder.root(self.folder, run)

    def source(self, name: str) -> Path:
        """A file or folder that a run may read.

        Raises:
            UsageError: the server reads no files, or the name leads out of its data folder.
            InputError: there is no such file.
        """
        if self.data is None:
            raise UsageError("this server begins no runs: it was started without --data FOLDER")
        data = self.data.resolve()
        path = (data / name).resolve()
        if not path.is_relative_to(data):
            raise UsageError("a source lies below the data folder of this server")
        if not path.exists():
            raise InputError("there is no such file below the data folder of this server")
        if path.is_dir() and any(not below.resolve().is_relative_to(data) for below in path.rglob("*")):
            raise UsageError("that folder holds a link that leads out of the data folder of this server")
        return path

    # Reading --------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self, run: str) -> Iterator[Reader]:
        """The reader of a run, for this thread alone within the block.

        Raises:
            UsageError: there is no such run.
        """
        with self._reading:
            if run not in self._readers:
                self._readers[run] = Reader(RunDirectory.open(self.root(run)).root)
            reader = self._readers[run]
            self._readers.move_to_end(run)
            while len(self._readers) > _READERS:
                self._readers.popitem(last=False)
        with reader.lock:
            yield reader

    def sent(self, tool: str, run: str, rows: list[int]) -> None:
        """Note which rows an answer tells of, before it goes.

        Raises:
            StorageError: it cannot be noted.
        """
        line = {"ts": datetime.now(UTC).isoformat(timespec="milliseconds"), "run": run, "tool": tool, "rows": rows}
        path = self.folder / SENT
        try:
            with self._reading, path.open("ab") as file:
                file.write(orjson.dumps(line) + b"\n")
        except OSError as error:
            raise storage_error(error, path, "noting which rows go to") from error

    # Working --------------------------------------------------------------------------------------------------------

    def start(self, source: str, run: str, asked: Json) -> str:
        """Begin a run, or go on with the one of the same source and settings; returns its name.

        Raises:
            UsageError: there is another run of that name, or a setting cannot be.
            RecrystError: as ``recryst chat`` ends.
        """
        path = self.source(source)
        run = run or name_of(str(path))
        config = self._config(asked)
        ready(config)
        if self.works_on(run) and RunDirectory.open(self.root(run)).read_settings() != (str(path), config):
            raise UsageError("another run of that name is at work here: name this one by `run`")
        self.own(run, lambda: begin(str(path), config, self.root(run), lambda said: None))
        return run

    def resume(self, run: str) -> None:
        """Own a run that has not ended, and go on with it.

        Raises:
            UsageError: there is no such run, or nobody approves its actions.
            LockedError: another process works on it.
        """
        directory = RunDirectory.open(self.root(run))
        if last_step(directory.log) != "publish":
            approved(directory, directory.read_settings()[1])
            self.own(run, lambda: _locked(directory))

    def settled(self, run: str, seconds: float) -> bool:
        """Wait until the loop of a run is at rest, for so many seconds at most; whether it is."""
        until = time.monotonic() + seconds
        while (desk := self.desk(run)) is not None and desk.state()["busy"]:
            if time.monotonic() >= until:
                return False
            time.sleep(_LOOK)
        return True


@contextmanager
def _locked(directory: RunDirectory) -> Iterator[RunDirectory]:
    with directory.lock():
        yield directory
