"""Before the loop: load, clean, filter, dedup, hold out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ...state.canonical import sha256_file
from ...state.errors import InputError
from ...state.events import Effect
from ...state.rows import Removal, counts, hold_out, kept_rows, new_ledger, remove_rows, removed_by_reason
from ...tools import clean as clean_tool
from ...tools import dedup as dedup_tool
from ...tools import filters, measures, select
from ...tools.load import load as load_rows
from ..caps import refusal
from ..session import Session
from ..side_files import read_side_files


def load(session: Session) -> None:
    """Read the input; every row gets a position, an id and a line in the ledger."""
    params = session.config.load
    with session.step("load", params.limit) as advance, session.store.scratch() as folder:
        side_files = read_side_files(session, folder / "side")
        result = load_rows(session.source, params, folder, advance)
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
            },
            effects=[
                _effect("ledger", None, artefacts["ledger"], total["removed"]),
                *([_effect(f"file:{quarantine.name}", None, sha256_file(quarantine), 0)] if result.quarantined else []),
            ],
        )
    for note in result.notes:
        session.reporter.say(f"note: {note}", "yellow")
    if result.quarantined:
        lines = "line" if result.quarantined == 1 else "lines"
        session.reporter.say(f"{result.quarantined:,} broken {lines} quarantined: {quarantine}", "yellow")


def clean(session: Session) -> None:
    """Normalise the text; remove byte-identical copies, then copies that normalising made identical."""
    params = session.config.clean
    with session.step("clean", session.state.values["ingested"]) as advance:
        raw = session.frame("rows", "text")["text"]
        text = clean_tool.normalise(raw, params)
        advance(len(raw))
        ledger = session.ledger()
        removals = []
        if "given_vectors" not in session.state.artefacts:
            rows = kept_rows(ledger)
            removals.append(clean_tool.exact_duplicates(raw.gather(rows), rows))
            rows = np.setdiff1d(rows, removals[0].rows)
            removals.append(clean_tool.exact_duplicates(text.gather(rows), rows, "normalised_duplicate"))
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


def filter(session: Session) -> None:
    """Annotate every row with every quality rule's value; remove the rows that fail the profile's rules."""
    params = session.config.filter
    with session.step("filter", session.state.values["ingested"]) as advance:
        given = "given_vectors" in session.state.artefacts
        text = session.frame("text", "text")["text"].fill_null("")
        annotations = measures.annotate(text, advance)
        rows = session.kept()
        profile: str = params.profile
        if profile == "auto":
            profile = "none" if given else filters.choose_profile(text.gather(rows), session.state.values["shape"])
        bounds = {} if profile == "none" else filters.bounds(profile, params.thresholds)
        removals = filters.judge(annotations[rows], rows, bounds) if bounds else []
        reference = session.store.put_frame(annotations)
    _commit(
        session,
        "filter",
        removals,
        artefacts={"annotations": reference},
        values={"profile": profile, "thresholds": params.thresholds},
        inputs=["text", "ledger"],
        params={"profile": profile, "thresholds": params.thresholds},
        capped=True,
    )


def dedup(session: Session) -> None:
    """Remove near-duplicates: MinHash signatures, LSH candidates, verified Jaccard."""
    params = session.config.dedup
    rows = session.kept()
    with session.step("dedup", 2 * len(rows)) as advance:
        removals = []
        if "given_vectors" not in session.state.artefacts:
            text = session.text(rows)
            signed = dedup_tool.signatures(text, params, advance)
            removals = [dedup_tool.near_duplicates(text, rows, signed, params, advance=advance)]
    _commit(session, "dedup", removals, inputs=["text", "ledger"], params=params.model_dump(mode="json"), capped=True)


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
        effects=[_effect("ledger", before, after, len(anchor))],
    )


def _commit(
    session: Session,
    stage: str,
    removals: list[Removal],
    *,
    artefacts: dict[str, str | None] | None = None,
    capped: bool = False,
    metrics: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    """Take removals into the ledger, or refuse them all when they pass the step's cap, and record the event."""
    before = session.ledger()
    ledger, reasons, outcome = before, list[str](), None
    removed = np.concatenate([removal.rows for removal in removals] or [np.zeros(0, dtype=np.uint32)])
    refused = None
    if capped:
        fraction = session.config.caps.clean_fraction
        refused = refusal(stage, kept_rows(before), removed, fraction, "caps.clean_fraction", session.sources())
    if refused:
        outcome, reasons = "refused", [refused]
        session.reporter.say(f"refused: {refused}", "bold yellow")
    else:
        for removal in removals:
            ledger = remove_rows(ledger, removal, stage, session.log.next_seq)
    reference = session.store.put_frame(ledger)
    session.record(
        stage,
        artefacts={**(artefacts or {}), "ledger": reference},
        outcome=outcome,
        reasons=reasons,
        metrics={
            **counts(ledger),
            "by_reason": {removal.reason: len(removal.rows) for removal in removals if not refused},
            **(metrics or {}),
        },
        effects=[_effect("ledger", session.state.artefacts["ledger"], reference, 0 if outcome else len(removed))],
        **fields,
    )


def _effect(kind: str, before: str | None, after: str | None, rows: int) -> dict[str, Any]:
    return Effect(kind=kind, before_sha=before, after_sha=after, rows=rows).model_dump()


def _positions(mask: pl.Series) -> np.ndarray:
    return np.flatnonzero(mask.to_numpy()).astype(np.uint32)


def _label_conflicts(session: Session, removals: list[Removal]) -> int:
    """Copies that carry another label than the row kept for them."""
    labels = session.frame("rows", "label")["label"]
    conflicts = 0
    for removal in removals:
        if removal.duplicate_of is not None and len(removal.rows):
            conflicts += int((labels.gather(removal.rows) != labels.gather(removal.duplicate_of)).sum())
    return conflicts
