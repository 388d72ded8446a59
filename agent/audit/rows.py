"""The rows of the input made again from the originals: ids, texts, labels and sources."""

import re
from collections.abc import Iterator

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.canonical import Json
from ...state.events import Load
from ...state.values import Role, Values
from ...tools.read.columns import content_id, is_json_text, own_ids, plain_rows
from ...tools.read.content import content_of
from ...tools.read.forms import KINDS, Shape
from ...tools.read.load import distinct_ids, group_of, meanings_of, sample_of, unnamed_label
from ...tools.read.shapes import empty_answers, render
from ..view import View
from .contents import of_tables, short, unlike_leaves

_BATCH_ROWS = 8192
_MEANINGS = ("text", "content", "empty_answer", "label", "source")
_COLUMNS = {
    *("text_column", "text_columns", "label_column", "id_column", "source_column", "group_column"),
    *("meanings", "label_like"),
}
_SET = {"ingested", "quarantined", "shape", "notes", *_COLUMNS}  # the values that ``load`` sets
_CONTENT_ID = re.compile(r"([0-9a-f]{16})(#\d+)?")


def unlike_originals(view: View, load: Load) -> Iterator[str]:
    """What the table of rows says otherwise than the originals, and what ``load`` counts otherwise.

    Args:
        view: the run as it stood after ``load``.
        load: the event.
    """
    yield from _out_of_place(view, load)
    rows, values = view.frame("rows"), view.values
    made, duplicates = _made_again(view, rows)
    if wrong := of_tables(rows, made):
        yield f"state.artefacts.rows does not follow from the originals: {wrong}"
    given = view.config.load.vector_column is not None  # then no text is missing
    counted = {
        "missing_text": 0 if given else made["text"].null_count(),
        "missing_label": 0 if values.label_column is None else made["label"].null_count(),
        "duplicate_ids": duplicates,
    }
    yield from unlike_leaves(load.model_dump(include=set(counted)), counted)


def _out_of_place(view: View, load: Load) -> Iterator[str]:
    """What ``load`` sets that the settings do not ask for, and columns that are not those of the settings."""
    config, values = view.config, view.values
    vectors = config.load.vector_column is not None
    asked: dict[Role, bool] = {
        "rows": True,
        "originals": True,
        "ledger": True,
        "quarantine": values.quarantined > 0,
        "given_vectors": vectors,
        "taxonomy": config.label.taxonomy is not None,
        "seeds": config.synthesis.seeds is not None,
        "benchmarks": bool(config.decontaminate.against),
        "answer_file": config.review.answers is not None,
        "liked": config.quality.like is not None,
        "liked_vectors": config.quality.like is not None and vectors,
    }
    for role in {role for role, wanted in asked.items() if wanted} ^ {*load.state.artefacts}:
        yield f"state.artefacts.{role} is {'absent' if asked.get(role) else 'set, but there is nothing to read for it'}"
    for name in load.state.values.model_fields_set ^ _SET:
        yield f"state.values.{name} is {'absent' if name in _SET else 'set, but reading does not say it'}"
    originals = pq.ParquetFile(view.path("originals"))
    names, shape = originals.schema_arrow.names, _shape(values)
    first = next(originals.read_row_group(0).combine_chunks().to_batches().__iter__())
    stored = _as_read(first, {*values.meanings})
    sample = sample_of(stored, stored.schema)
    known = (values.id_column, values.source_column)
    meanings = meanings_of(sample, shape, config.load, *known, values.group_column)
    wanted: dict[str, object] = {
        "meanings": meanings,
        "label_like": unnamed_label(sample, shape, config.load, meanings),
        "group_column": group_of(sample, shape, config.load, *known),
        "text_column": shape.text_column,
        "label_column": config.load.label_column,
        "id_column": config.load.id_column or ("id" if "id" in names else None),
        "source_column": config.load.source_column or ("source" if values.source_column else None),
    }
    yield from unlike_leaves({name: getattr(values, name) for name in wanted}, wanted, "state.values")
    if shape.kind not in KINDS:
        yield f"state.values.shape is {short(shape.kind)}, which is no shape of rows"
    scrubbed = load.scrubbed
    if (scrubbed is None) == bool(config.scrub.kinds):
        yield f"scrubbed is {short(scrubbed)}, but the settings {'ask' if config.scrub.kinds else 'do not ask'} for it"


def _shape(values: Values) -> Shape:
    return Shape(values.shape, tuple(column or "" for column in values.text_columns))


def _made_again(view: View, rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The table ``rows`` as it follows from the originals, and how many ids were given a number."""
    values, config = view.values, view.config.load
    shape = _shape(values)
    columns = {
        "label": Shape("text", (values.label_column,)) if values.label_column else None,
        "source": Shape("text", (values.source_column,)) if values.source_column else None,
    }
    content = sorted(name for name, meaning in values.meanings.items() if meaning == "content")
    parts, start = list[pl.DataFrame](), 0
    for stored in pq.ParquetFile(view.path("originals")).iter_batches(_BATCH_ROWS):
        logged = rows.slice(start, stored.num_rows)
        batch = _as_read(stored, {*values.meanings})
        said: dict[str, pl.Series] = {
            "text": _said(shape, batch, logged["text"]),
            "content": content_of(batch, content, shape),
            "empty_answer": empty_answers(shape, batch),
        }
        for name, column in columns.items():
            said[name] = _said(column, batch, logged[name])
        if config.vector_column is not None:
            said["text"] = said["text"].fill_null("")
        numbers = pl.Series("row", stored.column(stored.schema.get_field_index("row")), dtype=pl.UInt32)
        ids = _ids(batch, config.id_column or "id", logged["id"])
        parts.append(pl.DataFrame({"row": numbers, "id": ids, **said}))
        start += stored.num_rows
    made = pl.concat(parts) if parts else rows.clear()
    ids, duplicates = distinct_ids(made["id"])
    return made.with_columns(id=ids).select("row", "id", *_MEANINGS), duplicates


def _as_read(stored: pa.RecordBatch, named: set[str | None]) -> pa.RecordBatch:
    """A batch of the originals without the row's number; a column that made way for it has its name back."""
    batch = stored.drop_columns(["row"])
    if "row" in named:
        renamed = max(name for name in batch.schema.names if re.fullmatch("row_original_*", name))
        names = ["row" if name == renamed else name for name in batch.schema.names]
        fields = [field.with_name(name) for field, name in zip(batch.schema, names, strict=True)]
        return pa.RecordBatch.from_arrays(batch.columns, schema=pa.schema(fields))
    return batch


def _said(shape: Shape | None, batch: pa.RecordBatch, logged: pl.Series) -> pl.Series:
    """What a column, or several, say of each row (strings [n]); null where that is nothing."""
    if shape is None:
        return pl.Series([None] * batch.num_rows, dtype=pl.String)
    made = render(shape, batch)
    at = batch.schema.get_field_index(shape.columns[0]) if len(shape.columns) == 1 else -1
    if at < 0 or not pa.types.is_floating(batch.schema.field(at).type) or len(made) != len(logged):
        return made
    # A whole number was spelled as one, if it stood among whole numbers before others came to its column.
    same = made.cast(pl.Float64, strict=False) == logged.cast(pl.Float64, strict=False)
    return pl.select(pl.when(same.fill_null(False)).then(logged).otherwise(made)).to_series()


def _ids(batch: pa.RecordBatch, column: str, logged: pl.Series) -> pl.Series:
    """The id of each row before repetitions are numbered (strings [n]).

    A row without an id of its own has the hash of its content as it was read. It is taken as logged where the table may
    hold the same values otherwise: as floats, or as nested values in which keys that were absent are null.
    """
    ids = own_ids(batch, column).to_pylist()
    missing = [number for number, id in enumerate(ids) if id is None]
    if not missing:
        return pl.Series("id", ids, dtype=pl.String)
    respelled = any(pa.types.is_floating(f.type) or pa.types.is_nested(f.type) or is_json_text(f) for f in batch.schema)
    content = plain_rows(batch.take(pa.array(missing)))
    for number, row in zip(missing, content, strict=True):
        hashes = [content_id(spelling) for spelling in _spellings(row)]
        said = _CONTENT_ID.fullmatch(str(logged[number]) if number < len(logged) else "")
        taken = said is not None and (respelled or said[1] in hashes)
        ids[number] = said[1] if said is not None and taken else hashes[0]
    return pl.Series("id", ids, dtype=pl.String)


def _spellings(row: Json) -> Iterator[Json]:
    """A row as it may have stood in the input: with its nulls or without, and with the name ``row``."""
    for one in (row, {_unrenamed(name): value for name, value in row.items()}):
        yield one
        yield {name: value for name, value in one.items() if value is not None}


def _unrenamed(name: str) -> str:
    return "row" if re.fullmatch("row_original_*", name) else name
