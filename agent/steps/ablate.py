"""What each stage of the first separation was worth: the probe with and without it, once, after the baseline."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state import events
from ...state.config import Config
from ...state.phrases import Advance, number, silent
from ...state.values import Values
from ..decide.verdict import change
from ..session import Session
from ..view import View, derived_seed
from .base import Draft, Step
from .measured import KeptRows, row_vectors
from .probed import anchor_scores, anchor_weights, confirmed_rows

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
    found = ledger["split"] != "train"
    for _ in range(ledger["stage"].n_unique()):  # a row stays longer than its copy, so there is a stage for each link
        found = found | copied.is_in(ids.filter(found).implode()).fill_null(False)
    return found


@dataclass(frozen=True)
class _Trained:
    """What the probes make of the held-out rows with the rows of each stage put back, float64 [stages, probes, m]; how
    many rows that embedded. A stage of which no row was put back has NaN."""

    scores: np.ndarray
    embedded: int
    cached: int


class Ablate(Step[_Trained]):
    """Train the probes again on the rows in force and those that a stage had removed, for each stage that removed any.

    Rows removed as copies of a held-out row stay out, because the probes would learn the anchor by heart. Vectors of
    removed rows go into the cache, not into the pool.
    """

    name = "ablate"
    unit = "stages"
    takes = "what the probes make of the held-out rows, by stage"

    def due(self, view: View) -> bool:
        return view.config.ablate and not view.values.ablated

    def total(self, view: View) -> int | None:
        return len(_chosen(view))

    def measure(self, session: Session, view: View, advance: Advance) -> _Trained:
        kept, names, budget = KeptRows.of(view), view.values.probes, view.values.probe_budget
        stages, embedded, cached = _chosen(view), 0, 0
        scores = np.full((len(stages), *view.array("anchor_scores").shape), np.nan)
        for at, put in enumerate(stages):
            if len(put.rows):
                rows = np.concatenate([kept.rows, put.rows])
                order = np.argsort(rows, kind="stable")
                vectors = kept.vectors[:0]
                if names != ("bits_per_byte",):
                    added, counts = row_vectors(session, view, put.rows, silent)
                    vectors = np.concatenate([kept.vectors, added])[order]
                    embedded, cached = embedded + counts[0], cached + counts[1]
                scores[at] = anchor_scores(view, names, budget, rows[order], vectors, silent)
            advance(1)
        return _Trained(scores, embedded, cached)

    def logged(self, view: View, event: events.Ablate) -> _Trained:
        scores = np.asarray(view.store.array(event.evidence["trial_scores"]))
        return _Trained(scores, event.embedded, event.cached)

    def derive(self, view: View, measured: _Trained, advance: Advance = silent) -> Draft:
        stages = [stage_gain(view, put, scores) for put, scores in zip(_chosen(view), measured.scores, strict=True)]
        told = [(f"{one.stage}: gain {number(one.gain)} ({one.verdict})", "") for one in stages if one.gain is not None]
        return Draft(
            values=Values(ablated=True),
            inputs=("ledger", "text", "vectors", "anchor_vectors"),
            fields={"stages": stages, "embedded": measured.embedded, "cached": measured.cached},
            evidence={"trial_scores": measured.scores},
            lines=tuple(told),
        )


def _chosen(view: View) -> list[PutBack]:
    labels = None if view.values.probes == ("bits_per_byte",) else view.labels()
    return put_back(view.ledger(), labels, view.config)


def stage_gain(view: View, put: PutBack, scores: np.ndarray) -> events.StageGain:
    """What a stage gained: the held-out rows' scores as they stand against those with its rows put back.

    ``scores``: float64 [probes, m], with the rows put back. The standard error is paired, row by row, and the noise is
    what ``verdict.pays_on_rows`` allows a probe: ``noise_multiplier`` standard errors, but no less than ``min_gain``.
    """
    counts = {name: value for name, value in vars(put).items() if name != "rows"}
    nothing = {"gain": None, "error": None, "verdict": "nothing to put back"}
    if not len(put.rows):
        return events.StageGain.model_validate({**counts, "added": 0, **nothing})
    params, stands = view.config.objective, np.asarray(view.array("anchor_scores"))
    weights = anchor_weights(view, view.values.probes, confirmed_rows(view))
    moved = change("mean", scores.mean(axis=0), stands.mean(axis=0), weights.confirmed)
    noise = max(params.min_gain, params.noise_multiplier * moved.error)
    verdict = "helps" if moved.gain > noise else "hurts" if moved.gain < -noise else "within noise"
    found = {"gain": moved.gain, "error": moved.error, "verdict": verdict}
    return events.StageGain.model_validate({**counts, "added": len(put.rows), **found})
