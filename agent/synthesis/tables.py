"""Carrying out ``synthesise``: write new rows, see where they land, and append those that passed to a trial copy.

Nothing of what stood before is touched: the new rows follow the ingested ones in every table, marked for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...prompts import prompt
from ...state.actions import Synthesise
from ...state.canonical import Json
from ...state.errors import IntegrityError
from ...state.phrases import Advance, silent
from ...state.rows import add_synthetic
from ...state.values import Role, SynthesisFigures
from ...tools.read.columns import is_json_text, json_text, plain_rows
from ...tools.read.shapes import row_of
from ...tools.text import filters
from ..steps.base import Content, Plain
from ..view import View
from .evidence import gather, shape_of, unfit
from .gates import New, synthesise
from .placement import Placer


@dataclass(frozen=True)
class Addition:
    """What a synthesis adds: the ledger with the new rows, the tables that hold them, and the funnel in figures."""

    ledger: pl.DataFrame
    artefacts: Mapping[Role, Content] = field(default_factory=dict)
    figures: SynthesisFigures | None = None
    refused: str | None = None
    positions: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))  # of the new rows, uint32 [m]
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))  # theirs, float32 [m, d]

    @property
    def rows(self) -> int:
        """How many rows are new."""
        return len(self.positions)


def add_rows(view: View, action: Synthesise, place: Placer, advance: Advance = silent) -> Addition:
    """Carry out a ``synthesise`` action on a trial copy.

    The run's model is asked; ``place`` says where texts land; ``advance`` is called with questions answered.

    Raises:
        ModelError: the language model cannot be reached.
        IntegrityError: the log does not hold what ``place`` reads back from it.
    """
    ledger, model = view.ledger(), view.model
    if model is None:
        return Addition(ledger, refused="no language model is configured")
    if refused := unfit(view):
        return Addition(ledger, refused=refused)
    done = synthesise(model, gather(view, action, view.seed(9, view.state.round), place), place, advance)
    artefacts: dict[Role, Content] = {"synthesis": Plain({**done.model_dump(mode="json"), "placed": place.logged()})}
    if not done.rows:
        refused = f"nothing was added: {'the budget is spent' if done.cut_short else 'no row passed'}"
        return Addition(ledger, artefacts, done.figures(), refused)
    if not all(row.text in place.vectors for row in done.rows):
        raise IntegrityError("the log holds no vector of a row that was added")
    vectors = np.stack([place.vectors[row.text] for row in done.rows])
    positions = np.arange(ledger.height, ledger.height + len(done.rows), dtype=np.uint32)
    ledger = add_synthetic(ledger, pl.Series("id", [row.id for row in done.rows]), view.seq)
    for role, frame in _added(done.rows, positions, f"{model.name} {prompt('generate').reference}").items():
        # Read past the view's tables: in memory, the raw text of all rows would stay there.
        artefacts[role] = pl.concat([view.store.frame(view.ref(role)), frame]) if view.has(role) else frame
    artefacts["synthetic_originals"] = _originals(view, done.rows, positions)
    return Addition(ledger, artefacts, done.figures(), None, positions, vectors)


def _added(rows: Sequence[New], positions: np.ndarray, by: str) -> dict[Role, pl.DataFrame]:
    """What new rows (positions uint32 [m]) add to each table by its role; ``by``, who wrote them, is noted for ever."""
    unknown = pl.Series([None] * len(rows), dtype=pl.String)  # a new row is its text
    text = pl.DataFrame({"text": [row.text for row in rows], "content": unknown})
    columns = {
        "row": positions,
        "id": [row.id for row in rows],
        "text": text["text"],
        "content": unknown,
        "empty_answer": unknown.cast(pl.Boolean),
        "label": pl.Series([row.label for row in rows], dtype=pl.String),
        "source": unknown,
    }
    provenance = {"row": positions, "seeds": [list(row.seeds) for row in rows], "generator": [by] * len(rows)}
    return {
        "rows": pl.DataFrame(columns),
        "text": text,
        "annotations": filters.measured(text["text"]),
        "synthetic": pl.DataFrame(provenance, schema_overrides={"seeds": pl.List(pl.String)}),
    }


def _originals(view: View, rows: Sequence[New], positions: np.ndarray) -> pa.Table:
    """The new rows in the input's own columns, after those of earlier syntheses; other columns are empty."""
    schema = pa.schema([field.with_nullable(True) for field in pq.read_schema(view.path("originals"))])
    labels = _label_values(view, {row.label for row in rows if row.label is not None})
    values, shape = view.values, shape_of(view)
    lines: list[Json] = []
    for at, row in zip(positions.tolist(), rows, strict=True):
        line = {"row": at, **row_of(shape, row.parts)}
        if values.id_column and pa.types.is_string(schema.field(values.id_column).type):
            line[values.id_column] = row.id
        if values.label_column:
            line[values.label_column] = labels.get(row.label)
        lines.append(line)
    columns = [_column(field, [line.get(field.name) for line in lines]) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    earlier = [pq.read_table(view.path("synthetic_originals"))] if view.has("synthetic_originals") else []
    return pa.concat_tables([*earlier, table])


def _column(target: pa.Field, values: Sequence[object]) -> pa.Array:
    if is_json_text(target):
        return json_text(values)
    return pa.array(values, target.type)


def _label_values(view: View, labels: set[str]) -> dict[str | None, object]:
    """The value that stands for each label in the input's own column, whatever its type."""
    column = view.values.label_column
    if column is None or not labels:
        return {}
    frame = view.frame("rows", "label").with_row_index("at").filter(pl.col("label").is_in(list(labels)))
    first = frame.unique("label", keep="first", maintain_order=True).filter(pl.col("at") < view.values.ingested)
    table = pq.read_table(
        view.path("originals"), columns=["row", column], filters=[("row", "in", first["at"].to_list())]
    )
    found = {line["row"]: line[column] for batch in table.to_batches() for line in plain_rows(batch)}
    return {label: found.get(at) for at, label in first.iter_rows()}
