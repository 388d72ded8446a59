"""Three kinds of crude text, the stages that make them clean, and what is clean without them: web pages with the gold
text of their articles, raw postings to newsgroups, and instructions that several selections hold."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl

from ...state.params.preparation import PROFILES, DedupParams, FilterParams, ScrubParams
from ...state.phrases import silent
from ...state.rows import Removal
from ...tools.read.pages.extract import decode_html
from ...tools.repeats import dedup
from ...tools.table_tool import TableTool
from ...tools.text import filters
from ...tools.text.scrub import scrub
from ..data import existing, loaded
from ..extraction import ARCHIVE, benchmark, extracted

CRUDE, GOLD = "crude", "gold"
Stage = Callable[[pl.DataFrame], pl.Series]  # from rows to their texts, null where a row goes
_LEAST_BODY = 200  # characters of a posting's own words that are text to measure by
_SIGNATURE_LINES = 10
_QUOTED = re.compile(
    r"^\s*(?:[>|:}%#]|\w{0,3}>|.{0,200}(?:writes|wrote|says|said)[.:]+\s*$|in article\b)", re.IGNORECASE
)
_SIGNATURE = re.compile(r"^\s*(?:--+|__+|==+|\*\*+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Source:
    """Crude rows and the stages that they can go through.

    ``read``: from the data folder to rows with ``text``, ``content`` and ``empty_answer`` as a table tool has them;
    ``clean``, the text that a row is measured by where it is held out, null where there is none; ``group`` (int64),
    equal where rows nearly repeat one another. ``stages``: by its name what a stage is measured beside, and the stage.
    ``held_out``: groups. ``bytes_per_token``: so much crude text is drawn for each token of the budget; None: all.
    """

    read: Callable[[Path], pl.DataFrame]
    stages: dict[str, tuple[str, Stage]]
    held_out: int
    bytes_per_token: float | None = 3.0


def pages(data: Path) -> pl.DataFrame:
    """The 181 pages of the Article Extraction Benchmark (Zyte, 2020) without their tags; clean are their articles.

    ``main`` is what loading the archive gives of each.
    """
    archive = existing(data, ARCHIVE)
    html, gold = benchmark(archive)
    found, _ = extracted(archive, len(html))
    crude = [_without_tags(decode_html(page)) for page in html.values()]
    main = pl.Series([found.get(page) for page in html], dtype=pl.String)
    return grouped(pl.DataFrame({"text": crude, "clean": [gold[page] for page in html], "main": main}))


def newsgroups20(data: Path) -> pl.DataFrame:
    """Raw postings (Lang 1995); clean is what their authors wrote, without header, quotations and signature."""
    rows, _ = loaded(existing(data, "newsgroups20/newsgroups20.jsonl.gz"))
    return grouped(rows.select("text", clean=rows["text"].map_elements(_own_words, pl.String)))


def alpaca(data: Path) -> pl.DataFrame:
    """Instructions with their answers, in five published selections joined end to end; each is clean as it is."""
    rows, _ = loaded(existing(data, "alpaca/alpaca.jsonl.gz"))
    return grouped(rows.select("text", "content", "empty_answer", clean="text"))


def grouped(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with a ``text``, with what table tools ask for, and in ``group`` (int64) the first row that each repeats,
    exactly or nearly; its own position where it repeats none."""
    nothing = pl.lit(None, dtype=pl.Boolean)
    added = {"content": pl.col("text"), "empty_answer": nothing}
    rows = rows.with_columns(**{name: value for name, value in added.items() if name not in rows.columns})
    first = np.arange(rows.height)
    for one in _removals(dedup.TOOL, rows, DedupParams()):
        if one.duplicate_of is not None:
            first[one.rows] = one.duplicate_of
    while not np.array_equal(first, first[first]):
        first = first[first]
    return rows.with_columns(group=pl.Series(first))


def _by_rules(profile: PROFILES, column: str = "text") -> Stage:
    """The texts of a column without those that fail a quality rule of a profile."""

    def stage(rows: pl.DataFrame) -> pl.Series:
        texts = rows[column]
        judged = rows.with_columns(text=texts.fill_null(""), content=texts.fill_null(""))
        gone = np.concatenate(
            [[], *(one.rows for one in _removals(filters.TOOL, judged, FilterParams(profile=profile)))]
        )
        return texts.clone().scatter(gone.astype(np.int64), None) if len(gone) else texts

    return stage


def _without_repeats(rows: pl.DataFrame) -> pl.Series:
    """The first text of each group; groups are drawn whole."""
    return rows.select(pl.when(pl.col("group").is_first_distinct()).then("text")).to_series()


def _scrubbed(rows: pl.DataFrame) -> pl.Series:
    return scrub(rows["text"], ScrubParams(kinds=("email", "phone")))[0]


_CLEAN: tuple[str, Stage] = (CRUDE, lambda rows: rows["clean"])
SOURCES = {
    "pages": Source(pages, {
        "main text": (CRUDE, lambda rows: rows["main"]),
        "web rules": (CRUDE, _by_rules("web")),
        "main text, web rules": ("main text", _by_rules("web", "main")),
        GOLD: _CLEAN,
    }, held_out=40, bytes_per_token=None),
    "newsgroups20": Source(newsgroups20, {
        "prose rules": (CRUDE, _by_rules("prose")),
        "web rules": (CRUDE, _by_rules("web")),
        "near-duplicates": (CRUDE, _without_repeats),
        "addresses scrubbed": (CRUDE, _scrubbed),
        GOLD: _CLEAN,
    }, held_out=150),
    "alpaca": Source(alpaca, {
        "instruction rules": (CRUDE, _by_rules("instruction")),
        "near-duplicates": (CRUDE, _without_repeats),
    }, held_out=250),
}  # fmt: skip


def _removals(tool: TableTool, rows: pl.DataFrame, params: DedupParams | FilterParams) -> list[Removal]:
    assert tool.removals is not None
    return tool.removals(rows.select("text", "content", "empty_answer"), params, silent)


def _own_words(posting: str) -> str | None:
    """What the author of a posting wrote: no header, no quotation, no signature. None where little is left."""
    body = posting.partition("\n\n")[2]
    lines = [line for line in body.splitlines() if not _QUOTED.match(line)]
    words = "\n".join(lines)
    ends = [found.start() for found in _SIGNATURE.finditer(words)]
    if ends and words.count("\n", ends[-1]) <= _SIGNATURE_LINES:
        words = words[: ends[-1]]
    words = re.sub(r"\n{3,}", "\n\n", words).strip()
    return words if len(words) >= _LEAST_BODY else None


class _Tags(HTMLParser):
    """Gathers the text between the tags of a page, but for scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._inside = max(0, self._inside - (tag in ("script", "style")))

    def handle_data(self, data: str) -> None:
        if not self._inside and data.strip():
            self.parts.append(data.strip())


def _without_tags(page: str) -> str:
    """The text of a page with its tags cut out and nothing chosen: one line for each piece between two tags."""
    reader = _Tags()
    reader.feed(page)
    reader.close()
    return "\n".join(reader.parts)
