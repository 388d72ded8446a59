"""The first separation, rows against rows: near-duplicates, texts of a corpus and of benchmarks; then the anchor."""

from pathlib import Path

import numpy as np
import polars as pl

from ...state.errors import InputError
from ...state.events import StepEvent
from ...state.phrases import Advance, silent
from ...state.rows import Removal, hold_out, removed_by_reason
from ...state.values import Role, Values
from ...tools.judge import select
from ...tools.repeats import dedup, minhash
from ...tools.repeats.benchmarks import index_benchmarks
from ...tools.repeats.corpus import corpus_duplicates, open_corpus
from ...tools.repeats.decontaminate import Contamination, contaminated
from ..decide.facts import strictness
from ..session import Session
from ..view import View
from .base import Content, Draft, Step
from .clean import logged_frame, separated


class Dedup(Step[pl.DataFrame | None]):
    """Remove rows that stand in a corpus already, then near-duplicates: MinHash, LSH candidates, verified Jaccard.

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
        removals, left_out = list[Removal](), rows[:0]
        if not view.has("given_vectors"):
            if measured is not None:
                artefacts["in_corpus"] = measured
                found = measured.filter(pl.col("row").is_in(rows))
                left_out, score, names = found["row"].to_numpy(), found["score"].to_numpy(), found["duplicate_of"]
                removals = [Removal("in_corpus", left_out, score, config.dedup.threshold, names)]
            content = view.content(rows)
            text = dedup.compared(content)
            signed = minhash.SignedRows(text, rows, minhash.signatures(text, config.dedup, advance), content)
            quality = quality_of_rules(view, rows)
            removals.append(
                dedup.near_duplicates(signed, config.dedup, advance=advance, quality=quality, left_out=left_out)
            )
        return separated(view, self.name, removals, artefacts, ("text", "ledger"))


def _found_in_corpus(view: View, folder: Path) -> pl.DataFrame:
    """The rows that stand in a corpus, with their evidence: row, score, duplicate_of."""
    config, ledger = view.config, view.ledger()
    rows = ledger.filter((pl.col("status") == "kept") | (pl.col("stage") == "filter"))["row"].to_numpy()
    corpus = open_corpus(config.dedup.against, folder, config.dedup, config.clean)
    text = view.text(rows) if corpus.is_plain else view.content(rows)
    signed = minhash.SignedRows(text, rows, minhash.signatures(text, config.dedup))
    found = corpus_duplicates(signed, corpus, config.dedup)
    return pl.DataFrame({"row": found.rows, "score": found.score, "duplicate_of": found.duplicate_of})


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
    """Set aside the anchor, which measures every action and which no selecting tool sees."""

    name = "hold_out"

    def derive(self, view: View, measured: None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            InputError: too few rows are left to cluster and measure.
        """
        rows, least = view.kept(), view.config.stop.min_rows
        if len(rows) < least:
            why = ", ".join(f"{n:,} {reason}" for reason, n in removed_by_reason(view.ledger()).items())
            left = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"
            raise InputError(
                f"only {left} of {view.values.ingested:,} left after cleaning, at least {least} are needed "
                f"({why or 'nothing was removed'}); every row and its reason stands in {view.run.root}"
            )
        anchor = select.choose_anchor(rows, view.config.anchor, view.config.seed)
        artefacts: dict[Role, Content] = {"ledger": hold_out(view.ledger(), anchor, view.seq)}
        return Draft(
            artefacts=artefacts,
            values=Values(cleaned_rows=len(rows)),
            inputs=("ledger",),
            fields={"anchor": len(anchor)},
            changed=len(anchor),
        )
