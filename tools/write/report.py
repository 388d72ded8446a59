"""The report: one HTML file that shows a run, offline, to somebody who was not there.

Text from the data never acts. In the markup it is escaped by jinja2; in the scripts it stands in one JSON
block that cannot end its element; in the plots it does not stand at all: plotly is given numbers only, and
what is shown on hover is written as plain text. Control and bidirectional characters are taken out everywhere.
The Content-Security-Policy lets run the two scripts of this module, named by their hash, and nothing else.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import orjson
import polars as pl
from markupsafe import Markup

from ...state.canonical import Json, plain
from ...state.phrases import without_controls
from ...state.report import Record
from ...state.store import write_whole
from ..judge.self_instruct import MEANINGS
from . import figures
from .figures import Part, compare, parts_of, standing
from .shown import ReportData

METHODS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA"}  # in the order offered; the first is shown
STATUSES = ("kept", "removed", "synthetic")
_BANNER = re.compile(r"\bplotly\.js v(\S+)")
_MAP_COLUMN = re.compile(rf"({'|'.join(METHODS)})_([23])d_([xyz])")


def write_report(data: ReportData, path: Path) -> None:
    """Write the report as one HTML file that needs nothing else: no network, no other file.

    Raises:
        StorageError: the disk is full or not writable; a report that stood there before is intact.
    """
    data, scripts = _visible(data), _scripts()
    drawn = _drawn(data)
    page = _page().render(
        data=data,
        style=Markup(template("report.css")),
        scripts=[Markup(text) for text in scripts],
        script_hashes=[_csp_hash(text) for text in scripts],
        figures=Markup(script_json(drawn)),
        methods=[(key, title) for key, title in METHODS.items() if key in drawn["maps"]],
        meanings=MEANINGS,
        hardest=figures.hardest(data.taken),
        parts=parts_of(data),
        standing=standing(data),
        comparisons=[compare(data, one) for one in data.rounds],
        largest_cluster=max((one.evidence.size for one in data.clusters), default=0),
        longest=max(data.seconds.values(), default=0.0),
    )
    write_whole(path, page)


@cache
def _page() -> jinja2.Template:
    """The page's template, compiled once in a process."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(figures.FILTERS)
    return environment.from_string(template("report.html.jinja"))


def template(name: str) -> str:
    """The text of a file in ``templates/``."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def page_content(page: str) -> str:
    """A report without plotly.js and its hash in the policy, to compare it with one that embeds another version.

    A script that is not called plotly.js, or is called the version installed here and is not it, stays in.
    """
    from plotly.offline import get_plotlyjs_version

    before, _, rest = page.partition("<script>")
    library, _, after = rest.partition("</script>")
    named = _BANNER.search(library[:1000])
    if named is None or (named[1] == get_plotlyjs_version() and library != _scripts()[0]):
        return page
    return re.sub(r"'sha256-[^']*' ", "", before, count=1) + after


def _scripts() -> tuple[str, str]:
    """plotly.js and the page's own script, as they stand in the page."""
    from plotly.offline import get_plotlyjs

    # A closing tag inside a JavaScript string would end the element; `<\/` is the same string.
    library, ours = (text.replace("</script", r"<\/script") for text in (get_plotlyjs(), template("report.js")))
    return library, ours


def _visible(value: Any) -> Any:
    """A value with every text in it, keys too, freed of what cannot be seen and turns lines around."""
    if isinstance(value, str):
        return without_controls(value)
    if isinstance(value, Mapping):
        return {_visible(key): _visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(item) for item in value]
    if isinstance(value, Record):
        return value.model_copy(update={name: _visible(item) for name, item in value})
    if isinstance(value, pl.DataFrame):
        return value.with_columns(pl.col(pl.String).map_elements(without_controls, pl.String))
    return value


def script_json(value: Any) -> str:
    """JSON that can stand inside a ``<script>`` element: it holds no ``<``, ``>``, ``&``, U+2028 or U+2029."""
    text = orjson.dumps(plain(value)).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _csp_hash(script: str) -> str:
    """The source expression that allows one inline script (Content Security Policy Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _drawn(data: ReportData) -> Json:
    return {
        "points": _points(data.maps),
        "maps": _maps(data.maps),
        "statuses": STATUSES,
        "terms": {str(one.evidence.cluster): ", ".join(one.evidence.terms[:5]) for one in data.clusters},
        "metrics": [_series(data, part) for part in parts_of(data)],
    }


def _points(maps: pl.DataFrame) -> Json:
    """What is told of each drawn row, by column; texts that repeat are written once and referred to by number."""
    if maps.is_empty():
        return {}
    why = (pl.col("stage") + ": " + pl.col("reason")).fill_null("")
    frame = maps.select(
        "id", "excerpt", "cluster", why=why, label=pl.col("label").cast(pl.String), split="split", status="status"
    )
    points: Json = {name: frame[name].to_list() for name in ("id", "excerpt", "cluster")}
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


def _series(data: ReportData, part: Part) -> Json:
    """One part over the rounds: the data as it stood, and what each action that was measured led to."""
    noise = [one.noise.get(part.key) for one in data.rounds]
    return {
        "title": part.title,
        "lower": part.lower_is_better,
        "rounds": [data.rounds[0].round - 1, *(one.round for one in data.rounds)],
        "values": [part.of(state) for state in standing(data)],
        "noise": [*noise, noise[-1]] if any(noise) else None,
        "tried": [
            {"round": one.round, "value": value, "action": one.action, "outcome": one.outcome}
            for one in data.rounds
            if (value := part.of(one.after)) is not None
        ],
    }
