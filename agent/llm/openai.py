"""Chat completions, as OpenAI and every server that calls itself compatible speak them, and OpenAI's batches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from ...state.canonical import Json
from ...state.params.llm import LlmParams
from ...tools.vectors import vendors
from . import Message, OnText, Reply, Request, StopReason, ToolCall, Usage
from .vendor import BatchVendor
from .wire import BOUNDS, functions, member, narrowed, storable, tokens

if TYPE_CHECKING:
    from openai import OpenAI as Client

_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}
_UNDER_WAY = ("validating", "in_progress", "finalizing", "cancelling")
_ENDPOINT: Final = "/v1/chat/completions"


class OpenAI(BatchVendor):
    """``openai:NAME``, at OpenAI's server or any that ``llm.base_url`` names."""

    name = "openai"

    def __init__(self, model: str, params: LlmParams) -> None:
        super().__init__(model, params)
        # By the configuration alone, not by the environment: the auditor makes the same body elsewhere.
        official = params.base_url is None or urlsplit(params.base_url).hostname == "api.openai.com"
        self._bound = "max_completion_tokens" if official else "max_tokens"

    def body(self, request: Request) -> Json:
        """The JSON body of the request; the system text comes first, where the provider caches what is alike."""
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: Json = {
            "model": self.model,
            "messages": [*system, *(_turn(message) for message in request.messages)],
            self._bound: request.max_tokens,
        }
        if request.answer is not None:
            form = {"name": request.kind, "strict": True, "schema": narrowed(request.answer, BOUNDS)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if request.tools:
            body["tools"] = functions(request.tools)
        return body

    def _client(self, timeout: float) -> Client:
        return vendors.openai_client(self._params.base_url, timeout)

    def _whole(self, body: Mapping[str, Any], timeout: float) -> bytes:
        with self._client(timeout) as client:
            return client.chat.completions.with_raw_response.create(**body).content

    def _streamed(self, body: Mapping[str, Any], timeout: float, on_text: OnText) -> Json | None:
        options: Json = {**body, "stream_options": {"include_usage": True}}
        with self._client(timeout) as client, client.chat.completions.create(**options, stream=True) as stream:
            return _assembled((chunk.to_dict(mode="json", warnings=False) for chunk in stream), on_text)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """As ``Provider.read``.

        Raises:
            ValueError: it has no choices, or is not of the shape the vendor documents.
        """
        choices = member(answer, "choices", list)
        if not choices:
            raise ValueError("the answer has no choices")
        message = member(choices[0], "message", dict)
        calls = tuple(_call(call) for call in message.get("tool_calls") or ())
        stop = _STOPS.get(member(choices[0], "finish_reason", str), "other")
        usage = answer.get("usage")  # some compatible servers name none
        details = usage.get("prompt_tokens_details") if isinstance(usage, Mapping) else None
        read, written = tokens(details, "cached_tokens"), tokens(details, "cache_write_tokens")
        return Reply(
            text=member({"content": message.get("content") or ""}, "content", str),
            tool_calls=calls,
            stop_reason="refusal" if message.get("refusal") else "tool_use" if calls and stop == "end" else stop,
            usage=Usage(
                input_tokens=max(0, tokens(usage, "prompt_tokens") - read - written),
                output_tokens=tokens(usage, "completion_tokens"),
                cache_write_tokens=written,
                cache_read_tokens=read,
            ),
            model=member(answer, "model", str),
        )

    def _hand_in(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> Json:
        lines = [
            orjson.dumps({"custom_id": sha, "method": "POST", "url": _ENDPOINT, "body": body})
            for sha, body in bodies.items()
        ]
        with self._client(timeout) as client:
            file = client.files.create(file=("questions.jsonl", b"\n".join(lines)), purpose="batch")
            return client.batches.create(input_file_id=file.id, endpoint=_ENDPOINT, completion_window="24h").to_dict()

    def _results(self, batch: str, timeout: float) -> list[bytes] | None:
        with self._client(timeout) as client:
            state = client.batches.retrieve(batch)
            if state.status in _UNDER_WAY:
                return None
            if state.output_file_id is None:  # none succeeded
                return []
            return client.files.content(state.output_file_id).content.splitlines()

    def _succeeded(self, item: Json) -> Json | None:
        response = member(item, "response", dict)
        return member(response, "body", dict) if response.get("status_code") == 200 else None


def _assembled(parts: Iterable[Json], on_text: OnText) -> Json | None:
    answer: Json = {}
    choice: Json = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": None}
    message = choice["message"]
    calls: dict[int, Json] = {}
    for chunk in parts:
        answer |= {key: value for key, value in chunk.items() if key not in ("choices", "object", "usage")}
        if chunk.get("usage") is not None:
            answer["usage"] = chunk["usage"]
        for part in chunk.get("choices") or ():
            delta = part.get("delta") or {}
            choice |= {key: value for key, value in part.items() if key not in ("delta", "index")}
            for piece in delta.get("tool_calls") or ():
                _grow(calls, piece)
            for key, value in delta.items():
                if isinstance(value, str) and key != "role":
                    message[key] = (message.get(key) or "") + value
                else:
                    message.setdefault(key, value)
            if delta.get("content"):
                on_text(delta["content"])
    if choice["finish_reason"] is None:
        return None
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return {**answer, "object": "chat.completion", "choices": [choice]}


def _turn(message: Message) -> Json:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    turn: Json = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, sort_keys=True)},
            }
            for call in message.tool_calls
        ]
    return turn


def _call(call: Any) -> ToolCall:
    """A tool call. Arguments that are no JSON object are the model's mistake, which the tool's own check tells it."""
    function = member(call, "function", dict)
    written = member(function, "arguments", str)
    try:
        arguments = orjson.loads(written or "{}")
        readable = isinstance(arguments, dict) and storable(arguments) is arguments
    except ValueError:
        readable = False
    if not readable:
        arguments = {"unreadable": written[:200]}
    return ToolCall(id=member(call, "id", str), name=member(function, "name", str), arguments=arguments)


def _grow(calls: dict[int, Json], piece: Mapping[str, Any]) -> None:
    """Put a piece of a tool call to what is there of it."""
    call = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
    call |= {key: value for key, value in piece.items() if key not in ("index", "function") and value is not None}
    function = piece.get("function") or {}
    for key in ("name", "arguments"):
        call["function"][key] += function.get(key) or ""
