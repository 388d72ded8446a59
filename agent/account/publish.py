"""The report and the cards of a run, gathered from its log and store."""

import numpy as np
import polars as pl

from ...state.events import Quality, StepEvent
from ...state.notes import Start
from ...state.run import RunDirectory
from ...tools.write.hub.card import write_card
from ...tools.write.hub.model_card import write_model_card
from ...tools.write.report import write_report
from ...tools.write.shown import JudgedCluster, Learned, ReportData
from ..view import View
from .removed import removed_sample
from .summary import summary

MAP_ROWS = 10_000
EXCERPT = 200
_ROLES = ("embedding", "policy", "critic", "address")  # in the order shown
_LESSONS = {"teacher": "a language model's scores", "like": "the endorsed rows"}


def write_pages(data: ReportData, run: RunDirectory) -> None:
    """Write ``report.html``, the dataset card and, where there is a model, the model card of a run."""
    write_report(data, run.report)
    write_card(data, run.card)
    if (data.final_model is not None and data.training is not None) or data.classifiers:
        write_model_card(data, run.model_card)


def pages(view: View, peak_memory_mb: float) -> ReportData:
    """Everything the report and the cards show; it follows from the run as it stands and the memory it took alone."""
    start = next(event for event in view.events if isinstance(event, Start))
    refused = (event for event in view.events if isinstance(event, StepEvent) and event.outcome == "refused")
    name = start.input.rsplit("/", 1)[-1]
    told = summary(view, peak_memory_mb)
    pruned = () if told.pruned is None else (told.pruned,)
    return ReportData(
        **dict(told),
        title=f"Recryst: {name}",
        source=name,
        run_id=start.run_id,
        created=start.ts,
        seed=start.seed,
        code=start.code,
        runs_on={role: start.runs_on[role] for role in _ROLES if role in start.runs_on},
        maps=_maps(view),
        clusters=_clusters(view),
        quality=_quality(view),
        labelled=view.values.labelled,
        notes=(*pruned, *(reason for event in refused for reason in event.reasons)),
        removed_sample=removed_sample(view),
    )


def _maps(view: View) -> pl.DataFrame:
    """A sample of the embedded rows with their place on each map, and what became of them."""
    maps = view.frame("maps")
    if maps.height > MAP_ROWS:
        maps = maps[np.sort(np.random.default_rng(view.seed(7)).permutation(maps.height)[:MAP_ROWS])]
    ledger = view.ledger().select("row", "id", "status", "split", "stage", "reason")
    clusters = view.frame("assignments").select("row", "cluster")
    drawn = maps.join(ledger, on="row", how="left").join(clusters, on="row", how="left").sort("row")
    rows = drawn["row"].to_numpy()
    return drawn.with_columns(excerpt=view.text(rows).str.slice(0, EXCERPT), label=view.labels().gather(rows))


def _quality(view: View) -> tuple[Learned, ...]:
    """What the quality score was learned from, how well, and whether it counts; empty where there was nothing."""
    learned = [event.learned for event in view.events if isinstance(event, Quality) and event.learned]
    used = () if view.values.quality is None else view.values.quality.used
    lessons = learned[-1].items() if learned else ()
    return tuple(Learned(title=_LESSONS[name], used=name in used, figures=lesson) for name, lesson in lessons)


def _clusters(view: View) -> tuple[JudgedCluster, ...]:
    """The clusters of the last report with their critiques and the text of their medoids."""
    clusters = view.report().clusters
    medoids = view.text(np.array([cluster.medoid for cluster in clusters], dtype=np.uint32))
    return tuple(
        JudgedCluster(evidence=cluster, critique=critique, medoid_text=medoid[:EXCERPT])
        for cluster, critique, medoid in zip(clusters, view.critiques(), medoids, strict=True)
    )
