"""What a question to a language model asks and an answer says, whichever vendor's server it goes to."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CREATED = 1_760_000_000
STAMP = "2026-01-01T00:00:00Z"


# What an answer holds tells the kind of its question.
KINDS = {
    "candidate": "decide", "coherence": "critique", "same": "same_theme", "score": "quality", "labels": "label",
    "verdict": "judge", "about": "describe", "answer": "read",
}  # fmt: skip


@dataclass(frozen=True)
class ToolUse:
    """A tool call that a policy answers with."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """One message, in no vendor's words. ``answers`` is the id of the call that a ``tool`` turn answers."""

    role: str  # user | assistant | tool
    text: str
    tool_uses: tuple[ToolUse, ...] = ()
    answers: str = ""


@dataclass(frozen=True)
class Asked:
    """One request that reached the server. ``kind``: chat, embed, count, batch, file or content."""

    provider: str
    kind: str
    system: str = ""
    messages: tuple[Turn, ...] = ()
    schema: dict[str, Any] | None = None
    tools: tuple[str, ...] = ()
    max_tokens: int = 1 << 30
    body: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    batched: bool = False

    @property
    def text(self) -> str:
        """The last thing the user said."""
        return next((turn.text for turn in reversed(self.messages) if turn.role == "user"), "")

    @property
    def question(self) -> dict[str, Any]:
        """As a script of the product's ``scripted:`` provider has it."""
        first = next((turn.text for turn in self.messages if turn.role == "user"), "")
        try:
            shown = json.loads(first)
        except ValueError:
            shown = {}
        names = {name for part in walk(self.schema) for name in part.get("properties", {})}
        kind = "generate" if "examples" in shown else next((KINDS[name] for name in KINDS if name in names), "chat")
        messages = [{"role": turn.role, "content": turn.text} for turn in self.messages]
        question = {"kind": kind, "messages": messages, "answer": self.schema, "shown": shown, "said": self.text}
        return {**question, "tools": list(self.tools)}

    @property
    def said(self) -> str:
        """All the server was shown: system, messages, schema."""
        return "\n".join([self.system, *(turn.text for turn in self.messages), json.dumps(self.schema)])


@dataclass(frozen=True)
class Answer:
    """What the model says. ``stop``: end, length, refusal or tool_use."""

    text: str = ""
    tools: tuple[ToolUse, ...] = ()
    stop: str = "end"


@dataclass(frozen=True)
class Bill:
    """Tokens of one answer."""

    input: int
    output: int
    written: int = 0
    read: int = 0


class Refused(Exception):
    """The request breaks the vendor's rules: status 400."""


def digest(*parts: Any) -> str:
    """A name made from content, so that the same question gets the same id, streamed or not."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def need(condition: bool, sentence: str) -> None:
    if not condition:
        raise Refused(sentence)


def walk(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield schema
        for key in ("properties", "$defs"):
            for item in schema.get(key, {}).values():
                yield from walk(item)
        for key in ("items",):
            yield from walk(schema.get(key))
        for item in schema.get("anyOf", []):
            yield from walk(item)


def check_strict(schema: dict[str, Any], refused: set[str], all_required: bool) -> None:
    """What both vendors ask of a schema that decoding is to follow."""
    need(schema.get("type") == "object", "the root of the schema must be an object")
    for part in walk(schema):
        named = sorted(refused & part.keys())
        need(not named, f"schema keywords not supported: {', '.join(named)}")
        if part.get("type") == "object":
            need(part.get("additionalProperties") is False, "'additionalProperties' must be false")
            if all_required:
                need(set(part.get("required", [])) == set(part.get("properties", {})), "every property is required")


def pieces(text: str, size: int = 7) -> Iterator[str]:
    """The pieces a text is streamed in."""
    for start in range(0, len(text), size):
        yield text[start : start + size]


def vector(text: str, dimensions: int) -> list[float]:
    """Hashed words, unit length: equal texts have equal vectors, and texts that share words lie near each other."""
    values = [1e-3] * dimensions
    for word in text.lower().split():
        values[int(digest(word), 16) % dimensions] += 1.0
    norm = sum(value * value for value in values) ** 0.5
    return [value / norm for value in values]


def embeddings(provider: str, body: dict[str, Any], dimensions: int, tokens: int) -> dict[str, Any]:
    """The answer of ``/v1/embeddings`` or ``/api/embed``."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    size = body.get("dimensions") or dimensions
    vectors = [vector(text, size) for text in texts]
    if provider == "ollama":
        return {"model": body["model"], "embeddings": vectors, "total_duration": 1, "prompt_eval_count": tokens}
    need(bool(texts) and all(texts) and len(texts) <= 2048, "'$.input' is invalid")
    packed: list[Any] = vectors
    if body.get("encoding_format") == "base64":
        packed = [base64.b64encode(struct.pack(f"<{size}f", *one)).decode() for one in vectors]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": one} for index, one in enumerate(packed)],
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
