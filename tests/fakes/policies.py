"""Policies for the fake server: a policy turns what was asked into an answer, the same for every vendor."""

from typing import Any

from llm_wire import Answer, Asked, ToolUse


def schema_filler(asked: Asked) -> Any:
    """The least answer that follows the schema: first of an enum, smallest number, one item."""
    from recryst.agent.llm.scripted import completed

    return "Yes." if asked.schema is None else completed({"kind": "", "answer": asked.schema, "shown": {}}, {})


def tool_caller(asked: Asked) -> Any:
    """Calls each tool on offer once, then says so."""
    if asked.tools and not any(turn.role == "tool" for turn in asked.messages):
        return Answer(text="I shall look.", tools=tuple(ToolUse(name, {}) for name in asked.tools), stop="tool_use")
    return "Done."


# By the names that ``llm_server.py --policy`` takes.
POLICIES = {"schema_filler": schema_filler, "tool_caller": tool_caller}
