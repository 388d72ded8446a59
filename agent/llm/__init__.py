"""Language models behind one small protocol: what is asked, what comes back, and who answers.

A provider turns a ``Request`` into the exact body that goes over the wire and an answer back into a ``Reply``; both
are pure, so that the auditor does the same with the network off. Sending is one attempt; retries, deadlines,
budget, cache and record are ``client.Model``'s, in one place for all providers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Literal

from ...state.canonical import Json
from ...state.params.llm import LlmParams
from ...state.report import Record

#: The most tokens an answer of each kind may have. Some models think before they write, and that counts too.
ANSWER_TOKENS = {
    "critique": 2048,
    "same_theme": 1024,
    "decide": 2048,
    "quality": 4096,
    "label": 4096,
    "generate": 4096,
    "judge": 4096,
    "chat": 2048,
    "describe": 1024,
    "read": 1024,
}

DECISION_QUESTIONS = 4  #: at most, for one decision: what a model looks at takes all but the last

BATCHED = ("critique", "quality", "label")  #: the kinds that go by batch where there are batches

StopReason = Literal["end", "length", "refusal", "tool_use", "other"]
OnText = Callable[[str], None]


class ToolSpec(Record):
    """A tool a chat model may call: ``parameters`` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Json


class ToolCall(Record):
    """A tool the model asks for. ``id`` is the provider's, or made up where it has none."""

    id: str
    name: str
    arguments: Json


class Message(Record):
    """One turn. ``tool`` messages answer the call ``tool_call_id``."""

    role: Literal["user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Request(Record):
    """One question. ``answer`` is the JSON schema (an object) the answer must follow, or None for free text."""

    kind: str  # critique | same_theme | decide | generate | judge | quality | label | chat | describe | read
    prompt: str  # name@version of the prompt text
    system: str  # the same for all questions of a kind, so that providers can cache it
    messages: tuple[Message, ...]
    answer: Json | None = None
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 1024


class Usage(Record):
    """Tokens of one answer. ``input_tokens`` are those neither written to nor read from the provider's cache."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})

    @property
    def total(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens + self.cache_write_tokens + self.cache_read_tokens


class Reply(Record):
    """What a provider's answer says."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    stop_reason: StopReason
    usage: Usage
    model: str  # as the provider names it


class Provider(ABC):
    """Who answers: a vendor's wire format and client, or a script.

    ``body`` and ``read`` need neither network nor the vendor's package, nor the script.
    """

    name: str  # anthropic | openai | ollama | scripted
    batches = False  # whether there is a batch API

    def __init__(self, model: str, params: LlmParams) -> None:
        self.model = model
        self._params = params

    @property
    @abstractmethod
    def local(self) -> bool:
        """Whether texts stay on this machine."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where questions are sent; empty where they are sent nowhere."""

    @abstractmethod
    def body(self, request: Request) -> Json:
        """The JSON body of the request; equal requests have equal bodies."""

    @abstractmethod
    def ready(self) -> None:
        """See, without a request, that the provider can be asked.

        Raises:
            MissingExtraError: the vendor's package is not installed.
            ModelError: nothing listens at the address.
            UsageError: the key is not in the environment, the address is not one, or the script is none.
        """

    @abstractmethod
    def send(self, body: Mapping[str, Any], timeout: float, on_text: OnText | None = None) -> Json:
        """One attempt, ``timeout`` in seconds: the answer as plain JSON, exactly as the server gave it.

        With ``on_text`` the answer is streamed: it is called with each piece of text, and the pieces are put
        together to the same JSON that would have come in one.

        Raises:
            Fault: the attempt failed (``tools.vectors.net``).
            MissingExtraError: the vendor's package is not installed.
            ModelError: the script failed.
            UsageError: the key is not in the environment.
        """

    @abstractmethod
    def read(self, answer: Mapping[str, Any]) -> Reply:
        """What a stored answer says.

        Raises:
            ValueError: it is not of the shape the vendor documents.
        """

    def count(self, body: Mapping[str, Any], timeout: float) -> int | None:
        """Input tokens of ``body`` as the provider counts them, or None where it does not.

        Raises:
            Fault: the attempt failed.
        """
        return None
