"""Files that are whole or not there, and the artefact store: tables, arrays and JSON under the SHA-256 of their bytes.

A reference is the file name ``<sha256>.<parquet|npy|json|bin>``; it stands in ``artifacts/<first two digits>/``.
Writing goes temporary file, fsync, rename, fsync of the folder, so that a crash leaves a whole file or none. Reading an
artefact verifies the hash, once per process and artefact.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow.parquet as pq

from .canonical import canonical_json, sha256_file
from .errors import IntegrityError, storage_error


def sync(path: Path) -> None:
    """Return when the disk holds a file's bytes, or a folder's names.

    Raises:
        OSError: it does not.
    """
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def put_in_place(made: Path, target: Path) -> None:
    """Move a finished file to ``target``, on the same disk; after a crash the file there is the old or the new one.

    Raises:
        OSError: the disk is full or not writable.
    """
    sync(made)
    made.replace(target)
    sync(target.parent)


@contextlib.contextmanager
def whole_file(path: Path, doing: str = "writing", temporary: Path | None = None) -> Iterator[Path]:
    """Yields where to write a file: it takes the place of ``path`` when the block ends well, else it is removed.

    Args:
        path: the file; its folder is there, or the block makes it.
        doing: what an error says was being done to it.
        temporary: the file to write, in the same folder; None: one named after ``path``.

    Raises:
        StorageError: the disk is full or not writable; what stood at ``path`` is intact.
    """
    made = temporary or path.with_name(f".{path.name}.tmp")
    try:
        yield made
        put_in_place(made, path)
    except OSError as error:
        raise storage_error(error, path, doing) from error
    finally:
        with contextlib.suppress(OSError):
            made.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file as ``whole_file`` does; text as UTF-8.

    Raises:
        StorageError: the disk is full or not writable; what stood at ``path`` is intact.
    """
    with whole_file(path) as made:
        # A path whose name is not UTF-8 holds lone surrogates, which no encoding of text can hold.
        made.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


_REF = re.compile(r"[0-9a-f]{64}\.(parquet|npy|json|bin)")


class Store:
    """Content-addressed files below ``root``; safe to share between readers, one writer at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified: set[str] = set()

    def path(self, ref: str) -> Path:
        """Where ``ref`` lies (whether or not it exists).

        Raises:
            IntegrityError: ``ref`` is not of the form ``<sha256>.<suffix>``.
        """
        if not _REF.fullmatch(ref):
            raise IntegrityError(f"{ref!r} is not an artefact reference")
        return self.root / ref[:2] / ref

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder beside the artefacts, for a tool to stream files into before ``adopt``.

        Raises:
            StorageError: the disk is full or not writable; nothing is left behind.
        """
        try:
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.root / "tmp") as folder:
                yield Path(folder)
        except OSError as error:
            raise storage_error(error, self.root, "writing an artefact to") from error

    def adopt(self, file: Path) -> str:
        """Move a finished file of ``scratch`` into the store; returns its reference."""
        ref = f"{sha256_file(file)}{file.suffix}"
        target = self.path(ref)
        target.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(file, target)
        self._verified.add(ref)
        return ref

    def put_frame(self, frame: pl.DataFrame) -> str:
        """Store a table as Parquet with Zstandard; returns its reference."""
        with self.scratch() as folder:
            # By pyarrow: it says when the disk is full, polars then says "invalid thrift".
            pq.write_table(frame.to_arrow(), folder / "table.parquet", compression="zstd", write_statistics=False)
            return self.adopt(folder / "table.parquet")

    def put_array(self, array: np.ndarray) -> str:
        """Store an array of numbers of any shape as ``.npy``; returns its reference."""
        with self.scratch() as folder:
            np.save(folder / "array.npy", np.ascontiguousarray(array), allow_pickle=False)
            return self.adopt(folder / "array.npy")

    def put_json(self, value: Any) -> str:
        """Store a JSON value in canonical form; returns its reference."""
        with self.scratch() as folder:
            (folder / "value.json").write_bytes(canonical_json(value))
            return self.adopt(folder / "value.json")

    def verified_path(self, ref: str) -> Path:
        """The path of an artefact whose bytes were checked against its name.

        Raises:
            IntegrityError: it is missing, or its bytes do not have its hash.
        """
        path = self.path(ref)
        if ref not in self._verified:
            if not path.is_file():
                raise IntegrityError(f"artefact {path} is missing")
            if sha256_file(path) != ref[:64]:
                raise IntegrityError(f"artefact {path} was changed: its bytes do not have the hash in its name")
            self._verified.add(ref)
        return path

    def frame(self, ref: str, columns: list[str] | None = None) -> pl.DataFrame:
        """A stored table, or some of its columns."""
        return pl.read_parquet(self.verified_path(ref), columns=columns)

    def array(self, ref: str) -> np.ndarray:
        """A stored array, of the shape it was stored in, memory-mapped and read-only."""
        array: np.ndarray = np.load(self.verified_path(ref), mmap_mode="r", allow_pickle=False)
        return array

    def json(self, ref: str) -> Any:
        """A stored JSON value."""
        return orjson.loads(self.verified_path(ref).read_bytes())

    def refs(self) -> Iterator[str]:
        """Every artefact in the store, sorted by reference."""
        for path in sorted(self.root.glob("[0-9a-f][0-9a-f]/*")):
            yield path.name
