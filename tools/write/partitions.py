"""Parquet files in hive-style folders: ``domain=cards/difficulty=easy/part-train-00000.parquet``.

A folder's name is the key, ``=`` and the value with everything but letters, digits and ``-_.~`` percent-encoded, as
Hive, pyarrow and polars read it, so that a value such as ``../../evil`` names no other place.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ..judge.taxonomy import UNLABELLED

_HELD_BYTES = 64_000_000  # of rows that wait for their file


class Partitions:
    """Rows gathered by folder and written a file at a time, so that no more than one file is open.

    Everything is written beside its place and moved there by ``finish``; ``discard`` leaves nothing behind.
    """

    def __init__(self, folder: Path, keys: Mapping[str, str]) -> None:
        """``keys``: column whose values make the folders → what the folders call it, outermost first."""
        self._folder, self._keys = folder, keys
        self._staging = folder / ".partitions.tmp"
        self._waiting: dict[tuple[str, str], list[pa.Table]] = {}  # folder, split → rows
        self._bytes: dict[tuple[str, str], int] = {}
        self._parts: dict[tuple[str, str], int] = {}
        self.discard()

    def add(self, split: str, table: pa.Table, values: pl.DataFrame) -> None:
        """Take in rows of a split; ``values`` [n] has the columns of ``keys``, null where a row has no value.

        Raises:
            OSError: the disk is full or not writable.
        """
        rows_by_values = values.select(list(self._keys)).with_row_index("at").group_by(list(self._keys))
        for named, at in rows_by_values:
            folders = zip(self._keys.values(), named, strict=True)
            place = ("/".join(f"{key}={_encoded(value)}" for key, value in folders), split)
            rows = table.take(pa.array(at["at"]))
            self._waiting.setdefault(place, []).append(rows)
            self._bytes[place] = self._bytes.get(place, 0) + rows.nbytes
        while sum(self._bytes.values()) > _HELD_BYTES:
            self._write(max(self._bytes, key=lambda place: self._bytes[place]))

    def _write(self, place: tuple[str, str]) -> None:
        """Write the rows that wait for one folder and split as its next file."""
        name, split = place
        number = self._parts.get(place, 0)
        target = self._staging / name / f"part-{split}-{number:05d}.parquet"
        target.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.concat_tables(self._waiting.pop(place)), target, compression="zstd")
        self._parts[place] = number + 1
        del self._bytes[place]

    def finish(self) -> list[Path]:
        """Write what waits and put all files in place of those of an earlier export; returns them, sorted.

        Raises:
            OSError: the disk is full or not writable.
        """
        for place in list(self._waiting):
            self._write(place)
        outermost = next(iter(self._keys.values()))
        for earlier in self._folder.glob(f"{outermost}=*"):
            shutil.rmtree(earlier)
        for made in sorted(self._staging.iterdir()) if self._staging.is_dir() else []:
            made.replace(self._folder / made.name)
        self.discard()
        return sorted(self._folder.glob(f"{outermost}=*/**/*.parquet"))

    def discard(self) -> None:
        """Remove what is not in place."""
        shutil.rmtree(self._staging, ignore_errors=True)


def _encoded(value: object) -> str:
    return quote(UNLABELLED if value is None else str(value), safe="")
