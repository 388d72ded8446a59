"""Draws from a crude set: many smaller ones of any severity, all of rows that were embedded once."""

import numpy as np
import polars as pl

from .faults import COPIES, LABELLED_RATES, SEVERITIES, Crude

_JUNK = tuple(fault for fault in LABELLED_RATES if fault not in (*COPIES, "flip"))


def drawn(crude: Crude, severity: str, rows: int, seed: int) -> Crude:
    """A labelled set of about ``rows`` rows from one of middle severity, with faults at the rates of ``severity``.

    It is smaller where the set has too few rows of a fault for that. Copies stand beside what they repeat.
    """
    random = np.random.default_rng([seed, 0xD4A3])
    side = crude.side.with_row_index("at")
    rates = {fault: rate * SEVERITIES[severity] for fault, rate in LABELLED_RATES.items()}
    size = _size(side, rates, rows)
    wanted = {fault: round(rate * size) for fault, rate in rates.items()}
    taken = [_some(side.filter(pl.col("fault") == fault), wanted[fault], random) for fault in (*COPIES, *_JUNK)]
    copied = side.filter(pl.col("id").is_in(pl.concat(taken)["origin"].implode()) & pl.col("fault").is_in(["", "flip"]))
    for fault, count in (("flip", wanted["flip"]), ("", size - wanted["flip"])):
        known = copied.filter(pl.col("fault") == fault)
        others = side.filter((pl.col("fault") == fault) & ~pl.col("id").is_in(known["id"].implode()))
        taken += [known, _some(others, count - known.height, random)]
    at = pl.concat(taken)["at"].sort()
    return Crude(crude.rows[at], crude.side[at])


def _size(side: pl.DataFrame, rates: dict[str, float], rows: int) -> int:
    """How many rows that are neither planted nor copies a draw has: as many as every fault is there for."""
    there = dict(side["fault"].value_counts().iter_rows())
    wanted = rows / (1 + sum(rate for fault, rate in rates.items() if fault != "flip"))
    most = [there.get(fault, 0) / rate for fault, rate in rates.items()]
    return int(min(wanted, there.get("", 0) / (1 - rates["flip"]), *most))


def _some(rows: pl.DataFrame, count: int, random: np.random.Generator) -> pl.DataFrame:
    return rows[np.sort(random.choice(rows.height, min(max(0, count), rows.height), replace=False))]
