"""Ready-made vectors: from a column of lists to a .npy file, in batches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc


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
        self._raw.touch()
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
        with self._path.open("wb") as target, self._raw.open("rb") as numbers:
            np.lib.format.write_array_header_1_0(target, header)
            shutil.copyfileobj(numbers, target, 1 << 20)
        return self._path
