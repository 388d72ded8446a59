"""What a data set costs on disk: CSV and JSON Lines, plain and compressed, against Parquet with Zstandard."""

import gzip
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple, cast

import polars as pl
import zstandard

from ..state.preparation import LoadParams
from ..tools.read.load import load
from .data import existing
from .table import Table

DATA_SETS = {
    "newsgroups20": "newsgroups20/newsgroups20.jsonl.gz",
    "alpaca": "alpaca/alpaca.jsonl.gz",
    "banking77": "banking77/train.csv",
}
_GZIP_LEVEL = 6  # what the command gzip does
_ZSTD_LEVEL = 3  # what the command zstd does, and what Polars writes in Parquet
_REPEATS = 3  # the fastest counts: another process may have had the core


class _Format(NamedTuple):
    write: Callable[[pl.DataFrame, Path], object]
    read: Callable[[Path], pl.DataFrame]


def run(data: Path) -> Table:
    """Size, and seconds to write and to read, of three data sets in five formats, every column of theirs."""
    lines = []
    for name, file in DATA_SETS.items():
        frame = _frame(existing(data, file))
        measured = {kind: _measured(frame, kind) for kind in _FORMATS}
        plain = measured["JSONL"][0]
        for kind, (size, write, read) in measured.items():
            lines.append((name, frame.height, kind, size, round(size / plain, 3), round(write, 4), round(read, 4)))
    columns = ("data set", "rows", "format", "bytes", "of JSONL", "write s", "read s")
    notes = (
        f"Written and read whole by Polars {pl.__version__}; the fastest of {_REPEATS}, the file in the page cache. "
        f"gzip at level {_GZIP_LEVEL}, Zstandard at level {_ZSTD_LEVEL}, as their commands have it.",
    )
    command = "recryst eval storage --data DATA"
    return Table("A data set on disk, by format", columns, tuple(lines), notes, command)


def _frame(path: Path) -> pl.DataFrame:
    """The original columns of a data set."""
    with tempfile.TemporaryDirectory() as folder:
        return pl.read_parquet(load(str(path), LoadParams(), Path(folder)).originals, memory_map=False).drop("row")


def _measured(frame: pl.DataFrame, kind: str) -> tuple[int, float, float]:
    """Bytes, seconds to write, seconds to read."""
    form = _FORMATS[kind]
    written, read = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        for _ in range(_REPEATS):
            begun = time.perf_counter()
            form.write(frame, path)
            between = time.perf_counter()
            back = form.read(path)
            written.append(between - begun)
            read.append(time.perf_counter() - between)
            assert back.shape == frame.shape
        return path.stat().st_size, min(written), min(read)


def _write_gzip(frame: pl.DataFrame, path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=_GZIP_LEVEL) as file:
        frame.write_ndjson(cast(IO[bytes], file))


def _write_zstd(frame: pl.DataFrame, path: Path) -> None:
    with zstandard.open(path, "wb", cctx=zstandard.ZstdCompressor(level=_ZSTD_LEVEL)) as file:
        frame.write_ndjson(file)


def _read_gzip(path: Path) -> pl.DataFrame:
    with gzip.open(path) as file:
        return pl.read_ndjson(file.read())


def _read_zstd(path: Path) -> pl.DataFrame:
    with zstandard.open(path, "rb") as file:
        return pl.read_ndjson(file.read())


_FORMATS = {
    "CSV": _Format(pl.DataFrame.write_csv, lambda path: pl.read_csv(path, infer_schema=False)),
    "JSONL": _Format(pl.DataFrame.write_ndjson, pl.read_ndjson),
    "JSONL.gz": _Format(_write_gzip, _read_gzip),
    "JSONL.zst": _Format(_write_zstd, _read_zstd),
    "Parquet + Zstandard": _Format(
        lambda frame, path: frame.write_parquet(path, compression="zstd", compression_level=_ZSTD_LEVEL),
        lambda path: pl.read_parquet(path, memory_map=False),
    ),
}
