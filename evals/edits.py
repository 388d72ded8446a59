"""Near-duplicates with a known answer: real texts, each with an edited copy whose true Jaccard similarity is measured.

Nothing here uses the tools: the shingles, their sets and the similarities are computed anew from the definition.
"""

import gzip
import re
from pathlib import Path

import numpy as np
import polars as pl

from .data import existing

SIZE = 5  # words in a shingle
LEAST, MOST = 0.5, 0.95  # the similarities that are aimed at
_MIN_WORDS, _MAX_WORDS = 60, 2000
_HEADING = re.compile(r"(?m)^ =.*= $")


def shingles(text: str) -> set[tuple[str, ...]]:
    """The set of runs of ``SIZE`` lower-cased words; of a shorter text, all its words."""
    words = tuple(text.lower().split())
    return set(zip(*(words[at:] for at in range(SIZE)), strict=False)) or {words}


def jaccard(one: str, other: str) -> float:
    """The Jaccard similarity of two texts' shingles."""
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def newsgroups20(data: Path) -> pl.DataFrame:
    """The raw postings of 20 Newsgroups (Lang 1995): ``id``, ``group``, ``sha1`` (of the text), ``text``."""
    with gzip.open(existing(data, "newsgroups20/newsgroups20.jsonl.gz")) as file:
        return pl.read_ndjson(file.read())


def originals(data: Path, name: str) -> list[str]:
    """The texts of sensible length of ``newsgroups20`` (postings) or ``wikitext2`` (sections of articles)."""
    if name == "newsgroups20":
        texts = newsgroups20(data)["text"].to_list()
    else:
        files = [existing(data, f"wikitext2/wikitext2_{part}.txt") for part in ("valid", "test")]
        texts = [text for file in files for text in _HEADING.split(file.read_text(encoding="utf-8"))]
    return [text for text in texts if _MIN_WORDS <= len(text.split()) <= _MAX_WORDS]


def edited(texts: list[str], seed: int) -> list[str]:
    """A copy of each text with words replaced, taken out and put in, to a similarity drawn from ``LEAST`` to ``MOST``.

    Where a share p of the words is edited, about u = (1 − p)^SIZE of the shingles stay on either side, and the
    similarity is u / (2 − u). The new words are words of all the texts.
    """
    random = np.random.default_rng(seed)
    vocabulary = sorted({word for text in texts for word in text.split()})
    return [_edited(text, float(random.uniform(LEAST, MOST)), vocabulary, random) for text in texts]


def _edited(text: str, similarity: float, vocabulary: list[str], random: np.random.Generator) -> str:
    words = text.split()
    edits = round(len(words) * (1 - (2 * similarity / (1 + similarity)) ** (1 / SIZE)))
    for place in np.sort(random.choice(len(words), edits, replace=False))[::-1].tolist():
        new = [vocabulary[random.integers(len(vocabulary))]]
        kind = random.integers(3)
        words[place : place + (kind != 2)] = new if kind else []
    return " ".join(words)
