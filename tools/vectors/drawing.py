"""Maps drawn by a process of their own, so that nobody waits for them before a report is written."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ...state.params.vectors import ReduceParams
from ..own_process import ended, started
from .reduce import Maps, load_libraries, reduce


class Drawing:
    """Maps on their way, on one core, in a process that is there before the vectors are and ends with this one."""

    def __init__(self) -> None:
        self._process = started(__name__, "draw", env={**os.environ, "OMP_NUM_THREADS": "1"})
        self._file: Path | None = None
        self._end = weakref.finalize(self, ended, self._process)

    def begin(self, vectors: Path, params: ReduceParams, seed: int, folder: Path) -> None:
        """Have the maps drawn, unless they are on their way.

        Args:
            vectors: a .npy file, float32 [n, d].
            folder: where the process leaves the maps, made if it is missing.
        """
        if self._file is not None or self._process.stdin is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "maps.npz"
        asked = orjson.dumps([str(vectors), params.model_dump(mode="json"), seed, str(self._file)])
        with contextlib.suppress(BrokenPipeError):  # it failed: ``maps`` finds out
            self._process.stdin.write(asked + b"\n")
            self._process.stdin.flush()

    def maps(self) -> Maps | None:
        """The maps, once they are drawn; None where the process failed, or had nothing to do."""
        if self._file is None:
            self._end()
            return None
        failed = self._process.wait() != 0
        try:
            return None if failed else _read(self._file)
        except (OSError, ValueError, KeyError):
            return None
        finally:
            self._end()
            self._file.unlink(missing_ok=True)


def draw() -> None:
    """Draw the maps that ``Drawing`` asks for, in this process, which ends when that one does."""
    load_libraries()
    asked = sys.stdin.buffer.readline()
    if not asked:
        return
    vectors, params, seed, file = orjson.loads(asked)
    threading.Thread(target=_until_alone, daemon=True).start()
    maps = reduce(np.load(vectors, mmap_mode="r"), ReduceParams.model_validate(params), seed)
    figures: dict[str, Any] = {"trustworthiness": maps.trustworthiness, "landmarks": maps.landmarks}
    told = np.frombuffer(orjson.dumps(figures), dtype=np.uint8)
    np.savez(file, allow_pickle=False, figures=told, **maps.coordinates)


def _read(file: Path) -> Maps:
    """What ``draw`` left."""
    with np.load(file, allow_pickle=False) as found:
        coordinates = {name: found[name] for name in found.files if name != "figures"}
        return Maps(coordinates=coordinates, **orjson.loads(found["figures"].tobytes()))


def _until_alone() -> None:
    while os.read(sys.stdin.fileno(), 1):  # nothing, once the other process has ended
        pass
    os._exit(1)
