"""The dataset card: valid front matter, every figure, and no text that leaves its place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from shown_about import choices_about, conflicts_about, headline_about, relabelled_about, removed_about

from recryst.state.actions import Refilter
from recryst.state.decision import Critique
from recryst.state.events import StageGain
from recryst.state.report import ClusterEvidence, Objective, Probe
from recryst.state.values import ClassifierFigures, ModelFigures
from recryst.tools.write.hub.card import code, escape_markdown, write_card
from recryst.tools.write.shown import FunnelStep, Hit, JudgedCluster, ReportData, Round, Stage

HOSTILE = [
    "| x | y |",
    "---",
    "\n---\n\n# heading\n",
    "x\n\n| a | b |\n|---|---|\n| 1 | 2 |",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1)) ![i](http://evil.example/x.png)",
    "http://evil.example www.evil.example me@evil.example",
    "``` `code` **bold** _it_ ~~no~~",
    "1. one",
    "- item",
    "> quote",
    "a: b\ntags: [evil]",
    "line\u2028separator\u202eright-to-left",
    "{{ 7 * 7 }}",
    "i" * 3000,
]


def objective(value: float) -> Objective:
    parts = dict.fromkeys(("coverage", "balance", "redundancy", "noise", "structure", "silhouette", "stability"), 0.5)
    probe = Probe(name="bits_per_byte", score=value, raw=value)
    return Objective(value=value, probes=(probe,), clustering=0.8312, clustering_sd=0.0, **parts)


def cluster(number: int, text: str) -> JudgedCluster:
    figures = {"cohesion": 0.5, "near_duplicates": 0.0, "outliers": 0.0, "low_quality": 0.0, "medoid": 0}
    unknown = dict.fromkeys(("silhouette", "nearest_cluster", "separation", "stability"))
    evidence = ClusterEvidence(
        cluster=number, size=5000 + number, terms=(text, text), boundary=(), random=(), **figures, **unknown
    )
    critique = Critique(cluster=number, reasons=(text,), issues=("none",), verdict="keep")
    return JudgedCluster(evidence=evidence, critique=critique, medoid_text=text)


def card_data(text: str, full: bool = True) -> ReportData:
    action = Refilter(thresholds={text: 0.5})
    one = Round(
        round=1,
        action=action.action,
        params=action.params,
        words=action.in_words(),
        outcome="rolled_back",
        kept=8890,
        k=7,
        embedded=0,
        reasons=(text,),
        before=objective(0.9821),
        metrics=objective(0.9001),
    )
    figures = {"added": 5555, "removed": 5555, "gain": -0.0102, "error": 0.0034, "verdict": "hurts"}
    gain = StageGain(stage="filter", anchor_copies=0, unlabelled=0, **figures)
    stage = {"stage": "filter", "rows": 9999, "removed": 5555, "reasons": {text: 5555}, "seconds": 61.5}
    shares = {"rows": 200, "removed": 90, "rate": 0.45, "average": 0.1234}
    group = Hit(stage="filter", kind="source", group=text, groups=1, high=True, **shares)
    classifier = {"parameters": 2139213, "size_bytes": 8560012, "macro_f1": 0.9241, "accuracy": 0.9243}
    nf4 = {"size_bytes": 3423512, "perplexity": 43.911, "bits_per_byte": 1.6402}
    return ReportData(
        run=text,
        title=text,
        source=text,
        run_id="run-17",
        created="2026-11-21 03:10 UTC",
        seed=0,
        code={"version": "0.1.0"},
        runs_on={"embedding": text},
        rows={"ingested": 10003, "quarantined": 13, "kept": 8890, "removed": 1113, "synthetic": 222},
        anchor=981,
        sealed=417,
        headline=headline_about() if full else None,
        unsealed=None if full else text,
        choices=choices_about(text),
        conflicts=conflicts_about(text),
        relabelled=relabelled_about(text),
        removed_sample=(removed_about(text),),
        removed_by_reason={text: 1113},
        funnel=(
            FunnelStep(stage="load", reason="ingested", rows=10003),
            FunnelStep(stage="filter", reason=text, rows=1113),
        ),
        stages=(Stage(**stage, bytes=23456789, bytes_removed=3456789, refused=None, gain=gain),),
        taken=(
            group,
            group.model_copy(update={"group": None}),
            group.model_copy(update={"group": "fair", "high": False}),
        ),
        maps=pl.DataFrame(),
        rounds=(one, one.model_copy(update={"outcome": "refused"})) if full else (),
        clusters=tuple(cluster(at, text) for at in range(30)) if full else (),
        models=(ModelFigures(name="nf4", answer=text, **nf4),) if full else (),
        classifiers=(ClassifierFigures(name="classifier", kind="distilled", share=0.9876, **classifier),)
        if full
        else (),
        llm=None,
        synthesis=(),
        seconds={},
        peak_memory_mb=1.0,
        converged=True,
        stop_reason=text,
        curated_sha256="3f" * 32 if full else None,
        log_head="a7" * 32,
        notes=(text,),
    )


def written(data: ReportData, folder: Path) -> tuple[dict[str, Any], str]:
    """The front matter and the body of a card."""
    write_card(data, folder / "README.md")
    text = (folder / "README.md").read_bytes().decode()
    assert text.startswith("---\n")
    front, body = text[4:].split("\n---\n", 1)
    return yaml.safe_load(front), body


def shape(body: str) -> Counter[str]:
    """How many blocks and marks of each kind a Markdown reader finds."""
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body)
    return Counter(token.type for block in tokens for token in [block, *(block.children or [])] if token.type != "text")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_nothing_but_text(text: str, tmp_path: Path) -> None:
    front, body = written(card_data(text), tmp_path)
    _, calm = written(card_data("word"), tmp_path)
    # An escaped character is a token of its own to this reader; that is text.
    assert shape(body) - Counter(text_special=10**6) == shape(calm) - Counter(text_special=10**6)
    assert set(front) == {"pretty_name", "size_categories", "tags"}
    assert front["tags"] == ["recryst"]


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("|`*_[]()<>#-+=~!&\\ \n\t1.")))
def test_escaped_text_reads_as_the_same_plain_text(text: str) -> None:
    # As a whole paragraph, the place where most could act.
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(f"{escape_markdown(text)}")
    inline = [token for token in tokens if token.type == "inline"]
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert all(child.type in ("text", "text_special") for token in inline for child in token.children or [])


@given(st.text(st.sampled_from("`| ab\n\\")))
def test_code_is_one_code_span(text: str) -> None:
    [_, inline, _] = MarkdownIt("commonmark").parse(f"- {code(text)}")[2:5]
    assert [child.type for child in inline.children or []] == ["code_inline"]


def test_bare_links_are_broken() -> None:
    escaped = escape_markdown("http://a.b WWW.a.b me@a.b")
    assert "://" not in escaped
    assert "@" not in escaped
    assert "www." not in escaped.lower()


def test_every_figure_is_shown(tmp_path: Path) -> None:
    front, body = written(card_data("word"), tmp_path)
    separation = "9,999|5,555|23.46 MB|3.46 MB|−0.0102 ± 0.0034, hurts|removed 45.0 % of the source “word”"
    rows = "10,003|8,890|1,113|981|222|13|5,029|5,010|30|run-17|2026-11-21"
    expected = f"{separation}|{rows}|0.9821|0.9001|0.8312|3,423,512|43.911|1.6402".split("|")
    assert [figure for figure in expected if figure not in body] == []
    assert "4,807 rows have another label, in the column recryst\\_label; the column word stays as it was." in body
    assert "| word | word | 4,805 |" in body
    said = "On 389 rows that nobody looked at: probes 0.8123 before, 0.8345 after, difference +0.0222"
    assert f"{said} \\[−0.0034, +0.0478\\]: the interval holds 0, so that no difference is shown." in body
    assert "| bits per byte | 0.8123 | 0.8345 | 0.0222 | −0.0034 to 0.0478 |" in body
    assert "| of them sealed until the end | 417 |" in body
    assert "fair" not in body  # a group that was not hit far above the average
    assert "5,009" not in body  # the 20 largest of 30 clusters
    assert "| classifier | distilled | 2,139,213 | 8,560,012 | 0.9241 | 98.8 % | 0.9243 |" in body
    assert "recryst audit" in body
    assert f"`{'3f' * 32}`" in body
    assert f"Log head at export: `{'a7' * 32}`" in body
    assert front == {"pretty_name": "word", "size_categories": ["1K<n<10K"], "tags": ["recryst"]}


def test_a_run_without_rounds_clusters_and_models(tmp_path: Path) -> None:
    _, body = written(card_data("word", full=False), tmp_path)
    assert "No round was run" in body
    assert "No rows were sealed for a last look: word." in body
    assert "nobody looked at" not in body
    assert "not exported" in body
    assert "## Model" not in body
    assert "## Classifier" not in body
