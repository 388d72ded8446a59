"""A selection of rows as a file: the columns of the input untouched, then where each row stands and why."""

import numpy as np
import polars as pl

from ...state.errors import UsageError
from ...tools.read.columns import free_name
from ...tools.write.reasons import in_words
from ...tools.write.selection import encoded, for_atlas
from ..view import View

_BESIDE = {"id": "recryst_id", "status": "recryst_status", "cluster": "recryst_cluster", "label": "recryst_label"}
_MAPS = ("umap", "tsne", "pca")


def written(view: View, found: pl.DataFrame, kind: str, method: str = "") -> tuple[bytes, str, str]:
    """The rows found, in their order, as Parquet, JSONL, a Hugging Face data set (``hf``), or a Parquet for
    embedding-atlas (``atlas``): bytes, media type and a name for the file.

    Rows that a language model wrote have none of the columns of the input but the text. For embedding-atlas only rows
    on the 2-D map by ``method`` are written, or where there is none by the first there is.

    Raises:
        UsageError: there is no such kind of file, nothing was read yet, or there is no map.
        MissingExtraError: a Hugging Face data set without `datasets`.
    """
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
    table = lines.join(originals, on="row", how="left", maintain_order="left").select("row", *taken, *lines.columns[1:])
    run = view.run.root.resolve().name
    if kind == "atlas":
        file = encoded(for_atlas(table, _places(view, method), _neighbours(view)), "parquet")
        return file.data, file.kind, f"{run}-atlas.{file.ending}"
    file = encoded(table.drop("row"), kind)
    return file.data, file.kind, f"{run}-rows.{file.ending}"


def _places(view: View, method: str) -> pl.DataFrame:
    """Where rows lie on a 2-D map: ``row``, ``x``, ``y``."""
    columns = view.frame("maps").columns if view.has("maps") else []
    drawn = [one for one in (method, *_MAPS) if f"{one}_2d_x" in columns]
    if not drawn:
        raise UsageError("there is no map yet: it is drawn once the rows are embedded")
    return view.frame("maps").select("row", x=f"{drawn[0]}_2d_x", y=f"{drawn[0]}_2d_y")


def _neighbours(view: View) -> pl.DataFrame:
    """The nearest rows of each: ``row``, ``neighbour`` (positions, uint32) and ``cosine``, the nearest first."""
    if not view.has("pool", "neighbor_indices", "neighbor_similarities"):
        return pl.DataFrame(schema={"row": pl.UInt32, "neighbour": pl.UInt32, "cosine": pl.Float32})
    pool, indices = np.asarray(view.array("pool")), np.asarray(view.array("neighbor_indices"))
    cosines = np.asarray(view.array("neighbor_similarities"))
    there = (indices >= 0) & (indices < len(pool))
    rows = np.repeat(pool, indices.shape[1])[there.ravel()]
    return pl.DataFrame({"row": rows, "neighbour": pool[indices[there]], "cosine": cosines[there].astype(np.float32)})
