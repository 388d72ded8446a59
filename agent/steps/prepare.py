"""Before the loop, after the rows are read: clean, identify languages, filter, deduplicate, decontaminate, hold out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from ...state.errors import InputError
from ...state.events import Effect
from ...state.rows import Removal, counts, hold_out, removed_by_reason
from ...tools.judge import select
from ...tools.repeats import dedup as dedup_tool
from ...tools.repeats.corpus import corpus_duplicates, open_corpus
from ...tools.text import clean as clean_tool
from ...tools.text import filters, measures
from ...tools.text import language as language_tool
from ..session import Session
from . import separation


def clean(session: Session) -> None:
    """Normalise the text; remove byte-identical copies, then copies that normalising made identical."""
    params = session.config.clean
    with session.step("clean", session.state.values["ingested"]) as advance:
        raw = session.frame("rows", "text")["text"]
        text = clean_tool.normalise(raw, params)
        advance(len(raw))
        removals = [] if _given(session) else separation.copies(raw, text, session.kept())
        changed = int((raw != text).sum())
        reference = session.store.put_frame(pl.DataFrame({"text": text}))
    _commit(
        session,
        "clean",
        removals,
        artefacts={"text": reference},
        inputs=["rows", "ledger"],
        params=params.model_dump(mode="json"),
        metrics={"normalised": changed, "label_conflicts": _label_conflicts(session, removals)},
    )


def language(session: Session) -> None:
    """Identify the language of every row; where some are to be kept, remove the rows in any other."""
    params = session.config.language
    if not session.config.load.readable:
        return
    with session.step("language", session.state.values["ingested"]) as advance:
        languages = language_tool.identify(session.frame("text", "text")["text"].fill_null(""), advance)
        rows = session.kept()
        removals = separation.foreign(languages, rows, session.config)
        reference = session.store.put_frame(languages)
    _commit(
        session,
        "language",
        removals,
        artefacts={"languages": reference},
        inputs=["text", "ledger"],
        params=params.model_dump(mode="json"),
        metrics={"languages": language_tool.language_counts(languages[rows], params)},
    )


def filter(session: Session) -> None:
    """Annotate every row with each quality rule's value and verdict; remove the rows that fail one."""
    config = session.config
    with session.step("filter", session.state.values["ingested"]) as advance:
        text = session.frame("text", "text")["text"].fill_null("")
        annotations = measures.annotate(text, advance)
        rows = session.kept()
        profile = separation.profile_of(config, text, rows, session.state.values)
        removals = separation.junk(annotations, rows, profile, config)
        artefacts: dict[str, str | None] = {"annotations": session.store.put_frame(annotations)}
        if profile != "none":
            failed = filters.verdicts(annotations, filters.bounds(profile, config.filter.thresholds))
            artefacts["verdicts"] = session.store.put_frame(failed)
    chosen = {"profile": profile, "thresholds": config.filter.thresholds}
    _commit(session, "filter", removals, artefacts=artefacts, values=chosen, inputs=["text", "ledger"], params=chosen)


def dedup(session: Session) -> None:
    """Remove rows that stand in a corpus already, then near-duplicates: MinHash, LSH candidates, verified Jaccard."""
    config = session.config
    rows = session.kept()
    removals: list[Removal] = []
    artefacts: dict[str, str | None] = {}
    with session.step("dedup", 2 * len(rows)) as advance, session.store.scratch() as folder:
        if not _given(session):
            text = session.text(rows)
            quality = separation.quality_of_rules(session.frame("annotations"), rows, session.state.values, config)
            signed = dedup_tool.signatures(text, config.dedup, advance)
            in_corpus = None
            if config.dedup.against:
                found = _found_in_corpus(session, folder)
                in_corpus = separation.standing_in_corpus(found, rows, config)
                artefacts["in_corpus"] = session.store.put_frame(found)
            removals = separation.repeats(text, rows, quality, config, in_corpus, advance, signed)
    _commit(
        session,
        "dedup",
        removals,
        artefacts=artefacts,
        inputs=["text", "ledger"],
        params=config.dedup.model_dump(mode="json"),
    )


def decontaminate(session: Session) -> None:
    """Remove rows that hold the text of a benchmark; what they share is kept as evidence."""
    params = session.config.decontaminate
    if not params.against:
        return
    rows = session.kept()
    with session.step("decontaminate", len(rows)) as advance:
        found = separation.contamination(session.text(rows), rows, session.frame("benchmarks"), session.config, advance)
        reference = session.store.put_frame(found.matches)
    _commit(
        session,
        "decontaminate",
        found.removals,
        artefacts={"matches": reference},
        inputs=["text", "ledger", "benchmarks"],
        params=params.model_dump(mode="json"),
    )


def hold_out_anchor(session: Session) -> None:
    """Set aside the anchor, which measures every action and which no selecting tool sees.

    Raises:
        InputError: too few rows are left to cluster and measure.
    """
    rows = session.kept()
    least = session.config.stop.min_rows
    if len(rows) < least:
        why = ", ".join(f"{n:,} {reason}" for reason, n in removed_by_reason(session.ledger()).items())
        left = f"{len(rows):,} row{'' if len(rows) == 1 else 's'}"
        raise InputError(
            f"only {left} of {session.state.values['ingested']:,} left after cleaning, at least {least} are needed "
            f"({why or 'nothing was removed'}); every row and its reason stands in {session.run.root}"
        )
    with session.step("hold_out"):
        anchor = select.choose_anchor(rows, session.config.anchor, session.config.seed)
        before = session.state.artefacts["ledger"]
        ledger = hold_out(session.ledger(), anchor, session.log.next_seq)
        after = session.store.put_frame(ledger)
    session.record(
        "hold_out",
        artefacts={"ledger": after},
        inputs=["ledger"],
        values={"cleaned_rows": len(rows)},
        params=session.config.anchor.model_dump(mode="json"),
        metrics={"anchor": len(anchor)},
        effects=[_ledger_effect(before, after, len(anchor))],
    )


def _commit(
    session: Session,
    stage: str,
    removals: list[Removal],
    *,
    artefacts: dict[str, str | None] | None = None,
    metrics: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Take removals into the ledger, or refuse them all when they pass the step's cap, and record the event."""
    done = separation.separate(
        session.ledger(), removals, stage, session.log.next_seq, session.config, session.sources()
    )
    if done.refused:
        session.reporter.say(f"refused: {done.refused}", "bold yellow")
    reference = session.store.put_frame(done.ledger)
    session.record(
        stage,
        artefacts={**(artefacts or {}), "ledger": reference},
        outcome="refused" if done.refused else None,
        reasons=[done.refused] if done.refused else [],
        metrics={
            **counts(done.ledger),
            "by_reason": {removal.reason: len(removal.rows) for removal in removals if not done.refused},
            **(metrics or {}),
        },
        effects=[_ledger_effect(session.state.artefacts["ledger"], reference, done.rows)],
        **fields,
    )


def _found_in_corpus(session: Session, folder: Path) -> pl.DataFrame:
    """The rows that stand in a corpus, with their evidence; those that the filter took as well, which may come back."""
    config, ledger = session.config, session.ledger()
    rows = ledger.filter((pl.col("status") == "kept") | (pl.col("stage") == "filter"))["row"].to_numpy()
    text = session.text(rows)
    corpus = open_corpus(config.dedup.against, folder, config.dedup, config.clean)
    signed = dedup_tool.signatures(text, config.dedup)
    found = corpus_duplicates(text, rows, signed, corpus, config.dedup)
    return pl.DataFrame({"row": found.rows, "score": found.score, "duplicate_of": found.duplicate_of})


def _given(session: Session) -> bool:
    """Whether the rows come with vectors of the user's own: then they are what the rows are about, and not the text."""
    return "given_vectors" in session.state.artefacts


def _ledger_effect(before: str | None, after: str | None, rows: int) -> dict[str, Any]:
    return Effect(kind="ledger", before_sha=before, after_sha=after, rows=rows).model_dump()


def _label_conflicts(session: Session, removals: list[Removal]) -> int:
    """Copies that carry another label than the row kept for them."""
    labels = session.frame("rows", "label")["label"]
    conflicts = 0
    for removal in removals:
        if removal.duplicate_of is not None and len(removal.rows):
            conflicts += int((labels.gather(removal.rows) != labels.gather(removal.duplicate_of)).sum())
    return conflicts
