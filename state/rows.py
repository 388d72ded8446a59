"""The row ledger: one line per row, saying where it stands and what put it there.

No row is ever deleted. Rows that a language model wrote stand after the ingested ones and are marked for
ever. A ledger is a Polars frame with the columns of ``LEDGER_SCHEMA``, sorted by ``row``; the functions here return a
new frame and leave the old one as it was.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from .errors import IntegrityError

LEDGER_SCHEMA = {
    "row": pl.UInt32,  # position in the input, from 0, quarantined rows not counted; synthetic rows follow
    "id": pl.String,
    "origin": pl.String,  # input | synthesis: never changes
    "status": pl.String,  # kept | removed | synthetic
    "split": pl.String,  # train | anchor | sealed: held-out rows are kept, and marked
    "stage": pl.String,  # the step that gave the status
    "reason": pl.String,
    "score": pl.Float64,  # what was measured on the row …
    "threshold": pl.Float64,  # … and what it was measured against
    "duplicate_of": pl.String,  # id of the row kept instead
    "event": pl.UInt32,  # seq of the event that did it
}
_UNMEASURED = {"score": None, "threshold": None, "duplicate_of": None}


@dataclass(frozen=True)
class Removal:
    """Rows a tool proposes to remove for one reason, with the evidence.

    ``rows`` are positions (uint32, [n], ascending); ``score`` float [n] or None; ``duplicate_of`` positions
    [n] of the rows kept instead, or strings [n] that name a row outside the data (``FILE#ID``), or None. ``span``:
    strings [n], what a row has in common with such a row, and ``twin_text`` [n], the text of that.
    """

    reason: str
    rows: np.ndarray
    score: np.ndarray | None = None
    threshold: float | None = None
    duplicate_of: np.ndarray | pl.Series | None = None
    note: str = field(default="", compare=False)
    span: pl.Series | None = field(default=None, compare=False)
    twin_text: pl.Series | None = field(default=None, compare=False)


def without(removal: Removal, rows: np.ndarray) -> Removal:
    """``removal`` but for ``rows`` (positions, uint32 [m]), which stay."""
    stays = np.isin(removal.rows, rows)
    if not stays.any():
        return removal
    beside: dict[str, np.ndarray | pl.Series | None] = {
        name: getattr(removal, name) for name in ("score", "duplicate_of", "span", "twin_text")
    }
    left: Any = {
        name: value.filter(pl.Series(~stays)) if isinstance(value, pl.Series) else value[~stays]
        for name, value in beside.items()
        if value is not None
    }
    return replace(removal, rows=removal.rows[~stays], **left)


def new_ledger(ids: pl.Series, event: int) -> pl.DataFrame:
    """A ledger in which every row is kept, from the ids in input order."""
    row = pl.int_range(len(ids), dtype=pl.UInt32, eager=True)
    kept = {"origin": "input", "status": "kept", "split": "train", "stage": "load", "reason": "ingested"}
    return pl.DataFrame({"row": row, "id": ids, **kept, **_UNMEASURED, "event": event}, schema=LEDGER_SCHEMA)


def add_synthetic(ledger: pl.DataFrame, ids: pl.Series, event: int) -> pl.DataFrame:
    """``ledger`` with new rows after its last, marked as synthetic; they are training rows and never held out.

    ``ids``: ids of the new rows (strings, [n]).

    Raises:
        IntegrityError: an id stands twice, or is that of another row.
    """
    if ids.is_duplicated().any() or ids.is_in(ledger["id"].implode()).any():
        raise IntegrityError("a synthetic row has the id of another row")
    added = new_ledger(ids, event).with_columns(
        row=pl.int_range(ledger.height, ledger.height + len(ids), dtype=pl.UInt32, eager=True),
        origin=pl.lit("synthesis"),
        status=pl.lit("synthetic"),
        stage=pl.lit("act"),
        reason=pl.lit("synthesised"),
    )
    return pl.concat([ledger, added])


def _overlay(ledger: pl.DataFrame, rows: np.ndarray, columns: dict[str, object]) -> pl.DataFrame:
    """``ledger`` with ``columns`` replaced at the positions ``rows``."""
    frame = pl.DataFrame({"row": np.asarray(rows, dtype=np.uint32)})
    for name, value in columns.items():
        values = pl.Series(value) if isinstance(value, np.ndarray | pl.Series) else pl.lit(value)
        frame = frame.with_columns(values.cast(LEDGER_SCHEMA[name]).alias(name))
    return ledger.update(frame, on="row", include_nulls=True).select(list(LEDGER_SCHEMA))


def remove_rows(ledger: pl.DataFrame, removal: Removal, stage: str, event: int) -> pl.DataFrame:
    """``ledger`` with the rows of ``removal`` removed.

    Raises:
        IntegrityError: a row is not there, or not in force.
    """
    if not len(removal.rows):
        return ledger
    if not ledger["status"].gather(removal.rows).is_in(["kept", "synthetic"]).all():
        raise IntegrityError(f"{stage} tried to remove a row that is not kept ({removal.reason})")
    instead = removal.duplicate_of
    if isinstance(instead, np.ndarray):
        instead = ledger["id"].gather(instead)
    evidence = {"score": removal.score, "threshold": removal.threshold, "duplicate_of": instead}
    why = {"status": "removed", "stage": stage, "reason": removal.reason, "event": event}
    return _overlay(ledger, removal.rows, {**why, **evidence})


def restore_rows(ledger: pl.DataFrame, rows: np.ndarray, stage: str, reason: str, event: int) -> pl.DataFrame:
    """``ledger`` with removed ``rows`` (positions, uint32 [n]) in force again: kept, or synthetic."""
    if not len(rows):
        return ledger
    status = np.where(ledger["origin"].gather(rows) == "synthesis", "synthetic", "kept")
    why = {"status": status, "stage": stage, "reason": reason, "event": event}
    return _overlay(ledger, rows, {**why, **_UNMEASURED})


def hold_out(ledger: pl.DataFrame, rows: np.ndarray, event: int, split: str = "anchor") -> pl.DataFrame:
    """``ledger`` with kept ``rows`` (positions, uint32 [n]) marked as the anchor, or as sealed.

    Raises:
        IntegrityError: a row is synthetic; what a model wrote measures nothing.
    """
    if (ledger["origin"].gather(rows) == "synthesis").any():
        raise IntegrityError("a synthetic row cannot be held out")
    reason = "held_out" if split == "anchor" else split
    return _overlay(ledger, rows, {"split": split, "stage": "hold_out", "reason": reason, "event": event})


def kept_rows(ledger: pl.DataFrame, split: str = "train") -> np.ndarray:
    """Positions (uint32, ascending) of the rows of one split that are in force, synthetic ones among them."""
    chosen = ledger.filter((pl.col("status") != "removed") & (pl.col("split") == split))
    return chosen["row"].to_numpy()


def synthetic_rows(ledger: pl.DataFrame) -> np.ndarray:
    """Positions (uint32, ascending) of the synthetic rows in force."""
    return ledger.filter(pl.col("status") == "synthetic")["row"].to_numpy()


def counts(ledger: pl.DataFrame) -> dict[str, int]:
    """``{"ingested", "kept", "removed", "synthetic"}`` of a ledger.

    The first three count rows of the input, and ``kept + removed = ingested``. ``synthetic`` counts the rows beside
    them that are in force; those taken out again are ``discarded_synthetic``, where there are any.
    """
    tally = {(origin, status): rows for origin, status, rows in ledger.group_by("origin", "status").len().iter_rows()}
    found = {
        "ingested": int((ledger["origin"] == "input").sum()),
        "kept": tally.get(("input", "kept"), 0),
        "removed": tally.get(("input", "removed"), 0),
        "synthetic": tally.get(("synthesis", "synthetic"), 0),
    }
    discarded = tally.get(("synthesis", "removed"), 0)
    return {**found, "discarded_synthetic": discarded} if discarded else found


def removed_by_reason(ledger: pl.DataFrame) -> dict[str, int]:
    """Removed rows of the input per reason, largest first."""
    removed = ledger.filter((pl.col("status") == "removed") & (pl.col("origin") == "input"))
    return dict(removed.group_by("reason").len().sort("len", "reason", descending=[True, False]).iter_rows())


def check_ledger(ledger: pl.DataFrame, ingested: int) -> None:
    """Verify ``kept + removed = ingested`` and that rows are the positions 0 … n−1, each once.

    Synthetic rows stand after the ingested ones, in the training split, and are never counted among them.

    Raises:
        IntegrityError: the ledger does not add up.
    """
    total = counts(ledger)
    if total["kept"] + total["removed"] != ingested or total["ingested"] != ingested:
        raise IntegrityError(
            f"the row ledger does not add up: {total['kept']} kept + {total['removed']} removed, {ingested} ingested"
        )
    if not (ledger["row"] == pl.int_range(ledger.height, dtype=pl.UInt32, eager=True)).all():
        raise IntegrityError("the row ledger does not name every row exactly once")
    added = ledger.slice(ingested)
    if not (added["origin"] == "synthesis").all() or not added["status"].is_in(["synthetic", "removed"]).all():
        raise IntegrityError("the row ledger has a row after the ingested ones that is not marked as synthetic")
    if (added["split"] != "train").any():
        raise IntegrityError("the row ledger has a synthetic row that is held out")
