"""What a reader hands on: batches of rows, broken records for the quarantine; and the spool the batches wait in.

The spool is on disk, between the two passes of a load: the first finds the columns' types, the second uses them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import orjson
import pyarrow as pa

from ...state.params.preparation import LoadParams
from .columns import batch_of

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
_SAMPLE = 64
_BATCH_BYTES = 8 << 20
_EXCERPT = 200
_WITHHELD = "(not shown, because personal data are scrubbed)"


@dataclass(frozen=True)
class Records:
    """Original columns of consecutive records; ``lines`` are their 1-based lines, or positions, in file ``name``.

    ``digests`` are content ids where the reader had to work them out anyway. Readers that leave them out have
    the same columns in every batch of a file.
    """

    name: str
    table: pa.RecordBatch
    lines: list[int]
    digests: list[str] | None = None


class BadRecord(ValueError):
    """A record that cannot be a row; the message is the reason a person reads in the quarantine."""


class Quarantine:
    """The file of broken records: one JSON object per record, with line, reason and the record's beginning.

    Where ``scrub`` is given, reasons go through it and no beginning is shown: a broken record may hold an address cut
    in two, ill decoded or escaped, as no pattern knows it.
    """

    def __init__(self, file: IO[bytes], scrub: Callable[[str], str] | None = None) -> None:
        self._file, self._scrub = file, scrub
        self.count = 0
        self.first = ""

    def add(self, line: int, reason: str, excerpt: bytes | str) -> None:
        """Write one entry; what cannot be decoded in the excerpt is replaced."""
        if self._scrub is not None:
            reason, excerpt = self._scrub(reason), _WITHHELD
        text = excerpt[: 4 * _EXCERPT].decode("utf-8", "replace") if isinstance(excerpt, bytes) else excerpt
        text = text.rstrip("\r\n")[:_EXCERPT].encode("utf-8", "replace").decode()
        self._file.write(orjson.dumps({"line": line, "reason": reason, "excerpt": text}) + b"\n")
        self.count += 1
        self.first = self.first or f"line {line}: {reason}"


@dataclass
class Reading:
    """What the readers of one load share: its bounds, the quarantine, and notes for the person."""

    params: LoadParams
    quarantine: Quarantine
    taken: int = 0  # rows the load has accepted so far
    many_files: bool = False  # then the quarantine names the file too
    every_split: bool = False  # not only what is for training
    as_notes: bool = False  # documents are somebody's notes: what they say of themselves becomes columns
    notes: list[str] = field(default_factory=list)
    tallies: dict[str, tuple[int, str]] = field(default_factory=dict)

    def tally(self, what: str, where: str) -> None:
        """Count something that was done to a record, for a note; ``where`` it was done first."""
        count, first = self.tallies.get(what, (0, where))
        self.tallies[what] = count + 1, first

    def told(self) -> list[str]:
        """All notes, those on what was counted at the end."""
        counted = self.tallies.items()
        return [*self.notes, *(f"{what} ({count:,} in all, the first: {where})" for what, (count, where) in counted)]

    @property
    def max_line(self) -> int:
        """Bytes a line may have."""
        return self.params.max_line_mb << 20

    def batch_rows(self) -> int:
        """How many rows the next batch may hold: the batch size, or what is left of the limit."""
        left = self.params.batch_rows if self.params.limit is None else self.params.limit - self.taken
        return max(1, min(self.params.batch_rows, left))

    def refuse(self, name: str, line: int, reason: str | BadRecord, excerpt: bytes | str) -> None:
        """Put a record of file ``name`` into the quarantine."""
        self.quarantine.add(line, f"{name}: {reason}" if self.many_files else str(reason), excerpt)


def distinct_names(names: list[str], reading: Reading) -> list[str]:
    """Column names made distinct: a table cannot hold two columns of one name."""
    seen: dict[str, None] = {}
    for name in names:
        own, number = name, 1
        while own in seen:
            number += 1
            own = f"{name}_{number}"
        if own != name:
            reading.notes.append(f"a second column called {name!r} was renamed {own!r}")
        seen[own] = None
    return list(seen)


class Pending:
    """Plain rows on their way into a batch that is bounded in rows and in bytes."""

    def __init__(self, name: str, reading: Reading) -> None:
        self._name, self._reading = name, reading
        self._clear()

    def _clear(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._lines: list[int] = []
        self._digests: list[str] = []
        self._bytes = 0

    def add(self, line: int, row: dict[str, Any], size: int, digest: str | None = None) -> bool:
        """Append a row of ``size`` bytes; whether the batch is now full."""
        self._rows.append(row)
        self._lines.append(line)
        self._bytes += size
        if digest is not None:
            self._digests.append(digest)
        return len(self._rows) >= self._reading.batch_rows() or self._bytes >= _BATCH_BYTES

    def flush(self) -> Iterator[Records]:
        """The pending rows as a batch, if there are any."""
        if self._rows:
            batch = Records(self._name, batch_of(self._rows), self._lines, self._digests or None)
            self._clear()
            yield batch
