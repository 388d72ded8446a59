"""The columns of the input that rows can be coloured and filtered by: few values, or amounts."""

from __future__ import annotations

import polars as pl

from ...state.canonical import Json
from ...state.errors import UsageError
from ..view import View

PREFIX = "column:"  # before the name of a column, so that it is none of the page's own
_MOST_COLUMNS = 100  # that are looked at, in the order of the input
_MOST_VALUES = 200  # that have a colour of their own; the others share one
OTHERS = "\N{HORIZONTAL ELLIPSIS} other values"
_LONGEST = 200  # characters of a value


def names(view: View) -> list[str]:
    """The columns that are offered: those that hold one thing per row, and are not told in another way already."""
    if not view.has("originals"):
        return []
    values = view.values
    told = {values.label_column, values.source_column, values.id_column, *values.text_columns, values.text_column}
    told |= {view.config.load.vector_column, "row"}
    schema = pl.read_parquet_schema(view.path("originals"))
    beside = (pl.Binary, pl.Duration, pl.Null)
    flat = [name for name, kind in schema.items() if not kind.is_nested() and kind not in beside]
    return [name for name in flat if name not in told][:_MOST_COLUMNS]


def column(view: View, name: str) -> pl.Series:
    """A column of the input by the position of its row: float64 where it holds amounts or moments (seconds), else
    strings cut to a length, the rarer ones told as ``OTHERS``; rows that were written later have none.

    Raises:
        UsageError: there is no such column.
    """
    if name not in names(view):
        raise UsageError("the input has no such column to colour or filter by")
    own = view.store.frame(view.ref("originals"), ["row", name])
    found = own[name]
    if found.dtype in (pl.Date, pl.Datetime):
        found = found.dt.timestamp("us") / 1e6
    elif found.dtype.is_numeric():
        found = found.cast(pl.Float64).fill_nan(None)
    else:
        found = found.cast(pl.String).str.slice(0, _LONGEST)
        common = counted(found).head(_MOST_VALUES)["value"].to_list()
        found = found.set(~found.fill_null("").is_in(common), OTHERS)
    rows = pl.DataFrame({"row": pl.Series(range(view.ledger().height), dtype=own["row"].dtype)})
    beside = own.select("row").with_columns(found.alias("value"))
    return rows.join(beside, on="row", how="left", maintain_order="left")["value"].alias(name)


def counted(found: pl.Series) -> pl.DataFrame:
    """The values of a column as strings and how many ``rows`` have each, the commonest first; "" where it is empty."""
    table = found.cast(pl.String).fill_null("").alias("value").value_counts(name="rows")
    return table.sort("rows", "value", descending=[True, False])


def _is_moment(view: View, name: str) -> bool:
    """Whether the amounts of a column are moments, in seconds since 1970."""
    return pl.read_parquet_schema(view.path("originals"))[name] in (pl.Date, pl.Datetime)


def colouring(view: View, name: str, drawn: pl.Series) -> Json | None:
    """How a column colours the rows on the map; None where it tells nothing: one value, or mostly rare ones.

    Args:
        view: the run.
        name: the column.
        drawn: its values on the map, in the order of the points.
    """
    by = {"by": PREFIX + name, "words": name}
    if drawn.dtype == pl.Float64:
        there = drawn.drop_nulls()
        if there.n_unique() < 2:
            return None
        low, high = there.quantile(0.02), there.quantile(0.98)
        if low == high:
            low, high = there.quantile(0.0), there.quantile(1.0)
        return {**by, "low": low, "high": high, "moment": _is_moment(view, name)}
    values = counted(drawn)
    others = values.filter(pl.col("value") == OTHERS)["rows"].sum()
    if values.height < 2 or others > drawn.len() // 2:
        return None
    return {**by, "values": values.to_dicts()}
