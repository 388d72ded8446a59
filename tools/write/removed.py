"""What went, as a table that a person can open: every original column, why a row went, and what stays in its place."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from ...state.errors import IntegrityError
from ...state.phrases import Advance, silent
from ...state.rows import Removal
from ..read.columns import free_name
from .reasons import OUTSIDE, in_words
from .tables import table_writer

#: What is known of a removed row.
EVIDENCE = pl.Schema(
    {
        "row": pl.UInt32,  # its position
        "stage": pl.String,
        "rule": pl.String,  # the reason, as the ledger names it
        "score": pl.Float64,
        "threshold": pl.Float64,
        "twin": pl.String,  # id of the row it repeats; FILE#ID for one of ``reasons.OUTSIDE``
        "span": pl.String,  # what it has in common with a benchmark
        "twin_text": pl.String,  # of a twin outside the data; others are looked up
    }
)
#: The columns that stand behind the original ones, each called ``recryst_…``.
COLUMNS = pa.schema(
    (name, pa.float64() if name in ("score", "threshold") else pa.string())
    for name in (
        *("id", "text", "reason", "rule", "stage", "score", "threshold", "span"),
        *("twin", "twin_text", "survivor"),
    )
)
_BATCH_ROWS = 1024
_JUMPS = 32  # each doubles the length of chain that is followed


class Gone:
    """The removed rows of a table, in order of position.

    A row that went for a twin which went later itself is traced along that chain to the row that stays in the end, its
    survivor. Only what is removed when the table is written counts: a removal that was rolled back is no link. The
    survivor is null where the chain ends at a row that went for a reason of its own, or outside the data.
    """

    def __init__(self, evidence: pl.DataFrame, ids: pl.Series, texts: pl.Series) -> None:
        """``evidence``: a line per removed row (``EVIDENCE``); ``ids`` and ``texts`` of every position, strings [n]."""
        self._ids, self._texts = ids, texts
        evidence = evidence.sort("row").with_columns(of_data=pl.when(~pl.col("rule").is_in(OUTSIDE)).then("twin"))
        places = pl.DataFrame({"of_data": ids}).with_row_index("twin_row")
        wanted = places.filter(pl.col("of_data").is_in(evidence["of_data"].unique().implode()))
        found = evidence.join(wanted, on="of_data", how="left", maintain_order="left").drop("of_data")
        self.evidence = found.with_columns(survivor=_survivors(found, len(ids)))

    def told(self, part: pl.DataFrame) -> pl.DataFrame:
        """What is said of some lines of ``evidence``: ``COLUMNS``."""
        words = {rule: in_words(rule) for rule in part["rule"].unique()}
        return part.with_columns(
            id=self._ids.gather(part["row"]),
            text=self._texts.gather(part["row"]),
            reason=part["rule"].replace_strict(words, return_dtype=pl.String),
            twin_text=pl.coalesce(self._texts.gather(part["twin_row"]).alias("twin_text"), "twin_text"),
            survivor=self._ids.gather(part["survivor"]),
        ).select(COLUMNS.names)

    def sample(self, rows: int, seed: int) -> pl.DataFrame:
        """At most so many lines of ``told``, drawn from every reason in turn."""
        drawn = np.random.default_rng(seed).permutation(self.evidence.height)
        turns = self.evidence.with_columns(drawn=pl.Series(drawn)).with_columns(
            turn=pl.col("drawn").rank("ordinal").over("rule")
        )
        chosen = turns.sort("turn", "rule").head(rows).sort("stage", "rule", "row")
        return self.told(chosen.select(self.evidence.columns))


def evidence(removals: Iterable[Removal], ids: pl.Series, stage: str) -> pl.DataFrame:
    """The rows of all removals, ascending, as ``EVIDENCE``.

    ``ids``: of every row (strings, [n]). ``stage``: the tool that takes them out.

    Raises:
        IntegrityError: a row stands in two of them.
    """
    gone = pl.concat([EVIDENCE.to_frame(), *(_lines(removal, ids, stage) for removal in removals)]).sort("row")
    if gone["row"].is_duplicated().any():
        raise IntegrityError("a tool tried to take the same row out twice")
    return gone


def _lines(removal: Removal, ids: pl.Series, stage: str) -> pl.DataFrame:
    twin = removal.duplicate_of
    kept = ids.gather(twin) if isinstance(twin, np.ndarray) else twin
    beside = {"span": removal.span, "twin_text": removal.twin_text}
    frame = pl.DataFrame({"row": removal.rows, "score": removal.score, "twin": kept, **beside})
    said = {"stage": stage, "rule": removal.reason, "threshold": removal.threshold}
    frame = frame.with_columns(pl.lit(value).alias(name) for name, value in said.items())
    return frame.select(pl.col(name).cast(kind) for name, kind in EVIDENCE.items())


def _survivors(evidence: pl.DataFrame, rows: int) -> pl.Series:
    """The position that stays at the end of each line's chain of twins (UInt32), or null."""
    gone, twin = evidence["row"].to_numpy(), evidence["twin_row"]
    following = np.arange(rows, dtype=np.uint32)
    linked = twin.is_not_null().to_numpy()
    following[gone[linked]] = twin.drop_nulls().to_numpy()
    for _ in range(_JUMPS):
        further = following[following]
        if np.array_equal(further, following):
            break
        following = further
    removed = np.zeros(rows, dtype=bool)
    removed[gone] = True
    end = following[gone]
    return pl.Series(end).set(pl.Series(removed[end]), None)


def write_removed(
    gone: Gone,
    originals: Iterable[tuple[np.ndarray, pa.RecordBatch]],
    schema: pa.Schema,
    target: Path,
    advance: Advance = silent,
) -> None:
    """Write the removed rows to ``target`` (.parquet or .jsonl): the original columns, then ``recryst_id``, ….

    A column of the input that already has such a name keeps it; ours gets an underscore more. Memory is bounded by a
    batch of the originals and a row group of the output.

    Args:
        originals: batches of the original columns of all rows, each with the rows' positions, ascending.
        schema: of these batches.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    names = {name: free_name(f"recryst_{name}", schema.names) for name in COLUMNS.names}
    ours = pa.schema(COLUMNS.field(name).with_name(called) for name, called in names.items())
    whole, positions = pa.schema([*schema, *ours]), gone.evidence["row"].to_numpy()
    with table_writer(target, whole) as write:
        for at, batch in originals:
            start, end = np.searchsorted(positions, (at[0], at[-1] + 1)) if len(at) else (0, 0)
            lines = gone.evidence.slice(start, end - start)
            rows = batch.filter(pa.array(np.isin(at, positions[start:end])))
            for first in range(0, rows.num_rows, _BATCH_ROWS):
                said = gone.told(lines.slice(first, _BATCH_ROWS))
                table = said.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(COLUMNS).combine_chunks()
                columns = [*rows.slice(first, _BATCH_ROWS).columns, *(one.combine_chunks() for one in table.columns)]
                write(pa.RecordBatch.from_arrays(columns, schema=whole))
            advance(batch.num_rows)
