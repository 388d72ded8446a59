"""Between plain rows and Arrow columns, without changing a value.

JSON lets a column hold anything; Arrow wants one type. A column whose values have no common type is stored as
JSON text, value by value, and its field carries ``JSON_TEXT`` as metadata, so that ``plain_rows`` gives back the
rows exactly as they were read. The only liberties taken: a key that is missing at the top of a row becomes null,
and an integer in a column of floats becomes a float where that loses nothing.
"""

import base64
import hashlib
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ...state.errors import InputError

#: Field metadata of a column that holds JSON text in place of values.
JSON_TEXT = {b"recryst": b"json"}

_MAX_COLUMNS = 2000
_MAX_FIELDS = 256  # leaves of a nested type: beyond it, keys are data and not names
_MAX_DEPTH = 24  # Parquet and Polars both recurse over nested types
_DEPTH = 64  # lists and objects within each other that are looked into
_UNFIT = (pa.ArrowException, OverflowError, TypeError, ValueError, UnicodeError)


def is_json_text(field: pa.Field) -> bool:
    """Whether a column holds JSON text in place of values."""
    return bool((field.metadata or {}).get(b"recryst") == b"json")


def _spell(value: Any) -> str:
    """JSON text has no bytes, decimals or durations; their text stands in."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def json_bytes(value: Any) -> bytes:
    """Canonical JSON of a value from JSON or Arrow: for JSON values, the bytes of ``state.canonical``.

    That module walks every value in Python; a row of text and vectors is ten times faster this way.

    Raises:
        TypeError: nested more than 254 levels deep.
    """
    return orjson.dumps(value, default=_spell, option=orjson.OPT_SORT_KEYS)


def content_id(row: dict[str, Any]) -> str:
    """The id of a row that has none: the first 16 hex digits of the SHA-256 of its canonical JSON.

    Raises:
        TypeError: nested more than 254 levels deep.
    """
    return hashlib.sha256(json_bytes(row)).hexdigest()[:16]


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """Rows as a record batch: the union of their keys in order of appearance, missing keys null.

    Raises:
        InputError: the rows have more different keys than a table has columns.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    check_width(len(names))
    columns = [_column(name, [row.get(name) for row in rows]) for name in names]
    return pa.RecordBatch.from_arrays(
        [array for _, array in columns], schema=pa.schema([field for field, _ in columns])
    )


def check_width(columns: int) -> None:
    """Refuse a table so wide that its keys must be data.

    Raises:
        InputError: there are more than 2000 columns.
    """
    if columns > _MAX_COLUMNS:
        raise InputError(
            f"the rows have more than {_MAX_COLUMNS} different keys; put what varies under one key, as a nested object"
        )


def free_name(name: str, taken: Collection[str]) -> str:
    """``name`` with as many underscores behind it as make it none of ``taken``."""
    while name in taken:
        name += "_"
    return name


def _column(name: str, values: list[Any]) -> tuple[pa.Field, pa.Array]:
    """One column of JSON values in the type Arrow infers, or as JSON text where that would change a value."""
    try:
        array = pa.array(values)
    except _UNFIT:
        return pa.field(name, pa.string(), metadata=JSON_TEXT), json_text(values)
    # Arrow fills the keys that one object lacks and another has with nulls: then the objects were changed.
    if pa.types.is_nested(array.type) and not (_fits(array.type) and array.to_pylist() == values):
        return pa.field(name, pa.string(), metadata=JSON_TEXT), json_text(values)
    return pa.field(name, array.type), array


def json_text(values: Iterable[Any]) -> pa.Array:
    """Values as JSON text (string, [n]); a null stays one."""
    return pa.array([None if value is None else json_bytes(value).decode() for value in values], pa.string())


def _fits(kind: pa.DataType, depth: int = 0) -> bool:
    """Whether a nested type can be written to Parquet and read by everybody."""
    if depth > _MAX_DEPTH:
        return False
    if pa.types.is_struct(kind) and not 0 < kind.num_fields <= _MAX_FIELDS:
        return False
    return all(_fits(kind.field(at).type, depth + 1) for at in range(kind.num_fields))


def column_of(batch: pa.RecordBatch, name: str) -> tuple[pa.Array, pa.Field]:
    """A column of a batch and its field; nulls of type string where the batch lacks it."""
    at = batch.schema.get_field_index(name)
    if at < 0:
        return pa.nulls(batch.num_rows, pa.string()), pa.field(name, pa.string())
    return batch.column(at), batch.schema.field(at)


def values_of(column: pa.Array, field: pa.Field) -> list[Any]:
    """The values of a column as Python objects, JSON text parsed."""
    values: list[Any] = column.to_pylist()
    if is_json_text(field):
        return [None if value is None else orjson.loads(value) for value in values]
    return values


def strings_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Every string in a JSON value but its keys, in lists and objects up to 64 within each other."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict) and depth < _DEPTH:
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings_in(item, depth + 1)


def plain_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of an originals table as they were read (JSON text parsed; a missing key is a null)."""
    columns = [values_of(column, field) for column, field in zip(batch.columns, batch.schema, strict=True)]
    return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def json_lines(batch: pa.RecordBatch) -> bytes:
    """The rows of an originals table as JSON Lines, their keys in the order of the columns."""
    rows = plain_rows(batch)
    return b"".join(orjson.dumps(row, default=_spell, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def as_text(column: pa.Array, field: pa.Field) -> pa.Array:
    """A column as strings: text as it is, numbers, booleans and times spelled out, nested values as JSON."""
    kind = column.type
    if is_json_text(field):
        return pa.array([_text_of(value) for value in values_of(column, field)], pa.string())
    if pa.types.is_dictionary(kind):
        return as_text(column.dictionary_decode(), pa.field(field.name, kind.value_type))
    if pa.types.is_string(kind):
        return column
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return json_text(column.to_pylist())
    return pc.cast(column, pa.string())


def own_ids(batch: pa.RecordBatch, id_column: str) -> pa.Array:
    """The value of each row in ``id_column`` (string, [n]), null where it has none."""
    own = as_text(*column_of(batch, id_column))
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(own), ""), None, own)


def row_ids(table: pa.RecordBatch, id_column: str, digests: list[str] | None) -> pa.Array:
    """The id of each row (string, [n]): its value in ``id_column``, or where that is missing its content's hash."""
    own = own_ids(table, id_column)
    if own.null_count == 0:
        return own
    if digests is None:
        digests = [content_id(row) for row in plain_rows(table)]
    return pc.coalesce(own, pa.array(digests, pa.string()))


def _text_of(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return json_bytes(value).decode()
    try:
        spelled: str = pa.scalar(value).cast(pa.string()).as_py()  # as a column of such numbers is spelled
    except OverflowError:
        return str(value)
    return spelled


def first_nested(column: pa.Array, field: pa.Field) -> int | None:
    """The position of the first value that is a list, an object or bytes, or ``None``."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_json_text(field):
        nested = [isinstance(value, list | dict) for value in values_of(column, field)]
        return nested.index(True) if any(nested) else None
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        at: int = pc.index(column.is_valid(), True).as_py()
        return at if at >= 0 else None
    return None


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both unchanged but for integers turned to floats, or ``None``."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_list(one) and pa.types.is_list(other):
        inner = common_type(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        if sorted(field.name for field in one) != sorted(field.name for field in other):
            return None
        inners = {field.name: common_type(field.type, other.field(field.name).type) for field in one}
        return None if None in inners.values() else pa.struct(list(inners.items()))
    if pa.types.is_nested(one) or pa.types.is_nested(other):
        return None
    if pa.types.is_decimal(one) or pa.types.is_decimal(other) or (_is_bytes(one) != _is_bytes(other)):
        return None
    try:
        schemas = [pa.schema([("column", one)]), pa.schema([("column", other)])]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are strings, however they are laid out."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def sound_vectors(column: pa.Array, dimensions: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of a column and which rows have one.

    Args:
        column: lists of numbers, or strings that hold such lists as JSON (CSV has no other way).
        dimensions: d, or ``None`` to take the length of the first list.

    Returns:
        float32 [m, d], and bool [n] with m rows true: those with a list of d finite numbers.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pa.array([_numbers(value) for value in column.to_pylist()], pa.list_(pa.float64()))
    elif not _holds_numbers(kind):
        column = pa.nulls(len(column), pa.list_(pa.float64()))
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    if dimensions is None:
        filled = lengths[lengths > 0]
        dimensions = int(filled[0]) if len(filled) else 0
    good = (lengths == dimensions) & (lengths > 0)
    flat = pc.list_flatten(column.filter(pa.array(good))).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite and is refused below
        matrix = flat.astype(np.float32).reshape(int(good.sum()), dimensions)
    finite = np.isfinite(matrix).all(axis=1)
    good[np.flatnonzero(good)[~finite]] = False
    return matrix[finite], good


def _holds_numbers(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    inner = kind.value_type
    return bool(pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_null(inner))


def _numbers(text: str | None) -> list[float] | None:
    """The list of numbers that ``text`` holds as JSON, or ``None``."""
    try:
        value: Any = orjson.loads(text or "null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, list) or not all(type(item) in (int, float) for item in value):
        return None
    return [float(item) for item in value]


class VectorFile:
    """A .npy file that grows by batches; its header needs the number of rows, so the numbers wait beside it."""

    def __init__(self, path: Path, spool: Path) -> None:
        self._path, self._raw = path, spool / "vectors.raw"
        self._rows = 0
        self.dimensions: int | None = None

    def append(self, matrix: np.ndarray) -> None:
        """Add vectors (float32, [m, d]); d is the same in every call."""
        if len(matrix):
            self.dimensions = matrix.shape[1]
            self._rows += len(matrix)
            with self._raw.open("ab") as file:
                file.write(np.ascontiguousarray(matrix, dtype="<f4").tobytes())

    def finish(self) -> Path:
        """Write the .npy file (float32, [n, d]) and return its path."""
        header = {"descr": "<f4", "fortran_order": False, "shape": (self._rows, self.dimensions or 0)}
        with self._path.open("wb") as target, self._raw.open("rb") as numbers:  # ``np.save`` tells of no full disk
            np.lib.format.write_array_header_1_0(target, header)
            shutil.copyfileobj(numbers, target, 1 << 20)
        return self._path
