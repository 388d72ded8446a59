"""Anthropic's Messages API: structured answers, tools, streaming, prompt caching, token counts and batches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ...state.canonical import Json
from ...tools.vectors import vendors
from ...tools.vectors.net import Fault
from . import Message, OnText, Reply, Request, StopReason, ToolCall, Usage
from .vendor import BatchVendor
from .wire import BOUNDS, member, narrowed, tokens

if TYPE_CHECKING:
    from anthropic import Anthropic as Client

_STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "tool_use": "tool_use",
}
# Deltas of a stream: which of its keys is put to the end of which key of the block.
_GROWS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


class Anthropic(BatchVendor):
    """``anthropic:NAME``. Its models take no temperature."""

    name = "anthropic"

    def body(self, request: Request) -> Json:
        """The JSON body of the request. The system text, and the tools before it, are marked for the cache."""
        body: Json = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "messages": _turns(request.messages),
        }
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}]
        if request.answer is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": narrowed(request.answer, BOUNDS)}}
        if request.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in request.tools
            ]
        return body

    def _client(self, timeout: float) -> Client:
        return vendors.anthropic_client(self._params.base_url, timeout)

    def _whole(self, body: Mapping[str, Any], timeout: float) -> str:
        with self._client(timeout) as client:
            return client.messages.with_raw_response.create(**body).text()

    def _streamed(self, body: Mapping[str, Any], timeout: float, on_text: OnText) -> Json | None:
        with self._client(timeout) as client, client.messages.create(**body, stream=True) as stream:
            return _assembled((event.to_dict(mode="json", warnings=False) for event in stream), on_text)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """As ``Provider.read``."""
        text = ""
        calls = []
        for block in member(answer, "content", list):
            kind = member(block, "type", str)
            if kind == "text":
                text += member(block, "text", str)
            elif kind == "tool_use":
                arguments = member(block, "input", dict)
                calls.append(
                    ToolCall(id=member(block, "id", str), name=member(block, "name", str), arguments=arguments)
                )
        usage = member(answer, "usage", dict)
        return Reply(
            text=text,
            tool_calls=tuple(calls),
            stop_reason=_STOPS.get(member(answer, "stop_reason", str), "other"),
            usage=Usage(
                input_tokens=tokens(usage, "input_tokens"),
                output_tokens=tokens(usage, "output_tokens"),
                cache_write_tokens=tokens(usage, "cache_creation_input_tokens"),
                cache_read_tokens=tokens(usage, "cache_read_input_tokens"),
            ),
            model=member(answer, "model", str),
        )

    def count(self, body: Mapping[str, Any], timeout: float) -> int | None:
        """As ``Provider.count``; None at a server that does not know how to."""
        asked = {key: value for key, value in body.items() if key != "max_tokens"}
        try:
            with self._faults(), self._client(timeout) as client:
                counted = orjson.loads(client.messages.with_raw_response.count_tokens(**asked).text())
                return tokens(counted, "input_tokens") or None
        except Fault as fault:
            if fault.status == 404:
                return None
            raise

    def _hand_in(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> Json:
        requests: Any = [{"custom_id": sha, "params": body} for sha, body in bodies.items()]
        with self._client(timeout) as client:
            return client.messages.batches.create(requests=requests).to_dict()

    def _results(self, batch: str, timeout: float) -> list[str] | None:
        if not re.fullmatch(r"[\w-]{1,200}", batch):
            raise Fault("permanent", "the server's name for the batch is not one")
        with self._client(timeout) as client:
            if client.messages.batches.retrieve(batch).processing_status != "ended":
                return None
            # Not by the address the server names for it, to which the client would take the key.
            return client.get(f"/v1/messages/batches/{batch}/results", cast_to=str).splitlines()

    def _succeeded(self, item: Json) -> Json | None:
        result = member(item, "result", dict)
        return member(result, "message", dict) if result.get("type") == "succeeded" else None


def _assembled(parts: Iterable[Json], on_text: OnText) -> Json | None:
    answer: Json = {}
    arguments: dict[int, str] = {}
    for event in parts:
        match event["type"]:
            case "message_start":
                answer = dict(event["message"])
            case "content_block_start":
                answer["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                block, delta = answer["content"][event["index"]], event["delta"]
                if (key := _GROWS.get(delta["type"])) is not None:
                    block[key] += delta[key]
                elif delta["type"] == "input_json_delta":
                    arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
                if delta["type"] == "text_delta":
                    on_text(delta["text"])
            case "message_delta":
                answer |= event["delta"]
                answer["usage"] |= {key: value for key, value in event["usage"].items() if value is not None}
            case "message_stop":
                for index, text in arguments.items():
                    answer["content"][index]["input"] = json.loads(text or "{}")
                return answer
    return None


def _turns(messages: tuple[Message, ...]) -> list[Json]:
    """The messages; answers of tools stand together in one message of the user's."""
    turns: list[Json] = []
    for message in messages:
        if message.role == "tool":
            result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
            if turns and turns[-1]["role"] == "user" and isinstance(turns[-1]["content"], list):
                turns[-1]["content"].append(result)
            else:
                turns.append({"role": "user", "content": [result]})
        elif message.tool_calls:
            blocks: list[Json] = [{"type": "text", "text": message.content}] if message.content.strip() else []
            for call in message.tool_calls:
                blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
            turns.append({"role": message.role, "content": blocks})
        else:
            turns.append({"role": message.role, "content": message.content})
    return turns
