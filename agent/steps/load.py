"""The first step: read the input; every row gets a position, an id and a line in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state.canonical import sha256_file
from ...state.events import Effect
from ...state.rows import Removal, counts, new_ledger, remove_rows
from ...state.words import counted
from ...tools.load import LoadResult
from ...tools.load import load as load_rows
from ..session import Session
from ..side_files import read_side_files


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
