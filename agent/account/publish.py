"""The report and the dataset card of a run, gathered from its session."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ...state.decision import Critique
from ...state.report import ClusterReport
from ...state.rows import counts
from ...tools.judge.self_instruct import MEANINGS
from ...tools.write.card import write_card
from ...tools.write.figures import ReportData
from ...tools.write.report import write_report
from ..session import Session, derived_seed, runs_on
from .stages import stages, taken
from .summary import funnel, peak_memory_mb, rounds, seconds_by_step, spent, syntheses

MAP_ROWS = 10_000
EXCERPT = 200


def write_pages(session: Session) -> None:
    """Write ``report.html`` and the dataset card, both naming the head of the log as it stands now."""
    data = gather(session)
    write_report(data, session.run.report)
    write_card(data, session.run.card)


def gather(session: Session) -> ReportData:
    """Everything the report and the card show."""
    values, ledger = session.state.values, session.ledger()
    first = session.log.events[0]
    name = session.source.rsplit("/", 1)[-1]
    return ReportData(
        title=f"Recryst: {name}",
        source=name,
        run_id=session.run_id,
        created=first.ts,
        runs_on=runs_on(session.config),
        rows={**counts(ledger), "quarantined": values["quarantined"], "anchor": len(session.anchor())},
        funnel=funnel(ledger),
        stages=stages(session.store, session.log.events),
        taken=taken(session.store, session.log.events),
        maps=_maps(session),
        rounds=_rounds(session),
        clusters=_clusters(session),
        models=values.get("models", []),
        seconds=seconds_by_step(session.log.events),
        peak_memory_mb=peak_memory_mb(),
        converged=values.get("converged", False),
        stop_reason=values.get("stop_reason", ""),
        curated_sha256=values.get("curated_sha256"),
        log_head=session.log.head,
        quality=_quality(session),
        labelled=values.get("labelled"),
        spent=spent(session.log.events),
        synthesis=_syntheses(session),
        notes=[*values["notes"], *(r for e in session.log.events if e.outcome == "refused" for r in e.reasons)],
    )


def _maps(session: Session) -> pl.DataFrame:
    """A sample of the embedded rows with their place on each map, and what became of them."""
    maps = session.frame("maps")
    if maps.height > MAP_ROWS:
        chosen = np.random.default_rng(derived_seed(session.config, 7)).permutation(maps.height)[:MAP_ROWS]
        maps = maps[np.sort(chosen)]
    rows = maps["row"].to_numpy()
    ledger = session.ledger().select("row", "id", "status", "split", "stage", "reason")
    labels = session.frame("labels").select("row", "cluster")
    return (
        maps.join(ledger, on="row", how="left")
        .join(labels, on="row", how="left")
        .sort("row")
        .with_columns(
            excerpt=session.text(rows).str.slice(0, EXCERPT), label=session.frame("rows", "label")["label"].gather(rows)
        )
    )


def _quality(session: Session) -> list[dict[str, Any]] | None:
    """What the quality score was learned from, how well, and whether it counts; None where there was nothing."""
    learned = [event.metrics for event in session.log.of_type("quality") if "learned" in event.metrics]
    if not learned:
        return None
    titles = {"teacher": "a language model's scores", "like": "the endorsed rows"}
    lessons, used = learned[-1]["learned"], learned[-1]["used"]
    return [{"title": titles[name], "used": name in used, **lesson} for name, lesson in lessons.items()]


def _rounds(session: Session) -> list[dict[str, object]]:
    """The rounds as the report shows them: all reasons together, and what the objective became."""
    table = []
    for entry in rounds(session.log.events):
        measured = entry["outcome"] in ("kept", "rolled_back", "by_person")
        said = [*entry["reasons"], *entry["verdict"]]
        table.append({**entry, "reasons": said, "after": entry["metrics"] if measured else None})
    return table


def _syntheses(session: Session) -> list[dict[str, object]]:
    """The syntheses with the meaning of each reason a row was dropped for."""
    return [
        {**one, "dropped": [{"reason": MEANINGS[reason], "rows": rows} for reason, rows in one["dropped"].items()]}
        for one in syntheses(session.log.events)
    ]


def _clusters(session: Session) -> list[dict[str, object]]:
    """The clusters of the last report with their critiques and the text of their medoids."""
    report = ClusterReport.model_validate(session.store.json(session.state.artefacts["report"]))
    critiques = [Critique.model_validate(item) for item in session.store.json(session.state.artefacts["critiques"])]
    medoids = session.text(np.array([cluster.medoid for cluster in report.clusters], dtype=np.uint32))
    return [
        {
            **cluster.model_dump(mode="json"),
            "verdict": critique.verdict,
            "issues": list(critique.issues),
            "critique": list(critique.reasons),
            "theme": critique.theme,
            "said": list(critique.said),
            "review": critique.review,
            "medoid_text": medoid[:EXCERPT],
        }
        for cluster, critique, medoid in zip(report.clusters, critiques, medoids, strict=True)
    ]
