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
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import orjson
import polars as pl
from markupsafe import Markup

from ...state.canonical import plain
from ...state.errors import storage_error
from ...state.phrases import action_in_words, counted, number
from ...state.sanitise import without_controls
from .figures import (
    Part,
    ReportData,
    compare,
    duration,
    gain_in_words,
    hardest,
    hit_in_words,
    parts_of,
    percent,
    size,
    standing,
)

METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}  # in the order offered; the first is shown
STATUSES = ("kept", "removed", "synthetic")
_MAP_COLUMN = re.compile(rf"({'|'.join(METHODS)})_([23])d_([xyz])")


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
    environment.filters.update(hit=hit_in_words, gain=gain_in_words)
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
        hardest=hardest(data.taken),
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
