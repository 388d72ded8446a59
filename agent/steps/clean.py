"""The first separation, row by row: normalise, remove copies, identify languages, measure by the quality rules."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from ...state.events import StepEvent
from ...state.phrases import Advance, silent
from ...state.rows import Removal, counts, remove_rows
from ...state.values import LabelConflict, LabelConflicts, Role, Values
from ...tools.text import clean, filters, language, measures
from ...tools.text.copies import copies
from ...tools.write.figures import conflicts_in_words as in_words
from ..decide.caps import refusal
from ..session import Session
from ..view import View
from .base import Content, Draft, Step

_LISTED = 10  # contents with several labels, and labels of one, that are named
#: Steps whose removals are capped; what copies say stays, so that ``clean`` is not.
CAPPED = ("language", "filter", "dedup", "decontaminate")


def separated(
    view: View, stage: str, removals: Iterable[Removal], artefacts: Mapping[Role, Content], inputs: tuple[Role, ...]
) -> Draft:
    """The draft of a step that takes rows out of the ledger, or is refused whole where it passes its cap.

    ``artefacts``: its own tables, besides the ledger.
    """
    removals, ledger = list(removals), view.ledger()
    removed = np.concatenate([removal.rows for removal in removals] or [np.zeros(0, dtype=np.uint32)])
    refused = None
    if stage in CAPPED:
        fraction = view.config.caps.clean_fraction
        refused = refusal(stage, view.kept(), removed, fraction, "caps.clean_fraction", view.sources())
    for removal in () if refused else removals:
        ledger = remove_rows(ledger, removal, stage, view.seq)
    by_reason = {} if refused else {removal.reason: len(removal.rows) for removal in removals}
    return Draft(
        artefacts={**artefacts, "ledger": ledger},
        inputs=inputs,
        fields={"counts": counts(ledger), "by_reason": by_reason},
        outcome="refused" if refused else None,
        reasons=(refused,) if refused else (),
        changed=0 if refused else len(removed),
        lines=((f"refused: {refused}", "bold yellow"),) if refused else (),
    )


class Clean(Step[None]):
    """Normalise the text; remove copies, byte for byte or once normalised. Of copies with several labels the majority's
    row stays."""

    name = "clean"

    def total(self, view: View) -> int | None:
        return view.values.ingested

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        rows = view.frame("rows", "text", "content")
        raw, params = rows["text"], view.config.clean
        normal = rows.select(pl.all().map_batches(lambda column: clean.normalise(column, params)))
        text = normal["text"]
        advance(len(raw))
        whole, content = rows["content"].fill_null(raw), normal["content"].fill_null(text)
        kept, removals, conflicts = view.kept(), list[Removal](), None
        if not view.has("given_vectors"):  # else they are what the rows are about, and not the text
            found = copies(whole.gather(kept), content.gather(kept), view.labels().gather(kept), kept)
            removals, conflicts = found.removals, _conflicts(found.votes, view.ledger()["id"])
        draft = separated(view, self.name, removals, {"text": normal}, ("rows", "ledger"))
        fields = {"normalised": int((raw != text).sum()), "label_conflicts": conflicts.texts if conflicts else 0}
        said = replace(draft.with_fields(**fields), values=Values(conflicts=conflicts))
        return replace(said, lines=((in_words(conflicts), "yellow"),)) if conflicts else said


def _conflicts(votes: pl.DataFrame, ids: pl.Series) -> LabelConflicts | None:
    """The votes of ``copies.Copies`` in sum, and the contents with most copies; None where there are no votes."""
    if votes.is_empty():
        return None
    texts = votes.group_by("first", maintain_order=True).agg(
        "label", "rows", "stays", copies=pl.col("rows").sum(), winners=pl.col("stays").count()
    )
    largest = texts.sort("copies", "first", descending=[True, False]).head(_LISTED)
    return LabelConflicts(
        texts=texts.height,
        rows=int(votes["rows"].sum()),
        tied=int((texts["winners"] > 1).sum()),
        largest=tuple(
            LabelConflict(
                row=one["first"],
                labels=dict(zip(one["label"][:_LISTED], one["rows"][:_LISTED], strict=True)),
                stay=tuple(ids.gather([row for row in one["stays"] if row is not None][:_LISTED])),
            )
            for one in largest.iter_rows(named=True)
        ),
    )


class Language(Step[pl.DataFrame]):
    """Identify the language of every row; where some are to be kept, remove the rows in any other."""

    name = "language"
    takes = "the language of every row: a model's word (fastText lid.176)"

    def due(self, view: View) -> bool:
        return view.config.load.readable

    def total(self, view: View) -> int | None:
        return view.values.ingested

    def measure(self, session: Session, view: View, advance: Advance) -> pl.DataFrame:
        return language.identify(view.texts().fill_null(""), advance)

    def logged(self, view: View, event: StepEvent) -> pl.DataFrame:
        return logged_frame(view, event, "languages")

    def derive(self, view: View, measured: pl.DataFrame, advance: Advance = silent) -> Draft:
        rows, params = view.kept(), view.config.language
        removals = [language.outside(measured[rows], rows, params)]
        draft = separated(view, self.name, removals, {"languages": measured}, ("text", "ledger"))
        return draft.with_fields(languages=language.language_counts(measured[rows], params))


class Filter(Step[None]):
    """Annotate every row with each quality rule's value and verdict; remove the rows that fail one."""

    name = "filter"

    def total(self, view: View) -> int | None:
        return view.values.ingested

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        config, rows, text = view.config, view.kept(), view.texts().fill_null("")
        annotations = measures.annotate(text, view.frame("rows", "empty_answer")["empty_answer"], advance)
        artefacts: dict[Role, Content] = {"annotations": annotations}
        profile, removals = _profile(view, text, rows), list[Removal]()
        if profile != "none":
            bounds = filters.bounds(profile, config.filter.thresholds)
            artefacts["verdicts"] = filters.verdicts(annotations, bounds)
            removals = filters.failing(annotations[rows], rows, bounds)
        draft = separated(view, self.name, removals, artefacts, ("text", "ledger"))
        return replace(draft, values=Values(profile=profile, thresholds=config.filter.thresholds))


def _profile(view: View, text: pl.Series, rows: np.ndarray) -> str:
    """The profile of the quality rules: the one that is set, or the one that suits the rows (positions, uint32 [n])."""
    if view.config.filter.profile != "auto":
        return view.config.filter.profile
    if view.config.load.vector_column is not None:  # the vectors are what the rows are about, and not the text
        return "none"
    return filters.choose_profile(text.gather(rows), view.values.shape)


def logged_frame(view: View, event: StepEvent, role: Role) -> pl.DataFrame:
    """The table of a role as an event set it."""
    return view.store.frame(event.state.artefacts[role] or "")
