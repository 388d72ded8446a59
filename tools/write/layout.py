"""The columns of a table that a tool has worked on: the original ones under their own names, then the tool's."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..read.columns import is_json_text
from ..read.load import LoadResult

_RENAMED = "the original column 'row' is called"  # begins the note of ``load``
_OLDEST = pl.CompatLevel.oldest()  # strings as every reader of Parquet knows them


class Layout:
    """Where the columns go; made once, used for every batch.

    A column that the table has already keeps its name, and the tool's gets an underscore. Only ``text`` is the text
    anew: it takes the place of the column that holds the text, where a single column of strings does.
    """

    def __init__(self, loaded: LoadResult, annotation: pl.DataFrame | None = None) -> None:
        """``annotation``: some rows of what the tool gives, for the types; None: it gives no columns."""
        originals = _original_fields(loaded)
        fields = list(originals)
        self._types = annotation.schema if annotation is not None else pl.Schema()
        self._places: dict[str, int] = {}
        for field in annotation.to_arrow(compat_level=_OLDEST).schema if annotation is not None else ():
            at = _text_at(loaded, originals) if field.name == "text" else None
            if at is None:
                at = len(fields)
                fields.append(field.with_name(_free_name(field.name, fields)))
            self._places[field.name] = at
        self.schema = pa.schema(fields)

    def fill(self, batch: pa.RecordBatch, annotation: pl.DataFrame | None = None) -> pa.RecordBatch:
        """A batch of the originals table, its row numbers left out, with the tool's columns of the same rows."""
        columns = batch.columns[1:]
        if annotation is not None:
            table = annotation.cast(pl.Schema(self._types)).to_arrow(compat_level=_OLDEST).combine_chunks()
            for name, at in self._places.items():
                array = table[name].combine_chunks().cast(self.schema.field(at).type)
                if at < len(columns):
                    columns[at] = pc.coalesce(array, columns[at])  # a row without text keeps what it has
                else:
                    columns.append(array)
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def own_notes(loaded: LoadResult) -> list[str]:
    """What the loader has to say of the table, but for a name that the layout gives back."""
    return [note for note in loaded.notes if not note.startswith(_RENAMED)]


def _original_fields(loaded: LoadResult) -> list[pa.Field]:
    """The fields of the originals table but for the row number, whose name the loader took from a column."""
    row, *fields = pq.read_schema(loaded.originals)
    renamed = [f.name for f in fields if any(note.startswith(f"{_RENAMED} {f.name!r},") for note in loaded.notes)]
    return [field.with_name(row.name) if field.name in renamed else field for field in fields]


def _text_at(loaded: LoadResult, fields: list[pa.Field]) -> int | None:
    """The position of the column that holds the text as plain strings, or ``None``."""
    for at, field in enumerate(fields):
        plain = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if loaded.shape == "text" and loaded.text_columns == (field.name,) and plain and not is_json_text(field):
            return at
    return None


def _free_name(name: str, fields: list[pa.Field]) -> str:
    taken = {field.name for field in fields}
    while name in taken:
        name += "_"
    return name
