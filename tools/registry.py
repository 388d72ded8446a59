"""The tools by name. Each tool module ends in one ``TOOL``, and that one registration serves every face.

Modules are imported when a tool is asked for, so that listing or running one command does not load them all.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import polars as pl

from ..state.config import Section
from ..state.errors import UsageError
from ..state.progress import Advance
from ..state.rows import Removal

_MODULES = {
    "clean": "text.clean",
    "language": "text.language",
    "filter": "text.filters",
    "dedup": "repeats.dedup",
    "decontaminate": "repeats.decontaminate",
    "embed": "vectors.embed",
    "semantic": "repeats.semantic",
    "cluster": "vectors.cluster",
    "reduce": "vectors.reduce",
    "score": "vectors.score",
    "probe": "judge.probe",
}
NAMES = tuple(_MODULES)


@dataclass(frozen=True)
class Tool:
    """A capability: its name and version, its input model, its result type, its function, and how it works on a table.

    Exactly one of the three is set, but that a tool which marks rows may both annotate and take out:

    - ``on_table``: from a whole frame (with a ``text``, ``vector`` or ``cluster`` column, as the description says), the
      parameters and a seed to a frame with columns added or rows taken out, or to a dictionary of figures.
    - ``annotate``: each row by itself, so that a table is worked on batch by batch: from texts (strings, [n]) to
      columns of n rows. A column called ``text`` is the text anew, and takes the place of the table's.
    - ``removals``: from the texts of all rows (strings, [n], perhaps a memory map) to the rows that go. Its second
      argument are the parameters, its third is told the rows done.
    """

    name: str
    version: int
    description: str
    params: type[Section]
    result: type
    run: Callable[..., Any]
    on_table: Callable[[pl.DataFrame, Any, int], pl.DataFrame | dict[str, Any]] | None = None
    annotate: Callable[[pl.Series, Any], pl.DataFrame] | None = None
    removals: Callable[[pl.Series, Any, Advance], list[Removal]] | None = None
    needs: str = "text"  # the column the table must have


def tool(name: str) -> Tool:
    """The tool of that name.

    Raises:
        UsageError: there is none; the nearest known name is given.
    """
    if name not in NAMES:
        nearest = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.0)
        raise UsageError(f"no tool is called {name!r}; did you mean {nearest[0]!r}?")
    found: Tool = import_module(f".{_MODULES[name]}", __package__).TOOL
    return found
