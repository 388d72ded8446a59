"""What the three wire formats share: schemas made fit for a vendor, and answers held to plain, bounded values."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from ...state.canonical import Json, canonical_json
from ...tools.vectors.net import Fault
from . import Reply, ToolSpec

#: Keywords with which constrained decoding at the vendors, or at servers that speak as they do, refuses a schema.
BOUNDS = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems"),
    }
)
#: Ollama's grammars spell a bound on a text's length out, character by character.
LENGTHS = frozenset({"minLength", "maxLength", "pattern", "format"})

_NOT_DOCUMENTED = "the answer is not what the vendor documents"
_LEVELS_AROUND = 16  # more than an answer, or a tool call within a question, has around it where it is written
_MOST_TOKENS = 10**9  # no request comes near it


def narrowed(schema: Mapping[str, Any], bounds: frozenset[str]) -> Json:
    """The schema with ``bounds`` said in its descriptions, where the model may heed them, and defaults left out.

    The reader of the answer enforces what the vendor then does not.
    """
    kept = {key: value for key, value in schema.items() if key not in bounds and key not in ("default", "$defs")}
    if "$ref" in schema:  # nothing may stand beside a reference
        kept = {"$ref": schema["$ref"]}
    elif said := ", ".join(f"{key} {schema[key]}" for key in schema if key in bounds):
        kept["description"] = "; ".join(part for part in (schema.get("description"), said) if part)
    for key, part in schema.items():
        if key in ("properties", "$defs"):
            kept[key] = {name: narrowed(item, bounds) for name, item in part.items()}
        elif key == "items":
            kept[key] = narrowed(part, bounds)
        elif key == "anyOf":
            kept[key] = [narrowed(item, bounds) for item in part]
    return kept


def functions(tools: Iterable[ToolSpec]) -> list[Json]:
    """Tools as OpenAI, and who speaks as it does, has them."""
    return [{"type": "function", "function": tool.model_dump()} for tool in tools]


def sound(data: bytes | str | Mapping[str, Any], read: Callable[[Mapping[str, Any]], Reply]) -> Json:
    """The answer as plain JSON, once it is known that ``read`` and the record can take it.

    Args:
        data: the body of the server's answer, or what was put together from a stream.
        read: the provider's reader.

    Raises:
        Fault: it is no JSON object, or not of the shape the vendor documents: a proxy's page, or half an answer.
    """
    try:
        value = orjson.loads(orjson.dumps(data) if isinstance(data, Mapping) else data)
        if isinstance(value, dict):
            read(value)
            return storable(value)
    except (ValueError, TypeError) as error:  # what orjson raises is one or the other
        raise Fault("unsure", _NOT_DOCUMENTED) from error
    raise Fault("unsure", _NOT_DOCUMENTED)


def storable(value: Json) -> Json:
    """The same object, once it is known that a record, or the next question, can hold it.

    Raises:
        ValueError: it is nested deeper than can be written.
    """
    around: Any = value
    for _ in range(_LEVELS_AROUND):
        around = [around]
    try:
        canonical_json(around)
    except (TypeError, RecursionError) as error:
        raise ValueError("it is nested too deep") from error
    return value


def member(value: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    """``value[key]``, which must be there and of that kind.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get(key), kind):
        raise ValueError(f"the answer has no {key}")
    return value[key]


def tokens(usage: Any, key: str) -> int:
    """A number of tokens; 0 where the server names none.

    Raises:
        ValueError: it is not a number, or beyond all bounds; a negative one would put money back into the purse.
    """
    value = usage.get(key) if isinstance(usage, Mapping) else None
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise ValueError(f"{key} is not a number of tokens")
    return value
