"""A table of rows as the bytes of one file: Parquet, JSONL, a Hugging Face data set, or what embedding-atlas reads."""

import tempfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
import polars as pl

from ...state.errors import MissingExtraError, UsageError
from ..read.columns import free_name

_PARQUET = "application/vnd.apache.parquet"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same table is the same file


class File(NamedTuple):
    """What a person saves."""

    data: bytes
    kind: str  # the media type
    ending: str


def encoded(table: pl.DataFrame, kind: str) -> File:
    """A table as ``parquet``, ``jsonl``, or ``hf``: a folder as ``datasets.load_from_disk`` reads it, in a zip file.

    Raises:
        UsageError: there is no such kind of file.
        MissingExtraError: a Hugging Face data set without `datasets`.
    """
    if kind == "jsonl":
        return File(table.write_ndjson().encode(), "application/x-ndjson", "jsonl")
    if kind == "parquet":
        sink = BytesIO()
        table.write_parquet(sink, compression="zstd")
        return File(sink.getvalue(), _PARQUET, "parquet")
    if kind == "hf":
        return File(_hugging_face(table), "application/zip", "zip")
    raise UsageError("rows are written as parquet, jsonl, hf (a Hugging Face data set) or atlas")


def _hugging_face(table: pl.DataFrame) -> bytes:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError('a Hugging Face data set needs `pip install "recryst[hf]"`') from error
    sink = BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        datasets.Dataset(datasets.table.InMemoryTable(table.to_arrow())).save_to_disk(folder)
        with ZipFile(sink, "w", ZIP_STORED) as packed:
            for path in sorted(Path(folder).iterdir()):
                packed.writestr(ZipInfo(f"dataset/{path.name}", _LONG_AGO), path.read_bytes())
    return sink.getvalue()


def for_atlas(table: pl.DataFrame, places: pl.DataFrame, neighbours: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a place on a map, as embedding-atlas reads them (``--x``, ``--y``, ``--neighbors``).

    ``recryst_neighbors`` is ``{"ids": […], "distances": […]}``, the ids zero-based places of rows in this very table,
    the distances 1 − cosine: the format that embedding-atlas 0.26 documents. Neighbours not in it are left out.

    Args:
        table: the rows, with their position as ``row``, which is not written.
        places: ``row``, ``x`` and ``y``.
        neighbours: ``row``, ``neighbour`` (a position) and ``cosine``, the nearest first.
    """
    table = table.filter(pl.col("row").is_in(places["row"].implode()))
    at = pl.DataFrame({"row": table["row"], "at": np.arange(table.height)})
    near = neighbours.join(at, left_on="neighbour", right_on="row", how="inner", maintain_order="left")
    near = near.filter(pl.col("row") != pl.col("neighbour")).select(
        "row", ids=pl.col("at").cast(pl.Int64), distances=(1 - pl.col("cosine")).clip(0).cast(pl.Float32)
    )
    lists = near.group_by("row", maintain_order=True).agg("ids", "distances")
    named = {name: free_name(f"recryst_{name}", table.columns) for name in ("x", "y", "neighbors")}
    pair = pl.struct(pl.col("ids").fill_null([]), pl.col("distances").fill_null([])).alias(named["neighbors"])
    beside = places.join(lists, on="row", how="left").select("row", pl.col("x", "y").name.map(named.__getitem__), pair)
    return table.join(beside, on="row", how="inner", maintain_order="left").drop("row")
