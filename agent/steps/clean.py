"""The first separation, row by row: normalise, remove copies, identify languages, measure by the quality rules.

Copies go. All else is only marked, unless the user named what may take rows out (``filter.apply``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from ...state.errors import InputError
from ...state.events import StepEvent
from ...state.phrases import Advance, counted, silent
from ...state.rows import Removal, counts, remove_rows, without
from ...state.values import LabelConflict, LabelConflicts, Role, Values
from ...tools.text import clean, filters, language
from ...tools.text.copies import copies
from ...tools.text.kinds import word_counts
from ...tools.write.figures import conflicts_in_words as in_words
from ..decide.caps import refusal
from ..decide.person import pinned
from ..session import Session
from ..view import View
from .base import Content, Draft, Step

_SHOWN = 5  # rules that a line names
_COPIES = "what the rows differ by may be no content: see --content-columns, or set a higher cap"
IN_CORPUS = "in_corpus"  # why a row goes that stands in a corpus of the user's
_LISTED = 10  # contents with several labels, and labels of one, that are named


def separated(
    view: View,
    stage: str,
    removals: Iterable[Removal],
    artefacts: Mapping[Role, Content],
    inputs: tuple[Role, ...],
    marked: Mapping[str, int] | None = None,
) -> Draft:
    """The draft of a step that takes rows out of the ledger, or is refused whole where it passes its cap.

    ``artefacts``: its own tables, besides the ledger. ``marked``: how many rows each rule that is not applied would
    take of those that stay. A row that a person keeps stays, but where it holds text of a benchmark. Rows that stand in
    a corpus go whatever the cap: it was named so that they do, and it says what they say.
    """
    stays, ledger = pinned(view) if stage != "decontaminate" else None, view.ledger()
    removals = [removal if stays is None else without(removal, stays) for removal in removals]
    known = [removal for removal in removals if removal.reason == IN_CORPUS]
    none = np.zeros(0, dtype=np.uint32)
    left = np.setdiff1d(view.kept(), np.concatenate([none, *(removal.rows for removal in known)]))
    removed = np.concatenate([none, *(removal.rows for removal in removals if removal.reason != IN_CORPUS)])
    fraction = view.config.caps.clean_fraction
    # A source whose rows are all copies of another's loses nothing that it says.
    sources = None if stage == "clean" else view.sources()
    refused = refusal(stage, left, removed, fraction, "caps.clean_fraction", {"source": sources})
    if refused and stage == "clean":
        refused += f"; {_COPIES}"
    goes = known if refused else removals
    for removal in goes:
        ledger = remove_rows(ledger, removal, stage, view.seq)
    by_reason = {removal.reason: len(removal.rows) for removal in goes}
    marked = {rule: rows for rule, rows in (marked or {}).items() if rows}
    lines = [(f"refused: {refused}", "bold yellow")] if refused else []
    if marked:
        lines.append((_would_take(marked, len(view.kept()) - sum(by_reason.values())), "yellow"))
    return Draft(
        artefacts={**artefacts, "ledger": ledger},
        inputs=inputs,
        fields={"counts": counts(ledger), "by_reason": by_reason, "marked": marked},
        outcome="refused" if refused else None,
        reasons=(refused,) if refused else (),
        changed=sum(len(removal.rows) for removal in goes),
        lines=tuple(lines),
    )


def _would_take(marked: Mapping[str, int], of: int) -> str:
    """What rules mark, those of most rows first, and what would take it out."""
    most = sorted(marked, key=lambda rule: (-marked[rule], rule))
    said = ", ".join(f"{rule} {marked[rule]:,} ({marked[rule] / of:.1%})" for rule in most[:_SHOWN])
    more = f" and {len(most) - _SHOWN} more" if len(most) > _SHOWN else ""
    return (
        f"marked, not taken out, of {counted(of, 'row')}: {said}{more}; `--apply {most[0]}` in a new run takes them out"
    )


class Clean(Step[None]):
    """Normalise the text; remove copies, byte for byte or once normalised. Of copies with several labels the majority's
    row stays."""

    name = "clean"

    def total(self, view: View) -> int | None:
        return view.values.ingested

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            InputError: more rows are copies than the cap admits. Going on with them all would measure copies by copies.
        """
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
        if draft.outcome == "refused":
            raise InputError(draft.reasons[0])
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
        rows, params, words = view.kept(), view.config.language, word_counts(view.texts())
        found, counts_of = measured[rows], words.gather(rows)
        removal = language.outside(found, counts_of, rows, params)
        takes = bool(params.keep) or filters.is_applied("language", view.config.filter)
        draft = separated(
            view,
            self.name,
            [removal] if takes else [],
            {"languages": measured},
            ("text", "ledger"),
            {} if takes else {"language": len(removal.rows)},
        )
        return draft.with_fields(languages=language.language_counts(language.settled(found, counts_of, params)))


class Filter(Step[None]):
    """Annotate every row with each quality rule's value and verdict; remove the rows that fail one that is named."""

    name = "filter"

    def total(self, view: View) -> int | None:
        return view.values.ingested

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        config, rows, text = view.config, view.kept(), view.texts().fill_null("")
        empty = view.frame("rows", "empty_answer")["empty_answer"]
        annotations = filters.measured(text, _languages(view), empty, advance)
        artefacts: dict[Role, Content] = {"annotations": annotations}
        (profile, why), removals, marked = _profile(view, text, rows), list[Removal](), dict[str, int]()
        if profile != "none":
            bounds = filters.bounds(profile, config.filter.thresholds)
            verdicts = artefacts["verdicts"] = filters.verdicts(annotations, bounds)
            removals = filters.failing(annotations[rows], rows, filters.applied(bounds, config.filter))
            stay = np.setdiff1d(rows, np.concatenate([rows[:0], *(removal.rows for removal in removals)]))
            waiting = (rule for rule in bounds if not filters.is_applied(rule, config.filter))
            marked = {rule: int(verdicts[rule].gather(stay).sum()) for rule in waiting}
        draft = separated(view, self.name, removals, artefacts, ("text", "ledger"), marked)
        values = Values(profile=profile, thresholds=config.filter.thresholds)
        if why:
            said = _said(profile, why, filters.spared(annotations[rows]))
            values = values.patched(Values(notes=(*view.values.notes, said)))
            draft = replace(draft, lines=((f"note: {said}", "yellow"), *draft.lines))
        return replace(draft, values=values)


def _languages(view: View) -> pl.Series:
    """The language of every position as far as it is known: strings; null for unknown."""
    texts = view.texts()
    if not view.has("languages"):
        return pl.repeat(None, len(texts), dtype=pl.String, eager=True)
    return language.settled(view.frame("languages"), word_counts(texts), view.config.language)


def _profile(view: View, text: pl.Series, rows: np.ndarray) -> tuple[str, str]:
    """The profile of the quality rules: the one that is set, or the one that suits the rows (positions, uint32 [n]) and
    why."""
    if view.config.filter.profile != "auto":
        return view.config.filter.profile, ""
    if view.config.load.vector_column is not None:  # the vectors are what the rows are about, and not the text
        return "none", ""
    return filters.choose_profile(text.gather(rows), view.values.shape)


_READS = {"code": "code", "other": "another language than English", "unspaced": "a script without blanks"}


def _said(profile: str, why: str, spared: Mapping[str, int]) -> str:
    said = f"quality rules: profile {profile}, because {why} (--profile sets another)"
    read = [f"{rows:,} as {_READS[kind]}" for kind, rows in spared.items()]
    return f"{said}; rules made for other text do not judge what is read {', '.join(read)}" if read else said


def logged_frame(view: View, event: StepEvent, role: Role) -> pl.DataFrame:
    """The table of a role as an event set it."""
    return view.store.frame(event.state.artefacts[role] or "")
