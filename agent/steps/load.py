"""The first step: read the input; every row gets a position, an id and a line in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state.canonical import sha256_file
from ...state.config import LoadParams
from ...state.errors import InputError
from ...state.events import Effect
from ...state.phrases import counted
from ...state.rows import Removal, counts, new_ledger, remove_rows
from ...tools.judge.taxonomy import read_taxonomy
from ...tools.read.load import LoadResult
from ...tools.read.load import load as load_rows
from ...tools.repeats.benchmarks import read_benchmarks
from ..session import Session
from ..synthesis.evidence import read_hand_written


def load(session: Session) -> None:
    """Read the input; every row gets a position, an id and a line in the ledger."""
    params = session.config.load
    with session.step("load", params.limit) as advance, session.store.scratch() as folder:
        side_files = read_side_files(session, folder / "side")
        result = load_rows(session.source, params, folder, advance, session.config.scrub)
        quarantine = session.run.quarantine
        if result.quarantined:
            quarantine.write_bytes(result.quarantine.read_bytes())
            result.quarantine.rename(folder / "quarantine.bin")
        artefacts: dict[str, str | None] = {
            "rows": session.store.adopt(result.rows),
            "originals": session.store.adopt(result.originals),
            **side_files,
        }
        if result.quarantined:
            artefacts["quarantine"] = session.store.adopt(folder / "quarantine.bin")
        if result.vectors is not None:
            artefacts["given_vectors"] = session.store.adopt(result.vectors)
        rows = session.store.frame(artefacts["rows"] or "", ["id", "text", "label"])
        ledger = new_ledger(rows["id"], session.log.next_seq)
        if result.vectors is None:
            blank = rows["text"].str.strip_chars().fill_null("") == ""
            ledger = remove_rows(ledger, Removal("missing_text", _positions(blank)), "load", session.log.next_seq)
        if params.missing_label == "remove" and result.label_column is not None:
            unlabelled = _positions((rows["label"].is_null()) & (ledger["status"] == "kept"))
            ledger = remove_rows(ledger, Removal("missing_label", unlabelled), "load", session.log.next_seq)
        artefacts["ledger"] = session.store.put_frame(ledger)
        total = counts(ledger)
        recognised = {
            "shape": result.shape,
            "text_column": result.text_column,
            "text_columns": list(result.text_columns),
            "label_column": result.label_column,
            "id_column": result.id_column,
            "source_column": result.source_column,
        }
        session.record(
            "load",
            artefacts=artefacts,
            values={
                "ingested": result.ingested,
                "quarantined": result.quarantined,
                **recognised,
                "notes": result.notes,
            },
            params={"input": session.source, **params.model_dump(mode="json")},
            metrics={
                **total,
                "input_sha256": sha256_file(Path(session.source)) if Path(session.source).is_file() else None,
                "quarantined": result.quarantined,
                "missing_text": result.missing_text,
                "missing_label": result.missing_label,
                "duplicate_ids": result.duplicate_ids,
                **({"scrubbed": result.scrubbed} if session.config.scrub.kinds else {}),
            },
            effects=[
                Effect(kind="ledger", after_sha=artefacts["ledger"], rows=total["removed"]).model_dump(),
                *([_file_effect(quarantine)] if result.quarantined else []),
            ],
        )
    _tell(session, result)


def _tell(session: Session, result: LoadResult) -> None:
    """What a person should know of what was read."""
    for note in result.notes:
        session.reporter.say(f"note: {note}", "yellow")
    if session.config.scrub.kinds:
        found = ", ".join(f"{number:,} of kind {kind}" for kind, number in result.scrubbed.items())
        session.reporter.say(f"scrubbed before anything was written: {found or 'nothing was found'}")
    if result.quarantined:
        where = session.run.quarantine
        session.reporter.say(f"{counted(result.quarantined, 'broken line')} quarantined: {where}", "yellow")


def _file_effect(path: Path) -> dict[str, Any]:
    return Effect(kind=f"file:{path.name}", after_sha=sha256_file(path)).model_dump()


def _positions(mask: pl.Series) -> np.ndarray:
    return np.flatnonzero(mask.to_numpy()).astype(np.uint32)


LEAST_LIKED = 10


def read_side_files(session: Session, folder: Path) -> dict[str, str | None]:
    """The endorsed rows as artefacts ``liked`` and ``liked_vectors``, the ``taxonomy``, the hand-written ``seeds`` and
    the texts of the ``benchmarks``.

    Only those that are named.

    Args:
        session: names the files.
        folder: a scratch folder of the store.

    Raises:
        InputError: a file cannot be used.
    """
    like, taxonomy = session.config.quality.like, session.config.label.taxonomy
    artefacts: dict[str, str | None] = {}
    if taxonomy is not None:
        artefacts["taxonomy"] = session.store.put_json(read_taxonomy(Path(taxonomy)).plain())
    if session.config.synthesis.seeds is not None:
        hand_written = read_hand_written(session.config.synthesis.seeds, folder / "seeds", session.config.scrub)
        artefacts["seeds"] = session.store.put_json(hand_written)
    if session.config.decontaminate.against:
        texts, notes = read_benchmarks(session.config.decontaminate.against)
        artefacts["benchmarks"] = session.store.put_frame(texts)
        for note in notes:
            session.reporter.say(f"note: {note}", "yellow")
    if like is not None:
        artefacts |= _liked(session, like, folder)
    return artefacts


def _liked(session: Session, like: str, folder: Path) -> dict[str, str | None]:
    """The endorsed rows, read as the input is read; of the columns only text and vector count."""
    try:
        result = load_rows(like, _as_input(session.config.load), folder, scrub=session.config.scrub)
    except InputError as error:
        raise InputError(f"quality.like: {error}") from error
    if result.ingested - result.missing_text < LEAST_LIKED:
        rows = "row" if result.ingested == 1 else "rows"
        raise InputError(
            f"quality.like: {like} holds {result.ingested - result.missing_text} {rows}, at least {LEAST_LIKED} are "
            "needed to learn from; a few dozen are better"
        )
    if result.quarantined:
        session.reporter.say(f"quality.like: {result.quarantined:,} lines of {like} could not be read", "yellow")
    artefacts: dict[str, str | None] = {"liked": session.store.adopt(result.rows)}
    if result.vectors is not None:
        artefacts["liked_vectors"] = session.store.adopt(result.vectors)
    return artefacts


def _as_input(params: LoadParams) -> LoadParams:
    """How the input is read, without what concerns its rows only."""
    unneeded = dict.fromkeys(("limit", "id_column", "label_column", "source_column"))
    return params.model_copy(update={**unneeded, "missing_text": "remove"})
