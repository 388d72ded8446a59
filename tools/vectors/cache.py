"""Vectors on disk, found again by every later run on this machine, bit for bit as they would be made.

A vector's last bits depend on the texts it was encoded with (padding changes the shapes of the matrix products), on the
library and on the processor. Therefore what is kept is a *group*: texts that went through the model together, under the
hash of the model, of what computed it and of every text. Whoever finds a group finds what encoding it would give, so
that no run depends on what the cache holds. Where groups end is decided by the texts themselves (``groups``): one more
row changes its own group and no other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..folders import user_cache
from .encoders.open import Encoder
from .encoders.remote import RemoteEncoder

_MOST_BYTES = 20 << 30  # of all runs of a user; 10 million vectors of 384 numbers are 15 GB
_MOST_OF_DISK = 0.25  # nor more of what is free
_TIDIED_EVERY = 600  # seconds
_DIGEST = 32  # bytes of the SHA-256 before the vectors


def open_cache(encoder: Encoder, own: Path) -> VectorCache:
    """The cache of an encoder: this user's, for all runs on the machine, or in the folder ``own`` of the run.

    The latter where the user's cannot be written to; and where a server encodes, for nothing tells whether its name
    stands for the same model tomorrow.
    """
    shared = None if isinstance(encoder, RemoteEncoder) else user_cache()
    if isinstance(encoder, RemoteEncoder) or shared is None:
        return VectorCache(own / "vectors", encoder.name, encoder.dimensions)
    by = f"{encoder.computed_by} {_processor()}"
    return VectorCache(shared / "vectors", f"{encoder.name} {by}", encoder.dimensions, _MOST_BYTES)


def _processor() -> str:
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return platform.processor()


def groups(keys: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Where texts are parted into groups of at most ``most`` to be encoded together: (first, end) of each.

    ``keys``: the first bytes of a hash of each text (S16 [n]), in the order in which they are to be encoded. A text
    ends its group by its own hash, three in four groups before they are full.
    """
    words = np.ascontiguousarray(keys).view(np.dtype("<u8")).reshape(-1, 2)[:, 0] if len(keys) else np.empty(0, "<u8")
    ends = np.flatnonzero(words % np.uint64(max(1, most * 3 // 4)) == 0) + 1
    bounds = np.unique(np.concatenate([[0], ends, [len(keys)]])).tolist()
    return [(at, min(at + most, end)) for first, end in pairwise(bounds) for at in range(first, end, most)]


class VectorCache:
    """Groups of vectors below a folder, one file each: the SHA-256 of name and vectors, then the vectors (float32).

    A file is whole or not there, so that processes may share the folder. What was torn or altered is not what its hash
    says and counts as absent; what cannot be written is not kept. Neither is an error: the texts are encoded.
    """

    def __init__(self, folder: Path, model: str, dimensions: int, most_bytes: int | None = None) -> None:
        """``model``: all that decides the vectors but for the texts. ``most_bytes``: of the folder; None: no bound."""
        self.folder, self.dimensions = folder, dimensions
        self._model, self._most = f"{model} {dimensions}".encode(), most_bytes
        self._writes = False

    def read(self, keys: np.ndarray) -> np.ndarray | None:
        """The vectors of a group (keys S16 [n]): float32 [n, dimensions]; None where it is not there, or not sound."""
        path = self._path(keys)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, vectors = content[:_DIGEST], content[_DIGEST:]
        if digest != _sha256(path.name.encode(), vectors) or len(vectors) != 4 * self.dimensions * len(keys):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: what was used longest ago goes first
        return np.frombuffer(vectors, dtype="<f4").reshape(len(keys), self.dimensions)

    def write(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """Keep the vectors (float32 [n, dimensions]) of a group, where there is room."""
        path, content = self._path(keys), np.ascontiguousarray(vectors, dtype="<f4").tobytes()
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                made = Path(file.name)
                try:
                    file.write(_sha256(path.name.encode(), content) + content)
                    file.flush()
                    made.replace(path)  # not synced: a file that a crash tears is told by its hash
                    self._writes = True
                finally:
                    made.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Drop the groups used longest ago where the cache takes more room than it may; now and then, if it grew."""
        stamp = self.folder / "tidied"
        if self._most is None or not self._writes:
            return
        self._writes = False
        with contextlib.suppress(OSError):
            if stamp.exists() and 0 <= time.time() - stamp.stat().st_mtime < _TIDIED_EVERY:
                return
            stamp.touch()
            drop_oldest(self.folder, self._most)

    def _path(self, keys: np.ndarray) -> Path:
        name = hashlib.sha256(self._model + b"\n" + keys.tobytes()).hexdigest()
        return self.folder / name[:2] / f"{name}.vectors"


def drop_oldest(folder: Path, most_bytes: int) -> None:
    """Remove the files used longest ago from the folders in ``folder``, until they take nine tenths of what they may.

    They may take ``most_bytes``, and a quarter of what would be free without them.

    Raises:
        OSError: the folder cannot be read.
    """
    found = list[tuple[float, int, str]]()
    for below in os.scandir(folder):
        if below.is_dir(follow_symlinks=False):
            for entry in os.scandir(below):
                with contextlib.suppress(FileNotFoundError):  # another process tidies, too
                    stat = entry.stat(follow_symlinks=False)
                    found.append((stat.st_mtime, stat.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    most = min(most_bytes, int(_MOST_OF_DISK * (shutil.disk_usage(folder).free + total)))
    if total <= most:
        return
    for _, size, path in sorted(found):
        Path(path).unlink(missing_ok=True)
        total -= size
        if total <= 0.9 * most:
            return


def _sha256(name: bytes, vectors: bytes) -> bytes:
    return hashlib.sha256(name + vectors).digest()
