"""The tables a person sees when a run ends."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...state.phrases import action_in_words, counted, number
from ...state.run import RunDirectory
from ...state.sanitise import printable
from ...tools.write.figures import gain_in_words, hardest, hit_in_words, size


def show_summary(run: RunDirectory, result: dict[str, Any]) -> None:
    """Print the rounds, the funnel, the models and where everything lies, on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(_rounds(result))
    console.print(_funnel(result))
    console.print(_stages(result))
    for entry in hardest(result["taken"]):
        if entry["high"]:
            console.print(Text(f"far above the average: {printable(hit_in_words(entry))}", style="yellow"))
    if result["models"]:
        console.print(_models(result))
    if spent := result["llm"]:
        price = "price not known" if spent["usd"] is None else f"${spent['usd']:.4f}"
        console.print(
            Text(
                f"language model {spent['model']}: {counted(spent['questions'], 'question')} ({spent['cached']:,} "
                f"answered from the record, {counted(spent['unusable'], 'answer')} unusable, "
                f"{spent['not_asked']:,} not asked for want of budget), "
                f"{counted(spent['tokens'], 'token')}, {price}"
            )
        )
    ended = "converged" if result["converged"] else "stopped"
    tried = sum(entry["action"] != "stop" for entry in result["rounds"])
    console.print(Text(f"{ended} after {counted(tried, 'round')}: {printable(result['stop_reason'])}"))
    for name, path in (
        ("curated data", run.curated),
        ("report", run.report),
        ("decision log", run.log),
        ("dataset card", run.card),
    ):
        console.print(Text(f"{name:<14} {path}"), soft_wrap=True)
    console.print(Text(f"{'curated hash':<14} {result['curated_sha256']}"), soft_wrap=True)
    console.print(Text(f"{'log head':<14} {result['log_head']}"), soft_wrap=True)
    minutes = sum(result["seconds"].values()) / 60
    console.print(Text(f"{minutes:.1f} minutes, {result['peak_memory_mb']:,.0f} MB at most"))


def _rounds(result: dict[str, Any]) -> Table:
    """One line per round: what was tried, what it measured, and whether it stayed."""
    kinds = {entry["metrics"]["probe_kind"] for entry in result["rounds"] if entry["metrics"]}
    probe = {"macro_f1": "macro-F1", "bits_per_byte": "bits/byte"}.get(next(iter(kinds), ""), "probe")
    table = Table(title="Rounds", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("round", "k", "kept", "silhouette", probe, "coverage", "gain", "action", "outcome"):
        table.add_column(name, justify="left" if name in ("action", "outcome") else "right", no_wrap=name != "action")
    for entry in result["rounds"]:
        metrics = entry["metrics"] or {}
        gain = metrics["value"] - entry["before"]["value"]
        table.add_row(
            str(entry["round"]),
            str(entry["k"]),
            f"{entry['kept']:,}",
            number(metrics.get("silhouette"), 3),
            number(metrics.get("probe")),
            number(metrics.get("coverage"), 3),
            f"{gain:+.4f}" if entry["action"] != "stop" else "",
            Text(action_in_words(entry["action"], entry["params"])),
            Text(entry["outcome"].replace("_", " "), style="green" if entry["outcome"] == "kept" else "dim"),
        )
    return table


def _funnel(result: dict[str, Any]) -> Table:
    table = Table(title="Funnel", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("stage")
    table.add_column("reason")
    table.add_column("rows", justify="right")
    if result["rows"]["quarantined"]:
        table.add_row("load", "quarantined, not ingested", f"{result['rows']['quarantined']:,}")
    for entry in result["funnel"]:
        sign = "" if entry["reason"] == "ingested" else "−"
        table.add_row(entry["stage"], Text(printable(entry["reason"])), f"{sign}{entry['rows']:,}")
    kept = result["rows"]["kept"]
    table.add_row(
        "", f"kept ({kept - result['anchor']:,} train + {result['anchor']:,} anchor)", f"{kept:,}", style="bold"
    )
    if synthetic := result["rows"]["synthetic"]:
        table.add_row("act", "synthetic, added and marked", f"+{synthetic:,}")
    return table


def _stages(result: dict[str, Any]) -> Table:
    """One line per stage of the first separation; with ``--ablate``, what each was worth to the probe."""
    table = Table(title="First separation", title_justify="left", box=SIMPLE_HEAD)
    ablated = any(stage["gain"] for stage in result["stages"])
    for name in (
        "stage",
        "rows in",
        "removed",
        "text in",
        "text removed",
        "seconds",
        *(["gain of the probe"] if ablated else []),
    ):
        table.add_column(name, justify="left" if name in ("stage", "gain of the probe") else "right")
    for stage in result["stages"]:
        table.add_row(
            stage["stage"],
            f"{stage['rows']:,}",
            "refused" if stage["refused"] else f"{stage['removed']:,}",
            size(stage["bytes"]),
            size(stage["bytes_removed"]),
            f"{stage['seconds']:.1f}",
            *([gain_in_words(stage["gain"])] if ablated else []),
        )
    return table


def _models(result: dict[str, Any]) -> Table:
    table = Table(title="Final model", title_justify="left", box=SIMPLE_HEAD)
    for name in ("model", "size", "held-out perplexity", "bits/byte"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for model in result["models"]:
        table.add_row(
            model["name"],
            f"{model['size_bytes'] / 1e6:.2f} MB",
            f"{model['perplexity']:.2f}",
            f"{model['bits_per_byte']:.4f}",
        )
    return table
