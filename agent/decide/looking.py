"""A language model looks before it chooses: turns of questions and of tool calls, until it has chosen.

Who answers and who measures is handed in, so that the loop and the audit take the same turns. ``plainly`` takes them
one after the other; the loop has LangGraph do it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pydantic import BaseModel

from ...state.decision import Candidate, Look
from ..llm import Request
from .policy import Choice

NO_MORE = "no more looks in this round"
TIME_OVER = "the time for looks is over in this round"
MONEY_SHORT = "the budget covers no further look"
OVER = (TIME_OVER, MONEY_SHORT)  # what only the clock and the purse of the loop know; the audit takes it as logged


@dataclass(frozen=True)
class Call:
    """A tool that is to be called, by its name, and its arguments."""

    tool: str
    arguments: BaseModel


@dataclass(frozen=True)
class Turn:
    """A decision as far as it has come: the question that is put next, what was looked at so far, the calls that wait,
    and the choice once there is one."""

    request: Request
    questions: int = 0  # put so far
    looks: tuple[Look, ...] = ()
    calls: tuple[Call, ...] = ()
    last: bool = False  # the next answer has to choose
    choice: Choice | None = None


class Tools(Protocol):
    """What may be looked at."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates, with what was measured of them so far, and those that a look has added."""

    def over(self, turn: Turn, taken: int) -> str:
        """Why nothing more may be looked at after so many looks, one of ``OVER``; empty: it may."""

    def look(self, call: Call) -> Look:
        """Carry a call out; one that is not possible is refused in a sentence."""

    def measure(self, name: str) -> None:
        """Measure the candidate of that id, if it can be and was not yet."""

    def measure_all(self) -> None:
        """Measure every candidate that can be, as rules have it done before they choose."""


Step: TypeAlias = Callable[[Turn], Turn]
#: Takes turns from the first to the one with a choice: ``ask`` puts the question, ``look`` carries out what it calls.
Drive: TypeAlias = Callable[[Step, Step, Turn], Turn]


@dataclass(frozen=True)
class Looking:
    """What a policy may look at, how often at most, and who takes the turns."""

    tools: Tools
    most: int
    drive: Drive


def plainly(ask: Step, look: Step, turn: Turn) -> Turn:
    """One turn after the other."""
    while turn.choice is None:
        turn = look(turn) if turn.calls else ask(turn)
    return turn
