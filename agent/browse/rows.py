"""The rows of a run as the page lists them: searched, faceted, sorted and paged here, a browser holds one page."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ...state.canonical import Json, sha256_bytes
from ...state.errors import UsageError
from ...state.events import OpenSealed
from ...state.values import Role
from ...tools.write.reasons import in_words
from ..decide.proposals import Arguments
from ..view import View
from . import columns
from .meaning import Meaning
from .reader import Reader

Facet = Literal["status", "reason", "label", "source", "cluster", "language"]
FACETS: tuple[Facet, ...] = ("status", "cluster", "label", "source", "language", "reason")
_VALUES = 200  # of a facet that are listed, the commonest first
_EXCERPT = 400  # characters of a text in a list
_NEAREST = 200  # rows that a search by meaning finds
_SELECTIONS = 8  # that are remembered
_TABLES: tuple[Role, ...] = ("ledger", "rows", "relabelled", "assignments", "quality", "languages", "evidence")
_LISTED = ["row", "id", "text", "label", "was", "source", "status", "stage", "reason", "score", "threshold"]
_LISTED += ["twin", "cluster", "quality"]
_SORTS = ("row", "id", "text", "label", "source", "status", "reason", "score", "cluster", "quality", "length")


class Query(Arguments):
    """Which rows are asked for. ``selection`` names rows that were chosen on the map; ``at`` an earlier event."""

    search: str = Field("", max_length=500)
    filters: dict[str, list[str]] = Field(default_factory=dict)
    selection: str = ""
    near: str = Field("", description="a name that ``Meaning.place`` gave: the rows nearest to that, the nearest first")
    sort: str = ""
    descending: bool = False
    offset: int = Field(0, ge=0)
    limit: int = Field(100, ge=0, le=500)
    at: int | None = None

    @field_validator("filters")
    @classmethod
    def _known(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        for name in value:
            if name not in FACETS and not name.startswith(columns.PREFIX):
                raise PydanticCustomError("facet", "rows are filtered by a facet, or by column:NAME")
        return value


class Rows:
    """The table of the rows, and the selections made on it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.meaning = Meaning(reader)
        self._selections: OrderedDict[str, np.ndarray] = OrderedDict()

    def table(self, view: View) -> pl.DataFrame:
        """One line per row; ``status`` is kept, held out, sealed, synthetic or removed, ``found`` is searched.

        Sealed rows are not in it until the run has opened them: nothing looks at them before.
        """
        opened = any(isinstance(event, OpenSealed) for event in view.events)
        refs = tuple(view.state.artefacts.get(role) for role in _TABLES)
        return self._reader.made(("rows", opened, *refs), lambda: _table(view, opened))

    def select(self, rows: bytes) -> str:
        """Remember positions (uint32 [n], little-endian bytes); returns the name of the selection.

        Raises:
            UsageError: that are no positions.
        """
        if len(rows) % 4:
            raise UsageError("a selection is positions of four bytes each")
        chosen, name = np.unique(np.frombuffer(rows, dtype="<u4")), sha256_bytes(rows)[:16]
        self._selections[name] = chosen
        self._selections.move_to_end(name)
        while len(self._selections) > _SELECTIONS:
            self._selections.popitem(last=False)
        return name

    def found(self, query: Query, but: str | None = None) -> pl.DataFrame:
        """The rows that a query finds, in the order asked for; ``but``: a facet whose filter does not count.

        Raises:
            UsageError: the selection or the search by meaning is forgotten, or there is no such column to sort by.
        """
        view = self._reader.view(query.at)
        table = self.table(view)
        wanted = [pl.lit(True)]
        for word in query.search.lower().split():
            wanted.append(pl.col("found").str.contains(word, literal=True))
        for name, values in query.filters.items():
            if name == but or not values:
                continue
            own = name.startswith(columns.PREFIX)
            among = pl.lit(self.column(view, name).gather(table["row"])) if own else pl.col(name)
            wanted.append(among.cast(pl.String).fill_null("").is_in(values))
        if query.selection:
            if query.selection not in self._selections:
                raise UsageError("that selection is forgotten: select the rows again")
            chosen = pl.Series(self._selections[query.selection])
            wanted.append(pl.col("row").is_in(chosen.implode()))
        found = table.filter(pl.all_horizontal(wanted))
        if query.near:
            found = found.join(self.meaning.closeness(view, query.near), on="row").sort("closeness", descending=True)
            found = found.head(_NEAREST)
        if not query.sort:
            return found
        if query.sort not in _SORTS:
            raise UsageError(f"rows are sorted by one of {', '.join(_SORTS)}")
        by = pl.col("text").str.len_chars() if query.sort == "length" else pl.col(query.sort)
        return found.sort(by, descending=query.descending, nulls_last=True, maintain_order=True)

    def column(self, view: View, name: str) -> pl.Series:
        """A column of the input as strings, by position; the ``name`` as a filter has it. Empty: it has no value."""
        name = name.removeprefix(columns.PREFIX)
        key = ("filter", view.state.artefacts.get("originals"), view.ledger().height, name)
        return self._reader.made(key, lambda: columns.column(view, name).cast(pl.String).fill_null(""))

    def page(self, query: Query) -> Json:
        """Some of the rows found, and how many there are."""
        found = self.found(query)
        shown = found.select(*_LISTED, *(["closeness"] if query.near else [])).slice(query.offset, query.limit)
        shown = shown.with_columns(pl.col("text").str.slice(0, _EXCERPT))
        rows = shown.to_dicts()
        for row in rows:
            row["why"] = in_words(row["reason"]) if row["status"] == "removed" else ""
        return {"total": found.height, "offset": query.offset, "rows": rows}

    def facets(self, query: Query) -> Json:
        """How many rows have which value, each facet counted among the rows that the other filters leave."""
        listed = []
        own = [name for name in query.filters if name.startswith(columns.PREFIX)]
        view = self._reader.view(query.at)
        for name in (*FACETS, *own):
            found = self.found(query, but=name)
            among = self.column(view, name).gather(found["row"]).alias(name) if name in own else found[name]
            counted = among.cast(pl.String).fill_null("").value_counts(name="rows")
            counted = counted.sort("rows", name, descending=[True, False])
            if counted.height > 1 or query.filters.get(name):
                values = [{"value": value, "rows": rows} for value, rows in counted.head(_VALUES).iter_rows()]
                listed.append({"facet": name, "values": values, "more": max(0, counted.height - _VALUES)})
        return {"facets": listed}

    def mask(self, query: Query, positions: np.ndarray) -> bytes:
        """Which of ``positions`` (uint32 [n]) a query finds: a byte each, 1 or 0."""
        found = self.found(query.model_copy(update={"sort": ""}))["row"].to_numpy()
        return np.isin(positions, found).astype(np.uint8).tobytes()


def _table(view: View, opened: bool) -> pl.DataFrame:
    own, labels = view.frame("rows"), view.labels()
    standing = (
        pl.when(pl.col("status") != "kept").then("status").when(pl.col("split") == "anchor").then(pl.lit("held out"))
        .when(pl.col("split") == "sealed").then(pl.lit("sealed")).otherwise(pl.lit("kept"))
    )  # fmt: skip
    table = view.ledger().rename({"duplicate_of": "twin"})
    table = table.with_columns(
        text=own["text"].fill_null(""),
        label=labels,
        was=own["label"].set(own["label"].eq_missing(labels), None),
        source=own["source"] if view.sources() is not None else pl.lit(None, dtype=pl.String),
        status=standing,
        reason=pl.when(pl.col("status") == "removed").then("reason"),
    )
    for role, column, kind in _BESIDE:
        table = _beside(table, view, role, column, kind)
    if not opened:
        table = table.filter(pl.col("status") != "sealed")
    told = pl.concat_str([pl.col(name).fill_null("") for name in ("text", "id", "label")], separator="\n")
    return table.with_columns(found=told.str.to_lowercase())


_BESIDE: tuple[tuple[Role, str, type[pl.DataType]], ...] = (
    ("assignments", "cluster", pl.Int32),
    ("assignments", "similarity", pl.Float32),
    ("quality", "score", pl.Float64),
    ("evidence", "label_support", pl.Float32),
    ("languages", "language", pl.String),
)


def _beside(table: pl.DataFrame, view: View, role: Role, column: str, kind: type[pl.DataType]) -> pl.DataFrame:
    """The table with a column of another, by row; nulls where the run has none."""
    name = "quality" if role == "quality" else column
    if not view.has(role) or column not in (frame := view.frame(role)).columns:
        return table.with_columns(pl.lit(None, dtype=kind).alias(name))
    if "row" not in frame.columns:
        frame = frame.with_row_index("row")
    beside = frame.select(pl.col("row").cast(pl.UInt32), pl.col(column).cast(kind))
    return table.join(beside.rename({column: name}), on="row", how="left", maintain_order="left")
