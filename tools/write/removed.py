"""The rows a tool takes out of a table, each with its evidence: as a frame, and as a file to look through."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from ...state.errors import IntegrityError
from ...state.rows import Removal
from ..text.batches import MappedTexts
from .tables import table_writer

_EXCERPT = 200  # characters of a text
_BATCH_ROWS = 8192
_FRAME = pl.Schema(
    {
        "row": pl.UInt32(),
        "reason": pl.String(),
        "score": pl.Float64(),
        "threshold": pl.Float64(),
        "duplicate_of": pl.String(),
    }
)
_FILE = pa.schema(
    [
        ("id", pa.string()),
        ("reason", pa.string()),
        ("score", pa.float64()),
        ("threshold", pa.float64()),
        ("duplicate_of", pa.string()),
        ("text", pa.string()),
    ]
)


def evidence(removals: Iterable[Removal], ids: pl.Series) -> pl.DataFrame:
    """The rows of all removals, ascending: row (uint32), reason, score, threshold, duplicate_of (an id).

    Args:
        removals: what a tool proposes.
        ids: of every row (strings, [n]).

    Raises:
        IntegrityError: a row stands in two of them.
    """
    gone = pl.concat([_FRAME.to_frame(), *(_frame(removal, ids) for removal in removals)]).sort("row")
    if gone["row"].is_duplicated().any():
        raise IntegrityError("a tool tried to take the same row out twice")
    return gone


def _frame(removal: Removal, ids: pl.Series) -> pl.DataFrame:
    count, kept = len(removal.rows), removal.duplicate_of
    return pl.DataFrame(
        {
            "row": removal.rows,
            "reason": pl.repeat(removal.reason, count, eager=True),
            "score": removal.score,
            "threshold": pl.repeat(removal.threshold, count, dtype=pl.Float64, eager=True),
            "duplicate_of": ids.gather(kept) if isinstance(kept, np.ndarray) else kept,
        },
        schema=_FRAME,
    )


def write_evidence(gone: pl.DataFrame, texts: MappedTexts, target: Path) -> None:
    """Write what ``evidence`` gave to ``target`` (.parquet or .jsonl): with the rows' ids, and how their texts begin.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    with table_writer(target, _FILE) as write:
        for part in gone.iter_slices(_BATCH_ROWS):
            shown = part.with_columns(
                id=texts.ids.gather(part["row"]), text=texts.texts.gather(part["row"]).str.slice(0, _EXCERPT)
            )
            for batch in shown.select(_FILE.names).to_arrow().cast(_FILE).combine_chunks().to_batches():
                write(batch)
            texts.release()
