"""The result of an experiment: a table, and the command that makes it again."""

from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """``rows`` have one cell per column; ``notes`` say what a reader must know; ``command`` repeats the experiment."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    command: str = ""

    def markdown(self) -> str:
        """The table as Markdown, numbers to the right."""
        numeric = [all(not isinstance(row[at], str) for row in self.rows) for at in range(len(self.columns))]
        lines = [f"### {self.title}", ""]
        if self.command:
            lines += [f"`{self.command}`", ""]
        lines.append(_line(self.columns))
        lines.append("|" + "|".join("--:" if right else "---" for right in numeric) + "|")
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


def shown(cell: Cell) -> str:
    """A cell as a person reads it."""
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.4g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def _line(cells: Any) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
