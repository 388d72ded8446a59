"""The turns of a decision as a LangGraph agent: the model is asked, the tools answer, until the model has chosen."""

from contextvars import Context
from typing import Any, TypedDict

from ...decide.looking import Step, Turn
from ...llm import DECISION_QUESTIONS


class _State(TypedDict):
    turn: Turn


def by_graph(ask: Step, look: Step, start: Turn) -> Turn:
    """Take the turns: the same as ``looking.plainly``, which the audit uses, for it does without LangGraph."""
    from langgraph.graph import END, START, StateGraph  # here: graph.py sets LangGraph's environment before

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(_State)
    graph.add_node("model", lambda state: {"turn": ask(state["turn"])})
    graph.add_node("tools", lambda state: {"turn": look(state["turn"])})
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", lambda state: "tools" if state["turn"].calls else END, ["tools", END])
    graph.add_edge("tools", "model")
    # Nothing of it is checkpointed: what was answered is on record, so that another process takes the same turns.
    agent = graph.compile(checkpointer=False)
    limit: Any = {"recursion_limit": 2 * DECISION_QUESTIONS + 2}
    # In a context of its own: the graph around it hands its durability down, which needs checkpoints.
    turn: Turn = Context().run(agent.invoke, {"turn": start}, limit)["turn"]
    return turn
