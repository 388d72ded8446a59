"""The first separation, rows against rows: near-duplicates, texts of a corpus and of benchmarks; then the hold-out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from ...state.config import Config
from ...state.errors import InputError
from ...state.events import StepEvent
from ...state.params.preparation import DedupParams
from ...state.params.rounds import StopParams
from ...state.phrases import Advance, counted, silent
from ...state.rows import Removal, hold_out, removed_by_reason
from ...state.values import Role, Values
from ...tools.judge import select
from ...tools.read.columns import as_text
from ...tools.repeats import dedup, minhash
from ...tools.repeats.clippings import merged
from ...tools.repeats.contamination.benchmarks import index_benchmarks
from ...tools.repeats.contamination.decontaminate import Contamination, contaminated
from ...tools.repeats.corpus import corpus_duplicates, open_corpus
from ...tools.repeats.edited import WithoutSubstitution, edited_copies
from ...tools.repeats.groups import Together, row_groups
from ...tools.text.filters import is_applied
from ...tools.write.figures import near_in_words
from ..decide.facts import strictness
from ..session import Session
from ..view import View
from .base import Content, Draft, Step
from .clean import IN_CORPUS, logged_frame, separated
from .rows.seal import seal

_LEAST_OF_WANTED = 0.25  # of the anchor, below which groups that are too large leave nothing to measure by
_UNHEADED = ("pair", "two")  # shapes whose text does not tell the question from the answer; it is the first column


class Dedup(Step[pl.DataFrame | None]):
    """Remove rows that stand in a corpus already, then near-duplicates: MinHash, LSH candidates, verified Jaccard; and
    edited copies, verified word by word.

    The measurement is the rows that stand in a corpus, which is not in the run; those among them, too, that the filter
    took and that may come back. None: no corpus is named.
    """

    name = "dedup"
    takes = "which rows stand in the corpus of dedup.against: the corpus is not in the run"

    def total(self, view: View) -> int | None:
        return 2 * len(view.kept())

    def measure(self, session: Session, view: View, advance: Advance) -> pl.DataFrame | None:
        if not view.config.dedup.against or view.has("given_vectors"):
            return None
        with session.store.scratch() as folder:
            return _found_in_corpus(view, folder)

    def logged(self, view: View, event: StepEvent) -> pl.DataFrame | None:
        return logged_frame(view, event, "in_corpus") if "in_corpus" in event.state.artefacts else None

    def derive(self, view: View, measured: pl.DataFrame | None, advance: Advance = silent) -> Draft:
        rows, config = view.kept(), view.config
        artefacts: dict[Role, Content] = {}
        removals, left_out, marked = list[Removal](), rows[:0], dict[str, int]()
        if not view.has("given_vectors"):
            if measured is not None:
                artefacts["in_corpus"] = measured
                found = measured.filter(pl.col("row").is_in(rows))
                left_out, score, names = found["row"].to_numpy(), found["score"].to_numpy(), found["duplicate_of"]
                removals = [Removal(IN_CORPUS, left_out, score, config.dedup.threshold, names)]
            near = _near(view, rows, left_out, advance)
            twins = artefacts["near_duplicates"] = _twins(view, near)
            goes, marked = _split(twins, config)
            removals.append(_taken(near, goes))
        draft = separated(view, self.name, removals, artefacts, ("text", "ledger"), marked)
        if are_clippings(view):
            draft = _told_of_notes(draft, removals)
        if not (other := marked.get(OTHER_LABEL, 0)):
            return draft
        said = (near_in_words(other), "yellow")
        return replace(draft, values=Values(near_conflicts=other), lines=(*draft.lines, said))


#: What a near-duplicate is marked by that has another label than its twin: a conflict, or a counterfactual pair.
OTHER_LABEL = "near_duplicate_of_another_label"


#: The columns of documents that were read as notes.
_OF_NOTES = {"format", "origin", "date", "tags"}


def are_clippings(view: View) -> bool:
    """Whether the rows are documents that were read as notes: of a table every content column counts, as ever."""
    return view.config.filter.is_notes and set(view.values.meanings) >= _OF_NOTES


def _near(view: View, rows: np.ndarray, left_out: np.ndarray, advance: Advance) -> Removal:
    """Those of ``rows`` (positions, uint32 [n]) but ``left_out`` that repeat another: as rows do, or as notes do."""
    config = view.config
    if are_clippings(view):  # titles, tags and frames differ between clippings of one text
        advance(2 * len(rows))
        return merged(view.text(rows), rows, config.dedup, left_out)
    content = view.content(rows)
    text = dedup.compared(content)
    signed = minhash.SignedRows(text, rows, minhash.signatures(text, config.dedup, advance), content)
    quality = quality_of_rules(view, rows)
    order = dedup.keep_order(signed, keeping(config), quality=quality, left_out=left_out)
    same = WithoutSubstitution(content, config.dedup.ngram_size)
    near = dedup.near_duplicates(signed, config.dedup, advance=advance, order=order, parts=same)
    if config.dedup.target_rows is None:
        order = order[~np.isin(rows[order], near.rows)]
        near = _joined(near, edited_copies(content, rows, config.dedup, order))
    return near


def _told_of_notes(draft: Draft, removals: list[Removal]) -> Draft:
    """The draft with a sentence on the notes that are merged, on record and for a person."""
    gone = next((removal for removal in removals if removal.reason == "merged"), None)
    if draft.outcome == "refused" or gone is None or not len(gone.rows):
        return draft
    into = len(np.unique(np.asarray(gone.duplicate_of)))
    said = (
        f"{counted(len(gone.rows), 'note')} merged into {into:,} more complete, which name their sources: "
        "the profile notes, which was asked for by name, allows it"
    )
    return replace(draft, reasons=(*draft.reasons, said), lines=(*draft.lines, (said, "yellow")))


def _joined(one: Removal, other: Removal) -> Removal:
    """Both as one removal, ascending."""
    columns = [(getattr(one, name), getattr(other, name)) for name in ("rows", "score", "duplicate_of")]
    rows, score, twins = (np.concatenate(both) for both in columns)
    order = np.argsort(rows)
    return replace(one, rows=rows[order], score=score[order], duplicate_of=twins[order])


def _twins(view: View, near: Removal) -> pl.DataFrame:
    """Every near-duplicate found: row, its twin's id, how much of both is the same (Jaccard similarity; the share of
    words of edited copies), and whether their labels differ."""
    labels, twins = view.labels(), np.asarray(near.duplicate_of)
    differ = labels.gather(near.rows).ne_missing(labels.gather(twins))
    ids = view.ledger()["id"].gather(twins)
    return pl.DataFrame({"row": near.rows, "duplicate_of": ids, "score": near.score, "other_label": differ})


def _split(twins: pl.DataFrame, config: Config) -> tuple[np.ndarray, dict[str, int]]:
    """Which near-duplicates go (bool [n]), and how many are only marked, by what they are marked."""
    differ = twins["other_label"].to_numpy()
    goes = ~differ
    if not (is_applied("near_duplicate", config.filter) or config.dedup.target_rows):
        goes = np.zeros(len(differ), dtype=bool)
    marked = {"near_duplicate": int((~goes & ~differ).sum()), OTHER_LABEL: int(differ.sum())}
    return goes, marked


def _taken(removal: Removal, goes: np.ndarray) -> Removal:
    """Those entries of a removal (bool [n]) that are carried out."""
    twins = np.asarray(removal.duplicate_of)[goes]
    return replace(removal, rows=removal.rows[goes], score=np.asarray(removal.score)[goes], duplicate_of=twins)


def of_one_label(view: View, found: Removal) -> Removal:
    """Those of the rows found alike whose twin carries the same label, or that have none.

    Rows that differ in little but the label are a pair made to teach the difference, or a label at fault: either way no
    copy.
    """
    assert isinstance(found.duplicate_of, np.ndarray)
    labels = view.labels()
    same = labels.gather(found.rows).eq(labels.gather(found.duplicate_of)).fill_null(True).to_numpy()
    return _taken(found, same)


def _found_in_corpus(view: View, folder: Path) -> pl.DataFrame:
    """The rows that stand in a corpus, with their evidence: row, score, duplicate_of."""
    config, ledger = view.config, view.ledger()
    rows = ledger.filter((pl.col("status") == "kept") | (pl.col("stage") == "filter"))["row"].to_numpy()
    corpus = open_corpus(config.dedup.against, folder, config.dedup, config.clean)
    text = view.text(rows) if corpus.is_plain else view.content(rows)
    signed = minhash.SignedRows(text, rows, minhash.signatures(text, config.dedup))
    found = corpus_duplicates(signed, corpus, config.dedup)
    return pl.DataFrame({"row": found.rows, "score": found.score, "duplicate_of": found.duplicate_of})


def keeping(config: Config) -> DedupParams:
    """How a run removes near-duplicates: unless it is said which row stays, the one of the commonest wording does."""
    which = config.dedup.which_to_keep or "commonest"
    return config.dedup.model_copy(update={"which_to_keep": which})


def quality_of_rules(view: View, rows: np.ndarray) -> np.ndarray | None:
    """How far rows (positions, uint32 [n]) are from the limits of the rules in force: float [n], higher is better.

    None where nothing asks for it, or no rule is in force.
    """
    if view.config.dedup.which_to_keep != "best_quality" or view.values.profile == "none":
        return None
    return 1.0 - strictness(view, rows).astype(np.float64)


class Decontaminate(Step[None]):
    """Remove rows that hold the text of a benchmark; what they share is kept as evidence."""

    name = "decontaminate"

    def due(self, view: View) -> bool:
        return bool(view.config.decontaminate.against)

    def total(self, view: View) -> int | None:
        return len(view.kept())

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        found = contamination(view, view.kept(), advance)
        inputs: tuple[Role, ...] = ("text", "ledger", "benchmarks")
        return separated(view, self.name, found.removals, {"matches": found.matches}, inputs)


def contamination(view: View, rows: np.ndarray, advance: Advance = silent) -> Contamination:
    """Rows (positions, uint32 [n]) whose normalised contents hold a text of the benchmarks."""
    params = view.config.decontaminate
    known = index_benchmarks(view.frame("benchmarks"), params)
    return contaminated(view.content(rows), rows, known, params, advance)


class HoldOut(Step[None]):
    """Set aside the anchor, which measures every action and which no selecting tool sees, and the sealed rows, which
    nothing sees until the rounds are over; groups of rows stay whole."""

    name = "hold_out"

    def total(self, view: View) -> int | None:
        return view.values.ingested

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            InputError: too few rows are left to cluster and measure.
        """
        rows, least = view.kept(), view.config.least_rows
        if len(rows) < least:
            why = ", ".join(f"{n:,} {reason}" for reason, n in removed_by_reason(view.ledger()).items())
            left = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"
            raise InputError(
                f"only {left} of {view.values.ingested:,} left after cleaning, at least {least} are needed "
                f"({why or 'nothing was removed'}); every row and its reason stands in {view.run.root}"
            )
        groups = groups_of(view, advance)
        anchor = select.choose_anchor(rows, view.config.anchor, view.config.seed, groups[rows])
        wanted = select.anchor_size(len(rows), view.config.anchor)
        if divided := len(anchor) < _LEAST_OF_WANTED * wanted:
            if (named := view.config.load.group_column) is not None:
                raise InputError(
                    f"only {len(anchor):,} of {wanted:,} rows can be held out, because groups by {named!r} are larger "
                    "than that: name another --group-column, or raise anchor.fraction and anchor.max_rows"
                )
            anchor = select.choose_anchor(rows, view.config.anchor, view.config.seed)
        sizes = np.unique(groups[rows], return_counts=True)[1]
        several = sizes[sizes > 1]
        ledger = hold_out(view.ledger(), anchor, view.seq)
        sealed = seal(view, np.setdiff1d(rows, anchor), groups, divided)
        if len(sealed.rows):
            ledger = hold_out(ledger, sealed.rows, view.seq, "sealed")
        return Draft(
            artefacts={"ledger": ledger, "groups": groups},
            values=Values(cleaned_rows=len(rows)),
            inputs=("ledger", "text", "originals"),
            fields={
                "anchor": len(anchor),
                "groups": len(several),
                "grouped": int(several.sum()),
                "divided": divided,
                "sealed_rows": len(sealed.rows),
                "sealed_sha256": sealed.sha256,
                "unsealed": sealed.why_not,
            },
            changed=len(anchor) + len(sealed.rows),
            lines=(*_lines(len(anchor), wanted, several, divided), (sealed.said, ""), *_few(len(rows), len(anchor))),
        )


def _few(rows: int, held: int) -> tuple[tuple[str, str], ...]:
    """What so few rows cannot tell; nothing where they are enough."""
    if rows >= StopParams.model_fields["min_rows"].default:
        return ()
    said = (
        f"of {rows} rows {held} are held out, too few to measure whether an action pays: copies are merged, little else"
    )
    return ((said, "yellow"),)


def _lines(held: int, wanted: int, several: np.ndarray, divided: bool) -> tuple[tuple[str, str], ...]:
    """What a person should know of the hold-out."""
    if divided:
        text = (
            "nearly all rows belong together, so that held-out rows resemble rows of the training set: scores measure "
        )
        return ((f"{text}memory, too", "bold yellow"),)
    if not len(several):
        return ()
    line = f"{int(several.sum()):,} rows belong to {counted(len(several), 'group')}, each held out whole or not at all"
    return ((line + (f"; {held:,} of {wanted:,} rows fit" if held < wanted else ""), ""),)


def groups_of(view: View, advance: Advance = silent) -> np.ndarray:
    """Which rows belong together: for every row of the input the least position of its group, uint32 [ingested].

    Rows that are out count, too: they may come back, and two rows that repeat a third are alike.
    """
    values, rows = view.values, np.arange(view.values.ingested, dtype=np.uint32)
    nothing = pl.Series([None] * len(rows), dtype=pl.String)
    column = None if values.group_column is None else original_text(view, values.group_column)
    if view.has("given_vectors"):
        return row_groups(Together(nothing, nothing, column), view.config.dedup, advance)
    asked = original_text(view, values.text_columns[0] or "") if values.shape in _UNHEADED else None
    twins = None
    if view.has("near_duplicates"):
        known = view.frame("near_duplicates")
        twins = known["row"].to_numpy(), view.positions(known["duplicate_of"])
    return row_groups(Together(view.texts(), view.contents(), column, asked, twins), view.config.dedup, advance)


def original_text(view: View, name: str) -> pl.Series:
    """A column of the input as it was read, as strings [ingested]; null where it is missing."""
    file = pq.ParquetFile(view.path("originals"))
    if name == "row":  # which made way for the number of the row
        name = max(one for one in file.schema_arrow.names if one.startswith("row_original"))
    field = file.schema_arrow.field(name)
    parts = [pl.Series(as_text(batch.column(0), field), dtype=pl.String) for batch in file.iter_batches(columns=[name])]
    return pl.concat(parts) if parts else pl.Series(dtype=pl.String)
