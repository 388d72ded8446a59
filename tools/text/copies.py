"""Copies: rows whose whole content is that of another row; and those that carry another label than their copies do."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.rows import Removal
from .clean import exact_duplicates

OUTVOTED = "outvoted_label"


@dataclass(frozen=True)
class Copies:
    """The copies, by reason, and the votes on contents that carry several labels.

    ``votes``: a line per content and label, of contents with two labels or more: ``first`` (position of the content's
    first row, uint32), ``label``, ``rows`` (copies with it) and ``stays`` (position of its row that stays, uint32, or
    null); by content in order of position, the label of most copies first.
    """

    removals: list[Removal]
    votes: pl.DataFrame


def copies(raw: pl.Series, content: pl.Series, labels: pl.Series, rows: np.ndarray) -> Copies:
    """The rows that say what another row says, byte for byte or once normalised.

    Of equal rows the first stays. Where they carry different labels it is the first of those with the label that most
    carry, and on a tie the first with each of these labels; a row without a label never stays in place of one with it.

    Args:
        raw: what the rows are compared by, as it was read: strings, [n].
        content: the same, normalised.
        labels: strings, [n], null where a row has none.
        rows: positions, uint32 [n], ascending.

    Returns:
        Removals as ``exact_duplicate``, ``normalised_duplicate`` and ``OUTVOTED``: a copy with another label than the
        row that stays for it, with the share of the labelled copies that agree with it as its score.
    """
    mixed = _mixed(raw, content, labels, rows)
    settled, votes = _settled(mixed)
    plain = ~np.isin(rows, mixed["row"].to_numpy())
    exact = exact_duplicates(raw.filter(pl.Series(plain)), rows[plain])
    rest = plain & ~np.isin(rows, exact.rows)
    normal = exact_duplicates(content.filter(pl.Series(rest)), rows[rest], "normalised_duplicate")
    found = [_joined(one, settled.filter(reason=one.reason)) for one in (exact, normal)]
    outvoted = settled.filter(reason=OUTVOTED)
    if outvoted.height:
        score = outvoted["share"].to_numpy()
        found.append(Removal(OUTVOTED, outvoted["row"].to_numpy(), score, None, outvoted["twin"].to_numpy()))
    return Copies(found, votes)


def _mixed(raw: pl.Series, content: pl.Series, labels: pl.Series, rows: np.ndarray) -> pl.DataFrame:
    """The rows whose content stands with several labels, or with and without one: row, text, label, raw."""
    if labels.null_count() == len(labels):
        rows, raw, content, labels = rows[:0], raw[:0], content[:0], labels[:0]
    hashed = pl.DataFrame({"hash": content.hash()})
    repeats = hashed.select(content.is_not_null() & pl.col("hash").is_duplicated()).to_series().arg_true()
    frame = pl.DataFrame(
        {
            "row": pl.Series(np.asarray(rows, dtype=np.uint32)[repeats.to_numpy()], dtype=pl.UInt32),
            "text": content.gather(repeats),
            "label": labels.gather(repeats),
            "raw": raw.gather(repeats),
        }
    )
    return frame.filter(pl.col("label").n_unique().over("text") > 1)


def _settled(mixed: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Which of the mixed rows go (row, reason, twin, share), and the votes as in ``Copies``."""
    labelled = mixed.filter(pl.col("label").is_not_null())
    votes = labelled.group_by("text", "label").agg(rows=pl.len(), own=pl.col("row").min())
    votes = votes.with_columns(
        stays=pl.when(pl.col("rows") == pl.col("rows").max().over("text")).then("own"),
        share=pl.col("rows") / pl.col("rows").sum().over("text"),
        several=pl.len().over("text") > 1,
    )
    first = pl.col("stays").min().over("text")
    votes = votes.with_columns(twin=pl.coalesce("stays", first), winner=first)
    winners = votes.select("text", "winner").unique()
    kept_raw = mixed.select(twin="row", twin_raw="raw")
    lines = mixed.join(votes.select("text", "label", "twin", "stays", "share"), on=["text", "label"], how="left")
    lines = lines.join(winners, on="text", how="left").with_columns(twin=pl.coalesce("twin", "winner"))
    gone = lines.filter(pl.col("row") != pl.col("twin")).join(kept_raw, on="twin", how="left").sort("row")
    agrees = pl.col("label").is_null() | pl.col("stays").is_not_null()
    copy = (
        pl.when(pl.col("raw") == pl.col("twin_raw"))
        .then(pl.lit("exact_duplicate"))
        .otherwise(pl.lit("normalised_duplicate"))
    )
    gone = gone.with_columns(reason=pl.when(agrees).then(copy).otherwise(pl.lit(OUTVOTED)))
    first_row = mixed.group_by("text").agg(first=pl.col("row").min())
    told = (
        votes.filter("several").join(first_row, on="text").sort("first", "rows", "own", descending=[False, True, False])
    )
    return gone.select("row", "reason", "twin", "share"), told.select("first", "label", "rows", "stays")


def _joined(found: Removal, more: pl.DataFrame) -> Removal:
    """A removal of exact copies with further ones."""
    assert isinstance(found.duplicate_of, np.ndarray)
    rows = np.concatenate([found.rows, more["row"].to_numpy()])
    order = np.argsort(rows)
    twins = np.concatenate([found.duplicate_of, more["twin"].to_numpy()])
    return Removal(found.reason, rows[order], np.ones(len(rows)), 1.0, twins[order])
