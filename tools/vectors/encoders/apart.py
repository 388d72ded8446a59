"""The embedded model in a process of its own: OpenVINO keeps the 350 MB that it takes until its process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import IO, Any

import numpy as np
import orjson

from ....state import errors
from ....state.errors import StorageError
from ....state.params.vectors import EmbedParams
from ...own_process import ended, started
from . import minilm
from .embedded import MiniLMEncoder
from .windows import Reading

_SAID = ("name", "precision", "runtime", "computed_by")


@dataclass
class EncoderApart:
    """``MiniLMEncoder`` in another process, which ends with ``close``, or with this one. The vectors are the same bits.

    Making one raises what that raises.
    """

    params: EmbedParams
    reading: Reading = field(default_factory=Reading)  # of all that was encoded
    dimensions = minilm.DIMENSIONS
    local = True
    name: str = field(init=False)
    precision: str = field(init=False)
    runtime: str = field(init=False)
    computed_by: str = field(init=False)

    def __post_init__(self) -> None:
        self._process = started(__name__, "serve", stdout=subprocess.PIPE)
        self._end = weakref.finalize(self, ended, self._process)
        for name, value in self._ask(self.params.model_dump(mode="json")).items():
            setattr(self, name, value)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of ``texts`` in their order: float32 [n, 384], of unit length; ``reading`` counts on.

        Raises:
            StorageError: the process was killed.
        """
        read = self._ask(list(texts))["reading"]
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        if self._there.readinto(vectors.view(np.uint8)) != vectors.nbytes:  # type: ignore[attr-defined]
            raise self._killed()
        self.reading += Reading(*read)
        return vectors

    def close(self) -> None:
        """End the process."""
        self._end()

    @property
    def _there(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _ask(self, what: Any) -> dict[str, Any]:
        """What the process answers.

        Raises:
            RecrystError: what was raised there.
            StorageError: it was killed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(orjson.dumps(what) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._killed() from None
        line = self._there.readline()
        if not line:
            raise self._killed()
        answer: dict[str, Any] = orjson.loads(line)
        if "error" in answer:
            kind, said = answer["error"]
            raise getattr(errors, kind)(said)
        return answer

    def _killed(self) -> StorageError:
        self._end()
        return StorageError(
            "the process that embeds was killed, perhaps for want of memory: run the same command again, which finds "
            "what was embedded"
        )


def serve() -> None:
    """Embed what ``EncoderApart`` asks for, in this process, which ends when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the one that waits
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no answer

    def answer(what: dict[str, Any], vectors: bytes = b"") -> None:
        answers.write(orjson.dumps(what) + b"\n" + vectors)
        answers.flush()

    encoder: MiniLMEncoder | None = None
    for line in sys.stdin.buffer:
        asked = orjson.loads(line)
        try:
            if encoder is None:
                encoder = MiniLMEncoder(EmbedParams.model_validate(asked))
                answer({name: getattr(encoder, name) for name in _SAID})
            else:
                encoder.reading = Reading()
                vectors = encoder.encode(asked)
                answer({"reading": astuple(encoder.reading)}, vectors.tobytes())
        except errors.RecrystError as error:
            answer({"error": [type(error).__name__, str(error)]})
