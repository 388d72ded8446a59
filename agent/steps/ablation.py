"""What a stage of the first separation was worth to the probe: the rows put back, and the gain; again in the audit."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...state.config import Config, ObjectiveParams
from ..audit.logged import Claim, Logged
from ..session import derived_seed

MOST_ROWS = 5000  # of a stage that are put back


@dataclass(frozen=True)
class PutBack:
    """The rows that one stage removed, and which of them the probe learns from beside the rows in force."""

    stage: str
    rows: np.ndarray  # positions, uint32 [n], ascending
    removed: int  # by the stage; rows without text not counted
    anchor_copies: int  # of them left out as copies of a held-out row
    unlabelled: int  # of them left out because the probe learns labels, and they have none

    def counts(self) -> dict[str, Any]:
        """The stage and how many rows, for the table."""
        counted = {name: value for name, value in vars(self).items() if name != "rows"}
        return {**counted, "added": len(self.rows)}


def put_back(ledger: pl.DataFrame, labels: pl.Series | None, config: Config) -> list[PutBack]:
    """For each stage that removed rows, in order, the rows to put back: at most ``MOST_ROWS``, a seeded sample.

    Left out are rows without text, and rows removed as a copy of a held-out row, or as a copy of a row that was itself
    removed as one: the probe must not learn the anchor by heart. What another rule removed before copies were looked
    for may still resemble an anchor row.

    Args:
        ledger: as the first separation left it.
        labels: of every row, strings [n], where the probe learns labels; else None.
        config: holds the run's seed.
    """
    removed = ledger.with_columns(
        copy=_anchor_copies(ledger), known=pl.lit(True) if labels is None else labels.is_not_null()
    ).filter((pl.col("status") == "removed") & (pl.col("reason") != "missing_text"))
    found: list[PutBack] = []
    for (stage,), mine in removed.sort("event", "row").group_by("stage", maintain_order=True):
        fit = mine.filter(~pl.col("copy") & pl.col("known"))["row"].to_numpy()
        order = np.random.default_rng(derived_seed(config, 11, len(found))).permutation(len(fit))
        rows = np.sort(fit[order[:MOST_ROWS]])
        copies = int(mine["copy"].sum())
        found.append(PutBack(str(stage), rows, mine.height, copies, mine.height - copies - len(fit)))
    return found


def _anchor_copies(ledger: pl.DataFrame) -> pl.Series:
    """Which rows are held out, or copies of such a row over any number of removals: Boolean [n]."""
    ids, copied = ledger["id"], ledger["duplicate_of"]
    found = ledger["split"] == "anchor"
    for _ in range(ledger["stage"].n_unique()):  # a row stays longer than its copy, so there is a stage for each link
        found = found | copied.is_in(ids.filter(found).implode()).fill_null(False)
    return found


def gain(kind: str, with_stage: Sequence[float], without: Sequence[float], params: ObjectiveParams) -> dict[str, Any]:
    """What the probe gains by a stage: its scores as it stands against those with the removed rows put back.

    The standard error is that of the paired differences, seed by seed, and the noise is what ``decide.pays`` allows the
    probe: ``noise_multiplier`` standard errors, but no less than ``min_gain``.

    Args:
        kind: of the probe: ``macro_f1``, or ``bits_per_byte``, where a gain is fewer bits.
        with_stage: scores by seed, in the same order as ``without``.
        without: scores by seed with the removed rows put back.
        params: what a gain must exceed.

    Returns:
        ``with`` and ``without`` (means), ``gain``, ``error``, ``noise`` and ``verdict``: helps, hurts or within noise.
    """
    sign, scale = (1.0, 1.0) if kind == "macro_f1" else (-1.0, 1.0 / 8.0)
    differences = [sign * (one - other) for one, other in zip(with_stage, without, strict=True)]
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    noise = max(params.min_gain / scale, params.noise_multiplier * error)
    verdict = "helps" if mean > noise else "hurts" if mean < -noise else "within noise"
    figures = {"with": statistics.fmean(with_stage), "without": statistics.fmean(without), "gain": mean}
    return {**{name: round(value, 6) for name, value in {**figures, "error": error, "noise": noise}.items()}} | {
        "verdict": verdict
    }


def entry(put: PutBack, kind: str, stood: Sequence[float], scores: Sequence[float], config: Config) -> dict[str, Any]:
    """One line of the table. ``scores`` are those with the rows put back, by seed; empty where there was none to put
    back, and then nothing is said of the gain; ``stood`` are those of the data as they stand."""
    said = (
        gain(kind, stood, scores, config.objective) if len(scores) else {"gain": None, "verdict": "nothing to put back"}
    )
    return {**put.counts(), "probe": kind, "scores": list(scores), **said}


def ablation_claims(at: Logged) -> list[Claim]:
    """Which rows were put back follows from the ledger, and each gain from the scores logged; those are measured."""
    table, values = at.event.metrics["stages"], at.state.values
    labels = at.store.frame(at.state.artefacts["rows"], ["label"])["label"]
    kind, ledger = values["probe_kind"], at.store.frame(at.state.artefacts["ledger"])
    chosen = put_back(ledger, labels if kind == "macro_f1" else None, at.config)
    scores = [one["scores"] for one in table]
    again = [
        entry(put, kind, values["probe_scores"], theirs, at.config) for put, theirs in zip(chosen, scores, strict=True)
    ]
    measured = [at.config.probe.seeds if len(put.rows) else 0 for put in chosen]
    return [
        ("gains of the stages", again, table),
        ("number of trainings", measured, [len(theirs) for theirs in scores]),
        ("probe", {"probe": kind, "budget": values["probe_budget"], "most_rows": MOST_ROWS}, at.event.params),
    ]
