"""Chat completions, as OpenAI and every server that calls itself compatible speak them, and OpenAI's batches."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from ...state.config import LlmParams
from ...tools.vectors import vendors
from ...tools.vectors.net import Fault
from . import Message, OnText, Reply, Request, StopReason, ToolCall, Usage
from .wire import BOUNDS, member, narrowed, sound, storable, tokens

_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}
_UNDER_WAY = ("validating", "in_progress", "finalizing", "cancelling")
_ENDPOINT: Final = "/v1/chat/completions"


class OpenAI:
    """``openai:NAME``, at OpenAI's server or any that ``llm.base_url`` names."""

    name = "openai"

    def __init__(self, model: str, params: LlmParams) -> None:
        self.model = model
        self._base_url = params.base_url
        # By the configuration alone, not by the environment: the auditor makes the same body elsewhere.
        official = params.base_url is None or urlsplit(params.base_url).hostname == "api.openai.com"
        self._bound = "max_completion_tokens" if official else "max_tokens"

    @property
    def local(self) -> bool:
        """Whether texts stay on this machine."""
        return vendors.stays_local("openai", self.model, self._base_url)

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of the request; the system text comes first, where the provider caches what is alike."""
        system = [{"role": "system", "content": request.system}] if request.system else []
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [*system, *(_turn(message) for message in request.messages)],
            self._bound: request.max_tokens,
        }
        if request.answer is not None:
            form = {"name": request.kind, "strict": True, "schema": narrowed(request.answer, BOUNDS)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if request.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in request.tools
            ]
        return body

    def ready(self) -> None:
        """See, without a request, that the provider can be asked.

        Raises:
            MissingExtraError: the vendor's package is not installed.
            ModelError: nothing listens at the address.
            UsageError: the key is not in the environment, or the address is not one.
        """
        vendors.openai_client(self._base_url, 1.0).close()
        vendors.reach("openai", self._base_url)

    def send(self, body: Mapping[str, Any], timeout: float, on_text: OnText | None = None) -> dict[str, Any]:
        """One attempt, ``timeout`` in seconds; the answer as plain JSON.

        Raises:
            Fault: the attempt failed.
            MissingExtraError: the vendor's package is not installed.
            UsageError: the key is not in the environment.
        """
        with vendors.faults("openai", self._base_url), vendors.openai_client(self._base_url, timeout) as client:
            completions = client.chat.completions
            if on_text is None:
                return sound(completions.with_raw_response.create(**body).content, self.read)
            with completions.create(**body, stream=True, stream_options={"include_usage": True}) as stream:
                chunks = (chunk.to_dict(mode="json", warnings=False) for chunk in stream)
                return sound(assembled(chunks, on_text), self.read)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """What a stored answer says.

        Raises:
            ValueError: it is not of the shape the vendor documents.
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

    def count(self, body: Mapping[str, Any], timeout: float) -> int | None:
        """None: OpenAI does not count."""
        return None

    def submit(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> str:
        """Hand in a batch of bodies by request hash; returns the batch's id.

        Raises:
            Fault: the attempt failed.
        """
        lines = [
            orjson.dumps({"custom_id": sha, "method": "POST", "url": _ENDPOINT, "body": body})
            for sha, body in bodies.items()
        ]
        with vendors.faults("openai", self._base_url), vendors.openai_client(self._base_url, timeout) as client:
            file = client.files.create(file=("questions.jsonl", b"\n".join(lines)), purpose="batch")
            batch = client.batches.create(input_file_id=file.id, endpoint=_ENDPOINT, completion_window="24h")
            return str(member(batch.to_dict(), "id", str))

    def collect(self, batch: str, timeout: float) -> dict[str, dict[str, Any]] | None:
        """The answers of a batch by request hash (failed ones are missing), or None while it is in progress.

        Raises:
            Fault: the attempt failed.
        """
        with vendors.faults("openai", self._base_url), vendors.openai_client(self._base_url, timeout) as client:
            state = client.batches.retrieve(batch)
            if state.status in _UNDER_WAY:
                return None
            if state.output_file_id is None:  # none succeeded
                return {}
            answers = {}
            for line in client.files.content(state.output_file_id).content.splitlines():
                item = orjson.loads(line)
                response = member(item, "response", dict)
                if response.get("status_code") == 200:
                    with contextlib.suppress(Fault):  # it counts as failed, and is asked again by itself
                        answers[member(item, "custom_id", str)] = sound(member(response, "body", dict), self.read)
            return answers


def _turn(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
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


def assembled(chunks: Iterable[Mapping[str, Any]], on_text: OnText) -> dict[str, Any]:
    """The answer that a stream's chunks make up.

    Raises:
        ValueError: the stream ended before the answer did.
    """
    answer: dict[str, Any] = {}
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": None}
    message = choice["message"]
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
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
        raise ValueError("the stream ended before the answer did")
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return {**answer, "object": "chat.completion", "choices": [choice]}


def _grow(calls: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Put a piece of a tool call to what is there of it."""
    call = calls.setdefault(piece["index"], {"function": {"name": "", "arguments": ""}})
    call |= {key: value for key, value in piece.items() if key not in ("index", "function") and value is not None}
    function = piece.get("function") or {}
    for key in ("name", "arguments"):
        call["function"][key] += function.get(key) or ""
