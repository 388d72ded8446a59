"""What every event has, and the notes, which change nothing of what the run is: start, resume, error, chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from .canonical import sha256_json
from .report import Record
from .values import Role, StatePatch

if TYPE_CHECKING:
    from .events import Event

EVENT_VERSION = 2
GENESIS = "0" * 64


class Effect(Record):
    """One change to what the run is made of. Shas are artefact references, or the SHA-256 of a file."""

    kind: str  # ledger, or file:PATH below the run directory
    before_sha: str | None = None
    after_sha: str | None = None
    rows: int = 0


class Input(Record):
    """What a step read: a role, and the artefact that stood for it."""

    role: Role
    sha: str


class LlmCall(Record):
    """One question to a language model. The question and the raw answer lie in ``llm/<request_sha>.json``."""

    kind: str  # critique | decide | generate | …
    provider: str
    model: str
    prompt: str  # name@version
    request_sha: str
    response_sha: str | None = None  # None: there is no answer, and `problem` says why
    stop_reason: str = ""
    usage: dict[str, int] = Field(default_factory=dict)  # tokens, as the provider counted them
    unsure_tokens: int = 0  # reserved for attempts whose answer never came and that may have been billed
    usd: float | None = None  # None: the price is not known
    cache_hit: bool = False  # answered from llm/ by a question of an earlier event; costs nothing
    attempts: int = 0  # requests sent
    problem: str = ""  # why the answer could not be used


class Sent(Record):
    """Texts that went to an embedding model on another machine since the event before."""

    to: str
    texts: int


class RowCounts(Record):
    """Rows of the input, and ``synthetic`` ones beside them; those taken out again are ``discarded_synthetic``."""

    ingested: int
    kept: int
    removed: int
    synthetic: int
    discarded_synthetic: int = 0


class Base(Record):
    """What every event has. ``hash`` is the SHA-256 of the canonical JSON of all else, ``prev_hash`` included."""

    v: int = EVENT_VERSION
    seq: int
    prev_hash: str
    hash: str = ""
    run_id: str
    attempt: int = 1
    ts: str
    type: str
    llm: tuple[LlmCall, ...] = ()
    state: StatePatch | None = None

    def body(self) -> dict[str, Any]:
        """The event as a plain dictionary without its hash and without the parts that do not apply."""
        fields = type(self).model_fields
        always = {"v", "attempt", "type"}
        body = self.model_dump(mode="json", exclude={"hash"})
        return {
            name: value
            for name, value in body.items()
            if name in always or getattr(self, name) != fields[name].get_default(call_default_factory=True)
        }

    def sealed(self) -> Event:
        """The same event with its hash filled in."""
        return self.model_copy(update={"hash": sha256_json(self.body())})  # type: ignore[return-value]


class Start(Base):
    """The run begins: on what, with which settings, code, models and rules."""

    type: Literal["start"] = "start"
    code: dict[str, str]
    config_sha: str
    seed: int
    input: str
    runs_on: dict[str, str]
    config: dict[str, Any]
    defaults: dict[str, Any] = Field(default_factory=dict)  # settings that run.yaml lacks, as this build had them


class Resume(Base):
    """A process goes on with the run after the last step that finished."""

    type: Literal["resume"] = "resume"
    code: dict[str, str]
    config_sha: str
    seed: int
    torn_bytes: int  # of a last line that a killed process left half written
    after: str
    defaults: dict[str, Any] = Field(default_factory=dict)  # as in `Start`


class Error(Base):
    """Why a process stopped; the state stays that of the last finished step."""

    type: Literal["error"] = "error"
    error: str


class Chat(Base):
    """What was asked of the language model in conversation."""

    type: Literal["chat"] = "chat"
    said_sha: str | None = None  # of the person's message
    tools: tuple[str, ...] = ()
