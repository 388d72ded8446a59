"""What a person sees in a conversation. Text from the data is printable here, and never markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...state.decision import Critique
from ...state.report import ClusterEvidence, ClusterReport
from ..cli import printable

TEXT = 160  # characters of a row that are shown
_PARTS = ("value", "probe", "coverage", "balance", "redundancy", "noise", "structure", "stability")


def line(text: str, style: str = "") -> Text:
    """One line; control characters of whatever is in it are taken out."""
    return Text(printable(text), style=style)


def action(kind: str, params: dict[str, Any]) -> str:
    """An action in words."""
    if kind == "prune":
        numbers = params["clusters"]
        shown = ", ".join(map(str, numbers[:8])) + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")
        where = f"cluster{'s' if len(numbers) != 1 else ''} {shown}"
        if params["strategy"] == "drop":
            return f"remove {where}"
        how = {"keep_closest": "closest to", "keep_furthest": "furthest from"}.get(params["strategy"])
        which = f"{params['keep_fraction']:.0%} of the rows"
        return f"keep {which} of {where}, " + (f"those {how} the centre" if how else "chosen at random")
    if kind == "change_k":
        values = " ".join(f"{name}={value}" for name, value in params.items() if name != "algorithm")
        return f"cluster anew: {params['algorithm']} {values}"
    if kind == "refilter":
        bounds = " ".join(f"{name}={value:g}" for name, value in params["thresholds"].items())
        return f"filter again with {bounds or 'the bounds in force'}"
    if kind == "stop":
        return "stop: train the final model and write the curated data"
    return f"{kind} " + " ".join(f"{name}={value}" for name, value in params.items())


def proposal(shown: dict[str, Any]) -> RenderableType:
    """The proposal that waits, with everything its hash stands for."""
    proposed = shown["proposal"]
    said = f"round {shown['round']}, proposed by {_WHO[shown['by']]}: {action(proposed['action'], proposed['params'])}"
    touched = f" ({proposed['rows']:,} rows at most)" if proposed["rows"] else ""
    lines = [line(said + touched, "bold"), *(line(f"  because: {reason}") for reason in shown["reasons"])]
    for number, other in enumerate(shown["alternatives"], start=1):
        rows = f" ({other['rows']:,} rows)" if other["rows"] else ""
        lines.append(line(f"  /try {number}: {action(other['action'], other['params'])}{rows}", "dim"))
    if (trial := shown["rolled_back"]) is not None:
        tried = f"{action(trial['action'], trial['params'])} (round {trial['round']}, objective {trial['gain']:+.4f})"
        lines.append(line(f"  /keep: {tried}, although it was rolled back", "dim"))
    keys = "y: finish   another action: go on" if proposed["action"] == "stop" else "y: do it   n: reject it"
    return Group(*lines, line(f"  {keys}   /help", "dim"))


_WHO = {"rules": "the rules", "model": "the language model", "person": "you"}


def clusters(report: ClusterReport, critiques: Sequence[Critique]) -> RenderableType:
    """One line per cluster."""
    table = _table(f"{report.k} clusters of {report.rows:,} rows ({report.algorithm})")
    for name in ("cluster", "rows", "cohesion", "silhouette", "stability", "near-dup.", "outliers", "low quality"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    table.add_column("terms", overflow="fold")
    for cluster, critique in zip(report.clusters, critiques, strict=True):
        about = critique.theme or ", ".join(cluster.terms[:5])
        table.add_row(
            str(cluster.cluster),
            f"{cluster.size:,}",
            *(_number(value) for value in (cluster.cohesion, cluster.silhouette, cluster.stability)),
            *(f"{share:.0%}" for share in (cluster.near_duplicates, cluster.outliers, cluster.low_quality)),
            critique.verdict + (" (review)" if critique.review else ""),
            line(about),
        )
    return table


def cluster(evidence: ClusterEvidence, critique: Critique, rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    """The evidence on one cluster; ``rows`` are (role, id, text)."""
    figures = (
        f"cluster {evidence.cluster}: {evidence.size:,} rows, cohesion {_number(evidence.cohesion)}, silhouette "
        f"{_number(evidence.silhouette)}, stability {_number(evidence.stability)}, near-duplicates "
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
        table.add_row("objective" if part == "value" else part, _number(first[part], 4), _number(now[part], 4))
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
        said = entry["action"] if entry["outcome"] == "by_person" else action(entry["action"], entry["params"])
        table.add_row(
            str(entry["round"]),
            line(said),
            entry["outcome"].replace("_", " "),
            f"{gain:+.4f}",
            f"{entry['kept']:,}",
            str(entry["k"]),
        )
    return table


def _table(title: str | None) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
