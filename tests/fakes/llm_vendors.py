"""The wire formats of Anthropic, OpenAI and Ollama, as their servers speak them: questions in, answers out.

Written from the vendors' documentation and their clients' types, not from Recryst's own code, so that the two check
each other. What a vendor's server refuses, such as a schema with keywords it does not know, is refused here.
"""

import json
from collections.abc import Iterator
from typing import Any

from llm_wire import CREATED, STAMP, Answer, Asked, Bill, ToolUse, Turn, check_strict, digest, need, pieces, walk

# Keywords of a schema that the vendor refuses; Anthropic's ``minItems`` other than 0 and 1 is checked apart.
ANTHROPIC_REFUSED = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
    "maxItems", "uniqueItems", "oneOf", "default",
}  # fmt: skip
ANTHROPIC_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error",
}  # fmt: skip
ANTHROPIC_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal", "tool_use": "tool_use"}
OPENAI_REFUSED = {"minLength", "maxLength", "uniqueItems", "oneOf", "allOf", "default"}
OPENAI_STOPS = {"end": "stop", "length": "length", "refusal": "stop", "tool_use": "tool_calls"}


class AnthropicWire:
    """``POST /v1/messages``."""

    name = "anthropic"

    def asked(self, body: dict[str, Any], headers: dict[str, str], batched: bool = False) -> Asked:
        need(isinstance(body.get("model"), str), "model: field required")
        need(isinstance(body.get("max_tokens"), int), "max_tokens: field required")
        need("temperature" not in body, "temperature is deprecated for this model")
        need(bool(body.get("messages")) and body["messages"][0]["role"] == "user", "messages: first is the user's")
        need("anthropic-version" in headers or batched, "anthropic-version: header is required")
        system = body.get("system", "")
        if isinstance(system, list):
            system = "\n".join(block["text"] for block in system)
        schema = body.get("output_config", {}).get("format", {}).get("schema")
        if schema is not None:
            check_strict(schema, ANTHROPIC_REFUSED, all_required=False)
            need(all(part.get("minItems", 0) in (0, 1) for part in walk(schema)), "minItems: 0 and 1 are supported")
        turns = [turn for message in body["messages"] for turn in self._turns(message)]
        tools = tuple(tool["name"] for tool in body.get("tools", []))
        need(all("input_schema" in tool for tool in body.get("tools", [])), "tools: input_schema is required")
        return Asked(self.name, "chat", system, tuple(turns), schema, tools, body["max_tokens"], body, headers, batched)

    def _turns(self, message: dict[str, Any]) -> Iterator[Turn]:
        content = message["content"]
        need(message["role"] in ("user", "assistant"), f"messages: unexpected role {message['role']!r}")
        need(content not in ("", []), "messages: content must be non-empty")
        if isinstance(content, str):
            yield Turn(message["role"], content)
            return
        text = "".join(block["text"] for block in content if block["type"] == "text")
        need(all(block.get("text") != "" for block in content), "messages: text content blocks must be non-empty")
        uses = tuple(ToolUse(block["name"], block["input"]) for block in content if block["type"] == "tool_use")
        if text or uses:
            yield Turn(message["role"], text, uses)
        for block in content:
            if block["type"] == "tool_result":
                yield Turn("tool", block["content"], answers=block["tool_use_id"])

    def prefix(self, asked: Asked) -> str | None:
        """What ``cache_control`` marks for the cache, or None."""
        system = asked.body.get("system")
        blocks = [*asked.body.get("tools", []), *(system if isinstance(system, list) else [])]
        return asked.system + json.dumps(asked.tools) if any("cache_control" in block for block in blocks) else None

    def whole(self, asked: Asked, answer: Answer, bill: Bill) -> dict[str, Any]:
        name = digest(asked.body.get("model"), asked.said)
        content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
        for number, use in enumerate(answer.tools):
            content.append(
                {"type": "tool_use", "id": f"toolu_{name[:16]}{number}", "name": use.name, "input": use.arguments}
            )
        usage = {
            "input_tokens": bill.input,
            "cache_creation_input_tokens": bill.written,
            "cache_read_input_tokens": bill.read,
            "cache_creation": {"ephemeral_5m_input_tokens": bill.written, "ephemeral_1h_input_tokens": 0},
            "output_tokens": bill.output,
            "service_tier": "batch" if asked.batched else "standard",
        }
        return {
            "id": f"msg_{name}",
            "type": "message",
            "role": "assistant",
            "model": asked.body["model"],
            "content": content,
            "stop_reason": ANTHROPIC_STOPS[answer.stop],
            "stop_sequence": None,
            "usage": usage,
        }

    def stream(self, whole: dict[str, Any], usage: bool) -> Iterator[bytes]:
        start = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
        yield self._event({"type": "message_start", "message": start})
        yield self._event({"type": "ping"})
        for index, block in enumerate(whole["content"]):
            empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
            yield self._event({"type": "content_block_start", "index": index, "content_block": empty})
            kind, key = ("text_delta", "text") if block["type"] == "text" else ("input_json_delta", "partial_json")
            for piece in pieces(block["text"] if block["type"] == "text" else json.dumps(block["input"])):
                delta = {"type": kind, key: piece}
                yield self._event({"type": "content_block_delta", "index": index, "delta": delta})
            yield self._event({"type": "content_block_stop", "index": index})
        delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        spent = {"output_tokens": whole["usage"]["output_tokens"]}
        yield self._event({"type": "message_delta", "delta": delta, "usage": spent})
        yield self._event({"type": "message_stop"})

    def stream_error(self) -> bytes:
        return self._event(self.error(529, "Overloaded"))

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = ANTHROPIC_ERRORS.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def _event(self, value: dict[str, Any]) -> bytes:
        return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


class OpenAIWire:
    """``POST /v1/chat/completions``."""

    name = "openai"

    def asked(self, body: dict[str, Any], headers: dict[str, str], batched: bool = False) -> Asked:
        need(isinstance(body.get("model"), str), "you must provide a model parameter")
        need(bool(body.get("messages")), "messages: too few items")
        need(not {"max_tokens", "max_completion_tokens"} <= body.keys(), "one of the two bounds on tokens")
        form = body.get("response_format")
        schema = None
        if form is not None:
            need(form["type"] == "json_schema", "response_format: json_schema is what is spoken here")
            schema = form["json_schema"]["schema"]
            need(bool(form["json_schema"].get("name")), "response_format: name is required")
            if form["json_schema"].get("strict"):
                check_strict(schema, OPENAI_REFUSED, all_required=True)
        need("stream_options" not in body or body.get("stream") is True, "stream_options only when streaming")
        system = "\n".join(one["content"] for one in body["messages"] if one["role"] in ("system", "developer"))
        turns = [self._turn(one) for one in body["messages"] if one["role"] not in ("system", "developer")]
        calls = {use["id"] for one in body["messages"] for use in one.get("tool_calls", [])}
        need(all(turn.answers in calls for turn in turns if turn.role == "tool"), "a tool message answers no call")
        tools = tuple(tool["function"]["name"] for tool in body.get("tools", []))
        bound = body.get("max_completion_tokens", body.get("max_tokens", 1 << 30))
        return Asked(self.name, "chat", system, tuple(turns), schema, tools, bound, body, headers, batched)

    def _turn(self, message: dict[str, Any]) -> Turn:
        functions = [use["function"] for use in message.get("tool_calls", [])]
        uses = tuple(ToolUse(function["name"], json.loads(function["arguments"])) for function in functions)
        return Turn(message["role"], message["content"] or "", uses, message.get("tool_call_id", ""))

    def prefix(self, asked: Asked) -> str | None:
        """OpenAI caches by itself, from 1024 tokens on."""
        return asked.system if len(asked.system) >= 4096 else None

    def whole(self, asked: Asked, answer: Answer, bill: Bill) -> dict[str, Any]:
        name = digest(asked.body.get("model"), asked.said)
        refused = answer.stop == "refusal"
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if refused or (answer.tools and not answer.text) else answer.text,
            "refusal": (answer.text or "I cannot help with that.") if refused else None,
        }
        if answer.tools:
            message["tool_calls"] = [
                {
                    "id": f"call_{name[:16]}{number}",
                    "type": "function",
                    "function": {"name": use.name, "arguments": json.dumps(use.arguments)},
                }
                for number, use in enumerate(answer.tools)
            ]
        usage = {
            "prompt_tokens": bill.input + bill.read + bill.written,
            "completion_tokens": bill.output,
            "total_tokens": bill.input + bill.read + bill.written + bill.output,
            "prompt_tokens_details": {"cached_tokens": bill.read},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }
        return {
            "id": f"chatcmpl-{name}",
            "object": "chat.completion",
            "created": CREATED,
            "model": asked.body["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": OPENAI_STOPS[answer.stop]}],
            "usage": usage,
            "system_fingerprint": "fp_1",
        }

    def stream(self, whole: dict[str, Any], usage: bool) -> Iterator[bytes]:
        frame = {key: whole[key] for key in ("id", "created", "model", "system_fingerprint")}
        frame["object"] = "chat.completion.chunk"
        if usage:
            frame["usage"] = None

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return self._event({**frame, "choices": [choice]})

        message = whole["choices"][0]["message"]
        yield chunk({"role": "assistant", "content": None if message["content"] is None else "", "refusal": None})
        for key in ("content", "refusal"):
            for piece in pieces(message[key] or ""):
                yield chunk({key: piece})
        for number, call in enumerate(message.get("tool_calls", [])):
            opened = {**call, "index": number, "function": {**call["function"], "arguments": ""}}
            yield chunk({"tool_calls": [opened]})
            for piece in pieces(call["function"]["arguments"]):
                yield chunk({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
        yield chunk({}, whole["choices"][0]["finish_reason"])
        if usage:
            yield self._event({**frame, "choices": [], "usage": whole["usage"]})
        yield b"data: [DONE]\n\n"

    def stream_error(self) -> bytes:
        return self._event(self.error(500, "The server had an error while processing your request"))

    def error(self, status: int, message: str) -> dict[str, Any]:
        kind = "invalid_request_error" if status < 500 and status != 429 else "server_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def _event(self, value: dict[str, Any]) -> bytes:
        return f"data: {json.dumps(value)}\n\n".encode()


class OllamaWire:
    """``POST /api/chat``; it refuses nothing in a schema, and has neither refusals nor a cache to speak of."""

    name = "ollama"

    def asked(self, body: dict[str, Any], headers: dict[str, str], batched: bool = False) -> Asked:
        need(isinstance(body.get("model"), str), "model is required")
        turns = []
        for one in body["messages"]:
            functions = [use["function"] for use in one.get("tool_calls") or []]
            need(all(isinstance(call["arguments"], dict) for call in functions), "tool arguments: not an object")
            uses = tuple(ToolUse(call["name"], call["arguments"]) for call in functions)
            turns.append(Turn(one["role"], one.get("content") or "", uses, one.get("tool_name", "")))
        system = "\n".join(turn.text for turn in turns if turn.role == "system")
        form = body.get("format")
        schema = form if isinstance(form, dict) else None
        tools = tuple(tool["function"]["name"] for tool in body.get("tools") or [])
        bound = body.get("options", {}).get("num_predict", 1 << 30)
        said = tuple(turn for turn in turns if turn.role != "system")
        return Asked(self.name, "chat", system, said, schema, tools, bound, body, headers, batched)

    def prefix(self, asked: Asked) -> str | None:
        return None

    def whole(self, asked: Asked, answer: Answer, bill: Bill) -> dict[str, Any]:
        text = answer.text or "I cannot help with that." if answer.stop == "refusal" else answer.text
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if answer.tools:
            calls = [{"function": {"name": use.name, "arguments": use.arguments}} for use in answer.tools]
            message["tool_calls"] = calls
        return {
            "model": asked.body["model"],
            "created_at": STAMP,
            "message": message,
            "done": True,
            "done_reason": "length" if answer.stop == "length" else "stop",
            "total_duration": 1_000_000,
            "load_duration": 1000,
            "prompt_eval_count": bill.input,
            "prompt_eval_duration": 1000,
            "eval_count": bill.output,
            "eval_duration": 1000,
        }

    def stream(self, whole: dict[str, Any], usage: bool) -> Iterator[bytes]:
        frame = {"model": whole["model"], "created_at": whole["created_at"]}
        for piece in pieces(whole["message"]["content"]):
            yield self._line({**frame, "message": {"role": "assistant", "content": piece}, "done": False})
        for call in whole["message"].get("tool_calls", []):
            message = {"role": "assistant", "content": "", "tool_calls": [call]}
            yield self._line({**frame, "message": message, "done": False})
        yield self._line({**whole, "message": {"role": "assistant", "content": ""}})

    def stream_error(self) -> bytes:
        return self._line({"error": "an error was encountered while running the model"})

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"error": message}

    def _line(self, value: dict[str, Any]) -> bytes:
        return json.dumps(value).encode() + b"\n"


WIRES = {wire.name: wire for wire in (AnthropicWire(), OpenAIWire(), OllamaWire())}
