"""What a person sees while a run works: bars on a terminal or in a notebook, lines elsewhere, nothing when quiet."""

import importlib.util
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import TimeRemainingColumn as Remaining
from rich.text import Text

from ...state.canonical import Json
from ...state.phrases import Advance, printable, silent
from .streams import Tolerant, standard_error

_SAID_AGAIN = 10.0  # seconds between two lines that tell how long the run will take, where there are no bars
_REMEMBERED = 40  # lines that were said


class Reporter:
    """Writes to standard error, so that standard output stays for results; nobody need be there to read it."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        file: Any = Tolerant(standard_error)
        self.console = Console(file=file, highlight=False, soft_wrap=True, emoji=False)
        self.cost: Callable[[], str] | None = None  # what the language model has cost so far
        self._ends: float | None = None  # when the whole run is expected to, by the monotonic clock
        self._forecast_said = -_SAID_AGAIN

    def expect(self, seconds: float | None) -> None:
        """How long the run is still expected to take; None where nobody knows."""
        self._ends = None if seconds is None else time.monotonic() + seconds

    def _left(self) -> str:
        """The rest of the run in words."""
        return "" if self._ends is None else f"run: {rounded(self._ends - time.monotonic())} left"

    def say(self, text: str, style: str = "") -> None:
        """One line; words of the data or of a model in it are no markup, and steer no terminal."""
        if not self.quiet:
            self.console.print(printable(text), style=style, markup=False)

    @contextmanager
    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Iterator[Advance]:
        """A step that may take a while; yields how to report items done.

        On a terminal, or in a notebook that has widgets: a live bar with rate and remaining time, that goes when the
        step ends. Elsewhere: a line at the start and, if it took over two seconds, one at the end. Both tell how long
        the whole run is expected to take, where that is known. A step that the language model was paid for ends in a
        line with the cost so far in either case.
        """
        if self.quiet:
            yield silent
            return
        started = time.monotonic()
        cost = None if self.cost is None else self.cost()
        done = 0

        def count(items: int) -> None:
            nonlocal done
            done += items

        if bars := self._shows_bars():
            with Progress(*self._columns(), console=self.console, transient=True) as bar:
                task = bar.add_task(name, total=total, rate="")

                def advance(items: int) -> None:
                    count(items)
                    rate = done / max(time.monotonic() - started, 1e-9)
                    bar.update(task, advance=items, rate=f"{speed(rate)} {unit}/s")

                yield advance
        else:
            self.say(f"{name} …{self._now_and_then()}")
            yield count
        took = time.monotonic() - started
        now = None if self.cost is None else self.cost()
        spent = "" if now is None or now == cost else f", {now} so far"
        long = took > 2 and not bars
        if long or spent:
            rate = f", {speed(done / took)} {unit}/s" if done and long else ""
            self.say(f"{name} done in {took:.1f} s{rate}{spent}", "dim" if bars else "")

    def _now_and_then(self) -> str:
        """The rest of the run, for a line, unless it was said a moment ago."""
        if self._ends is None or time.monotonic() - self._forecast_said < _SAID_AGAIN:
            return ""
        self._forecast_said = time.monotonic()
        return f" ({self._left()})"

    def _columns(self) -> list[ProgressColumn]:
        columns: list[ProgressColumn] = [
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            Remaining(),
        ]
        columns += [] if self._ends is None else [_Words(self._left)]
        return columns if self.cost is None else [*columns, _Words(self.cost)]

    def _shows_bars(self) -> bool:
        """Whether a bar can be drawn; rich draws it in a notebook only with ipywidgets, and warns without."""
        if self.console.is_jupyter:
            return importlib.util.find_spec("ipywidgets") is not None
        return self.console.is_terminal


class Telling(Reporter):
    """A reporter that also lets the page know how far a step has come, and what was said."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet)
        self.lines: list[str] = []
        self.now: Json | None = None

    def say(self, text: str, style: str = "") -> None:
        """One line, on the terminal and on the page."""
        self.lines = [*self.lines, text][-_REMEMBERED:]
        super().say(text, style)

    @contextmanager
    def step(self, name: str, total: int | None = None, unit: str = "rows") -> Iterator[Advance]:
        """A step that may take a while, as for every reporter."""
        outer, done = self.now, 0
        self.now = {"step": name, "done": 0, "total": total, "unit": unit, "since": time.time()}
        try:
            with super().step(name, total, unit) as advance:

                def both(items: int) -> None:
                    nonlocal done
                    done += items
                    if self.now is not None:
                        self.now = {**self.now, "done": done}
                    advance(items)

                yield both
        finally:
            self.now = outer


class _Words(ProgressColumn):
    """What was spent so far or is still to come, asked anew at every refresh: answers may be long in coming."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        return Text(self._words())


def rounded(seconds: float) -> str:
    """A time as precise as a forecast is: in words."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {round(seconds, -1):.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def speed(rate: float) -> str:
    """A rate with two decimals when it is small and none when it is large."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"
