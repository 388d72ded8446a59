"""What a data set costs on disk: CSV and JSON Lines, plain and compressed, against Parquet with Zstandard."""

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple, cast

import polars as pl
import zstandard

from .data import existing, loaded
from .table import REPEATS, Table, fastest

DATA_SETS = {
    "newsgroups20": "newsgroups20/newsgroups20.jsonl.gz",
    "alpaca": "alpaca/alpaca.jsonl.gz",
    "banking77": "banking77/train.csv",
}
_GZIP_LEVEL = 6  # what the command gzip does
_ZSTD_LEVEL = 3  # what the command zstd does, and what Polars writes in Parquet


class _Format(NamedTuple):
    write: Callable[[pl.DataFrame, Path], object]
    read: Callable[[Path], pl.DataFrame]


def run(data: Path) -> Table:
    """Size, and seconds to write and to read, of three data sets in five formats, every column of theirs."""
    lines = []
    for name, file in DATA_SETS.items():
        frame = loaded(existing(data, file))[1].drop("row")
        measured = {kind: _measured(frame, kind) for kind in _FORMATS}
        plain = measured["JSONL"][0]
        for kind, (size, write, read) in measured.items():
            lines.append((name, frame.height, kind, size, round(size / plain, 3), round(write, 4), round(read, 4)))
    columns = ("data set", "rows", "format", "bytes", "of JSONL", "write s", "read s")
    notes = (
        f"Written and read whole by Polars {pl.__version__}; the fastest of {REPEATS}, the file in the page cache. "
        f"gzip at level {_GZIP_LEVEL}, Zstandard at level {_ZSTD_LEVEL}, as their commands have it.",
    )
    command = "recryst eval storage --data DATA"
    return Table("A data set on disk, by format", columns, tuple(lines), notes, command)


def _measured(frame: pl.DataFrame, kind: str) -> tuple[int, float, float]:
    """Bytes, seconds to write, seconds to read."""
    form = _FORMATS[kind]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        write, _ = fastest(lambda: form.write(frame, path))
        read, back = fastest(lambda: form.read(path))
        assert back.shape == frame.shape
        return path.stat().st_size, write, read


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
