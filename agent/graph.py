"""The cycle as a graph: each node carries out one step of the table in ``steps/cycle.py``.

LangGraph's state is only the number of the last event: what a run *is* lies in its log and store, so that
checkpoints are disposable. On resuming, the graph is placed after the last step the log knows.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

# Must be set before LangGraph is imported: a crafted checkpoint may otherwise run code when it is read.
os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
# LangGraph would send traces of a run to a server if the environment asked for it; nothing leaves this machine.
os.environ["LANGSMITH_TRACING"] = os.environ["LANGCHAIN_TRACING_V2"] = "false"

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Interrupt

from ..state.errors import StorageError, UsageError, storage_error
from ..state.log import last_step
from ..state.run import RunDirectory
from .account.forecast import seconds_left
from .cli.progress import Reporter
from .session import Session
from .steps.base import Step, run_step
from .steps.cycle import ANSWERS, DESCRIBE, EDGES, EXPERIMENT, FINISH, OVERRIDE, PREPARE, STEPS, answered, following
from .view import View

STUDIO_RUN = "RECRYST_RUN"  # names the folder of the run that LangGraph Studio opens
STUDIO_CLAIM = ExitStack()  # until the process ends


class GraphState(TypedDict):
    """All that LangGraph keeps: the number of the last event."""

    seq: int


def build(session: Callable[[], Session], start: str = PREPARE[0].name) -> StateGraph[Any, Any, Any, Any]:
    """The graph of one run: each node does a step of the session and returns the number of its event.

    Args:
        session: gives the run, once a step is carried out.
        start: the step to begin with.
    """
    graph = StateGraph(GraphState)
    for name, step in STEPS.items():
        graph.add_node(name, _node(session, step))
    graph.add_edge(START, start)
    for before, after in EDGES.items():
        graph.add_edge(before, END if after is None else after)
    graph.add_conditional_edges("approve", lambda state: answered(session().view), list(ANSWERS))
    return graph


def _node(session: Callable[[], Session], step: Step[Any]) -> Any:
    def node(state: GraphState) -> GraphState:
        run = session()
        run.reporter.expect(seconds_left(run.view, step.name))
        run_step(step, run)
        return {"seq": run.view.seq - 1}

    return node


def studio() -> Any:
    """The graph for LangGraph Studio, as `langgraph.json` names it: of the run that the environment names, from where
    its log ends. Without one it can be looked at and not run. Each call makes it anew; the run is owned from its first
    step until the process ends.

    Raises:
        UsageError: there is no run in the folder that the environment names.
        IntegrityError: the log was changed.
    """
    root, start = os.environ.get(STUDIO_RUN), None
    if root is not None and last_step(RunDirectory.open(Path(root)).log):
        start = following(View.open(Path(root)))
    return build(_of_studio, (start or PREPARE[0]).name).compile()


@cache
def _of_studio() -> Session:
    """The run that Studio works on, owned by this process."""
    root = os.environ.get(STUDIO_RUN)
    if root is None:
        raise UsageError(f"set {STUDIO_RUN} to the folder of a run: `recryst chat DATA --out RUN` makes one")
    directory = RunDirectory.open(Path(root))
    STUDIO_CLAIM.enter_context(directory.lock())
    session = Session(directory, Reporter())
    if session.state.last == FINISH[-1].name:
        raise UsageError(f"{root} has ended: there is no step to run")
    session.start()
    return session


def run(session: Session) -> bool:
    """Run the graph to its end, from the beginning or from wherever the log stands.

    Returns:
        False if a proposal waits for a person's answer, which only ``recryst chat`` takes.

    Raises:
        StorageError: the disk is full or not writable; what was recorded before stands.
    """
    with placed(session) as cycle:
        cycle.go_on()
        return cycle.waiting is None


class Cycle:
    """The graph of one run. ``waiting`` is the proposal a person is asked about, as LangGraph's interrupt, or None."""

    def __init__(self, session: Session, saver: SqliteSaver) -> None:
        self.waiting: Interrupt | None = None
        self._session = session
        self._graph: Any = build(lambda: session).compile(checkpointer=saver)
        self._config: Any = {
            "configurable": {"thread_id": f"{session.run_id}-{session.attempt}"},
            "recursion_limit": _most_steps(session.config.stop.max_rounds),
        }

    def go_on(self, answer: dict[str, Any] | None = None) -> None:
        """Run to the next proposal or to the end: after the last step the log knows, or with an answer to ``waiting``.

        Raises:
            StorageError: the disk is full or not writable; what was recorded before stands.
        """
        with _on_disk(self._session):
            start: Any = {"seq": self._session.view.seq - 1} if answer is None else Command(resume=answer)
            if answer is None and (last := self._session.state.last):
                self._graph.update_state(self._config, start, as_node=last)
                if not self._graph.get_state(self._config).next:
                    return
                start = None  # goes on from where it was placed
            result = self._graph.invoke(start, self._config, durability="sync")
        self.waiting = next(iter(result.get("__interrupt__", ())), None)


def _most_steps(rounds: int) -> int:
    """How often a run of so many rounds passes a node of the graph at the most, with some to spare."""
    every = len(DESCRIBE) + len(EXPERIMENT) + len(OVERRIDE)
    return len(PREPARE) + (rounds + 1) * every + len(FINISH) + 10


@contextmanager
def placed(session: Session) -> Iterator[Cycle]:
    """The graph of a run with its checkpoints, open until the block ends.

    Raises:
        StorageError: the checkpoints cannot be written.
    """
    for path in session.run.root.glob(f"{session.run.checkpoints.name}*"):
        path.unlink()  # of an earlier process: only the log says where the run stands
    with _on_disk(session):
        connection = sqlite3.connect(session.run.checkpoints, check_same_thread=False)
    with closing(connection):
        yield Cycle(session, SqliteSaver(connection))


@contextmanager
def _on_disk(session: Session) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageError(f"cannot write {session.run.checkpoints}: {error}") from error
    except OSError as error:
        raise storage_error(error, error.filename or session.run.root, "working on") from error
