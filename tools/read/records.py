"""What a reader hands on: batches of rows, broken records for the quarantine; and the spool the batches wait in.

The spool is on disk, between the two passes of a load: the first finds the columns' types, the second uses them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ...state.preparation import LoadParams
from .columns import JSON_TEXT, batch_of, check_width, common_type, is_json_text, json_text, values_of

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


def distinct(names: list[str], reading: Reading) -> list[str]:
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


@dataclass(frozen=True)
class Spooled:
    """A batch read back: the lines of file ``name`` its rows stood on (uint64, [n]) and the original columns."""

    name: str
    lines: pa.Array
    table: pa.RecordBatch


class Spool:
    """Batches in files of ``folder``, and what their columns have in common."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []
        self._types: dict[str, pa.DataType | None] = {}  # None: no common type
        self._uneven: set[str] = set()  # columns whose type is not the same in every batch
        self.samples: dict[str, Any] = {}

    def add(self, name: str, lines: list[int], table: pa.RecordBatch) -> None:
        """Write a batch; the lines stand first, by position, because any name may be an original column's.

        Raises:
            InputError: the batches together have too many columns.
        """
        schema = pa.schema([pa.field("line", pa.uint64()), *table.schema])
        batch = pa.RecordBatch.from_arrays([pa.array(lines, pa.uint64()), *table.columns], schema=schema)
        path = str(self._folder / f"{len(self._names)}.arrow")
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, schema, options=_OPTIONS) as writer:
            writer.write_batch(batch)
        self._names.append(name)
        for column, kind in zip(table.columns, table.schema, strict=True):
            self._learn(column, kind)
        check_width(len(self._types))

    def _learn(self, column: pa.Array, field: pa.Field) -> None:
        """Take a column's type and a sample of its values into account."""
        known = self._types.get(field.name, pa.null())
        kind = None if is_json_text(field) or known is None else common_type(known, field.type)
        if kind != field.type or known not in (kind, pa.null()):
            self._uneven.add(field.name)
        self._types[field.name] = kind
        if self.samples.get(field.name) in (None, [], {}):
            self.samples[field.name] = _sample(column, field)

    def __iter__(self) -> Iterator[Spooled]:
        for position, name in enumerate(self._names):
            with pa.OSFile(str(self._folder / f"{position}.arrow"), "rb") as file:
                batch = pa.ipc.open_file(file).get_batch(0)
            lines, *columns = batch.columns
            table = pa.RecordBatch.from_arrays(columns, schema=pa.schema(list(batch.schema)[1:]))
            yield Spooled(name, lines, table)

    def schema(self) -> pa.Schema:
        """The original columns in order of appearance, each of a type that holds all its values unchanged."""
        return pa.schema(
            pa.field(name, kind)
            if kind is not None and (name not in self._uneven or self._castable(name, kind))
            else pa.field(name, pa.string(), metadata=JSON_TEXT)
            for name, kind in self._types.items()
        )

    def _castable(self, name: str, kind: pa.DataType) -> bool:
        """Whether every batch of a column casts without changing a value (integers above 2⁵³ to floats do not)."""
        schema = pa.schema([pa.field(name, kind)])
        try:
            for spooled in self:
                aligned(spooled.table, schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return False
        return True


def aligned(table: pa.RecordBatch, schema: pa.Schema) -> list[pa.Array]:
    """The columns of a spooled batch in the types of ``schema``, null where the batch lacks one.

    Raises:
        pyarrow.ArrowInvalid: a cast would change a value.
    """
    columns = []
    for wanted in schema:
        at = table.schema.get_field_index(wanted.name)
        if at < 0:
            columns.append(pa.nulls(table.num_rows, wanted.type))
        elif is_json_text(wanted) and not is_json_text(table.schema.field(at)):
            columns.append(json_text(table.column(at).to_pylist()))
        else:
            column = table.column(at)
            columns.append(column if column.type == wanted.type else pc.cast(column, wanted.type))
    return columns


def _sample(column: pa.Array, field: pa.Field) -> Any:
    """One value of a column: not null, and not empty if there is such a one near the first that is not null."""
    start = pc.index(column.is_valid(), True).as_py()
    if start < 0:
        return None
    values = values_of(column.slice(start, _SAMPLE), field)
    return next((value for value in values if value not in (None, [], {})), values[0])
