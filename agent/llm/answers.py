"""The recorded questions and answers of a run: ``llm/<request hash>.json``, written before an answer is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ...state.canonical import canonical_json, sha256_json
from ...state.errors import IntegrityError, storage_error
from . import Usage


def request_sha(provider: str, body: Mapping[str, Any]) -> str:
    """The hash of a question: who is asked, and the body that goes over the wire."""
    return sha256_json({"provider": provider, "request": body})


@dataclass(frozen=True)
class Stored:
    """A recorded answer as the server gave it, its hash, and whether it came by batch (at the batch price)."""

    answer: dict[str, Any]
    response_sha: str
    batched: bool


class Answers:
    """The folder of recorded answers. Writing goes temporary file, fsync, rename; reading verifies the hash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, sha: str) -> Stored | None:
        """The answer to the question of that hash, if there is one.

        Raises:
            IntegrityError: the file is not what was written: its question does not have the hash in its name.
        """
        path = self.folder / f"{sha}.json"
        if not path.is_file():
            return None
        try:
            value = orjson.loads(path.read_bytes())
            asked, answered = request_sha(value["provider"], value["request"]), sha256_json(value["answer"])
            if (asked, answered) == (sha, value["answer_sha"]):
                return Stored(value["answer"], value["answer_sha"], bool(value["batched"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass
        raise IntegrityError(f"{path} was changed: it does not have the hash it was recorded by")

    def put(
        self, sha: str, provider: str, body: Mapping[str, Any], answer: dict[str, Any], batched: bool = False
    ) -> Stored:
        """Record an answer.

        Raises:
            StorageError: the disk is full or not writable.
        """
        stored = Stored(answer, sha256_json(answer), batched)
        value = {
            "provider": provider,
            "request": body,
            "answer": answer,
            "answer_sha": stored.response_sha,
            "batched": batched,
        }
        self._write(self.folder / f"{sha}.json", canonical_json(value))
        self.unpend(sha)
        return stored

    def pend(self, sha: str, unsure: Usage) -> None:
        """Leave word, before asking, of the tokens that a question under way may be billed for."""
        self._write(self.folder / f"{sha}.pending", f"{unsure.input_tokens} {unsure.output_tokens}".encode())

    def unpend(self, sha: str) -> None:
        """The question is no longer under way."""
        (self.folder / f"{sha}.pending").unlink(missing_ok=True)

    def pending(self, sha: str) -> Usage:
        """Tokens a question may have been billed for in a process that was killed; 0 where it was not under way."""
        path = self.folder / f"{sha}.pending"
        if not path.is_file():
            return Usage()
        input_tokens, output_tokens = path.read_text().split()
        return Usage(input_tokens=int(input_tokens), output_tokens=int(output_tokens))

    def batch(self, name: str) -> str | None:
        """The provider's id of the batch handed in under ``name``, the hash of its questions; None if none was."""
        path = self.folder / f"{name}.batch"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def put_batch(self, name: str, batch: str) -> None:
        """Leave word of a batch that was handed in."""
        self._write(self.folder / f"{name}.batch", batch.encode())

    def shas(self) -> Iterator[str]:
        """The hashes of all recorded questions, sorted."""
        for path in sorted(self.folder.glob("*.json")):
            yield path.stem

    def _write(self, path: Path, data: bytes) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            raise storage_error(error, path, "recording an answer in") from error
