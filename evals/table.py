"""The result of an experiment: a table, where there is one its plot, and the command that makes it again."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from .plots.panels import Plot

Cell = str | int | float | None
T = TypeVar("T")
REPEATS = 3


@dataclass(frozen=True)
class Table:
    """``rows`` have one cell per column; ``notes`` say what a reader must know; ``command`` repeats the experiment.

    ``plot`` shows the figures.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    command: str = ""
    plot: Plot | None = None

    def numeric(self) -> list[bool]:
        """For each column whether it holds no words, and stands to the right."""
        return [all(not isinstance(row[at], str) for row in self.rows) for at in range(len(self.columns))]

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"### {self.title}", ""]
        if self.command:
            lines += [f"`{self.command}`", ""]
        lines.append(_line(self.columns))
        lines.append("|" + "|".join("--:" if right else "---" for right in self.numeric()) + "|")
        lines += [_line([shown(cell) for cell in row]) for row in self.rows]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The table as plain values, one object per row."""
        return {
            "title": self.title,
            "command": self.command,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "notes": list(self.notes),
        }


def fastest(work: Callable[[], T]) -> tuple[float, T]:
    """The least seconds of ``REPEATS`` runs of ``work``, and what it gives; another process may have had the core."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begun)
    return min(times), result


def shown(cell: Cell) -> str:
    """A cell as a person reads it."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.4g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
