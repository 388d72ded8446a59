"""What each stage of the first separation was worth: the probe with and without it, once, after the baseline."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state import events
from ...state.config import Config, ObjectiveParams
from ...state.phrases import Advance, number, silent
from ...state.values import Values
from ..session import Session
from ..view import View, derived_seed
from .base import Draft, Step
from .measured import KeptRows, probe_rows, row_vectors

MOST_ROWS = 5000  # of a stage that are put back


@dataclass(frozen=True)
class PutBack:
    """The rows that one stage removed, and which of them the probe learns from beside the rows in force."""

    stage: str
    rows: np.ndarray  # positions, uint32 [n], ascending
    removed: int  # by the stage; rows without text not counted
    anchor_copies: int  # of them left out as copies of a held-out row
    unlabelled: int  # of them left out because the probe learns labels, and they have none


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


@dataclass(frozen=True)
class _Trained:
    """The probe's scores with the rows of each stage put back, by stage and seed; how many rows that embedded."""

    scores: tuple[tuple[float, ...], ...]
    embedded: int
    cached: int


class Ablate(Step[_Trained]):
    """Train the probe again on the rows in force and those that a stage had removed, for each stage that removed any.

    Kind, budget, seeds and anchor are the baseline's, so that the scores are paired with its own. Rows removed as
    copies of a held-out row stay out, because the probe would learn the anchor by heart. Vectors of removed rows go
    into the cache, not into the pool.
    """

    name = "ablate"
    unit = "trainings"
    takes = "the probe's score by stage and seed"

    def due(self, view: View) -> bool:
        return view.config.ablate and not view.values.ablated

    def total(self, view: View) -> int | None:
        return view.config.probe.seeds * len(_chosen(view))

    def measure(self, session: Session, view: View, advance: Advance) -> _Trained:
        kind, kept = view.values.probe_kind, KeptRows.of(view)
        assert kind is not None
        scores, embedded, cached = list[tuple[float, ...]](), 0, 0
        for put in _chosen(view):
            if not len(put.rows):
                scores.append(())
                continue
            rows = np.concatenate([kept.rows, put.rows])
            order = np.argsort(rows, kind="stable")
            vectors = kept.vectors[:0]
            if kind == "macro_f1":
                added, counts = row_vectors(session, view, put.rows, silent)
                vectors = np.concatenate([kept.vectors, added])[order]
                embedded, cached = embedded + counts[0], cached + counts[1]
            probe = probe_rows(view, rows[order], vectors, kind, view.values.probe_budget, advance)
            scores.append(tuple(probe.scores.tolist()))
        return _Trained(tuple(scores), embedded, cached)

    def logged(self, view: View, event: events.Ablate) -> _Trained:
        return _Trained(tuple(stage.scores for stage in event.stages), event.embedded, event.cached)

    def derive(self, view: View, measured: _Trained, advance: Advance = silent) -> Draft:
        stages = [stage_gain(view, put, scores) for put, scores in zip(_chosen(view), measured.scores, strict=True)]
        told = [(f"{one.stage}: gain {number(one.gain)} ({one.verdict})", "") for one in stages if one.gain is not None]
        return Draft(
            values=Values(ablated=True),
            inputs=("ledger", "text", "vectors", "anchor_vectors"),
            fields={"stages": stages, "embedded": measured.embedded, "cached": measured.cached},
            lines=tuple(told),
        )


def _chosen(view: View) -> list[PutBack]:
    labels = view.labels() if view.values.probe_kind == "macro_f1" else None
    return put_back(view.ledger(), labels, view.config)


def stage_gain(view: View, put: PutBack, scores: Sequence[float]) -> events.StageGain:
    """What the probe gains by a stage; ``scores`` are those with its rows put back, by seed, and empty where none was.

    Raises:
        ValueError: there are not as many scores as seeds.
    """
    if len(scores) != (view.config.probe.seeds if len(put.rows) else 0):
        raise ValueError(f"{put.stage}: {len(scores)} trainings")
    kind, before = view.values.probe_kind or "", view.values.probe_scores
    nothing: dict[str, float | str | None] = {"gain": None, "verdict": "nothing to put back"}
    said = gain(kind, before, scores, view.config.objective) if len(scores) else nothing
    counts = {name: value for name, value in vars(put).items() if name != "rows"}
    return events.StageGain.model_validate({**counts, "added": len(put.rows), "probe": kind, "scores": scores, **said})


def gain(
    kind: str, with_stage: Sequence[float], without: Sequence[float], params: ObjectiveParams
) -> dict[str, float | str | None]:
    """What the probe gains by a stage: its scores as it stands against those with the removed rows put back.

    The standard error is that of the paired differences, seed by seed, and the noise is what ``decide.pays`` allows the
    probe: ``noise_multiplier`` standard errors, but no less than ``min_gain``.

    Args:
        kind: of the probe: ``macro_f1``, or ``bits_per_byte``, where a gain is fewer bits.
        with_stage: scores by seed, in the same order as ``without``.
        without: scores by seed with the removed rows put back.
        params: what a gain must exceed.

    Returns:
        ``with_stage`` and ``without`` are means; ``verdict``: helps, hurts or within noise.
    """
    sign, scale = (1.0, 1.0) if kind == "macro_f1" else (-1.0, 1.0 / 8.0)
    differences = [sign * (one - other) for one, other in zip(with_stage, without, strict=True)]
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    noise = max(params.min_gain / scale, params.noise_multiplier * error)
    means = {"with_stage": statistics.fmean(with_stage), "without": statistics.fmean(without)}
    figures = {name: round(value, 6) for name, value in {**means, "gain": mean, "error": error, "noise": noise}.items()}
    return {**figures, "verdict": "helps" if mean > noise else "hurts" if mean < -noise else "within noise"}
