"""How much of an article the extraction finds, and how much else, beside plain trafilatura on the same pages."""

import gzip
import json
import logging
import re
import time
from collections import Counter
from pathlib import Path

from ..state.errors import MissingExtraError
from ..tools.read.archives import members
from ..tools.read.pages.extract import Unreadable
from .data import existing, loaded
from .table import Table

ARCHIVE = "html/article-extraction-benchmark.tar.xz"
_SUFFIX = ".html.gz"
_MAX_BYTES = 16 << 20
_TOKEN = re.compile(r"\w+")


def run(data: Path, pages: int = 181) -> Table:
    """Token precision, recall and F1 on the pages of the Article Extraction Benchmark (Zyte, 2020).

    ``pages``: so many pages, from the beginning of the archive; there are 181.

    Raises:
        InputError: the benchmark is not in the data folder.
        MissingExtraError: trafilatura is missing.
    """
    archive = existing(data, ARCHIVE)
    html, gold = benchmark(archive)
    html = dict(list(html.items())[:pages])
    ours = _measured("Recryst", *extracted(archive, len(html)), gold, html)
    theirs = _measured("trafilatura.extract", *_plain(html), gold, html)
    notes = (
        "Tokens are the matches of `\\w+`, case as it is, counted as a multiset; every figure is the mean over the "
        "pages, and a page without text counts 0.",
        "Recryst's seconds are those of loading the archive, which is unpacked, by several processes that have to "
        "start; those of trafilatura are of one process, which has loaded it, on pages in memory.",
    )
    columns = ("extraction", "pages", "without text", "precision", "recall", "F1", "seconds")
    return Table(
        f"Main text of {len(html)} gold pages", columns, (ours, theirs), notes, "recryst eval extraction --data DATA"
    )


def benchmark(archive: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """The pages in the order of the archive, and the text of their articles, by id."""
    html, gold = {}, {}
    for name, content in members(archive, lambda name: True, _MAX_BYTES):
        if isinstance(content, Unreadable):
            raise content
        if name.endswith(_SUFFIX):
            html[_page_id(name)] = gzip.decompress(content)
        else:
            gold = {page: found["articleBody"] for page, found in json.loads(content).items()}
    return html, gold


def _page_id(name: str) -> str:
    return Path(name).name.removesuffix(_SUFFIX)


def extracted(archive: Path, pages: int) -> tuple[dict[str, str], float]:
    """The texts that loading the archive gives, as a user would, and the seconds it took."""
    begun = time.perf_counter()
    rows, _ = loaded(archive, pages)
    seconds = time.perf_counter() - begun
    return {_page_id(name): text for name, text in rows.select("id", "text").iter_rows()}, seconds


def _plain(html: dict[str, bytes]) -> tuple[dict[str, str], float]:
    """What trafilatura gives as it comes."""
    try:
        import trafilatura
    except ImportError as error:
        raise MissingExtraError('this experiment needs `pip install "recryst[extract]"`') from error
    logging.getLogger("trafilatura").addHandler(logging.NullHandler())  # else it warns on the terminal
    begun = time.perf_counter()
    found = {page: trafilatura.extract(content) or "" for page, content in html.items()}
    return found, time.perf_counter() - begun


def _measured(
    name: str, found: dict[str, str], seconds: float, gold: dict[str, str], html: dict[str, bytes]
) -> tuple[str, int, int, float, float, float, float]:
    scores = [token_scores(found.get(page, ""), gold[page]) for page in html]
    precision, recall, f1 = (sum(one) / len(scores) for one in zip(*scores, strict=True))
    empty = sum(not found.get(page) for page in html)
    return name, len(html), empty, round(precision, 4), round(recall, 4), round(f1, 4), round(seconds, 2)


def token_scores(found: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of the tokens of ``found`` against those of ``gold``, as multisets."""
    mine, true = Counter(_TOKEN.findall(found)), Counter(_TOKEN.findall(gold))
    shared = (mine & true).total()
    if not shared:
        return 0.0, 0.0, 0.0
    precision, recall = shared / mine.total(), shared / true.total()
    return precision, recall, 2 * precision * recall / (precision + recall)
