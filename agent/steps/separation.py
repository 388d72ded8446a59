"""The first separation: which rows each step before the loop takes out, and what of that the caps allow.

Functions of the tables alone, called by the steps and again by the audit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...state.config import Config
from ...state.progress import Advance, silent
from ...state.rows import Removal, kept_rows, remove_rows
from ...tools.repeats import dedup
from ...tools.repeats.benchmarks import index_benchmarks
from ...tools.repeats.decontaminate import Contamination, contaminated
from ...tools.text import filters, language
from ...tools.text.clean import exact_duplicates
from ..decide.caps import refusal

CAPPED = ("language", "filter", "dedup", "decontaminate")  # copies alone are exempt: what they say stays


@dataclass(frozen=True)
class Separated:
    """The ledger after a step, and how many rows it removed; or why it removed none."""

    ledger: pl.DataFrame
    rows: int
    refused: str | None = None


def separate(
    ledger: pl.DataFrame, removals: Sequence[Removal], stage: str, event: int, config: Config, sources: pl.Series | None
) -> Separated:
    """Take removals into the ledger, or refuse them all where they pass the step's cap.

    Args:
        ledger: before the step.
        removals: what the step found.
        stage: its name.
        event: seq of the event that will tell of it.
        config: the caps.
        sources: source of every row by position, or None.
    """
    removed = np.concatenate([removal.rows for removal in removals] or [np.zeros(0, dtype=np.uint32)])
    if stage in CAPPED:
        fraction = config.caps.clean_fraction
        if refused := refusal(stage, kept_rows(ledger), removed, fraction, "caps.clean_fraction", sources):
            return Separated(ledger, 0, refused)
    for removal in removals:
        ledger = remove_rows(ledger, removal, stage, event)
    return Separated(ledger, len(removed))


def copies(raw: pl.Series, text: pl.Series, rows: np.ndarray) -> list[Removal]:
    """Rows that are copies of an earlier one byte for byte, then those that normalising made so.

    Args:
        raw: texts as read, by position; ``text``: normalised.
        rows: kept positions, uint32 [n].
    """
    first = exact_duplicates(raw.gather(rows), rows)
    rest = np.setdiff1d(rows, first.rows)
    return [first, exact_duplicates(text.gather(rest), rest, "normalised_duplicate")]


def foreign(languages: pl.DataFrame, rows: np.ndarray, config: Config) -> list[Removal]:
    """Rows in no language that is to stay; ``languages`` has a line for every position."""
    return [language.outside(languages[rows], rows, config.language)]


def profile_of(config: Config, text: pl.Series, rows: np.ndarray, values: dict[str, Any]) -> str:
    """The profile of the quality rules: the one that is set, or the one that suits the rows.

    Args:
        config: of the run.
        text: normalised texts by position.
        rows: kept positions, uint32 [n].
        values: of the run's state.
    """
    if config.filter.profile != "auto":
        return config.filter.profile
    if config.load.vector_column is not None:  # the vectors are what the rows are about, and not the text
        return "none"
    return filters.choose_profile(text.gather(rows), values["shape"])


def junk(annotations: pl.DataFrame, rows: np.ndarray, profile: str, config: Config) -> list[Removal]:
    """Rows that fail a quality rule; ``annotations`` has a line for every position."""
    if profile == "none":
        return []
    return filters.judge(annotations[rows], rows, filters.bounds(profile, config.filter.thresholds))


def contamination(
    text: pl.Series, rows: np.ndarray, benchmarks: pl.DataFrame, config: Config, advance: Advance = silent
) -> Contamination:
    """Rows (positions, uint32 [n]) whose normalised texts (strings, [n]) hold a text of the benchmarks."""
    known = index_benchmarks(benchmarks, config.decontaminate)
    return contaminated(text, rows, known, config.decontaminate, advance)


def quality_of_rules(
    annotations: pl.DataFrame, rows: np.ndarray, values: dict[str, Any], config: Config
) -> np.ndarray | None:
    """How far rows (positions, uint32 [n]) are from the limits of the rules in force: float [n], higher is better.

    None where nothing asks for it, or no rule is in force.
    """
    if config.dedup.which_to_keep != "best_quality" or values["profile"] == "none":
        return None
    rules = filters.bounds(values["profile"], values["thresholds"])
    return 1.0 - filters.strictness(annotations[rows], rules).astype(np.float64)


def standing_in_corpus(found: pl.DataFrame, rows: np.ndarray, config: Config) -> Removal:
    """Those of ``rows`` (positions, uint32 [n]) that stand in a corpus.

    Args:
        found: the table of them that the run keeps: row, score and duplicate_of. It also has rows that the filter took,
            and might give back.
        rows: kept positions.
        config: of the run.
    """
    found = found.filter(pl.col("row").is_in(rows))
    score, names = found["score"].to_numpy(), found["duplicate_of"]
    return Removal("in_corpus", found["row"].to_numpy(), score, config.dedup.threshold, names)


def repeats(
    text: pl.Series,
    rows: np.ndarray,
    quality: np.ndarray | None,
    config: Config,
    in_corpus: Removal | None,
    advance: Advance = silent,
    signed: np.ndarray | None = None,
) -> list[Removal]:
    """Rows of a corpus, as they were found, then the near-duplicates among the others.

    Args:
        text: normalised texts of ``rows``, strings [n].
        rows: kept positions, uint32 [n].
        quality: of each, float [n], or None.
        config: of the run.
        in_corpus: the rows that stand in a corpus; None without one.
        advance: told the rows done.
        signed: their signatures, uint32 [n, num_perm], where they are known.
    """
    found = [] if in_corpus is None else [in_corpus]
    left_out = np.concatenate([removal.rows for removal in found] or [rows[:0]])
    if signed is None:
        signed = dedup.signatures(text, config.dedup, advance)
    near = dedup.near_duplicates(text, rows, signed, config.dedup, advance=advance, quality=quality, left_out=left_out)
    return [*found, near]
