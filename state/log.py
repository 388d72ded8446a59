"""The event log: append-only JSONL, canonical JSON, each line chained to the one before, flushed to disk."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from .canonical import canonical_json, plain
from .errors import IntegrityError, storage_error
from .events import EVENT, Event
from .notes import EVENT_VERSION, GENESIS


def read_log(path: Path) -> tuple[list[Event], int]:
    """Every event of a log, verified, and the bytes of a torn last line (0 after an orderly stop).

    A crash can leave half a line at the end, without its newline; that half is not part of the chain.

    Raises:
        IntegrityError: a line is not an event, is one of another version, is out of order or does not have its hash;
            names the line.
        StorageError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise storage_error(error, path, "reading the log") from error
    *lines, tail = data.split(b"\n")
    events: list[Event] = []
    head = GENESIS
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            values = orjson.loads(line)
            _check_version(values, where)
            event = EVENT.validate_python(values)
        except (orjson.JSONDecodeError, ValidationError) as error:
            raise IntegrityError(f"{where}: not an event ({type(error).__name__})") from error
        if event.seq != number - 1 or event.prev_hash != head:
            raise IntegrityError(f"{where}: the chain is broken (event {event.seq} does not follow the line before)")
        if event.sealed().hash != event.hash or canonical_json(event.body() | {"hash": event.hash}) != line:
            raise IntegrityError(f"{where}: event {event.seq} ({event.type}) was changed: it does not have its hash")
        events.append(event)
        head = event.hash
    return events, len(tail)


def _check_version(values: Any, where: str) -> None:
    """Refuse an event that a later or earlier Recryst wrote before its fields are taken for those of this one."""
    version = values.get("v") if isinstance(values, dict) else None
    if isinstance(version, int) and version != EVENT_VERSION:
        raise IntegrityError(
            f"{where}: an event of version {version}, and this Recryst reads version {EVENT_VERSION}: read the run "
            "with the Recryst that wrote it, which the first line of the log names under `code`"
        )


def last_step(path: Path) -> str:
    """The type of the last event that changed the run; empty if there is none.

    Read from the log's end and not verified, so that it costs little: `read_log` is for whoever relies on it.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    except OSError as error:
        raise storage_error(error, path, "reading the log") from error
    for line in reversed(lines):
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(values, dict) and values.get("state") is not None:
            return str(values.get("type", ""))
    return ""


class EventLog:
    """The log of one run, open for appending. Events already there are verified on opening."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.torn_bytes = 0
        if path.exists():
            self.events, self.torn_bytes = read_log(path)
            if self.torn_bytes:
                with path.open("r+b") as file:
                    file.truncate(path.stat().st_size - self.torn_bytes)
                    os.fsync(file.fileno())

    def append(self, **fields: Any) -> Event:
        """Seal an event onto the chain and flush it to disk; returns it.

        Raises:
            StorageError: the disk is full; the log is cut back to its last whole line.
        """
        head = self.events[-1].hash if self.events else GENESIS
        draft = EVENT.validate_python({**plain(fields), "seq": len(self.events), "prev_hash": head})
        # Through JSON once, so that what is hashed is what a reader will hash.
        event = EVENT.validate_python(orjson.loads(canonical_json(draft.body()))).sealed()
        line = canonical_json(event.body() | {"hash": event.hash}) + b"\n"
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab", buffering=0) as file:
                view = memoryview(line)
                while view:
                    view = view[file.write(view) :]
                os.fsync(file.fileno())
        except OSError as error:
            if self.path.exists():
                os.truncate(self.path, size)
            raise storage_error(error, self.path, "writing an event to") from error
        self.events.append(event)
        return event

    def of_type(self, *types: str) -> Sequence[Event]:
        """The events of the given types, in order."""
        return [event for event in self.events if event.type in types]
