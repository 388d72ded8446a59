"""Load: any supported source to two Parquet files, one of what the loop works on and one of the originals.

Two passes. The first reads the source in batches, gives each row an id, puts broken records into the quarantine
and spools the rest; then the columns' types and the rows' shape are known. The second writes the tables.
"""

import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.errors import InputError, storage_error
from ...state.params.preparation import LoadParams, ScrubParams
from ...state.phrases import Advance, silent
from ..program import settle_arrow
from ..text.scrubbed import Scrubber
from .arrow.spool import Spool, Spooled, aligned
from .columns import VectorFile, column_of, free_name, is_json_text, json_bytes, plain_rows, row_ids, sound_vectors
from .content import Meaning, beside, content_of, group_column, label_like, roles
from .forms import Shape, find_column, recognise
from .records import Quarantine, Reading, Records
from .shapes import NestedText, empty_answers, render, text_of
from .sources import read_source

_ROWS = pa.schema(
    [
        *(("row", pa.uint32()), ("id", pa.string()), ("text", pa.string()), ("content", pa.string())),
        *(("empty_answer", pa.bool_()), ("label", pa.string()), ("source", pa.string())),
    ]
)
_SAMPLE_ROWS = 1000
_MAX_SOURCES = 1000
_MAX_SOURCE_LENGTH = 100


@dataclass(frozen=True)
class LoadResult:
    """Where the loaded tables lie, what was counted and which columns were recognised.

    ``rows``: Parquet of row (uint32, 0 … n−1), id, text (null where missing), content (what rows are compared by; null
    where that is the text), empty_answer (null where rows have no answer), label and source (strings or null).
    ``originals``: Parquet of row and every original column; a column whose values have no common type holds JSON
    text and says so in its field's metadata (``columns.plain_rows`` gives the values back). ``vectors``: float32
    [n, d] as .npy, or None. ``quarantine``: JSON Lines of line, reason and excerpt, possibly empty.
    """

    rows: Path
    originals: Path
    vectors: Path | None
    quarantine: Path
    ingested: int
    quarantined: int
    missing_text: int
    duplicate_ids: int
    shape: str
    text_column: str | None
    text_columns: tuple[str, ...]  # those the text is made of, as in ``shapes.Shape``
    label_column: str | None
    id_column: str | None
    source_column: str | None
    group_column: str | None
    meanings: dict[str, Meaning]  # every column of the input, and what it is taken for
    label_like: tuple[str, int] | None  # where no label is named: a column that looks like one, and its values
    row_column: str | None  # what the original column ``row`` is called here, where there is one
    notes: tuple[str, ...]
    scrubbed: dict[str, int]  # kind to how many were replaced; empty where nothing was to be scrubbed


@dataclass(frozen=True)
class _Columns:
    """What the columns mean."""

    shape: Shape
    label: str | None
    id: str | None
    source: str | None
    group: str | None
    row: str | None  # what an original column ``row`` is called, because that name is the row number's
    meanings: dict[str, Meaning]
    label_like: tuple[str, int] | None

    @property
    def content(self) -> list[str]:
        """The columns by which rows differ, by name: the log keeps no other order."""
        return sorted(name for name, meaning in self.meanings.items() if meaning == "content")


def load(
    source: str,
    params: LoadParams,
    workdir: Path,
    advance: Advance = silent,
    scrub: ScrubParams = ScrubParams(),  # noqa: B008 (it is frozen)
    as_notes: bool = False,
) -> LoadResult:
    """Read ``source`` into ``workdir`` as ``rows.parquet``, ``originals.parquet`` and ``quarantine.jsonl``.

    What is to be scrubbed is replaced before anything is written, in every column, so that no file made from the data
    ever holds it; content ids are those of the scrubbed rows, and the quarantine then holds no excerpts.

    Args:
        source: a file, a folder, ``-`` (JSON Lines on standard input) or ``hf:owner/name[:config][@split]``.
        workdir: a folder for the results; created if missing.
        as_notes: documents are somebody's notes: they have ``origin``, ``date`` and ``tags``, too, as far as they name
            them; all are read, whatever split their names sound like, and data files beside them are not.

    Raises:
        InputError: the source cannot be used, holds no usable row, or a column is not what it should be.
        StorageError: a file or folder cannot be read or written.
        UsageError: an ``hf:`` name of the wrong form, or a region without phone numbers.
        MissingExtraError: an ``hf:`` source without the package ``datasets``, or no package to scrub with.
    """
    settle_arrow()
    scrubber = Scrubber(scrub) if scrub.kinds else None
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(dir=workdir, prefix="spool-") as folder,
            (workdir / "quarantine.jsonl").open("wb") as quarantine,
        ):
            kept_back = Quarantine(quarantine, scrubber.line if scrubber else None)
            reading = Reading(params, kept_back, every_split=as_notes, as_notes=as_notes)
            return _load(source, reading, scrubber, Path(folder), workdir, advance)
    except OSError as error:
        raise storage_error(error, error.filename or workdir, f"loading {source}, at") from error


def _load(
    source: str, reading: Reading, scrubber: Scrubber | None, folder: Path, workdir: Path, advance: Advance
) -> LoadResult:
    params, spool = reading.params, Spool(folder)
    vectors = VectorFile(workdir / "vectors.npy", folder) if params.vector_column else None
    ids, duplicates = distinct_ids(_first_pass(source, reading, scrubber, spool, vectors, advance))
    schema = spool.schema()
    columns = _recognise(params, schema, spool)
    missing_text = _second_pass(spool, schema, ids, columns, params, workdir)
    renamed = () if columns.row is None else (row_note(columns.row),)
    notes = (*reading.told(), *renamed, *_notes(schema, columns))
    if missing_text == len(ids):
        raise InputError(f"{source} has no usable row: all {len(ids)} lack text; say --text-column NAME")
    return LoadResult(
        rows=workdir / "rows.parquet",
        originals=workdir / "originals.parquet",
        vectors=vectors.finish() if vectors else None,
        quarantine=workdir / "quarantine.jsonl",
        ingested=len(ids),
        quarantined=reading.quarantine.count,
        missing_text=missing_text,
        duplicate_ids=duplicates,
        shape=columns.shape.kind,
        text_column=columns.shape.text_column,
        text_columns=columns.shape.columns,
        label_column=columns.label,
        id_column=columns.id,
        source_column=columns.source,
        group_column=columns.group,
        row_column=columns.row,
        meanings=columns.meanings,
        label_like=columns.label_like,
        notes=tuple(map(scrubber.line, notes)) if scrubber else notes,
        scrubbed=scrubber.counts if scrubber else {},
    )


def _first_pass(
    source: str, reading: Reading, scrubber: Scrubber | None, spool: Spool, vectors: VectorFile | None, advance: Advance
) -> pl.Series:
    """Spool the rows of ``source``; returns their ids (String, [n]), repetitions included."""
    params = reading.params
    ids: list[pa.Array] = []
    seen: set[str] = set()
    with closing(read_source(source, reading)) as batches:
        for batch in batches:
            if scrubber is not None:
                batch = scrubber.batch(batch)
            if batch.digests is None and not ids:
                _check_named(params, batch.table.schema.names)  # the columns are fixed: say it before reading on
            if vectors is not None:
                seen.update(batch.table.schema.names)
                batch = _with_vectors(batch, vectors, reading)
            if not batch.lines:
                continue
            ids.append(row_ids(batch.table, params.id_column or "id", batch.digests))
            spool.add(batch.name, batch.lines, batch.table)
            reading.taken += len(batch.lines)
            advance(len(batch.lines))
            if reading.taken == params.limit:
                break
    if not ids:
        if seen:
            find_column(str(params.vector_column), seen, "--vector-column")
        broken = reading.quarantine
        reason = f"{broken.count} were broken, the first at {broken.first}" if broken.count else "it is empty"
        raise InputError(f"{'standard input' if source == '-' else source} has no usable row: {reason}")
    return pl.Series("id", pa.chunked_array(ids), dtype=pl.String)


def _check_named(params: LoadParams, names: list[str]) -> None:
    """Refuse a column that the user named and the data lacks."""
    for key in ("text_column", "id_column", "label_column", "source_column", "group_column", "vector_column"):
        name = getattr(params, key)
        if name is not None:
            find_column(name, names, "--" + key.replace("_", "-"))
    for name in params.content_columns:
        find_column(name, names, "--content-columns")


def _with_vectors(batch: Records, vectors: VectorFile, reading: Reading) -> Records:
    """The rows of ``batch`` that have a sound vector; the others go to the quarantine."""
    name = reading.params.vector_column
    matrix, good = sound_vectors(column_of(batch.table, str(name))[0], vectors.dimensions)
    vectors.append(matrix)
    if good.all():
        return batch
    for at in np.flatnonzero(~good).tolist():
        row = json_bytes(plain_rows(batch.table.slice(at, 1))[0])
        length = f"{vectors.dimensions} " if vectors.dimensions else ""
        reading.refuse(batch.name, batch.lines[at], f"column {name!r} holds no list of {length}finite numbers", row)
    kept = np.flatnonzero(good).tolist()
    lines = [batch.lines[at] for at in kept]
    digests = None if batch.digests is None else [batch.digests[at] for at in kept]
    return Records(batch.name, batch.table.take(pa.array(kept, pa.int64())), lines, digests)


def _recognise(params: LoadParams, schema: pa.Schema, spool: Spool) -> _Columns:
    _check_named(params, schema.names)
    own_id = params.id_column or ("id" if "id" in schema.names else None)
    meant = (own_id, params.label_column, params.source_column, params.vector_column, "source")
    taken = {name for name in meant if name is not None}
    sample = sample_of(next(iter(spool)).table, schema)
    shape = recognise(spool.samples, params.text_column, taken, beside(sample), params.vector_column is not None)
    source = params.source_column
    if source is None and "source" not in (*shape.columns, params.label_column) and _is_source(schema, spool):
        source = "source"
    row = free_name("row_original", schema.names) if "row" in schema.names else None
    group = group_of(sample, shape, params, own_id, source)
    meanings = meanings_of(sample, shape, params, own_id, source, group)
    like = unnamed_label(sample, shape, params, meanings)
    return _Columns(shape, params.label_column, own_id, source, group, row, meanings, like)


def sample_of(table: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows by which the meaning of a column is guessed: the first of the table, in the types of its schema."""
    return pa.RecordBatch.from_arrays(aligned(table.slice(0, _SAMPLE_ROWS), schema), schema=schema)


def group_of(
    sample: pa.RecordBatch, shape: Shape, params: LoadParams, id_column: str | None, source_column: str | None
) -> str | None:
    """The column whose equal values are held out together, as named or by the rule of ``content.group_column``."""
    taken = (params.label_column, params.vector_column, id_column, source_column, *params.content_columns)
    return params.group_column or group_column(sample, shape, [name for name in taken if name is not None])


def meanings_of(
    sample: pa.RecordBatch,
    shape: Shape,
    params: LoadParams,
    id_column: str | None,
    source_column: str | None,
    group_column: str | None,
) -> dict[str, Meaning]:
    """What each column is taken for, as named or by the rule of ``content.roles``."""
    named: dict[str, Meaning] = {}
    if group_column is not None and group_column != params.group_column:  # one that is named may be content
        named[group_column] = "group"
    meant: tuple[tuple[str | None, Meaning], ...] = (
        (params.vector_column, "vector"), (source_column, "source"), (id_column, "id"), (params.label_column, "label"),
    )  # fmt: skip
    for column, meaning in meant:
        if column is not None:
            named[column] = meaning
    found = roles(sample, shape, named)
    if params.content_columns:
        found = {name: "provenance" if meaning == "content" else meaning for name, meaning in found.items()}
        found |= dict.fromkeys(params.content_columns, "content")
    return found


def unnamed_label(
    sample: pa.RecordBatch, shape: Shape, params: LoadParams, meanings: Mapping[str, str]
) -> tuple[str, int] | None:
    """Where no label is named: a content column that looks like one, and its number of values in the sample."""
    content = sorted(name for name, meaning in meanings.items() if meaning == "content")
    return None if params.label_column is not None else label_like(sample, content, shape)


def _is_source(schema: pa.Schema, spool: Spool) -> bool:
    """Whether a column called ``source`` names sources: a few short strings, not a URL for every row."""
    at = schema.get_field_index("source")
    if at < 0 or is_json_text(schema.field(at)) or not isinstance(spool.samples["source"], str):
        return False
    values: set[str] = set()
    for spooled in spool:
        values.update(text_of(spooled.table, "source").drop_nulls().unique())
        if len(values) > _MAX_SOURCES or any(len(value) > _MAX_SOURCE_LENGTH for value in values):
            return False
    return len(values - {""}) >= 2


def _second_pass(
    spool: Spool, schema: pa.Schema, ids: pl.Series, columns: _Columns, params: LoadParams, workdir: Path
) -> int:
    """Write both tables; returns how many rows lack text."""
    fields = [field.with_name(columns.row) if field.name == "row" else field for field in schema]
    originals = pa.schema([pa.field("row", pa.uint32()), *fields])
    missing_text = start = 0
    with (
        pq.ParquetWriter(workdir / "rows.parquet", _ROWS, compression="zstd") as row_file,
        pq.ParquetWriter(workdir / "originals.parquet", originals, compression="zstd") as original_file,
    ):
        for spooled in spool:
            count = spooled.table.num_rows
            text, label, source = _meanings(spooled, columns, params)
            stored = pa.RecordBatch.from_arrays(aligned(spooled.table, schema), schema=schema)
            content, empty = content_of(stored, columns.content, columns.shape), empty_answers(columns.shape, stored)
            numbers = pa.array(np.arange(start, start + count, dtype=np.uint32))
            series = (ids[start : start + count], text, content, empty, label, source)
            told = [one.to_arrow().cast(kind) for one, kind in zip(series, _ROWS.types[1:], strict=True)]
            row_file.write_batch(pa.RecordBatch.from_arrays([numbers, *told], schema=_ROWS))
            values = [numbers, *stored.columns]
            original_file.write_batch(pa.RecordBatch.from_arrays(values, schema=originals))
            missing_text += text.null_count()
            start += count
    return missing_text


def _meanings(spooled: Spooled, columns: _Columns, params: LoadParams) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Text, label and source of a batch (String, [n]), null where missing."""
    try:
        text = render(columns.shape, spooled.table)
        label, source = (_said(spooled.table, name) for name in (columns.label, columns.source))
    except NestedText as nested:
        line = spooled.lines[nested.position].as_py()
        raise InputError(
            f"{spooled.name}, line {line}: column {nested.column!r} holds a list, an object or bytes where text "
            "is needed; name another column"
        ) from nested
    if params.vector_column is not None:
        text = text.fill_null("")  # the vector is what such a row is about
    elif params.missing_text == "stop" and text.null_count():
        line = spooled.lines[text.is_null().arg_max()].as_py()
        raise InputError(f"{spooled.name}, line {line}: no text (load.missing_text is `stop`)")
    return text, label, source


def _said(table: pa.RecordBatch, name: str | None) -> pl.Series:
    """What a column that names something says (String, [n]); null where it is blank, or there is no column."""
    if name is None:
        return pl.Series([None] * table.num_rows, dtype=pl.String)
    said = text_of(table, name)
    return said.set(said.str.strip_chars() == "", None)


def row_note(name: str) -> str:
    """What a person reads of ``LoadResult.row_column``."""
    return f"the original column 'row' is called {name!r}, because 'row' numbers the rows"


def _notes(schema: pa.Schema, columns: _Columns) -> tuple[str, ...]:
    """What a person should see of the columns."""
    notes = [
        f"column {field.name!r} holds different types, or objects with different keys; it is stored as JSON text"
        for field in schema
        if is_json_text(field)
    ]
    if columns.meanings.get(columns.group or "") == "group":
        notes.append(f"rows of one {columns.group!r} are held out together (--group-column NAME takes another column)")
    return tuple(notes)


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
