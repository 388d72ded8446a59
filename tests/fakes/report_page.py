"""What a report may be told, hostile text in every place included, and the page as a browser reads it."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
from shown_about import choices_about, conflicts_about, headline_about, relabelled_about, removed_about

from recryst.state.actions import Action, Prune, Refilter
from recryst.state.decision import Critique, Rejected
from recryst.state.events import StageGain
from recryst.state.report import ClusterEvidence, Objective, Probe
from recryst.state.values import BaselineFigures, ClassifierFigures, FinalModel, LabelLesson, LabelTally, ModelFigures
from recryst.tools.write.report import write_report
from recryst.tools.write.shown import (
    FunnelStep,
    Hit,
    JudgedCluster,
    Learned,
    ReportData,
    Round,
    Spent,
    Stage,
    Synthesis,
    Taught,
    Training,
)

STEERING = "\u2028\u2029\x00\x1b\x07\x9b\u202e\u2066\u061c"
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<!--<script>",
    "%{x} %{customdata[0]} <b>bold</b>",
    "<img src=x onerror=alert(3)>",
    "line\u2028separator\u2029and\x00nul",
    "\x1b]0;owned\x07 \x9b31m \u202eevil\u2066 \u061c",
    "'\" onmouseover=alert(4) x='",
    "{{ 7 * 7 }} {% raw %}",
    "| x |\n|---|\n# heading",
    "i" * 5000,
]


# What a page shows of them.
SHOWN = [text.translate(dict.fromkeys(map(ord, STEERING), " ")) for text in HOSTILE]


def probes(nearest: float, linear: float) -> tuple[Probe, ...]:
    return (
        Probe(name="nearest_neighbor", score=nearest, raw=0.5),
        Probe(name="linear_discriminant", score=linear, raw=0.5),
    )


def objective(**changes: Any) -> Objective:
    measured = {
        "value": 0.9821,
        "probes": probes(0.7654, 0.8456),
        "clustering": 0.3579,
        "clustering_sd": 0.0001,
        "coverage": 0.9123,
        "balance": 0.8712,
        "redundancy": 0.1423,
        "noise": 0.0512,
        "structure": None,
        "silhouette": None,
        "stability": 0.7123,
    }
    return Objective.model_validate(measured | changes)


def a_round(
    number: int, outcome: str, after: Objective | None, before: Objective, text: str, action: Action | None = None
) -> Round:
    prune = Prune(clusters=(0, 1), strategy="keep_closest", keep_fraction=0.7654321)
    action = action or (prune if number == 1 else Refilter(thresholds={text: 0.5}))
    return Round(
        round=number,
        action=action.action,
        params=action.params,
        words=action.in_words(),
        outcome=outcome,
        kept=1234,
        k=77,
        embedded=4321,
        reasons=(text,),
        noise={"value": 0.0131, "nearest_neighbor": 0.0123} if after else {},
        rejected=(Rejected(id="c1", action="stop", reason=text),),
        before=before,
        metrics=after or before,
        label_agreement=0.8125,
        keep_agreement=0.9375,
    )


def stages_of(text: str) -> tuple[Stage, ...]:
    gain = StageGain(
        **{"stage": "filter", "added": 4711, "removed": 5555, "anchor_copies": 444, "unlabelled": 0},
        **{"gain": 0.0102, "error": 0.0034, "verdict": "helps"},
    )
    clean = Stage(
        **{"stage": "clean", "rows": 10003, "removed": 0, "reasons": {}, "bytes": 23456789, "bytes_removed": 0},
        **{"seconds": 61.5, "refused": text, "gain": None},
    )
    taken = {"stage": "filter", "removed": 5555, "reasons": {text: 5555}, "bytes_removed": 3456789}
    return clean, clean.model_copy(update=taken | {"refused": None, "gain": gain})


def taken_from(text: str, high: bool = True) -> Hit:
    """A group of a stage that lost more than the average."""
    shares = {"rows": 200, "removed": 90, "rate": 0.45, "average": 0.1234}
    return Hit(stage="filter", kind="source", group=text, groups=1, high=high, **shares)


def report_data(texts: list[str]) -> ReportData:
    """A run whose every free text is one of ``texts``."""
    n, text = len(texts), texts[0]
    better = objective(value=0.9999, probes=probes(0.8109, 0.8001), redundancy=0.1011)
    maps = pl.DataFrame(
        {
            "row": pl.Series(range(n), dtype=pl.UInt32),
            "id": [f"{one} {at}" for at, one in enumerate(texts)],
            "excerpt": texts,
            "cluster": pl.Series([None, -1, *range(n - 2)], dtype=pl.Int32),
            "status": ["removed", "kept", "synthetic", *["kept"] * (n - 3)],
            "split": ["train"] * (n - 1) + ["anchor"],
            "stage": ["filter", *["load"] * (n - 1)],
            "reason": [text, *["ingested"] * (n - 1)],
            "label": [None, *texts[1:]],
            "umap_2d_x": pl.Series([None, *[1.23456789] * (n - 1)], dtype=pl.Float32),
            "umap_2d_y": pl.Series([None, *[-98765.4321] * (n - 1)], dtype=pl.Float32),
            "pca_3d_x": [float("nan"), *[0.000123456] * (n - 1)],
            "pca_3d_y": [0.5] * n,
            "pca_3d_z": [0.25] * n,
        }
    )
    evidence = ClusterEvidence(
        **{"cluster": 3, "size": 5678, "cohesion": 0.4567, "silhouette": 0.2345, "nearest_cluster": 9},
        **{"separation": 0.3333, "near_duplicates": 0.1876, "outliers": 0.0654, "low_quality": 0.0321},
        **{"quality": 3.2109, "stability": 0.8765, "terms": texts, "medoid": 0, "boundary": (), "random": ()},
    )
    critique = Critique(
        cluster=3,
        reasons=tuple(texts),
        issues=("near_duplicates",),
        verdict="thin",
        theme=text,
        said=(text,),
        review=True,
    )
    noise = {"silhouette": None, "nearest_cluster": None, "separation": None, "stability": None}
    dense = {"size_bytes": 10423512, "perplexity": 41.238, "bits_per_byte": 1.6123, "agreement": 1.0, "speed": 1.0}
    classifier = {"parameters": 2139213, "size_bytes": 8560012, "macro_f1": 0.9241, "accuracy": 0.9243}
    nf4 = {"size_bytes": 3423512, "perplexity": 43.911, "bits_per_byte": 1.6402, "agreement": 0.9123, "speed": 0.41}
    agreement = {"spearman": 0.6912, "p": 0.0, "auc": 0.9512, "mae": 1.1034, "mean_mae": 1.9712, "f1": 0.6934}
    agreement |= {"mean_f1": 0.0, "within_one": 0.5134, "mean_within_one": 0.0112}
    return ReportData(
        run=text,
        title=text,
        source=text,
        run_id="run-17",
        created="2026-11-21 03:10 UTC",
        seed=0,
        code={"version": "0.1.0"},
        runs_on={"embedding": text, "policy": "rules"},
        rows={"ingested": 10003, "quarantined": 13, "kept": 8890, "removed": 1113, "synthetic": 222},
        anchor=981,
        sealed=417,
        headline=headline_about(),
        choices=choices_about(text),
        conflicts=conflicts_about(text),
        relabelled=relabelled_about(text),
        removed_sample=(removed_about(text),),
        removed_by_reason={text: 1000, "near_duplicate": 113},
        funnel=(
            FunnelStep(stage="load", reason="ingested", rows=10003),
            FunnelStep(stage="filter", reason=text, rows=1000),
            FunnelStep(stage="dedup", reason="near_duplicate", rows=113),
        ),
        stages=stages_of(text),
        taken=tuple(taken_from(one) for one in texts[:9]),
        maps=maps,
        rounds=(
            a_round(1, "kept", better, objective(), text),
            a_round(
                2,
                "rolled_back",
                objective(value=0.9001, probes=probes(0.8110, 0.7002), redundancy=0.1423),
                better,
                text,
            ),
            a_round(3, "refused", None, better, text),
        ),
        clusters=(
            JudgedCluster(evidence=evidence, critique=critique, medoid_text=text),
            JudgedCluster(
                evidence=evidence.model_copy(update={"cluster": -1, "size": 44} | noise),
                critique=critique.model_copy(update={"cluster": -1, "issues": ("none",), "verdict": "keep"}),
                medoid_text=text,
            ),
        ),
        models=(ModelFigures(name="dense", answer=text, **dense), ModelFigures(name="nf4", answer=text, **nf4)),
        final_model=FinalModel(name="nf4", why=text),
        training=Training(
            **{"mode": "lora", "base": text, "base_sha256": "5d" * 32, "base_perplexity": 77.123, "tokens": 298765},
            **{"epochs": 3.21, "vocabulary": 4077, "losses": (7.1234, 5.5, 4.3456)},
            baseline=BaselineFigures(rows=9022, tokens=299008, epochs=2.5, vocabulary=4096, bits_per_byte=1.7011),
        ),
        classifiers=(ClassifierFigures(name="classifier", kind="distilled", share=0.9876, **classifier),),
        taught=Taught(labels=77, rows=8123, asked=907, context=128, base_sha256="6e" * 32),
        seconds={"embed": 241.2, "cluster": 3.3},
        peak_memory_mb=1834.2,
        converged=False,
        stop_reason=text,
        curated_sha256="3f" * 32,
        log_head="a7" * 32,
        notes=tuple(texts),
        llm=Spent(model=text, questions=17, requests=18, cached=1, unusable=0, not_asked=0, tokens=98765, usd=0.1234),
        synthesis=(
            Synthesis(
                **{"round": 2, "outcome": "rolled_back", "seeds": 31, "questions": 7, "generated": 6543, "kept": 222},
                **{"dropped": {"too_short": 6321}, "narrowed": (3,), "cut_short": True},
            ),
        ),
        quality=(
            Learned(title=text, used=True, figures={"rows": 137} | agreement),
            Learned(title=text, used=False, figures={"rows": 12}),
        ),
        labelled=LabelTally(
            **{"rows": 8890, "by": {"domain": {"rules": 8123}}, "unsure": 767, "tags": {}, "difficulties": {}},
            domains={text: 8123},
            lessons={"domain": LabelLesson(examples=8123, left_out=(text,), judged=7000, margin=0.5, right=0.91)},
        ),
    )


class Page(HTMLParser):
    """The elements of a page, its text, and what its scripts hold."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.words.append(data)

    def attribute(self, tag: str, name: str) -> list[str]:
        return [value for one, key, value in self.attributes if (one, key) == (tag, name)]


def page_of(data: ReportData, folder: Path) -> Page:
    write_report(data, folder / "report.html")
    return Page(folder / "report.html")
