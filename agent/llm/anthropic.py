"""Anthropic's Messages API: structured answers, tools, streaming, prompt caching, token counts and batches."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from ...state.config import LlmParams
from ...tools.vectors import vendors
from ...tools.vectors.net import Fault
from . import Message, OnText, Reply, Request, StopReason, ToolCall, Usage
from .wire import BOUNDS, member, narrowed, sound, tokens

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


class Anthropic:
    """``anthropic:NAME``. Its models take no temperature."""

    name = "anthropic"

    def __init__(self, model: str, params: LlmParams) -> None:
        self.model = model
        self._base_url = params.base_url

    @property
    def local(self) -> bool:
        """Whether texts stay on this machine."""
        return vendors.stays_local("anthropic", self.model, self._base_url)

    def body(self, request: Request) -> dict[str, Any]:
        """The JSON body of the request. The system text, and the tools before it, are marked for the cache."""
        body: dict[str, Any] = {
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

    def ready(self) -> None:
        """See, without a request, that the provider can be asked.

        Raises:
            MissingExtraError: the vendor's package is not installed.
            ModelError: nothing listens at the address.
            UsageError: the key is not in the environment, or the address is not one.
        """
        vendors.anthropic_client(self._base_url, 1.0).close()
        vendors.reach("anthropic", self._base_url)

    def send(self, body: Mapping[str, Any], timeout: float, on_text: OnText | None = None) -> dict[str, Any]:
        """One attempt, ``timeout`` in seconds; the answer as plain JSON.

        Raises:
            Fault: the attempt failed.
            MissingExtraError: the vendor's package is not installed.
            UsageError: the key is not in the environment.
        """
        with vendors.faults("anthropic", self._base_url), vendors.anthropic_client(self._base_url, timeout) as client:
            if on_text is None:
                return sound(client.messages.with_raw_response.create(**body).text(), self.read)
            with client.messages.create(**body, stream=True) as stream:
                events = (event.to_dict(mode="json", warnings=False) for event in stream)
                return sound(assembled(events, on_text), self.read)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """What a stored answer says.

        Raises:
            ValueError: it is not of the shape the vendor documents.
        """
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
        """Input tokens of ``body`` as the provider counts them; None at a server that does not.

        Raises:
            Fault: the attempt failed.
        """
        asked = {key: value for key, value in body.items() if key != "max_tokens"}
        try:
            with (
                vendors.faults("anthropic", self._base_url),
                vendors.anthropic_client(self._base_url, timeout) as client,
            ):
                counted = orjson.loads(client.messages.with_raw_response.count_tokens(**asked).text())
                return tokens(counted, "input_tokens") or None
        except Fault as fault:
            if fault.status == 404:
                return None
            raise

    def submit(self, bodies: Mapping[str, Mapping[str, Any]], timeout: float) -> str:
        """Hand in a batch of bodies by request hash; returns the batch's id.

        Raises:
            Fault: the attempt failed.
        """
        requests: Any = [{"custom_id": sha, "params": body} for sha, body in bodies.items()]
        with vendors.faults("anthropic", self._base_url), vendors.anthropic_client(self._base_url, timeout) as client:
            return str(member(client.messages.batches.create(requests=requests).to_dict(), "id", str))

    def collect(self, batch: str, timeout: float) -> dict[str, dict[str, Any]] | None:
        """The answers of a batch by request hash (failed ones are missing), or None while it is in progress.

        Raises:
            Fault: the attempt failed.
        """
        if not re.fullmatch(r"[\w-]{1,200}", batch):
            raise Fault("permanent", "the server's name for the batch is not one")
        with vendors.faults("anthropic", self._base_url), vendors.anthropic_client(self._base_url, timeout) as client:
            if client.messages.batches.retrieve(batch).processing_status != "ended":
                return None
            # Not by the address the server names for it, to which the client would take the key.
            answers = {}
            for line in client.get(f"/v1/messages/batches/{batch}/results", cast_to=str).splitlines():
                item = orjson.loads(line)
                result = member(item, "result", dict)
                if result.get("type") == "succeeded":
                    with contextlib.suppress(Fault):  # it counts as failed, and is asked again by itself
                        answers[member(item, "custom_id", str)] = sound(member(result, "message", dict), self.read)
            return answers


def _turns(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """The messages; answers of tools stand together in one message of the user's."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
            if turns and turns[-1]["role"] == "user" and isinstance(turns[-1]["content"], list):
                turns[-1]["content"].append(result)
            else:
                turns.append({"role": "user", "content": [result]})
        elif message.tool_calls:
            blocks: list[dict[str, Any]] = (
                [{"type": "text", "text": message.content}] if message.content.strip() else []
            )
            for call in message.tool_calls:
                blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
            turns.append({"role": message.role, "content": blocks})
        else:
            turns.append({"role": message.role, "content": message.content})
    return turns


def assembled(events: Iterable[Mapping[str, Any]], on_text: OnText) -> dict[str, Any]:
    """The answer that a stream's events make up.

    Raises:
        ValueError: the stream ended before the answer did.
    """
    answer: dict[str, Any] = {}
    arguments: dict[int, str] = {}
    for event in events:
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
    raise ValueError("the stream ended before the answer did")
