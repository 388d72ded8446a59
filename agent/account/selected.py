"""A selection of rows as a file: the columns of the input untouched, then where each row stands and why."""

from io import BytesIO

import polars as pl

from ...state.errors import UsageError
from ...tools.read.columns import free_name
from ...tools.write.reasons import in_words
from ..view import View

_BESIDE = {"id": "recryst_id", "status": "recryst_status", "cluster": "recryst_cluster", "label": "recryst_label"}


def written(view: View, found: pl.DataFrame, kind: str) -> tuple[bytes, str, str]:
    """The rows found, in their order, as Parquet or JSONL: bytes, media type and a name for the file.

    Rows that a language model wrote have none of the columns of the input but the text.

    Raises:
        UsageError: there is no such kind of file, or nothing was read yet.
    """
    if kind not in ("parquet", "jsonl"):
        raise UsageError("rows are written as parquet or jsonl")
    if not view.has("originals"):
        raise UsageError("the rows are not read yet")
    originals = view.frame("originals")
    taken = [name for name in originals.columns if name != "row"]
    beside = {name: free_name(new, taken) for name, new in _BESIDE.items()}
    why, text = free_name("recryst_reason", taken), free_name("recryst_text", taken)
    lines = found.select(
        "row",
        pl.col("text").alias(text),
        *(pl.col(name).alias(new) for name, new in beside.items()),
        pl.col("reason").map_elements(in_words, return_dtype=pl.String).alias(why),
    )
    table = lines.join(originals, on="row", how="left", maintain_order="left").select(*taken, *lines.columns[1:])
    name = f"{view.run.root.resolve().name}-rows.{kind}"
    if kind == "jsonl":
        return table.write_ndjson().encode(), "application/x-ndjson", name
    sink = BytesIO()
    table.write_parquet(sink, compression="zstd")
    return sink.getvalue(), "application/vnd.apache.parquet", name
