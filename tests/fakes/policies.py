"""Minds for the fake server: a policy turns what was asked into an answer, the same for every vendor."""

from typing import Any

from llm_wire import Answer, Asked, ToolUse


def schema_filler(asked: Asked) -> Any:
    """The least answer that follows the schema: first of an enum, smallest number, no more items than must be."""
    if asked.schema is None:
        return "Yes."
    return fill(asked.schema, asked.schema)


def tool_caller(asked: Asked) -> Any:
    """Calls each tool on offer once, then says so."""
    if asked.tools and not any(turn.role == "tool" for turn in asked.messages):
        return Answer(text="I shall look.", tools=tuple(ToolUse(name, {}) for name in asked.tools), stop="tool_use")
    return "Done."


def fill(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """The least value that follows a schema; bounds are honoured where they stand in it."""
    if "$ref" in schema:
        return fill(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "anyOf" in schema:
        return fill(schema["anyOf"][0], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {key: fill(item, root) for key, item in schema.get("properties", {}).items()}
        case "array":
            return [fill(schema["items"], root) for _ in range(schema.get("minItems", 0))]
        case "string":
            return "a word".ljust(schema.get("minLength", 0), "d")
        case "integer":
            return int(schema.get("minimum", 0))
        case "number":
            return float(schema.get("minimum", 0.0))
        case "boolean":
            return False
    return None


# By the names that ``llm_server.py --policy`` takes.
POLICIES = {"schema_filler": schema_filler, "tool_caller": tool_caller}
