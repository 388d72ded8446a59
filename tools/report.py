"""The report: one HTML file that shows a run, offline, to somebody who was not there.

Text from the data never acts. In the markup it is escaped by jinja2; in the scripts it stands in one JSON
block that cannot end its element; in the plots it does not stand at all: plotly is given numbers only, and
what is shown on hover is written as plain text. Control and bidirectional characters are taken out everywhere.
The Content-Security-Policy lets run the two scripts of this module, named by their hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import orjson
import polars as pl
from markupsafe import Markup

from ..state.canonical import plain
from ..state.errors import storage_error
from ..state.visible import without_controls
from ..state.words import action_in_words, counted, number

METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}  # in the order offered; the first is shown
STATUSES = ("kept", "removed", "synthetic")
_MAP_COLUMN = re.compile(rf"({'|'.join(METHODS)})_([23])d_([xyz])")


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

    ``funnel`` begins with the rows ingested, then tells the rows removed by stage and reason, in order.
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


def write_report(data: ReportData, path: Path) -> None:
    """Write the report as one HTML file that needs nothing else: no network, no other file.

    Raises:
        StorageError: the disk is full or not writable; a report that stood there before is intact.
    """
    from plotly.offline import get_plotlyjs

    data = replace(data, **{part.name: _visible(getattr(data, part.name)) for part in fields(data)})
    folder = resources.files(__package__) / "templates"
    # A closing tag inside a JavaScript string would end the element; `<\/` is the same string.
    scripts = [
        text.replace("</script", r"<\/script")
        for text in (get_plotlyjs(), (folder / "report.js").read_text(encoding="utf-8"))
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        number=number, percent=percent, size=size, duration=duration, counted=counted, in_words=action_in_words
    )
    template = environment.from_string((folder / "report.html.jinja").read_text(encoding="utf-8"))
    figures = _figures(data)
    page = template.render(
        data=data,
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        scripts=[Markup(text) for text in scripts],
        script_hashes=[_csp_hash(text) for text in scripts],
        figures=Markup(script_json(figures)),
        methods=[(key, title) for key, title in METHODS.items() if key in figures["maps"]],
        funnel=_funnel(data),
        parts=parts_of(data),
        standing=standing(data),
        comparisons=[compare(data, one) for one in data.rounds],
        largest_cluster=max((cluster["size"] for cluster in data.clusters), default=0),
        longest=max(data.seconds.values(), default=0.0),
    )
    write_whole(page, path)


def _visible(value: Any) -> Any:
    """A value with every text in it, keys too, freed of what cannot be seen and turns lines around."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, Mapping):
        return {_visible(key): _visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(item) for item in value]
    if isinstance(value, pl.DataFrame):
        return value.with_columns(
            pl.Series(column.name, [None if text is None else without_controls(text) for text in column], pl.String)
            for column in value.select(pl.col(pl.String))
        )
    return value


def script_json(value: Any) -> str:
    """JSON that can stand inside a ``<script>`` element: it holds no ``<``, ``>``, ``&``, U+2028 or U+2029."""
    text = orjson.dumps(plain(value)).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def write_whole(text: str, path: Path) -> None:
    """Write a text file so that a crash leaves the old one or the new one, never half of one.

    Raises:
        StorageError: the disk is full or not writable.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            # A path whose name is not UTF-8 holds lone surrogates, which no encoding of text can hold.
            file.write(text.encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, path, "writing") from error


def _csp_hash(script: str) -> str:
    """The source expression that allows one inline script (Content Security Policy Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _funnel(data: ReportData) -> list[dict[str, Any]]:
    """The steps of the funnel, each with the rows left after it and both as shares of the rows ingested."""
    if not data.funnel:
        return []
    ingested = data.funnel[0]["rows"]
    left, steps = ingested, []
    for step in data.funnel[1:]:
        left -= step["rows"]
        steps.append(
            step | {"left": left, "share": step["rows"] / max(ingested, 1), "left_share": left / max(ingested, 1)}
        )
    return steps


def _figures(data: ReportData) -> dict[str, Any]:
    """Everything the page's script draws."""
    return {
        "points": _points(data.maps),
        "maps": _maps(data.maps),
        "statuses": STATUSES,
        "terms": {str(cluster["cluster"]): ", ".join(cluster["terms"][:5]) for cluster in data.clusters},
        "metrics": [_series(data, part) for part in parts_of(data)],
    }


def _points(maps: pl.DataFrame) -> dict[str, Any]:
    """What is told of each drawn row, by column; texts that repeat are written once and referred to by number."""
    if maps.is_empty():
        return {}
    why = (pl.col("stage") + ": " + pl.col("reason")).fill_null("")
    frame = maps.select(
        "id", "excerpt", "cluster", why=why, label=pl.col("label").cast(pl.String), split="split", status="status"
    )
    points: dict[str, Any] = {name: frame[name].to_list() for name in ("id", "excerpt", "cluster")}
    points["status"] = [STATUSES.index(status) for status in frame["status"].to_list()]
    points["anchor"] = (frame["split"] == "anchor").cast(pl.UInt8).to_list()
    for name in ("why", "label"):
        words = frame[name].drop_nulls().unique(maintain_order=True)
        place = {word: at for at, word in enumerate(words)}
        points[name] = [place.get(word, -1) for word in frame[name]]
        points[f"{name}s"] = words.to_list()
    return points


def _maps(maps: pl.DataFrame) -> dict[str, dict[str, list[list[float | None]]]]:
    """Coordinates as method → dimensions → axis → one value per row, to four significant digits."""
    found: dict[str, dict[str, list[list[float | None]]]] = {}
    for column in sorted(maps.columns) if maps.height else []:
        if match := _MAP_COLUMN.fullmatch(column):
            method, dimensions, _ = match.groups()
            values = maps[column].cast(pl.Float64).round_sig_figs(4).to_list()
            found.setdefault(method, {}).setdefault(dimensions, []).append(values)
    return found


def _series(data: ReportData, part: Part) -> dict[str, Any]:
    """One part over the rounds: the data as it stood, and what each action that was measured led to."""
    states = standing(data)
    first = data.rounds[0]["round"] - 1
    noise = [(one["noise"] or {}).get(part.key) for one in data.rounds]
    return {
        "title": part.title,
        "lower": part.lower_is_better,
        "rounds": [first, *(one["round"] for one in data.rounds)],
        "values": [state[part.key] for state in states],
        "noise": [*noise, noise[-1]] if any(noise) else None,
        "tried": [
            {"round": one["round"], "value": one["after"][part.key], "action": one["action"], "outcome": one["outcome"]}
            for one in data.rounds
            if one["after"] and one["after"][part.key] is not None
        ],
    }
