"""What the report and the dataset card show of a run, and how its figures compare.

Everything is measured already; here it is only put side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from ...state.phrases import counted, number

GROUPS_SHOWN = 12


@dataclass(frozen=True)
class Part:
    """A figure of the objective: its key in ``Objective``, its name, its meaning and which way is better."""

    key: str
    title: str
    meaning: str
    lower_is_better: bool = False


VALUE = Part("value", "Objective", "Weighted sum of the parts below; an action is kept when it raises this.")
_PROBES = {
    "macro_f1": Part("probe", "Probe: macro-F1", "A small classifier trained on the kept rows, scored on the anchor."),
    "bits_per_byte": Part(
        "probe", "Probe: bits per byte", "A small language model trained on the kept rows, scored on the anchor.", True
    ),
}
_PARTS = (
    Part("coverage", "Coverage", "How well the kept rows still cover the anchor, rows held out from every choice."),
    Part("balance", "Balance", "How evenly the rows are spread over the clusters; 1 is perfectly even."),
    Part("redundancy", "Redundancy", "Share of rows that say what another row already says.", True),
    Part("noise", "Noise", "Share of rows that belong to no cluster or lie far from every other row.", True),
    Part("structure", "Structure", "How clearly the clusters stand apart, from the silhouette or DBCV."),
    Part("stability", "Stability", "How alike the clusters come out again on resampled rows; 0.75 counts as stable."),
)


@dataclass(frozen=True)
class ReportData:
    """What the report and the dataset card show; everything is already measured, nothing is computed from text.

    ``funnel`` begins with the rows ingested, then tells the rows removed by stage and reason, in order; ``stages`` what
    each stage of the first separation did and ``taken`` from whom, as ``agent/account/stages.py`` gathers them.
    ``maps`` holds the rows to draw: ``row``, ``id``, ``excerpt``, ``cluster`` (int32, −1 noise, null where a
    row has none), ``status``, ``split``, ``stage``, ``reason``, ``label`` and coordinates such as
    ``umap_2d_x``. In ``rounds`` the objectives before and after have the fields of ``Objective``; ``clusters``
    have those of ``ClusterEvidence`` and ``verdict``, ``issues``, ``critique`` and ``medoid_text``.
    """

    title: str
    source: str
    run_id: str
    created: str
    runs_on: dict[str, str]
    rows: dict[str, int]  # ingested, quarantined, kept, removed, synthetic, anchor
    funnel: list[dict[str, Any]]
    maps: pl.DataFrame
    rounds: list[dict[str, Any]]
    clusters: list[dict[str, Any]]
    models: list[dict[str, Any]]
    seconds: dict[str, float]
    peak_memory_mb: float
    converged: bool
    stop_reason: str
    curated_sha256: str | None
    log_head: str
    notes: list[str]
    quality: list[dict[str, Any]] | None = None  # what a quality score was learned from: title, used, agreement
    labelled: dict[str, Any] | None = None  # rows, by whom, unsure, and rows by name for each axis of the taxonomy
    synthesis: list[dict[str, Any]] | None = None  # round, outcome, seeds, generated, dropped (reason, rows), kept
    stages: list[dict[str, Any]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    spent: dict[str, Any] | None = None  # on the language model: questions, tokens, usd (None: price not known)


def parts_of(data: ReportData) -> tuple[Part, ...]:
    """The objective and its parts, with the probe that this run used; empty where no round was measured."""
    if not data.rounds:
        return ()
    kind = data.rounds[0]["before"]["probe_kind"]
    return (VALUE, _PROBES[kind], *_PARTS)


_STANDS = ("kept", "by_person")


def standing(data: ReportData) -> list[dict[str, Any]]:
    """The objective of the data as it stood at the start and after each round: an action not kept changes nothing."""
    if not data.rounds:
        return []
    after = [one["after"] if one["outcome"] in _STANDS and one["after"] else one["before"] for one in data.rounds]
    return [data.rounds[0]["before"], *after]


def compare(data: ReportData, one: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each part of the objective before and after a round, and whether it became better or worse.

    A change of the objective or the probe below what it was held against is called noise.
    """
    lines = []
    for part in parts_of(data):
        before = one["before"][part.key]
        after = one["after"][part.key] if one["after"] else None
        change = None if before is None or after is None else after - before
        noise = (one["noise"] or {}).get(part.key)
        if change is None or number(before) == number(after):
            sense = "same"
        else:
            sense = "better" if (change < 0) == part.lower_is_better else "worse"
        within = bool(noise and change is not None and sense != "same" and abs(change) <= noise)
        lines.append(
            {"part": part, "before": before, "after": after, "change": change, "sense": sense, "noise": within}
        )
    return lines


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage; a dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def size(size_bytes: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.2f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.2f} GB"


def duration(seconds: float) -> str:
    """Seconds in the largest units that fit."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def hardest(taken: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups that lost most beyond their stage's average, at most ``GROUPS_SHOWN``: those far above it first.

    Groups that were counted together are none, and neither is one that lost no more than the average.
    """

    def beyond(entry: dict[str, Any]) -> float:
        return float(entry["removed"] - entry["average"] * entry["rows"])

    above = [entry for entry in taken if entry["group"] is not None and beyond(entry) > 0]
    return sorted(above, key=lambda entry: (not entry["high"], -beyond(entry)))[:GROUPS_SHOWN]


def hit_in_words(entry: dict[str, Any]) -> str:
    """One group that a stage hit, in a sentence. The group's name comes from the data and is not made safe here."""
    return (
        f"{entry['stage']} removed {100 * entry['rate']:.1f} % of the {entry['kind']} “{entry['group']}” "
        f"({entry['removed']:,} of {counted(entry['rows'], 'row')}); its average is {100 * entry['average']:.1f} %"
    )


def gain_in_words(gain: dict[str, Any] | None) -> str:
    """What a stage was worth to the probe, with its standard error; a dash where it was not measured.

    Where not every row that the stage removed was put back, it says of how many the figure tells.
    """
    if gain is None or gain["gain"] is None:
        return "–"
    some = f" ({gain['added']:,} of {gain['removed']:,} rows)" if gain["added"] < gain["removed"] else ""
    return f"{gain['gain']:+.4f} ± {gain['error']:.4f}, {gain['verdict']}{some}".replace("-", "−")
