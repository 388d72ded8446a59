"""What a person sees in a conversation. Text from the data is printable here, and never markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...state.decision import Critique
from ...state.phrases import action_in_words, counted, number
from ...state.report import ClusterEvidence, ClusterReport
from ...state.sanitise import printable

TEXT = 160  # characters of a row that are shown
_PARTS = ("value", "probe", "coverage", "balance", "redundancy", "noise", "structure", "stability")


def line(text: str, style: str = "") -> Text:
    """One line; control characters of whatever is in it are taken out."""
    return Text(printable(text), style=style)


def proposal(shown: dict[str, Any]) -> RenderableType:
    """The proposal that waits, with everything its hash stands for."""
    proposed = shown["proposal"]
    words = action_in_words(proposed["action"], proposed["params"])
    said = f"round {shown['round']}, proposed by {_WHO[shown['by']]}: {words}"
    touched = f" ({counted(proposed['rows'], 'row')} at most)" if proposed["rows"] else ""
    lines = [line(said + touched, "bold"), *(line(f"  because: {reason}") for reason in shown["reasons"])]
    for at, other in enumerate(shown["alternatives"], start=1):
        rows = f" ({counted(other['rows'], 'row')})" if other["rows"] else ""
        lines.append(line(f"  /try {at}: {action_in_words(other['action'], other['params'])}{rows}", "dim"))
    if (trial := shown["rolled_back"]) is not None:
        words = action_in_words(trial["action"], trial["params"])
        tried = f"{words} (round {trial['round']}, objective {trial['gain']:+.4f})"
        lines.append(line(f"  /keep: {tried}, although it was rolled back", "dim"))
    keys = "y: finish   another action: go on" if proposed["action"] == "stop" else "y: do it   n: reject it"
    return Group(*lines, line(f"  {keys}   /help", "dim"))


_WHO = {"rules": "the rules", "model": "the language model", "person": "you"}


def clusters(report: ClusterReport, critiques: Sequence[Critique]) -> RenderableType:
    """One line per cluster."""
    table = _table(f"{counted(report.k, 'cluster')} of {report.rows:,} rows ({report.algorithm})")
    for name in ("cluster", "rows", "cohesion", "silhouette", "stability", "near-dup.", "outliers", "low quality"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    table.add_column("terms", overflow="fold")
    for cluster, critique in zip(report.clusters, critiques, strict=True):
        about = critique.theme or ", ".join(cluster.terms[:5])
        table.add_row(
            str(cluster.cluster),
            f"{cluster.size:,}",
            *(number(value, 2) for value in (cluster.cohesion, cluster.silhouette, cluster.stability)),
            *(f"{share:.0%}" for share in (cluster.near_duplicates, cluster.outliers, cluster.low_quality)),
            critique.verdict + (" (review)" if critique.review else ""),
            line(about),
        )
    return table


def cluster(evidence: ClusterEvidence, critique: Critique, rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    """The evidence on one cluster; ``rows`` are (role, id, text)."""
    figures = (
        f"cluster {evidence.cluster}: {counted(evidence.size, 'row')}, cohesion {number(evidence.cohesion, 2)}, "
        f"silhouette {number(evidence.silhouette, 2)}, stability {number(evidence.stability, 2)}, near-duplicates "
        f"{evidence.near_duplicates:.0%}, outliers {evidence.outliers:.0%}, low quality {evidence.low_quality:.0%}"
    )
    table = _table(None)
    for name in ("row", "id", "text"):
        table.add_column(name, overflow="fold")
    for role, row_id, text in rows:
        table.add_row(role, line(row_id), line(text[:TEXT]))
    verdict = f"verdict: {critique.verdict}: {'; '.join((*critique.reasons, *critique.said))}"
    theme = [line(f"theme: {critique.theme}")] if critique.theme else []
    terms = line(f"terms: {', '.join(evidence.terms)}")
    return Group(line(figures, "bold"), *theme, terms, line(verdict), table)


def metrics(first: dict[str, Any], now: dict[str, Any]) -> RenderableType:
    """The objective and its parts, at the start and now."""
    table = _table(f"Objective ({first['probe_kind']})")
    for name in ("part", "at the start", "now"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for part in _PARTS:
        table.add_row("objective" if part == "value" else part, number(first[part]), number(now[part]))
    return table


def history(rounds: Sequence[dict[str, Any]]) -> RenderableType:
    """One line per round that ended."""
    if not rounds:
        return line("no round has ended yet")
    table = _table("Rounds")
    for name in ("round", "action", "outcome", "gain", "kept", "k"):
        table.add_column(name, justify="left" if name in ("action", "outcome") else "right", overflow="fold")
    for entry in rounds:
        gain = entry["metrics"]["value"] - entry["before"]["value"]
        table.add_row(
            str(entry["round"]),
            line(action_in_words(entry["action"], entry["params"])),
            entry["outcome"].replace("_", " "),
            f"{gain:+.4f}" if entry["action"] != "stop" else "",
            f"{entry['kept']:,}",
            str(entry["k"]),
        )
    return table


def _table(title: str | None) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
