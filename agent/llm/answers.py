"""The recorded questions and answers of a run: ``llm/<request hash>.json``, written before an answer is read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ...state.canonical import Json, canonical_json, sha256_json
from ...state.errors import IntegrityError
from ...state.report import Record
from ...state.store import whole_file
from . import Usage

_NONE = Usage()


def request_sha(provider: str, body: Mapping[str, Any]) -> str:
    """The hash of a question: who is asked, and the body that goes over the wire."""
    return sha256_json({"provider": provider, "request": body})


@dataclass(frozen=True)
class Stored:
    """A recorded answer as the server gave it, its hash, and what it is charged for.

    ``usage`` is what the server named, or what was set aside where it named none; ``unsure`` what attempts before it
    may have been billed for; ``batched`` answers have the batch price.
    """

    answer: Json
    response_sha: str
    usage: Usage
    unsure: Usage
    batched: bool


class Batch(Record):
    """A batch that was handed in: the provider's id, and by request hash the bodies and what each may cost at most."""

    batch: str
    bodies: dict[str, Json]
    worst: dict[str, Usage]


class Answers:
    """The folder of recorded answers. Each is written whole or not at all; reading verifies the hash."""

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
            written = value["record_sha"]
            kept = {key: item for key, item in value.items() if key != "record_sha"}
            if (written, request_sha(kept["provider"], kept["request"])) == (sha256_json(kept), sha):
                usage, unsure = Usage(**kept["usage"]), Usage(**kept["unsure"])
                return Stored(kept["answer"], sha256_json(kept["answer"]), usage, unsure, bool(kept["batched"]))
        except (ValueError, KeyError, TypeError):
            pass
        raise IntegrityError(f"{path} was changed: it does not have the hash it was recorded by")

    def has(self, sha: str) -> bool:
        """Whether there is an answer to the question of that hash."""
        return (self.folder / f"{sha}.json").is_file()

    def put(
        self,
        sha: str,
        provider: str,
        body: Mapping[str, Any],
        answer: Json,
        usage: Usage,
        unsure: Usage = _NONE,
        batched: bool = False,
    ) -> Stored:
        """Record an answer, and what it is charged for: a process that is killed before its event leaves both behind.

        Raises:
            StorageError: the disk is full or not writable.
        """
        value = {
            "provider": provider,
            "request": body,
            "answer": answer,
            "usage": usage.model_dump(),
            "unsure": unsure.model_dump(),
            "batched": batched,
        }
        self._write(self.folder / f"{sha}.json", canonical_json(value | {"record_sha": sha256_json(value)}))
        self.unpend(sha)
        return Stored(answer, sha256_json(answer), usage, unsure, batched)

    def pend(self, sha: str, unsure: Usage) -> None:
        """Leave word, before asking, of the tokens that a question under way may be billed for."""
        self._write(self.folder / f"{sha}.pending", f"{unsure.input_tokens} {unsure.output_tokens}".encode())

    def unpend(self, sha: str) -> None:
        """The question is no longer under way, or the log has what became of it."""
        (self.folder / f"{sha}.pending").unlink(missing_ok=True)

    def pending(self) -> dict[str, Usage]:
        """Tokens that may have been billed for questions which a process left under way, by hash.

        Raises:
            IntegrityError: such a file is not what was written.
        """
        found = {}
        batched = {sha for batch in self.batches().values() for sha in batch.bodies}
        for path in sorted(self.folder.glob("*.pending")):
            if self.has(path.stem) or path.stem in batched:  # killed when all was well again
                path.unlink()
                continue
            try:
                input_tokens, output_tokens = map(int, path.read_text().split())
            except ValueError as error:
                raise IntegrityError(f"{path} was changed: it does not hold two numbers") from error
            found[path.stem] = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return found

    def put_batch(self, name: str, batch: Batch) -> None:
        """Leave word of a batch that was handed in."""
        self._write(self.folder / f"{name}.batch", canonical_json(batch.model_dump()))

    def batches(self) -> dict[str, Batch]:
        """The batches whose answers were not all recorded yet, by name.

        Raises:
            IntegrityError: such a file is not what was written.
        """
        found = {}
        for path in sorted(self.folder.glob("*.batch")):
            try:
                found[path.stem] = Batch.model_validate(orjson.loads(path.read_bytes()))
            except ValueError as error:
                raise IntegrityError(f"{path} was changed: it is not what was recorded") from error
        return found

    def drop_batch(self, name: str) -> None:
        """The batch's answers are recorded, or it is gone."""
        (self.folder / f"{name}.batch").unlink(missing_ok=True)

    def shas(self) -> Iterator[str]:
        """The hashes of all recorded questions, sorted."""
        for path in sorted(self.folder.glob("*.json")):
            yield path.stem

    def _write(self, path: Path, data: bytes) -> None:
        with whole_file(path, "recording an answer in") as made:
            self.folder.mkdir(parents=True, exist_ok=True)
            made.write_bytes(data)
