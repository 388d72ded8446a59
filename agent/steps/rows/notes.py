"""The notes of a run: every kept one with its topic, and the sources of all that were merged into it."""

from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from ....tools.read.columns import values_of
from ....tools.write.notes import NOTES, write_notes
from ...account.removed import gone
from ...view import View
from ..measured import embedded_parts
from ..repeats import original_text

_TERMS = 3  # of a cluster, that name its topic


def write_kept_notes(view: View, folder: Path) -> list[str]:
    """Write the kept notes of a run into ``folder``, as ``tools.write.notes`` does; what a model wrote is no note.

    Returns:
        The names of the files within the folder.

    Raises:
        StorageError: the disk is full or not writable.
    """
    return write_notes(kept_notes(view), folder)


def kept_notes(view: View) -> pl.DataFrame:
    """The notes that stand, in order of position: ``NOTES``.

    A note speaks for all that went for it, directly or for one that went itself: copies, clippings that were merged,
    notes that said the same. Where nothing names its topic, that is null.
    """
    ledger, size = view.ledger(), view.values.ingested
    known = pl.DataFrame(
        {
            "row": pl.int_range(size, dtype=pl.UInt32, eager=True),
            "id": ledger["id"].head(size),
            "origin": _column(view, "origin", "url", "source"),
            "date": _column(view, "date"),
            "tags": _tags(view),
        }
    )
    stays = ledger.filter((pl.col("status") == "kept") & (pl.col("origin") == "input"))["row"]
    merged = gone(view).evidence.select("row", stays="survivor").drop_nulls()
    own = pl.DataFrame({"row": stays, "stays": stays})
    members = (
        pl.concat([own, merged.cast(own.schema)])
        .join(known, on="row")
        .sort("stays", pl.col("row") != pl.col("stays"), "row")
    )
    told = members.group_by("stays", maintain_order=True).agg(
        sources="id",
        origins=pl.col("origin").drop_nulls().unique(maintain_order=True),
        tags=pl.col("tags").explode(empty_as_null=True, keep_nulls=True).drop_nulls().unique(maintain_order=True),
        date=pl.col("date").drop_nulls().first(),
    )
    told = (
        told.filter(pl.col("stays").is_in(stays.implode()))
        .rename({"stays": "row"})
        .join(known.select("row", "id"), on="row")
    )
    rows = told["row"].to_numpy()
    named = _topics(view)
    topics = pl.Series([named.get(one) for one in _clusters(view)[rows].tolist()], dtype=pl.String)
    text = view.text(rows)
    titles = _titles(_column(view, "title").gather(rows), told["id"])
    return told.with_columns(text=text, topic=topics, title=titles).select(NOTES.names()).cast(NOTES)


def _column(view: View, *names: str) -> pl.Series:
    """The first of some columns of the input that there is, as strings [ingested]; blank is null."""
    name = next((name for name in names if name in view.values.meanings), None)
    if name is None:
        return pl.Series([None] * view.values.ingested, dtype=pl.String)
    said = original_text(view, name).str.strip_chars()
    return said.set(said == "", None)


def _tags(view: View) -> pl.Series:
    """The tags of every row of the input, lists of strings [ingested]; null where it has none."""
    told: list[list[str] | None] = [None] * view.values.ingested
    if "tags" in view.values.meanings:
        file = pq.ParquetFile(view.path("originals"))
        field, at = file.schema_arrow.field("tags"), 0
        for batch in file.iter_batches(columns=["tags"]):
            for value in values_of(batch.column(0), field):
                listed = value if isinstance(value, list) else [value]
                told[at] = [one for one in listed if isinstance(one, str) and one.strip()] or None
                at += 1
    return pl.Series(told, dtype=pl.List(pl.String))


def _titles(named: pl.Series, ids: pl.Series) -> pl.Series:
    """A title for each note, its own or the name of its file (strings [n] each)."""
    files = ids.map_elements(lambda one: PurePosixPath(one.removesuffix(".gz")).stem, return_dtype=pl.String)
    titles = [pl.when(one.str.contains(r"\S")).then(one) for one in (named, files)]
    return pl.select(pl.coalesce(*titles, pl.lit("untitled")).alias("title")).to_series()


def _topics(view: View) -> dict[int, str]:
    """Cluster → what it is about: a language model's words for it, or the terms that set it apart."""
    themes = {one.cluster: one.theme for one in view.critiques()}
    named = {one.cluster: themes.get(one.cluster) or " ".join(one.terms[:_TERMS]) for one in view.report().clusters}
    return {cluster: words for cluster, words in named.items() if cluster >= 0 and words.strip()}


def _clusters(view: View) -> np.ndarray:
    """The cluster of every row of the input, int [ingested], −1 for none: its own; of a row that is held out, or in
    none, the one with the nearest centroid."""
    found = np.full(view.values.ingested, -1, dtype=np.int64)
    centroids = np.asarray(view.array("centroids"))
    assigned = view.frame("assignments").filter((pl.col("row") < len(found)) & (pl.col("cluster") >= 0))
    found[assigned["row"].to_numpy()] = assigned["cluster"].to_numpy()
    for rows, vectors in embedded_parts(view):
        at = np.flatnonzero(rows < len(found))
        at = at[found[rows[at]] < 0]
        if len(at) and len(centroids):
            found[rows[at]] = np.argmax(np.asarray(vectors[at]) @ centroids.T, axis=1)
    return found
