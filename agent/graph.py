"""The cycle, and nothing else.

LangGraph's state is only the number of the last event: what a run *is* lies in its log and store, so that
checkpoints are disposable. On resuming, the graph is placed after the last step the log knows.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Callable
from typing import Any, Literal, TypedDict

# Must be set before LangGraph is imported: a crafted checkpoint may otherwise run code when it is read.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
# LangGraph would send traces of a run to a server if the environment asked for it; nothing leaves this machine.
os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from ..state.errors import StorageError, storage_error
from .session import Session
from .steps import describe, experiment, finish, prepare

Step = Callable[[Session], None]

PREPARE: dict[str, Step] = {
    "load": prepare.load,
    "clean": prepare.clean,
    "filter": prepare.filter,
    "dedup": prepare.dedup,
    "hold_out": prepare.hold_out_anchor,
}
DESCRIBE: dict[str, Step] = {
    "embed": describe.embed,
    "cluster": describe.cluster,
    "reduce": describe.reduce,
    "score": describe.score,
    "baseline": experiment.baseline,
    "critique": describe.critique,
    "decide": experiment.decide,
}
EXPERIMENT: dict[str, Step] = {"act": experiment.act, "measure": experiment.measure}
FINISH: dict[str, Step] = {
    "train": finish.train,
    "quantise": finish.quantise,
    "export": finish.export,
    "publish": finish.publish,
}
STEPS: dict[str, Step] = {**PREPARE, **DESCRIBE, **EXPERIMENT, **FINISH}


class GraphState(TypedDict):
    """All that LangGraph keeps: the number of the last event."""

    seq: int


def build(session: Session) -> StateGraph[Any, Any, Any, Any]:
    """The graph of one run: each node does a step of the session and returns the number of its event."""
    graph = StateGraph(GraphState)
    for name, step in STEPS.items():
        graph.add_node(name, _node(session, step))
    _chain(graph, [START, *PREPARE, *DESCRIBE])
    _chain(graph, [*EXPERIMENT, "embed"])
    _chain(graph, [*FINISH, END])

    def decided(state: GraphState) -> Literal["act", "train"]:
        return "train" if session.state.values.get("stop_reason") else "act"

    graph.add_conditional_edges("decide", decided)
    return graph


def _node(session: Session, step: Step) -> Any:
    def node(state: GraphState) -> GraphState:
        step(session)
        return {"seq": session.log.next_seq - 1}

    return node


def _chain(graph: StateGraph[Any, Any, Any, Any], names: list[str]) -> None:
    for before, after in itertools.pairwise(names):
        graph.add_edge(before, after)


def run(session: Session) -> None:
    """Run the graph to its end, from the beginning or from wherever the log stands.

    Raises:
        StorageError: the disk is full or not writable; what was recorded before stands.
    """
    for path in session.run.root.glob(f"{session.run.checkpoints.name}*"):
        path.unlink()  # of an earlier process: only the log says where the run stands
    try:
        with SqliteSaver.from_conn_string(str(session.run.checkpoints)) as saver:
            _go_on(session, build(session).compile(checkpointer=saver))
    except sqlite3.OperationalError as error:
        raise StorageError(f"cannot write {session.run.checkpoints}: {error}") from error
    except OSError as error:
        raise storage_error(error, error.filename or session.run.root, "working on") from error


def _go_on(session: Session, graph: Any) -> None:
    """Place the graph after the last step the log knows, and run it from there."""
    config: Any = {
        "configurable": {"thread_id": f"{session.run_id}-{session.attempt}"},
        "recursion_limit": 20 + 12 * (session.config.stop.max_rounds + 1),
    }
    start: GraphState | None = {"seq": session.log.next_seq - 1}
    if session.state.last:
        graph.update_state(config, start, as_node=session.state.last)
        if not graph.get_state(config).next:
            return
        start = None
    graph.invoke(start, config, durability="sync")
