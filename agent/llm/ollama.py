"""Ollama's chat API: models that run on this machine, or on one that is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ...state.canonical import Json, canonical_json
from ...tools.vectors import vendors
from . import Message, OnText, Reply, Request, StopReason, ToolCall, Usage
from .vendor import Vendor
from .wire import LENGTHS, functions, member, narrowed, tokens

if TYPE_CHECKING:
    import httpx
    from ollama import Client

_BYTES_PER_TOKEN = 3  # rather fewer than in English, so that rather more context is set
_MOST_CONTEXT = 131_072


class Ollama(Vendor):
    """``ollama:NAME``. Its context is set to hold each question, for it cuts longer ones off without a word."""

    name = "ollama"

    def body(self, request: Request) -> Json:
        """The JSON body of the request. Reasons stand in the answer's schema, so that no further thinking is paid."""
        names = {call.id: call.name for message in request.messages for call in message.tool_calls}
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: Json = {
            "model": self.model,
            "messages": [*system, *(_turn(message, names) for message in request.messages)],
            "think": False,
            "options": {"temperature": 0, "seed": 0, "num_predict": request.max_tokens},
            "tools": functions(request.tools),  # the client sends the list even where it is empty
        }
        if request.answer is not None:
            body["format"] = narrowed(request.answer, LENGTHS)
        body["options"]["num_ctx"] = self._room(len(canonical_json(body)) // _BYTES_PER_TOKEN + request.max_tokens)
        return body

    def _room(self, needed: int) -> int:
        """Tokens of context for a question: doubled until it fits, so that the server loads few sizes of a model."""
        room = self._params.context_tokens
        while room < needed and room < _MOST_CONTEXT:
            room = min(2 * room, _MOST_CONTEXT)
        return room

    def _client(self, timeout: float, on_response: Callable[[httpx.Response], None] | None = None) -> Client:
        return vendors.ollama_client(self._params.base_url, timeout, on_response)

    def _whole(self, body: Mapping[str, Any], timeout: float) -> bytes:
        received: list[bytes] = []  # the client's own objects drop what they do not know
        with self._client(timeout, lambda response: received.append(response.read())) as client:
            client.chat(**body)
            return received[-1]

    def _streamed(self, body: Mapping[str, Any], timeout: float, on_text: OnText) -> Json | None:
        with self._client(timeout) as client:
            parts = client.chat(**body, stream=True)
            return _assembled((part.model_dump(exclude_unset=True) for part in parts), on_text)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """As ``Provider.read``.

        Raises:
            ValueError: it is not done, or not of the shape the vendor documents.
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


def _assembled(parts: Iterable[Json], on_text: OnText) -> Json | None:
    answer: Json = {}
    message: Json = {"role": "assistant", "content": ""}
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
        return None
    return {**answer, "message": message}


def _turn(message: Message, names: Mapping[str, str]) -> Json:
    turn: Json = {"role": message.role, "content": message.content}
    if message.role == "tool":
        turn["tool_name"] = names.get(message.tool_call_id, "")
    if message.tool_calls:
        turn["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments}} for call in message.tool_calls
        ]
    return turn
