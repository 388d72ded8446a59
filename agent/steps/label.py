"""Labels: domain, tags and difficulty of every curated row, over the user's taxonomy."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, create_model

from ...prompts import prompt
from ...state.canonical import canonical_json
from ...state.events import StepEvent
from ...state.phrases import Advance, silent
from ...state.values import LabelLesson, LabelTally, Role, Values
from ...tools.judge.labels import STAGES, by_rules, filled_in, label_table, unsure, zero_shot
from ...tools.judge.taxonomy import PARTS, UNSURE, Entry, Taxonomy, taxonomy_of
from ...tools.judge.weak import by_classifier
from ...tools.write.figures import labels_in_words, lesson_in_words
from ..llm.ask import ROWS_PER_QUESTION, ShortText, ask_about
from ..llm.client import Model
from ..session import Session
from ..view import View
from .base import Content, Draft, Step
from .clean import logged_frame
from .measured import embedded_rows

Classify = Callable[[pl.Series], pl.DataFrame]  # texts [m] → a label table [m]


class Label(Step[Classify | None]):
    """Label the curated rows, the held-out ones too, where a taxonomy is given.

    The measurement is the zero-shot model, or in the audit what it said; None where none is named.
    """

    name = "label"
    takes = "what the zero-shot model said"

    def due(self, view: View) -> bool:
        return view.config.label.taxonomy is not None

    def measure(self, session: Session, view: View, advance: Advance) -> Classify | None:
        params = view.config.label
        if params.nli_model is None:
            return None
        taxonomy = taxonomy_of(view.json("taxonomy"))
        return partial(zero_shot, taxonomy=taxonomy, model=params.nli_model, min_margin=params.min_margin)

    def logged(self, view: View, event: StepEvent) -> Classify | None:
        if view.config.label.nli_model is None:
            return None
        return lambda text: logged_frame(view, event, "zero_shot")

    def derive(self, view: View, measured: Classify | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            InputError: the zero-shot model cannot be used.
            ModelError: the language model cannot be reached.
        """
        taxonomy = taxonomy_of(view.json("taxonomy"))
        rows = np.sort(np.concatenate([view.kept(), view.held_out()]))
        text = view.text(rows)
        labels, lessons = _by_rules_and_classifier(view, rows, text, taxonomy)
        labels, zero_shot_said = _by_models(view, text, labels, taxonomy, measured, advance)
        artefacts: dict[Role, Content] = {"row_labels": labels.select(pl.Series("row", rows), pl.all())}
        if zero_shot_said is not None:
            artefacts["zero_shot"] = zero_shot_said
        figures = tally(labels, taxonomy, lessons)
        sentences = (
            f"labels of {labels_in_words(figures)}",
            *(lesson_in_words(part, lesson) for part, lesson in lessons.items()),
        )
        return Draft(
            artefacts=artefacts,
            values=Values(labelled=figures),
            inputs=("ledger", "text", "vectors", "taxonomy"),
            reasons=sentences,
            lines=tuple((sentence, "") for sentence in sentences),
        )


_FIELDS = {
    "domain": "- `domain`: the one name under `domains` that fits best, or `unsure`.",
    "tags": "- `tags`: the names under `tags` that fit, none to all.",
    "difficulty": "- `difficulty`: the one name under `difficulties` that fits best, or `unsure`.",
}


def _by_rules_and_classifier(
    view: View, rows: np.ndarray, text: pl.Series, taxonomy: Taxonomy
) -> tuple[pl.DataFrame, dict[str, LabelLesson]]:
    """The label table of positions (uint32 [n]) with their texts (strings [n]), and what the classifier learned.

    It is asked of the parts of which a row has one name; that no keyword of a tag stands in a row does not tell that it
    lacks it, so that there would be nothing to tell tags from.
    """
    labels, lessons = by_rules(text, taxonomy), dict[str, LabelLesson]()
    precision, (embedded, vectors) = view.config.label.precision, embedded_rows(view, rows)
    if precision is None or not len(embedded):
        return labels, lessons
    known, said = labels[embedded], dict[str, pl.Series]()
    for part in ("domain", "difficulty"):
        entries = getattr(taxonomy, PARTS[part])
        if any(entry.keywords for entry in entries):
            said[part], lessons[part] = by_classifier(
                text.gather(embedded), vectors, known[part], entries, precision, view.seed(14)
            )
    nothing = pl.Series([None] * len(embedded), dtype=pl.String)
    domains, difficulties = (said.get(part, nothing) for part in ("domain", "difficulty"))
    more = label_table([(domain, [], hard) for domain, hard in zip(domains, difficulties, strict=True)], "classifier")
    return filled_in(labels, embedded, more), lessons


def _by_models(
    view: View,
    text: pl.Series,
    labels: pl.DataFrame,
    taxonomy: Taxonomy,
    zero_shot: Classify | None,
    advance: Advance,
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The label table of texts (strings [n]) filled in by the models, and what ``zero_shot`` said of open ones."""
    said, config = None, view.config
    open_rows = np.flatnonzero(unsure(labels, taxonomy))
    if zero_shot is not None and len(open_rows):
        said = zero_shot(text.gather(open_rows))
        labels = filled_in(labels, open_rows, said)
    readable = (text.str.strip_chars() != "").to_numpy()
    order = np.random.default_rng(view.seed(10)).permutation(np.flatnonzero(unsure(labels, taxonomy) & readable))
    open_rows = np.sort(order[: config.label.max_model_rows])
    if view.model is not None and config.load.readable and len(open_rows):
        labels = filled_in(labels, open_rows, by_model(view.model, text.gather(open_rows).to_list(), taxonomy, advance))
    return labels, said


def tally(labels: pl.DataFrame, taxonomy: Taxonomy, lessons: Mapping[str, LabelLesson]) -> LabelTally:
    """How many rows were labelled by whom, part by part, and how many got each name."""
    names, by = dict[str, dict[str, int]](), dict[str, dict[str, int]]()
    for column, axis in PARTS.items():
        if getattr(taxonomy, axis):
            whom = dict(labels[f"{column}_by"].drop_nulls().value_counts().iter_rows())
            by[column] = {stage: whom[stage] for stage in STAGES if stage in whom}
        given = labels[column].explode() if column == "tags" else labels[column]
        found = dict(given.drop_nulls().value_counts().iter_rows())
        names[axis] = {entry.name: found.get(entry.name, 0) for entry in getattr(taxonomy, axis)}
    missing = int(unsure(labels, taxonomy).sum())
    return LabelTally(rows=labels.height, by=by, lessons=dict(lessons), unsure=missing, **names)


def by_model(model: Model, texts: list[str], taxonomy: Taxonomy, advance: Advance = silent) -> pl.DataFrame:
    """What the language model labels each of ``texts`` [n]: a label table [n], without labels where it is unsure.

    ``advance`` is called with questions answered, ten texts each.
    """
    form = answer_form(taxonomy)
    axes = _axes(taxonomy)
    described = {PARTS[column]: {entry.name: entry.description for entry in axes[column]} for column in axes}
    fields = "\n".join(_FIELDS[column] for column in axes)
    system = prompt("label").render({"taxonomy": canonical_json(described).decode(), "fields": fields})
    found = ask_about(model, "label", texts, form, _entries, advance, system)
    return label_table([_label(entry, taxonomy) for entry in found], "model")


def answer_form(taxonomy: Taxonomy) -> type[BaseModel]:
    """The form of an answer: ``labels``, for each row an id, reasons, and a name of each axis that has any."""
    fields: dict[str, Any] = {"id": (str, Field(max_length=20)), "reasons": (ShortText, ...)}
    for column, entries in _axes(taxonomy).items():
        names, several = tuple(entry.name for entry in entries), column == "tags"
        one: Any = Literal[names if several else (*names, UNSURE)]
        fields[column] = (list[one], Field(max_length=len(names))) if several else (one, ...)
    strict = ConfigDict(extra="forbid")
    row: Any = create_model("RowLabels", __config__=strict, **fields)
    return create_model("Labels", __config__=strict, labels=(list[row], Field(max_length=ROWS_PER_QUESTION)))


def _axes(taxonomy: Taxonomy) -> dict[str, tuple[Entry, ...]]:
    """The entries of each axis that has any, by the column they go to."""
    return {column: entries for column, axis in PARTS.items() if (entries := getattr(taxonomy, axis))}


def _entries(answer: Any) -> list[Any]:
    return list(answer.labels)


def _label(entry: Any, taxonomy: Taxonomy) -> tuple[str | None, list[str], str | None]:
    """One row's labels in the order of the taxonomy; none where there is no answer."""
    chosen = {column: getattr(entry, column, None) for column in PARTS}
    domain, difficulty = (None if chosen[c] == UNSURE else chosen[c] for c in ("domain", "difficulty"))
    return domain, [tag.name for tag in taxonomy.tags if tag.name in (chosen["tags"] or [])], difficulty
