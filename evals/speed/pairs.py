"""One comparison with a peer: measured in pairs, as a line of the table."""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ..table import Cell

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Plan:
    """``rows`` of a comparison, ``repeats`` of each pair, ``seed`` of what is made up, the folder of the data sets."""

    rows: int = 200_000
    repeats: int = 3
    seed: int = 0
    data: Path | None = None


@dataclass(frozen=True)
class Measured(Generic[T, U]):
    """Median seconds of both, the median over the pairs of how many times faster ours is, and what the last gave."""

    ours: float
    theirs: float
    faster: float
    result: T
    peer: U


@dataclass(frozen=True)
class Line:
    """A comparison: ``faster`` has to reach ``bar``, and ``quality`` (a figure of ours, or both) holds if ``good``.

    ``seconds`` are those of ours and of the peer; None where the peer is not installed. ``note`` says how it was
    measured.
    """

    name: str
    size: str
    peer: str
    seconds: tuple[float, float] | None
    faster: float | None
    bar: float
    quality: str
    good: bool | None
    note: str

    @property
    def met(self) -> str | None:
        """Whether the bar of speed and that of quality are met; None where there was no peer."""
        if self.faster is None or self.good is None:
            return None
        return "yes" if self.faster >= self.bar and self.good else "no"

    def cells(self) -> tuple[Cell, ...]:
        """The line under ``COLUMNS``."""
        ours, theirs = (round(one, 2) for one in self.seconds) if self.seconds else (None, None)
        faster = None if self.faster is None else round(self.faster, 1)
        return self.name, self.size, self.peer, ours, theirs, faster, f"≥ {self.bar:g}", self.quality, self.met


COLUMNS = ("what", "size", "peer", "Recryst s", "peer s", "times faster", "bar", "result", "met")


def paired(ours: Callable[[], T], theirs: Callable[[], U], repeats: int, scale: float = 1.0) -> Measured[T, U]:
    """Both in turn, ``repeats`` times; ``scale`` is how many times more work the whole is than what the peer did.

    A machine that is busy is so for both of a pair; the median over pairs leaves out the one in which it was not.
    """
    times: list[tuple[float, float]] = []
    for _ in range(repeats):
        (mine, result), (other, peer) = timed(ours), timed(theirs)
        times.append((mine, other * scale))
    columns: Sequence[Sequence[float]] = list(zip(*times, strict=True))
    faster = statistics.median(other / mine for mine, other in times)
    return Measured(statistics.median(columns[0]), statistics.median(columns[1]), faster, result, peer)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """The seconds of ``work``, and what it gives."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def versioned(package: str) -> str:
    """A package with its version, as a table names it."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} (not installed)"
