"""What synthesis rests on, gathered from the run: the clusters' rows, hand-written seeds and the pool of known rows.

The loop and the audit call the same functions; what they differ in is who measures where a text lands.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.actions import Synthesise
from ...state.canonical import Json
from ...state.errors import InputError
from ...state.params.preparation import LoadParams, ScrubParams
from ...state.values import Role
from ...tools.read.columns import batch_of, is_json_text, plain_rows
from ...tools.read.forms import CHATS, Shape
from ...tools.read.load import load
from ...tools.read.shapes import Parts, fields_of, parts_of, render, row_of
from ...tools.text import clean, filters
from ..decide.candidates import FEWEST_SEEDS
from ..view import View
from .gates import Evidence
from .generator import Example, Target
from .placement import Place

OWN_ROWS = 200  # rows of a cluster that examples are drawn from
POOL_ROWS = 50_000  # rows that new ones are held against word by word; those of the clusters come first
HAND_ROWS = 2000


def read_hand_written(source: str, folder: Path, scrub: ScrubParams) -> list[Json]:
    """The rows of a file of hand-written seeds, as ``id``, ``text`` and ``row``, the columns; at most 2000.

    Rows as those of Self-Instruct (``instruction`` and ``instances`` of input and output) give their first instance.

    Raises:
        InputError: the file cannot be used.
    """
    try:
        result = load(source, LoadParams(limit=HAND_ROWS), folder, scrub=scrub)
    except InputError as error:
        try:
            result = load(source, LoadParams(limit=HAND_ROWS, text_column="instruction"), folder, scrub=scrub)
        except InputError:
            raise InputError(f"synthesis.seeds: {error}") from error
    rows = pl.read_parquet(result.rows)
    originals = pq.read_table(result.originals).combine_chunks()
    plain = [row for batch in originals.to_batches() for row in plain_rows(batch)]
    found = zip(rows["id"].to_list(), rows["text"].to_list(), plain, strict=True)
    return [{"id": f"seed:{id}", "text": text or "", "row": _first_instance(row)} for id, text, row in found]


def _first_instance(row: Json) -> dict[str, str]:
    instances = row.get("instances")
    first = instances[0] if isinstance(instances, list) and instances else None
    given = {**row, **first} if isinstance(first, dict) else row
    return {name: value for name, value in given.items() if isinstance(value, str)}


def shape_of(view: View) -> Shape:
    """The shape of the run's rows, as it was recognised when they were loaded."""
    # A shape whose input has no column names it by the empty text.
    return Shape(view.values.shape, tuple(column or "" for column in view.values.text_columns))


def unfit(view: View) -> str | None:
    """Why no rows of the run's shape can be written: the sentence, or None where they can."""
    shape = shape_of(view)
    if not fields_of(shape):
        return "the rows are vectors; a new one could not be written"
    schema = pq.read_schema(view.path("originals"))
    for name in (column for column in shape.columns if column and shape.kind not in CHATS):
        field = schema.field(name)
        if not (is_json_text(field) or pa.types.is_string(field.type) or pa.types.is_large_string(field.type)):
            return (
                f"the column {name!r} holds {field.type} and no text; a new row could not be stored beside the others"
            )
    return None


def gather(view: View, action: Synthesise, seed: int, place: Place) -> Evidence:
    """The evidence for one ``synthesise`` action; ``seed`` is of every choice, ``place`` says where texts land."""
    fields, config, values = fields_of(shape_of(view)), view.config, view.values
    own = view.frame("assignments").filter(pl.col("row") < values.ingested)
    members = {number: own.filter(pl.col("cluster") == number) for number in action.clusters}
    drawn = {number: _drawn(frame["row"].to_numpy(), seed, number) for number, frame in members.items()}
    asked = np.concatenate([*drawn.values(), np.zeros(0, dtype=np.uint32)])
    known = np.concatenate([asked, np.setdiff1d(view.kept(), asked)])[:POOL_ROWS]
    parts = _parts(view, known)
    hand = _hand_written(view, place)
    targets = []
    for number, count in zip(action.clusters, action.counts, strict=True):
        rows = [row for row in drawn[number].tolist() if row in parts]
        if len(rows) >= FEWEST_SEEDS:
            cosines = members[number]["similarity"].fill_nan(None).drop_nulls().to_numpy().astype(np.float64)
            landed = tuple(example for example, cluster in hand if cluster == number)
            targets.append(Target(number, count, _examples(view, rows, parts), landed, cosines))
    unbound = values.profile == "none"
    bounds = {} if unbound else filters.bounds(values.profile, values.thresholds)
    return Evidence(
        fields=fields,
        targets=tuple(targets),
        pool=(*parts.values(), *(example.parts for example, _ in hand)),
        texts=tuple(view.text(known).to_list()),
        render=lambda rows: rendered(view, rows),
        fails=lambda texts: _failing(texts, bounds),
        rouge_l=config.synthesis.rouge_l,
        cosine=config.semantic.cosine,
        seed=seed,
        round=view.state.round,
    )


def rendered(view: View, rows: Sequence[Parts]) -> list[str]:
    """The normalised text of rows, as loading and cleaning make it."""
    if not rows:
        return []
    shape = shape_of(view)
    text = render(shape, batch_of([row_of(shape, parts) for parts in rows]))
    return clean.normalise(text.fill_null(""), view.config.clean).to_list()


def _failing(texts: list[str], bounds: dict[str, filters.Bound]) -> list[bool]:
    failed = np.zeros(len(texts), dtype=bool)
    if texts and bounds:
        rows = np.arange(len(texts), dtype=np.uint32)
        for removal in filters.failing(filters.measured(pl.Series("text", texts)), rows, bounds):
            failed[removal.rows] = True
    found: list[bool] = failed.tolist()
    return found


def _drawn(rows: np.ndarray, seed: int, cluster: int) -> np.ndarray:
    """At most 200 of the positions, uint32 [m], ascending."""
    if len(rows) <= OWN_ROWS:
        return rows
    return np.sort(np.random.default_rng([seed, cluster]).permutation(rows)[:OWN_ROWS])


def _parts(view: View, rows: np.ndarray) -> dict[int, Parts]:
    """What rows (positions, uint32 [n]) say by their fields, in their order; those of another form are left out."""
    shape = shape_of(view)
    if fields_of(shape) == ("text",):
        texts = view.store.frame(view.ref("rows"), ["text"])["text"].gather(rows).to_list()
        return {row: {"text": text} for row, text in zip(rows.tolist(), texts, strict=True) if text}
    found: dict[int, Parts] = {}
    roles: tuple[Role, ...] = ("originals", "synthetic_originals")
    for role in filter(view.has, roles):
        for batch in pq.read_table(view.path(role), filters=[("row", "in", rows.tolist())]).to_batches():
            for line in plain_rows(batch):
                if (parts := parts_of(shape, line)) is not None:
                    found[line["row"]] = parts
    return {row: found[row] for row in rows.tolist() if row in found}


def _examples(view: View, rows: list[int], parts: Mapping[int, Parts]) -> tuple[Example, ...]:
    frame = view.frame("rows", "id", "label")[rows]
    return tuple(Example(id, parts[row], label) for row, (id, label) in zip(rows, frame.iter_rows(), strict=True))


def _hand_written(view: View, place: Place) -> list[tuple[Example, int]]:
    """The hand-written seeds that have the fields of the run's rows, each with the cluster it lands in."""
    if not view.has("seeds"):
        return []
    column, fields = view.values.label_column, fields_of(shape_of(view))
    found = []
    for seed in view.json("seeds"):
        parts = _as_fields(seed, fields)
        if parts is not None:
            found.append(Example(seed["id"], parts, seed["row"].get(column) if column else None))
    placed = place(rendered(view, [example.parts for example in found])) if found else []
    return [(example, one.cluster) for example, one in zip(found, placed, strict=True)]


def _as_fields(seed: Json, fields: tuple[str, ...]) -> Parts | None:
    """A hand-written row by the run's fields; None where it lacks one. Where the run has only text, its text counts."""
    if fields == ("text",):
        return {"text": seed["text"]} if seed["text"].strip() else None
    row = seed["row"]
    names = {"instruction": ("instruction", "prompt", "question"), "input": ("input", "context")}
    parts = {}
    for field in fields:
        said = (row.get(name, "").strip() for name in names.get(field, ("output", "response", "completion", "answer")))
        parts[field] = next((text for text in said if text), "")
    return parts if all(text for field, text in parts.items() if field != "input") else None
