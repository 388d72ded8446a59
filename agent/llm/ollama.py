"""Ollama's chat API: models that run on this machine, or on one that is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...state.canonical import canonical_json
from ...state.config import LlmParams
from ...state.errors import UsageError
from ...tools.vectors import vendors
from . import Message, OnText, Reply, Request, StopReason, ToolCall, Usage
from .wire import LENGTHS, member, narrowed, sound, tokens

if TYPE_CHECKING:
    import httpx

_BYTES_PER_TOKEN = 3  # rather fewer than in English, so that rather more context is set
_MOST_CONTEXT = 131_072
_NO_BATCHES = "Ollama has no batches: leave --batch (llm.batch) off"


class Ollama:
    """``ollama:NAME``. Its context is set to hold each question, for it cuts longer ones off without a word."""

    name = "ollama"

    def __init__(self, model: str, params: LlmParams) -> None:
        self.model = model
        self._base_url = params.base_url
        self._context = params.context_tokens
        self._batch = params.batch

    @property
    def local(self) -> bool:
        """Whether texts stay on this machine."""
        return vendors.stays_local("ollama", self.model, self._base_url)

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of the request. Reasons stand in the answer's schema, so that no further thinking is paid."""
        names = {call.id: call.name for message in request.messages for call in message.tool_calls}
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [*system, *(_turn(message, names) for message in request.messages)],
            "think": False,
            "options": {"temperature": 0, "seed": 0, "num_predict": request.max_tokens},
            "tools": [  # the client sends the list even where it is empty
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in request.tools
            ],
        }
        if request.answer is not None:
            body["format"] = narrowed(request.answer, LENGTHS)
        body["options"]["num_ctx"] = self._room(len(canonical_json(body)) // _BYTES_PER_TOKEN + request.max_tokens)
        return body

    def _room(self, needed: int) -> int:
        """Tokens of context for a question: doubled until it fits, so that the server loads few sizes of a model."""
        room = self._context
        while room < needed and room < _MOST_CONTEXT:
            room = min(2 * room, _MOST_CONTEXT)
        return room

    def ready(self) -> None:
        """See, without a request, that the provider can be asked.

        Raises:
            MissingExtraError: the vendor's package is not installed.
            ModelError: nothing listens at the address.
            UsageError: batches are asked for, or the address is not one.
        """
        if self._batch:
            raise UsageError(_NO_BATCHES)
        vendors.ollama_client(self._base_url, 1.0)
        vendors.reach("ollama", self._base_url)

    def send(self, body: Mapping[str, Any], timeout: float, on_text: OnText | None = None) -> dict[str, Any]:
        """One attempt, ``timeout`` in seconds; the answer as plain JSON.

        Raises:
            Fault: the attempt failed.
            MissingExtraError: the vendor's package is not installed.
        """
        received: list[bytes] = []

        def keep(response: httpx.Response) -> None:
            if on_text is None:
                received.append(response.read())

        with vendors.faults("ollama", self._base_url), vendors.ollama_client(self._base_url, timeout, keep) as client:
            if on_text is None:
                client.chat(**body)
                return sound(received[-1], self.read)
            parts = client.chat(**body, stream=True)
            return sound(assembled((part.model_dump(exclude_unset=True) for part in parts), on_text), self.read)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """What a stored answer says.

        Raises:
            ValueError: it is not of the shape the vendor documents.
        """
        message = member(answer, "message", dict)
        if answer.get("done") is not True:
            raise ValueError("the answer is not done")
        calls = []
        for number, call in enumerate(message.get("tool_calls") or ()):
            function = member(call, "function", dict)
            arguments = member(function, "arguments", dict)
            calls.append(ToolCall(id=f"call-{number}", name=member(function, "name", str), arguments=arguments))
        reason = answer.get("done_reason", "stop")  # servers of 2024 name none
        stop: StopReason = "length" if reason == "length" else "end" if reason == "stop" else "other"
        return Reply(
            text=member({"content": message.get("content") or ""}, "content", str),
            tool_calls=tuple(calls),
            stop_reason="tool_use" if calls and stop == "end" else stop,
            usage=Usage(input_tokens=tokens(answer, "prompt_eval_count"), output_tokens=tokens(answer, "eval_count")),
            model=member(answer, "model", str),
        )

    def count(self, body: Mapping[str, Any], timeout: float) -> int | None:
        """None: Ollama does not count."""
        return None

    def submit(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> str:
        """Ollama has no batches.

        Raises:
            UsageError: always.
        """
        raise UsageError(_NO_BATCHES)

    def collect(self, batch: str, timeout: float) -> dict[str, dict[str, Any]] | None:
        """Ollama has no batches.

        Raises:
            UsageError: always.
        """
        raise UsageError(_NO_BATCHES)


def _turn(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        turn["tool_name"] = names.get(message.tool_call_id, "")
    if message.tool_calls:
        turn["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    return turn


def assembled(parts: Iterable[Mapping[str, Any]], on_text: OnText) -> dict[str, Any]:
    """The answer that a stream's parts make up.

    Raises:
        ValueError: the stream ended before the answer did.
    """
    answer: dict[str, Any] = {}
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for part in parts:
        answer |= part
        said = part["message"]
        for key in ("content", "thinking"):
            if said.get(key):
                message[key] = message.get(key, "") + said[key]
        if said.get("tool_calls"):
            message["tool_calls"] = [*message.get("tool_calls", []), *said["tool_calls"]]
        if said.get("content"):
            on_text(said["content"])
    if answer.get("done") is not True:
        raise ValueError("the stream ended before the answer did")
    return {**answer, "message": message}
