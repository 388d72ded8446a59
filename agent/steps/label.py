"""Labels: domain, tags and difficulty of every curated row, over the user's taxonomy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, create_model

from ...prompts import prompt
from ...state.canonical import canonical_json
from ...state.config import Config
from ...state.progress import Advance, silent
from ...tools.judge.labels import by_rules, filled_in, label_table, unsure, zero_shot
from ...tools.judge.taxonomy import UNSURE, Entry, Taxonomy, taxonomy_of
from ..llm.ask import ROWS_PER_QUESTION, ShortText, by_row, each_row_once, reader, request, schema, sheets
from ..llm.client import Model
from ..session import Session, derived_seed


def label(session: Session) -> None:
    """Label the curated rows, the held-out ones too, where a taxonomy is given.

    Raises:
        InputError: the zero-shot model cannot be used.
        ModelError: the language model cannot be reached.
    """
    params = session.config.label
    if params.taxonomy is None:
        return
    taxonomy = taxonomy_of(session.store.json(session.state.artefacts["taxonomy"]))
    rows = np.sort(np.concatenate([session.kept(), session.anchor()]))
    nli = None
    if params.nli_model is not None:
        nli = partial(zero_shot, taxonomy=taxonomy, model=params.nli_model, min_margin=params.min_margin)
    with session.step("label") as advance:
        labels, said = label_rows(session.text(rows), taxonomy, session.config, nli, session.model, advance)
        artefacts: dict[str, str | None] = {"row_labels": session.store.put_frame(with_rows(labels, rows))}
        if said is not None:
            artefacts["zero_shot"] = session.store.put_frame(said)
    figures = tally(labels, taxonomy)
    session.reporter.say(sentence(figures))
    session.record(
        "label",
        artefacts=artefacts,
        values={"labelled": figures},
        inputs=["ledger", "text", "taxonomy"],
        params=params.model_dump(mode="json"),
        metrics=figures,
        reasons=[sentence(figures)],
    )


def sentence(figures: dict[str, Any]) -> str:
    """What a person is told of the labels."""
    by = ", ".join(f"{rows:,} by {who.replace('_', '-')}" for who, rows in figures["by"].items()) or "none"
    return f"labels: of {figures['rows']:,} rows, {by}; {figures['unsure']:,} stay unsure of a domain or a difficulty"


_FIELDS = {
    "domain": "- `domain`: the one name under `domains` that fits best, or `unsure`.",
    "tags": "- `tags`: the names under `tags` that fit, none to all.",
    "difficulty": "- `difficulty`: the one name under `difficulties` that fits best, or `unsure`.",
}


def label_rows(
    text: pl.Series,
    taxonomy: Taxonomy,
    config: Config,
    zero_shot: Callable[[pl.Series], pl.DataFrame] | None,
    model: Model | None,
    advance: Advance = silent,
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Label rows; the auditor calls this too, with what the zero-shot model said and the recorded language model.

    Args:
        text: strings [n].
        taxonomy: the names.
        config: how many rows the language model may see, and the run's seed.
        zero_shot: from the texts of unsure rows [m] to a label table [m], or None to leave the step out.
        model: the language model, or None to leave the step out.
        advance: called with questions answered.

    Returns:
        The label table [n], and what ``zero_shot`` said.
    """
    labels, said = by_rules(text, taxonomy), None
    open_rows = np.flatnonzero(unsure(labels, taxonomy))
    if zero_shot is not None and len(open_rows):
        said = zero_shot(text.gather(open_rows))
        labels = filled_in(labels, open_rows, said)
    readable = (text.fill_null("").str.strip_chars() != "").to_numpy()
    open_rows = np.flatnonzero(unsure(labels, taxonomy) & readable)
    order = np.random.default_rng(derived_seed(config, 10)).permutation(open_rows)
    open_rows = np.sort(order[: config.label.max_model_rows])
    if model is not None and config.load.readable and len(open_rows):
        labels = filled_in(labels, open_rows, by_model(model, text.gather(open_rows).to_list(), taxonomy, advance))
    return labels, said


def with_rows(labels: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """A label table with ``row`` (positions, uint32 [n]) before it."""
    return labels.select(pl.Series("row", rows), pl.all())


def tally(labels: pl.DataFrame, taxonomy: Taxonomy) -> dict[str, Any]:
    """How many rows were labelled by whom, and how many got each name."""
    by = dict(labels["labelled_by"].drop_nulls().value_counts().sort("labelled_by").iter_rows())
    names: dict[str, dict[str, int]] = {}
    for column, axis in (("domain", "domains"), ("tags", "tags"), ("difficulty", "difficulties")):
        given = labels[column].explode() if column == "tags" else labels[column]
        found = dict(given.drop_nulls().value_counts().iter_rows())
        names[axis] = {entry.name: found.get(entry.name, 0) for entry in getattr(taxonomy, axis)}
    return {"rows": labels.height, "by": by, "unsure": int(unsure(labels, taxonomy).sum()), **names}


def by_model(model: Model, texts: list[str], taxonomy: Taxonomy, advance: Advance = silent) -> pl.DataFrame:
    """What the language model labels each of ``texts`` [n]: a label table [n], without labels where it is unsure.

    ``advance`` is called with questions answered, ten texts each.
    """
    form = answer_form(taxonomy)
    described = {
        axis: {e.name: e.description for e in getattr(taxonomy, axis)} for axis in ("domains", "tags", "difficulties")
    }
    fields = "\n".join(_FIELDS[name] for name in _names(taxonomy))
    names = canonical_json({axis: entries for axis, entries in described.items() if entries}).decode()
    system = prompt("label").render({"taxonomy": names, "fields": fields})
    asked = sheets("label", texts)
    questions = [request("label", sheet, schema(form), system) for sheet in asked]
    model.prefetch(questions)
    answers = model.ask_many(questions, reader(form, each_row_once(asked, _entries)), advance)
    return label_table([_label(entry, taxonomy) for entry in by_row(asked, answers, _entries)], "model")


def answer_form(taxonomy: Taxonomy) -> type[BaseModel]:
    """The form of an answer: ``labels``, for each row an id, reasons, and a name of each axis that has any."""
    fields: dict[str, Any] = {"id": (str, Field(max_length=20)), "reasons": (ShortText, ...)}
    for name, entries in _names(taxonomy).items():
        several = name == "tags"
        one: Any = _one_of(entries if several else (*entries, UNSURE))
        fields[name] = (list[one], Field(max_length=len(entries))) if several else (one, ...)
    strict = ConfigDict(extra="forbid")
    row: Any = create_model("RowLabels", __config__=strict, **fields)
    return create_model("Labels", __config__=strict, labels=(list[row], Field(max_length=ROWS_PER_QUESTION)))


def _names(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """The names of each axis that has any, by the column they go to."""
    axes: dict[str, tuple[Entry, ...]] = {
        "domain": taxonomy.domains,
        "tags": taxonomy.tags,
        "difficulty": taxonomy.difficulties,
    }
    return {column: tuple(entry.name for entry in entries) for column, entries in axes.items() if entries}


def _one_of(names: tuple[str, ...]) -> Any:
    return Literal[names]


def _entries(answer: Any) -> list[Any]:
    return list(answer.labels)


def _label(entry: Any, taxonomy: Taxonomy) -> tuple[str | None, list[str], str | None]:
    """One row's labels in the order of the taxonomy; none where there is no answer."""
    chosen = {column: getattr(entry, column, None) for column in ("domain", "tags", "difficulty")}
    domain, difficulty = (None if chosen[c] == UNSURE else chosen[c] for c in ("domain", "difficulty"))
    return domain, [tag.name for tag in taxonomy.tags if tag.name in (chosen["tags"] or [])], difficulty
