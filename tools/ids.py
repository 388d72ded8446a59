"""Stable, distinct ids for rows."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from .columns import as_text, content_id, plain_rows


def row_ids(table: pa.RecordBatch, id_column: str, digests: list[str] | None) -> pa.Array:
    """The id of each row (string, [n]): its value in ``id_column``, or where that is missing its content's hash."""
    at = table.schema.get_field_index(id_column)
    own = pa.nulls(table.num_rows, pa.string()) if at < 0 else as_text(table.column(at), table.schema.field(at))
    own = pc.if_else(pc.equal(pc.utf8_trim_whitespace(own), ""), None, own)
    if own.null_count == 0:
        return own
    if digests is None:
        digests = [content_id(row) for row in plain_rows(table)]
    return pc.coalesce(own, pa.array(digests, pa.string()))


def distinct_ids(ids: pl.Series) -> tuple[pl.Series, int]:
    """``ids`` (String, [n]) with ``#2``, `#3`, … after each repetition, and how many rows that changed.

    A first occurrence keeps its id; where ``a#2`` is itself somebody's id, the numbers go on after it.
    """
    frame = pl.DataFrame({"id": ids}).with_columns(
        number=pl.int_range(1, pl.len() + 1).over("id"), repeats=pl.len().over("id")
    )
    repeated = frame["number"] > 1
    taken = frame.filter(~repeated)["id"]
    pending = frame.with_row_index("row").filter(repeated)
    result = ids.clone()  # `scatter` works in place
    while pending.height:
        pending = pending.with_columns(name=pl.format("{}#{}", "id", "number"))
        clash = pending["name"].is_in(taken.implode()) | ~pending["name"].is_first_distinct()
        settled = pending.filter(~clash)
        result = result.scatter(settled["row"], settled["name"])
        taken = pl.concat([taken, settled["name"].rename(taken.name)])
        # Past every number this id has used so far, so that one clash does not cause the next.
        pending = pending.filter(clash).with_columns(number=pl.col("number") + pl.col("repeats"))
    return result, int(repeated.sum())
