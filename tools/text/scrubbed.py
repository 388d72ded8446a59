"""Batches of rows on their way in, with every string scrubbed: of any column, however deep, and columns' names too.

Strings, lists and objects are worked on as Arrow columns; what has no common type, and bytes that hold text, value by
value. Numbers, even those that would be a phone's, are not strings and stay.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ...state.params.preparation import ScrubParams
from ..read.columns import content_id, is_json_text, is_text, json_text, plain_rows, values_of
from ..read.records import Records
from .scrub import check_scrub, scrub


class Scrubber:
    """Scrubs batches, and counts what it replaced by kind. Raises what ``check_scrub`` raises."""

    def __init__(self, params: ScrubParams) -> None:
        check_scrub(params)
        self._params = params
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> dict[str, int]:
        """Replaced so far, of each kind that is looked for."""
        return {kind: self._counts[kind] for kind in dict.fromkeys(self._params.kinds)}

    def line(self, text: str) -> str:
        """A message scrubbed, uncounted."""
        return str(scrub(pl.Series([text]), self._params)[0][0])

    def batch(self, batch: Records) -> Records:
        """``batch`` scrubbed; a changed row has the content id of what is left of it, its nulls aside."""
        found = self._counts.total()
        columns = [self._column(*pair) for pair in zip(batch.table.columns, batch.table.schema, strict=True)]
        names = self._names(batch.table.schema.names)
        fields = [
            field.with_name(name).with_type(column.type)
            for field, name, column in zip(batch.table.schema, names, columns, strict=True)
        ]
        table = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
        digests = batch.digests
        if digests is not None and self._counts.total() > found:
            rows = zip(digests, plain_rows(batch.table), plain_rows(table), strict=True)
            # Whether a null was written or its key was missing does not show, and depends on the rows around it.
            digests = [
                own if old == new else content_id({name: value for name, value in new.items() if value is not None})
                for own, old, new in rows
            ]
        return Records(batch.name, table, batch.lines, digests)

    def _scrub(self, text: pl.Series) -> pl.Series | None:
        """The texts scrubbed, or ``None`` where there was nothing to replace."""
        scrubbed, counts = scrub(text, self._params)
        self._counts.update(counts)
        return scrubbed if any(counts.values()) else None

    def _names(self, names: list[str]) -> list[str]:
        """Names scrubbed, and still distinct."""
        scrubbed = self._scrub(pl.Series(names, dtype=pl.String))
        return names if scrubbed is None else _distinct(scrubbed.to_list())

    def _column(self, column: pa.Array, field: pa.Field) -> pa.Array:
        if not is_json_text(field):
            return self._array(column)
        values = self._values(values_of(column, field))
        if values is None:
            return column
        return json_text(values)

    def _array(self, column: pa.Array) -> pa.Array:
        kind = column.type
        if is_text(kind):
            scrubbed = self._scrub(pl.Series(column, dtype=pl.String))
            return column if scrubbed is None else scrubbed.to_arrow().cast(kind)
        if not _holds_text(kind):
            return column
        if isinstance(column, pa.ExtensionArray):
            return pa.ExtensionArray.from_storage(kind, self._array(column.storage))
        if pa.types.is_dictionary(kind):
            # Encoded anew even where nothing changed: a dictionary may hold what no row of this batch refers to.
            return self._array(column.dictionary_decode()).dictionary_encode().cast(kind)
        if pa.types.is_struct(kind):
            return self._struct(column)
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return self._list(column)
        values = self._values(column.to_pylist())
        return column if values is None else pa.array(values, kind)

    def _struct(self, column: pa.StructArray) -> pa.Array:
        children = [self._array(child) for child in column.flatten()]
        fields = list(column.type)
        names = self._names([field.name for field in fields])
        renamed = [
            field.with_name(name).with_type(child.type).with_nullable(True)
            for field, name, child in zip(fields, names, children, strict=True)
        ]
        return pa.StructArray.from_arrays(children, fields=renamed, mask=column.is_null())

    def _list(self, column: pa.ListArray) -> pa.Array:
        values = self._array(column.flatten())
        item = column.type.value_field.with_type(values.type)
        large = pa.types.is_large_list(column.type)
        make, kind = (pa.LargeListArray, pa.large_list(item)) if large else (pa.ListArray, pa.list_(item))
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64() if large else pa.int32())
        return make.from_arrays(offsets, values, type=kind, mask=column.is_null())

    def _values(self, values: list[Any]) -> list[Any] | None:
        """Plain values with every string in them scrubbed, or ``None`` where there was nothing to replace."""
        scrubbed = self._scrub(pl.Series(list(_strings(values)), dtype=pl.String))
        if scrubbed is None:
            return None
        replaced: list[Any] = _replaced(values, iter(scrubbed.to_list()))
        return replaced


def _strings(value: Any) -> Iterator[str]:
    """Every string in a value, keys and decodable bytes among them, in an order that ``_replaced`` follows."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)
    elif (text := _decoded(value)) is not None:
        yield text


def _replaced(value: Any, strings: Iterator[str]) -> Any:
    """The value with its strings, in the order of ``_strings``, replaced."""
    if isinstance(value, str):
        return next(strings)
    if isinstance(value, dict):
        keys = _distinct([next(strings) for _ in value])
        return {key: _replaced(inner, strings) for key, inner in zip(keys, value.values(), strict=True)}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(inner, strings) for inner in value)
    return value if _decoded(value) is None else next(strings).encode()


def _decoded(value: Any) -> str | None:
    if not isinstance(value, bytes):
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _distinct(names: list[str]) -> list[str]:
    """Names made distinct by a number after those that repeat, or would repeat a name that stands."""
    taken, seen = set(names), set[str]()
    result = []
    for name in names:
        own, number = name, 1
        while own in seen or (number > 1 and own in taken):
            number += 1
            own = f"{name}_{number}"
        seen.add(own)
        result.append(own)
    return result


def _holds_text(kind: pa.DataType) -> bool:
    """Whether a value of that type may hold a string (an object has the names of its keys), or bytes that are text."""
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_text(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return True
    return (
        is_text(kind)
        or pa.types.is_struct(kind)
        or any(_holds_text(kind.field(at).type) for at in range(kind.num_fields))
    )
