"""Rows that were loaded, read back: as they came, as text, by their id, and what was set aside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow.parquet as pq

from recryst.state.params.preparation import LoadParams
from recryst.tools.read.columns import plain_rows
from recryst.tools.read.load import LoadResult, load

ROWS: list[dict[str, Any]] = [
    {"text": 'one, "quoted"\nand a second line', "n": 1, "tags": ["a", "b"], "meta": {"k": 1.5}},
    {"text": "zwei – ü 🧪", "n": 2, "tags": [], "meta": {"k": None}},
    {"text": "three", "n": None, "tags": None, "meta": None},
]


def loaded(source: object, out: Path, **params: Any) -> LoadResult:
    return load(str(source), LoadParams(**params), out)


def originals(result: LoadResult) -> list[dict[str, Any]]:
    rows = [row for batch in pq.ParquetFile(result.originals).iter_batches() for row in plain_rows(batch)]
    assert [row.pop("row") for row in rows] == list(range(result.ingested))
    return rows


def quarantined(result: LoadResult) -> list[dict[str, Any]]:
    entries = [orjson.loads(line) for line in result.quarantine.read_bytes().splitlines()]
    assert len(entries) == result.quarantined
    return entries


def texts(result: LoadResult) -> list[str | None]:
    return pl.read_parquet(result.rows)["text"].to_list()


def ids(result: LoadResult) -> list[str]:
    return pl.read_parquet(result.rows)["id"].to_list()


def json_lines(rows: list[Any]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
