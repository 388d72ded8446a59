"""Batches on disk between the two passes of a load: the first finds the columns' types, the second uses them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ..columns import JSON_TEXT, check_width, common_type, is_json_text, json_text, values_of

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
_SAMPLE = 64


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
        for column, field in zip(table.columns, table.schema, strict=True):
            self._learn(column, field)
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
    for field in schema:
        at = table.schema.get_field_index(field.name)
        if at < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
        elif is_json_text(field) and not is_json_text(table.schema.field(at)):
            columns.append(json_text(table.column(at).to_pylist()))
        else:
            column = table.column(at)
            columns.append(column if column.type == field.type else pc.cast(column, field.type))
    return columns


def _sample(column: pa.Array, field: pa.Field) -> Any:
    """One value of a column: not null, and not empty if there is such a one near the first that is not null."""
    start = pc.index(column.is_valid(), True).as_py()
    if start < 0:
        return None
    values = values_of(column.slice(start, _SAMPLE), field)
    return next((value for value in values if value not in (None, [], {})), values[0])
