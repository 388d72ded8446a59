"""How the content of an artefact, or of a table in a file, differs from the same content made again."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.canonical import Json, canonical_json, plain
from ...state.store import Store
from ..steps.base import Content, Plain

_LONGEST = 80  # characters of a value in a sentence


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


def difference(store: Store, ref: str, content: Content, tolerance: float) -> str:
    """Where a stored artefact differs from ``content``; empty where it does not, but for floats by ``tolerance``.

    Raises:
        IntegrityError: it is not in the store, or was changed there.
    """
    suffix = ref.rpartition(".")[2]
    if isinstance(content, pa.Table):
        return _other_kind(suffix, "parquet") or of_files(pq.read_table(store.verified_path(ref)), content)
    if isinstance(content, pl.DataFrame):
        return _other_kind(suffix, "parquet") or of_tables(store.frame(ref), content, tolerance)
    if isinstance(content, np.ndarray):
        return _other_kind(suffix, "npy") or of_arrays(store.array(ref), content, tolerance)
    assert isinstance(content, Plain)
    return _other_kind(suffix, "json") or of_json(store.json(ref), plain(content.value), tolerance)


def _other_kind(suffix: str, wanted: str) -> str:
    return "" if suffix == wanted else f"it should be .{wanted}"


def of_tables(logged: pl.DataFrame, again: pl.DataFrame, tolerance: float = 0.0) -> str:
    """The first column and row in which a table differs from itself made again; empty if none does."""
    if logged.columns != again.columns:
        extra = sorted(set(logged.columns) ^ set(again.columns))
        return f"column {extra[0]!r} is in one of them" if extra else "its columns stand in another order"
    if logged.height != again.height:
        return f"it has {logged.height} rows, not {again.height}"
    for name in logged.columns:
        one, other = logged[name], again[name]
        if one.dtype != other.dtype:
            return f"column {name!r} is {one.dtype}, not {other.dtype}"
        if not one.equals(other, null_equal=True) and (at := _first_unlike(one, other, tolerance)) is not None:
            return f"column {name!r}, row {at} is {one[at]!r:.80}, not {other[at]!r:.80}"
    return ""


def _first_unlike(one: pl.Series, other: pl.Series, tolerance: float) -> int | None:
    if one.dtype.is_float():
        close = ((one - other).abs() <= tolerance) | (one.is_nan() & other.is_nan()) | (one == other)
        unlike = ~close.fill_null(False) & ~(one.is_null() & other.is_null())
        return unlike.arg_true()[0] if unlike.any() else None
    pairs = zip(one.to_list(), other.to_list(), strict=True)
    return next((at for at, pair in enumerate(pairs) if any(differences(*pair, tolerance))), None)


def of_files(logged: pa.Table, again: pa.Table) -> str:
    """As ``of_tables``, of two Arrow tables; their columns' types and notes are compared as well."""
    one, other = (pl.DataFrame(pl.from_arrow(table)) for table in (logged, again))
    if wrong := of_tables(one, other):
        return wrong
    for field, wanted in zip(logged.schema, again.schema, strict=True):
        if not field.equals(wanted, check_metadata=True):
            return f"column {field.name!r} is {field.type}, not {wanted.type}, or is described otherwise"
    return ""


def of_arrays(logged: np.ndarray, again: np.ndarray, tolerance: float = 0.0) -> str:
    """The first place in which an array (of any shape) differs from itself made again; empty if none does."""
    if logged.shape != again.shape or logged.dtype != again.dtype:
        return f"it is {logged.dtype} {list(logged.shape)}, not {again.dtype} {list(again.shape)}"
    unlike = np.asarray(logged != again)
    if np.issubdtype(again.dtype, np.inexact):
        unlike = ~np.isclose(logged, again, rtol=0, atol=tolerance, equal_nan=True)
    return f"the number at {np.argwhere(unlike)[0].tolist()} differs" if unlike.any() else ""


def of_json(logged: Any, again: Any, tolerance: float = 0.0) -> str:
    """The first leaf in which a JSON value differs from itself made again; empty if none does."""
    for path, one, other in differences(logged, again, tolerance):
        return f"{path or 'it'} is {short(one)}, not {short(other)}"
    return ""


def differences(one: Any, other: Any, tolerance: float = 0.0, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves in which two JSON values differ: path, one's, the other's. Floats may differ by ``tolerance``."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in [*one, *(name for name in other if name not in one)]:
            there = f"{path}.{name}" if path else str(name)
            yield from differences(one.get(name, ABSENT), other.get(name, ABSENT), tolerance, there)
    elif isinstance(one, list) and isinstance(other, list):
        for number, pair in enumerate(zip_longest(one, other, fillvalue=ABSENT)):
            yield from differences(*pair, tolerance, f"{path}.{number}" if path else str(number))
    elif not _alike(one, other, tolerance):
        yield path, one, other


def _alike(one: Any, other: Any, tolerance: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= tolerance or one == other or (one != one and other != other)
    return type(one) is type(other) and bool(one == other)


def unlike_leaves(logged: Json, again: Json, path: str = "") -> Iterator[str]:
    """Each leaf of ``again`` that is logged otherwise, as a sentence."""
    there = {name: logged.get(name, ABSENT) for name in again}
    for place, one, other in differences(there, again, path=path):
        yield f"{place} is {short(one)}, derived again {short(other)}"


def short(value: Any) -> str:
    """A value as a sentence names it."""
    said = repr(value) if value is ABSENT else canonical_json(value).decode()
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
