"""The event: one line of the log, hashed together with the hash of the line before."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .canonical import sha256_json

EVENT_VERSION = 1
GENESIS = "0" * 64


class Effect(BaseModel):
    """One change to what the run is made of. Shas are artefact references."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str  # ledger | curated | file | …
    before_sha: str | None = None
    after_sha: str | None = None
    rows: int = 0


class LlmCall(BaseModel):
    """One question to a language model. The question and the raw answer lie in ``llm/<request_sha>.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str  # critique | decide | synthesise | …
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


class HumanAnswer(BaseModel):
    """What a person answered, and the hash of what they were shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shown_sha: str
    answer: str
    interrupt_id: str


class StatePatch(BaseModel):
    """What an event changes in the run's state; folding the patches in order gives the state."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    round: int | None = None
    artefacts: dict[str, str | None] = Field(default_factory=dict)  # role → reference; None takes the role away
    values: dict[str, Any] = Field(default_factory=dict)  # small JSON values


class Event(BaseModel):
    """A step, a decision, a measurement or an error. Only the parts that apply are written.

    ``hash`` is the SHA-256 of the canonical JSON of everything else, ``prev_hash`` included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: int = EVENT_VERSION
    seq: int
    prev_hash: str
    hash: str = ""
    run_id: str
    attempt: int = 1
    ts: str
    type: str  # start | resume | error | finish, or the name of the step
    actor: Literal["agent", "human", "rules"] = "agent"
    code: dict[str, str] = Field(default_factory=dict)
    config_sha: str = ""
    inputs: list[dict[str, str]] = Field(default_factory=list)  # {role, sha}
    seed: int | None = None
    seconds: float | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    candidates: list[dict[str, Any]] = Field(default_factory=list)
    llm: list[LlmCall] = Field(default_factory=list)
    human: HumanAnswer | None = None
    action: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    reasons: list[str] = Field(default_factory=list)
    rejected: list[dict[str, str]] = Field(default_factory=list)
    effects: list[Effect] = Field(default_factory=list)
    budget: dict[str, Any] = Field(default_factory=dict)
    outcome: str | None = None
    state: StatePatch | None = None
    error: str | None = None

    def body(self) -> dict[str, Any]:
        """The event as a plain dictionary without its hash and without the parts that do not apply."""
        return self.model_dump(mode="json", exclude={"hash"}, exclude_defaults=True) | {
            "v": self.v,
            "attempt": self.attempt,
        }

    def sealed(self) -> Event:
        """The same event with its hash filled in."""
        return self.model_copy(update={"hash": sha256_json(self.body())})
