"""Faults on order: what can be wrong with an answer, and the good answers made bad."""

import json
from dataclasses import dataclass
from typing import Any

from llm_wire import Answer, walk

# What a fault does to a good answer; the rest are statuses, or done to the connection.
MUTATIONS = {
    "truncated", "refusal", "empty", "bad_enum", "unknown_id", "duplicate_key", "extra_key", "not_an_object", "deep",
    "prose",
}  # fmt: skip
CONNECTION = {"reset", "cut", "drip", "html", "not_json", "other_json", "list_json", "stream_error", "redirect"}


@dataclass(frozen=True)
class Failure:
    """A fault: a status (400, 401, 404, 408, 429, 500, 529 …), or one of ``MUTATIONS`` or ``CONNECTION``.

    ``retry_after`` is sent with a status; ``location`` is where ``redirect`` points.
    """

    what: int | str
    retry_after: float | str | None = None
    location: str = ""

    def __post_init__(self) -> None:
        assert isinstance(self.what, int) or self.what in MUTATIONS | CONNECTION, self.what


def mutated(answer: Answer, what: str, schema: dict[str, Any] | None) -> Answer:
    """A good answer made bad."""
    text = answer.text
    match what:
        case "truncated":
            return Answer(text[: max(1, len(text) // 2)], stop="length")
        case "refusal":
            return Answer("", stop="refusal")
        case "empty":
            return Answer("")
        case "prose":
            return Answer("Certainly! Here is what I think of it.")
        case "not_an_object":
            return Answer("[1, 2]")
        case "deep":
            return Answer('{"a":' * 40_000)
    try:
        value = json.loads(text)
    except ValueError:
        return answer
    if what == "bad_enum":
        return Answer(json.dumps(changed(value, enums(schema), "no_such_choice")))
    if what == "unknown_id":
        return Answer(json.dumps(changed(value, {"id", "ids", "candidate", "candidate_id"}, "ffffff")))
    first = next(iter(value))
    if what == "duplicate_key":
        return Answer(f"{{{json.dumps(first)}: {json.dumps(value[first])}, {text.strip()[1:]}")
    return Answer(json.dumps({**value, "surplus": "of no use"}))


def enums(schema: dict[str, Any] | None) -> set[str]:
    """The keys whose value, or whose items, the schema takes from an enum."""
    keys = set()
    for part in walk(schema):
        for key, item in part.get("properties", {}).items():
            if any("enum" in one or "$ref" in one for one in (item, item.get("items", {}))):
                keys.add(key)
    return keys


def changed(value: Any, keys: set[str], new: str) -> Any:
    """The value with every text under one of the keys replaced."""
    if isinstance(value, list):
        return [changed(item, keys, new) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        if key in keys and isinstance(item, str):
            result[key] = new
        elif key in keys and isinstance(item, list):
            result[key] = [new if isinstance(one, str) else changed(one, keys, new) for one in item] or [new]
        else:
            result[key] = changed(item, keys, new)
    return result
