"""Carrying out ``synthesise``: write new rows, measure where they land, and append those that passed to a trial copy.

Nothing of what stood before is touched: the new rows follow the ingested ones in every table, marked for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...prompts import prompt
from ...state.config import Config
from ...state.events import Event
from ...state.progress import Advance
from ...state.rows import add_synthetic
from ...state.run import RunState
from ...state.store import Store
from ...tools.read.columns import is_json_text, json_bytes, plain_rows
from ...tools.read.shapes import parts_of, row_of
from ...tools.text import measures
from ..llm.client import Model
from ..session import Session, derived_seed
from ..steps.measured import extend_pool, text_vectors
from .evidence import gather, rendered, shape_of, unfit
from .gates import New, Placed, Synthesised, synthesise

_DECIMALS = 6  # of a logged cosine, and of the one that decides
_CHUNK = 8192


@dataclass(frozen=True)
class Addition:
    """What a synthesis adds: the ledger with the new rows, the tables that hold them, and the funnel in figures."""

    ledger: pl.DataFrame
    artefacts: dict[str, str | None] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    rows: int = 0
    embedded: int = 0
    refused: str | None = None


class _Placer:
    """Embeds texts and says where they land; keeps vectors and measurements by text."""

    def __init__(self, session: Session, advance: Advance) -> None:
        self._session = session
        self._advance = advance
        self.vectors: dict[str, np.ndarray] = {}
        self.placed: dict[str, Placed] = {}
        self.embedded = 0

    def __call__(self, texts: list[str]) -> list[Placed]:
        fresh = list(dict.fromkeys(text for text in texts if text not in self.placed))
        if fresh:
            vectors, counts = text_vectors(self._session, pl.Series("text", fresh), self._advance)
            self.embedded += counts["embedded"]
            self.vectors |= dict(zip(fresh, vectors, strict=True))
            self.placed |= dict(zip(fresh, self._place(np.asarray(vectors)), strict=True))
        return [self.placed[text] for text in texts]

    def _place(self, vectors: np.ndarray) -> list[Placed]:
        """Nearest centroid and nearest row of unit vectors, float32 [m, d]; the held-out rows count, too.

        A row on top of a held-out one would flatter the measurement that the row is to be judged by.
        """
        session = self._session
        cosines = vectors @ np.asarray(session.array("centroids")).T
        own = cosines.argmax(axis=1)
        nearest = np.full(len(vectors), -1.0)
        for rows in (session.array("vectors"), session.array("anchor_vectors")):
            for start in range(0, len(rows), _CHUNK):
                nearest = np.maximum(nearest, (vectors @ np.asarray(rows[start : start + _CHUNK]).T).max(axis=1))
        return [
            Placed(cluster=int(at), cosine=round(float(line[at]), _DECIMALS), nearest=round(float(close), _DECIMALS))
            for at, line, close in zip(own, cosines, nearest, strict=True)
        ]


def add_rows(session: Session, params: dict[str, Any], advance: Advance) -> Addition:
    """Carry out a ``synthesise`` action on a trial copy.

    Raises:
        ModelError: the language model cannot be reached.
    """
    ledger = session.ledger()
    refused = _cannot(session.store, session.state, session.model)
    if session.model is None or refused:
        return Addition(ledger, refused=refused)
    place = _Placer(session, advance)
    seed = derived_seed(session.config, 9, session.state.round)
    evidence = gather(session.store, session.config, session.state, params, seed, place)
    done = synthesise(session.model, evidence, place, advance)
    record = {
        **done.model_dump(mode="json"),
        "placed": {text: list(placed.model_dump().values()) for text, placed in sorted(place.placed.items())},
    }
    artefacts: dict[str, str | None] = {"synthesis": session.store.put_json(record)}
    if refused := _in_vain(done):
        return Addition(ledger, artefacts, done.figures(), embedded=place.embedded, refused=refused)
    ids = pl.Series("id", [row.id for row in done.rows])
    ledger = add_synthetic(ledger, ids, session.log.next_seq)
    positions = np.arange(ledger.height - len(ids), ledger.height, dtype=np.uint32)
    artefacts |= _tables(session, done.rows, positions, generator(session.model))
    vectors = np.stack([place.vectors[row.text] for row in done.rows])
    pool, _ = extend_pool(session, positions, advance, vectors)
    return Addition(ledger, {**artefacts, **pool}, done.figures(), len(ids), place.embedded)


def _cannot(store: Store, state: RunState, model: Model | None) -> str | None:
    """Why no row can be written at all."""
    return "no language model is configured" if model is None else unfit(store, state)


def _in_vain(done: Synthesised) -> str | None:
    """Why a synthesis came to nothing; None where it added rows."""
    if done.rows:
        return None
    return f"nothing was added: {'the budget is spent' if done.cut_short else 'no row passed'}"


def generator(model: Model) -> str:
    """Who wrote a row, for ever noted beside it."""
    return f"{model.name} {prompt('synthesise').reference}"


def _tables(session: Session, rows: tuple[New, ...], positions: np.ndarray, by: str) -> dict[str, str | None]:
    """Every table that is read by position, with the new rows (positions uint32 [m]) after the others."""
    store, state = session.store, session.state
    added = added_frames(session.config, state, rows, positions, by)
    tables: dict[str, str | None] = {}
    for role, frame in added.items():
        before = [store.frame(state.artefacts[role])] if role in state.artefacts else []
        tables[role] = store.put_frame(pl.concat([*before, frame]))
    tables["synthetic_originals"] = _originals(session, rows, positions)
    return tables


def added_frames(
    config: Config, state: RunState, rows: tuple[New, ...], positions: np.ndarray, by: str
) -> dict[str, pl.DataFrame]:
    """What new rows (positions uint32 [m]) add to each table by its role; ``by`` is who wrote them."""
    raw = rendered(shape_of(state), config, [row.parts for row in rows])
    text = pl.DataFrame({"text": [row.text for row in rows]})
    columns = {
        "row": positions,
        "id": [row.id for row in rows],
        "text": raw,
        "label": pl.Series([row.label for row in rows], dtype=pl.String),
        "source": pl.Series([None] * len(rows), dtype=pl.String),
    }
    provenance = {"row": positions, "seeds": [list(row.seeds) for row in rows], "generator": [by] * len(rows)}
    return {
        "rows": pl.DataFrame(columns),
        "text": text,
        "annotations": measures.annotate(text["text"]),
        "synthetic": pl.DataFrame(provenance, schema_overrides={"seeds": pl.List(pl.String)}),
    }


def _originals(session: Session, rows: tuple[New, ...], positions: np.ndarray) -> str:
    """The new rows in the input's own columns (Parquet), after those of earlier syntheses; other columns are empty."""
    state, store = session.state, session.store
    schema = pa.schema(
        [field.with_nullable(True) for field in pq.read_schema(store.path(state.artefacts["originals"]))]
    )
    values = _label_values(session, {row.label for row in rows if row.label is not None})
    own = {"id": state.values["id_column"], "label": state.values["label_column"]}
    lines = []
    for at, row in zip(positions.tolist(), rows, strict=True):
        line = {"row": at, **row_of(shape_of(state), row.parts)}
        if own["id"] and pa.types.is_string(schema.field(own["id"]).type):
            line[own["id"]] = row.id
        if own["label"]:
            line[own["label"]] = values.get(row.label)
        lines.append(line)
    columns = [_column(field, [line.get(field.name) for line in lines]) for field in schema]
    table = pa.Table.from_arrays(columns, schema=schema)
    before = [
        pq.read_table(store.path(state.artefacts[role])) for role in ("synthetic_originals",) if role in state.artefacts
    ]
    with store.scratch() as folder:
        path = folder / "synthetic_originals.parquet"
        pq.write_table(pa.concat_tables([*before, table]), path, compression="zstd")
        return store.adopt(path)


def _column(target: pa.Field, values: list[Any]) -> pa.Array:
    if is_json_text(target):
        return pa.array([None if value is None else json_bytes(value).decode() for value in values], target.type)
    return pa.array(values, target.type)


def _label_values(session: Session, labels: set[str | None]) -> dict[str | None, Any]:
    """The value that stands for each label in the input's own column, whatever its type."""
    column, state = session.state.values["label_column"], session.state
    if column is None or not labels:
        return {}
    frame = session.frame("rows", "label").with_row_index("at").filter(pl.col("label").is_in(list(labels)))
    first = frame.unique("label", keep="first", maintain_order=True).filter(pl.col("at") < state.values["ingested"])
    path = session.store.path(state.artefacts["originals"])
    table = pq.read_table(path, columns=["row", column], filters=[("row", "in", first["at"].to_list())])
    found = {line["row"]: line[column] for batch in table.to_batches() for line in plain_rows(batch)}
    return {label: found.get(at) for at, label in first.iter_rows()}


def derived_again(
    store: Store, config: Config, state: RunState, event: Event, model: Model | None
) -> list[tuple[str, Any, Any]]:
    """The claims of a ``synthesise`` event, for the audit: (what, as derived, as logged).

    The rows follow from the recorded answers by every filter; where each landed is a measurement and taken as logged.
    """
    assert event.state is not None
    logged = {**event.state.artefacts}
    refused = event.state.values["trial"]["refused"]
    cannot = _cannot(store, state, model)
    if model is None or cannot:
        return [("refusal", cannot, refused), ("artefacts of a refused action", ["trial_ledger"], [*logged])]
    record = store.json(logged["synthesis"] or "")
    measured = record.pop("placed")

    def place(texts: list[str]) -> list[Placed]:
        return [Placed(**dict(zip(Placed.model_fields, measured[text], strict=True))) for text in texts]

    seed = derived_seed(config, 9, state.round)
    again = synthesise(model, gather(store, config, state, event.params, seed, place), place)
    claims: list[tuple[str, Any, Any]] = [
        ("synthetic rows and what was dropped", again.model_dump(mode="json"), record),
        ("figures of the synthesis", again.figures(), event.metrics.get("synthesis")),
        ("refusal", _in_vain(again), refused),
    ]
    old = store.frame(state.artefacts["ledger"])
    new = store.frame(logged["trial_ledger"] or "")
    if not again.rows:
        return [*claims, ("ledger", True, new.equals(old))]
    ids = pl.Series("id", [row.id for row in again.rows])
    claims.append(("ledger", True, new.equals(add_synthetic(old, ids, event.seq))))
    positions = np.arange(old.height, new.height, dtype=np.uint32)
    for role, frame in added_frames(config, state, again.rows, positions, generator(model)).items():
        before = [store.frame(state.artefacts[role])] if role in state.artefacts else []
        claims.append((f"table of {role}", True, store.frame(logged[role] or "").equals(pl.concat([*before, frame]))))
    path = store.path(logged["synthetic_originals"] or "")
    added = [line for batch in pq.read_table(path).to_batches() for line in plain_rows(batch)][-len(ids) :]
    claims.append(
        ("original columns", [row.parts for row in again.rows], [parts_of(shape_of(state), x) for x in added])
    )
    return claims
