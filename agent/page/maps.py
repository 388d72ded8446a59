"""The maps as the page draws them: coordinates and colours as buffers of 32-bit floats, what they mean as JSON."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.errors import UsageError
from ..browse import columns
from ..browse.reader import Reader
from ..browse.rows import Rows
from ..view import View

_COLUMN = re.compile(r"(\w+)_([23])d_x")
_KINDS = ("cluster", "status", "label", "source", "language")
_AMOUNTS = {
    "quality": "predicted quality",
    "label_support": "how well the label is borne out",
    "similarity": "closeness to the centre of its cluster",
}


class Maps:
    """The embedded rows of a run and their places."""

    def __init__(self, reader: Reader, rows: Rows) -> None:
        self._reader, self._rows = reader, rows

    def positions(self, view: View) -> np.ndarray:
        """The rows on the maps, uint32 [n], in the order of every buffer."""
        return view.frame("maps", "row")["row"].to_numpy() if view.has("maps") else np.zeros(0, dtype=np.uint32)

    def about(self, at: int | None) -> Json:
        """Which maps there are, by what their points can be coloured, and what the codes of each colouring mean."""
        view = self._reader.view(at)
        if not view.has("maps"):
            return {"points": 0, "maps": [], "colours": []}
        found = [_COLUMN.fullmatch(name) for name in view.frame("maps").columns]
        maps = [{"method": one[1], "dimensions": int(one[2])} for one in found if one]
        drawn = self._drawn(view)
        colours: list[Json] = []
        for name in _KINDS:
            if len(values := _values(drawn[name])) > 1:
                colours.append({"by": name, "values": [{"value": value, "rows": rows} for value, rows in values]})
        for name, words in _AMOUNTS.items():
            if drawn[name].drop_nulls().n_unique() > 1:
                low, high = drawn[name].quantile(0.02), drawn[name].quantile(0.98)
                colours.append({"by": name, "words": words, "low": low, "high": high})
        colours += self._reader.made(
            ("colourings", view.ref("originals"), view.ref("maps"), drawn["status"].null_count()),
            lambda: [c for n in columns.names(view) if (c := columns.colouring(view, n, self._own(view, n, drawn)))],
        )
        version = [view.state.artefacts.get(role) for role in ("maps", "ledger", "assignments", "relabelled")]
        return {"points": drawn.height, "version": version, "maps": maps, "colours": colours}

    def places(self, at: int | None, method: str, dimensions: int) -> bytes:
        """Coordinates, float32 [n, dimensions], centred and scaled alike on every axis into -1 … 1.

        Raises:
            UsageError: there is no such map, or not yet.
        """
        view = self._reader.view(at)
        names = [f"{method}_{dimensions}d_{axis}" for axis in "xyz"[:dimensions]]
        if not view.has("maps") or not set(names) <= set(view.frame("maps").columns):
            raise UsageError(f"there is no {dimensions}-D map by {method} yet")
        places = view.frame("maps").select(names).to_numpy().astype(np.float32)
        low, high = places.min(axis=0), places.max(axis=0)
        half = float((high - low).max()) / 2 or 1.0
        return np.ascontiguousarray((places - (low + high) / 2) / half, dtype="<f4").tobytes()

    def codes(self, at: int | None, by: str) -> bytes:
        """What colours the points, float32 [n]: the place of a value in ``about``, or an amount; NaN: none.

        Raises:
            UsageError: points cannot be coloured by that.
        """
        view = self._reader.view(at)
        if by.startswith(columns.PREFIX):
            own = self._own(view, by.removeprefix(columns.PREFIX), self._drawn(view))
            return _codes(own, None if own.dtype == pl.Float64 else list(columns.counted(own)["value"]))
        if by not in (*_KINDS, *_AMOUNTS):
            raise UsageError(f"points are coloured by one of {', '.join((*_KINDS, *_AMOUNTS))}")
        column = self._drawn(view)[by]
        return _codes(column, [value for value, _ in _values(column)] if by in _KINDS else None)

    def _own(self, view: View, name: str, drawn: pl.DataFrame) -> pl.Series:
        """A column of the input at the points; none at rows that are sealed."""
        found = columns.column(view, name).gather(drawn["row"])
        return found.set(drawn["status"].is_null(), None)

    def _drawn(self, view: View) -> pl.DataFrame:
        """The lines of the rows' table for the points, in their order."""
        rows = pl.DataFrame({"row": self.positions(view)})
        return rows.join(self._rows.table(view), on="row", how="left", maintain_order="left")


def _values(column: pl.Series) -> list[tuple[str, int]]:
    """The values of a column with their rows: clusters by number, others by how common they are."""
    if column.dtype == pl.Int32:
        table = column.fill_null(-2).alias("value").value_counts(name="rows").sort("value")
        table = table.with_columns(pl.col("value").cast(pl.String).replace("-2", ""))
    else:
        table = column.fill_null("").alias("value").value_counts(name="rows")
        table = table.sort("rows", "value", descending=[True, False])
    return list(table.iter_rows())


def _codes(column: pl.Series, values: list[str] | None) -> bytes:
    """What colours points, float32 [n]: the amounts of a column, or the place of each of its ``values`` among them."""
    if values is not None:
        column = column.cast(pl.String).fill_null("")
        column = column.replace_strict(values, range(len(values)), return_dtype=pl.Float32)
    return np.ascontiguousarray(column.cast(pl.Float32).fill_null(np.nan).to_numpy(), dtype="<f4").tobytes()
