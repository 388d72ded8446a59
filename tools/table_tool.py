"""How a capability works on a table. Each module whose capability does so ends in one ``TOOL``."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from ..state.canonical import Json
from ..state.phrases import Advance
from ..state.rows import Removal


class Noted(NamedTuple):
    """A table, and what a person is to know of how it was made."""

    table: pl.DataFrame
    notes: list[str]


@dataclass(frozen=True)
class TableTool:
    """What a tool does to a table. One of the three is set, but that a tool which marks rows may also take them out.

    - ``on_table``: from a whole frame (with a ``text``, ``vector`` or ``cluster`` column, as the description says), the
      parameters and a seed to a frame with columns added or rows taken out (``Noted`` where there is something to be
      said of it), or to a dictionary of figures.
    - ``annotate``: each row by itself, so that a table is worked on batch by batch: from rows to columns of n
      rows. A column called ``text`` is the text anew, and takes the place of the table's.
    - ``removals``: from all rows (perhaps memory maps) to the rows that go. Its second argument are the parameters, its
      third is told the rows done.

    Rows are a frame of ``text``, ``content`` (what rows are compared by: strings, as ``content.content_of`` gives
    them, or the text) and ``empty_answer`` (bool, null where rows have none).
    """

    name: str
    on_table: Callable[[pl.DataFrame, Any, int], pl.DataFrame | Noted | Json] | None = None
    annotate: Callable[[pl.DataFrame, Any], pl.DataFrame] | None = None
    removals: Callable[[pl.DataFrame, Any, Advance], list[Removal]] | None = None
    needs: str = "text"  # the column the table must have; "": the tool says so itself
    options: tuple[str, ...] = ()  # parameters that are options of the command too
