"""Whether the quality rules judge as Hugging Face's datatrove does, rule by rule, and how much faster they are."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..agent.account.summary import peak_memory_mb
from ..tools.text.filters import bounds, verdicts
from ..tools.text.measures import annotate
from ..tools.text.profiles import PUBLISHED
from ..tools.text.tokens import shared_tokeniser
from .edits import newsgroups20
from .table import Table

_SAMPLE = 500  # documents on which datatrove's speed is taken: hours for all of them
_FACTOR = 10

# datatrove's name of a threshold, by rule.
_QUALITY = {
    "gopher.min_words": "min_doc_words",
    "gopher.max_words": "max_doc_words",
    "gopher.min_mean_word_length": "min_avg_word_length",
    "gopher.max_mean_word_length": "max_avg_word_length",
    "gopher.max_symbol_ratio": "max_symbol_word_ratio",
    "gopher.max_bullet_lines": "max_bullet_lines_ratio",
    "gopher.max_ellipsis_lines": "max_ellipsis_lines_ratio",
    "gopher.min_alpha_words": "max_non_alpha_words_ratio",
    "gopher.min_stop_words": "min_stop_words",
}
_REPETITION = {
    "gopher.max_duplicate_lines": "dup_line_frac",
    "gopher.max_duplicate_paragraphs": "dup_para_frac",
    "gopher.max_duplicate_line_characters": "dup_line_char_frac",
    "gopher.max_duplicate_paragraph_characters": "dup_para_char_frac",
}
_NGRAMS = {f"gopher.max_top_{n}gram_characters": ("top_n_grams", n) for n in (2, 3, 4)} | {
    f"gopher.max_duplicate_{n}gram_characters": ("dup_n_grams", n) for n in range(5, 11)
}
_C4 = {
    "c4.min_sentences": "min_num_sentences",
    "c4.max_lorem_ipsum": "filter_lorem_ipsum",
    "c4.max_curly_brackets": "filter_curly_bracket",
}
# FineWeb's rules know no off: the value behind each threshold is never passed.
_FINEWEB = {
    "fineweb.min_line_punctuation": ("line_punct_thr", -1.0),
    "fineweb.max_short_lines": ("short_line_thr", math.inf),
    "fineweb.max_duplicate_line_characters": ("char_duplicates_ratio", math.inf),
    "fineweb.max_newlines_per_word": ("new_line_ratio", math.inf),
}


def run(data: Path, rows: int | None = None) -> Table:
    """The verdicts of each shared rule on 20 Newsgroups, ours and datatrove's.

    ``rows``: so many documents, spread over all; None: all.
    """
    text = _posts(data, rows)
    annotations = annotate(text)
    ours, web = verdicts(annotations, bounds("none", {**PUBLISHED})), verdicts(annotations, bounds("web", {}))
    theirs = datatrove_verdicts(text.to_list())
    lines = []
    for rule, limit in PUBLISHED.items():
        mine, other = ours[rule].to_numpy(), theirs[rule].to_numpy()
        differ = int(np.sum(mine != other))
        lines.append((rule, limit, 100 * float(mine.mean()), 100 * (1 - differ / len(text)), differ))
    columns = ("rule", "limit", "fails %", "agrees %", "differs")
    notes = (
        f"{len(text):,} documents; each rule alone, on the same text. English words and sentences are spaCy's in both.",
        f"All of them together take {_any(ours):.1f} % of the documents, the profile web {_any(web):.1f} %.",
    )
    return Table("Quality rules and datatrove's", columns, tuple(lines), notes, "recryst eval filters --data DATA")


def speed(data: Path, rows: int | None = None, factor: int = _FACTOR, sample: int = _SAMPLE) -> Table:
    """Documents a second of all rules together, ours and datatrove's, in one process.

    Args:
        rows: so many documents of 20 Newsgroups, spread over all; None: all.
        factor: the second line has them so often one after the other.
        sample: documents, spread over all, that datatrove's speed is taken on.
    """
    text = _posts(data, rows)
    annotate(text.head(10))  # what is compiled or read once in a process is not a matter of speed
    lines: list[tuple[Any, ...]] = []
    for repeated in (1, factor):
        many = pl.Series(pl.concat([text] * repeated).to_arrow(compat_level=pl.CompatLevel.oldest()))  # copied
        shared_tokeniser.cache_clear()  # no word is known yet
        begun = time.perf_counter()
        our_verdicts(many)
        seconds = time.perf_counter() - begun
        lines.append((len(many), round(seconds, 1), len(many) / seconds))
    peak = peak_memory_mb() / 1024
    documents = text.gather_every(max(len(text) // sample, 1)).to_list()
    published = _published()
    _judge(published, documents[0])
    begun = time.perf_counter()
    for document in documents:
        _judge(published, document)
    rate = len(documents) / (time.perf_counter() - begun)
    columns = ("documents", "Recryst s", "Recryst documents/s", "datatrove documents/s", "times faster")
    notes = (
        f"One process. datatrove: its four filters as published, on the text itself, each stopping at the first rule "
        f"that fails; {len(documents):,} documents spread over all, on one core. Recryst: every measure of every rule, "
        f"and every verdict. Its memory had its peak at {peak:.2f} GB, the texts and all imports within.",
    )
    table = tuple((*line, rate, line[2] / rate) for line in lines)
    return Table("Speed of the quality rules", columns, table, notes, "recryst eval filters --data DATA")


def our_verdicts(text: pl.Series) -> pl.DataFrame:
    """Which texts fail which published rule: Boolean columns named as the rules."""
    return verdicts(annotate(text), bounds("none", {**PUBLISHED}))


def datatrove_verdicts(text: list[str]) -> pl.DataFrame:
    """Which texts fail which published rule by datatrove, each rule alone: Boolean columns named as the rules."""
    filters = {rule: _alone(rule, limit) for rule, limit in PUBLISHED.items()}
    # Text by text, so that its words are kept from one filter to the next.
    found = [[_fails(one, document) for one in filters.values()] for document in text]
    return pl.DataFrame(found, schema=dict.fromkeys(filters, pl.Boolean), orient="row")


def _posts(data: Path, rows: int | None) -> pl.Series:
    text = newsgroups20(data)["text"]
    return text if rows is None else text.gather_every(max(len(text) // rows, 1)).head(rows)


def _alone(rule: str, limit: float) -> Any:
    """datatrove's filter with every rule switched off but one."""
    from datatrove.pipeline import filters

    if rule in _QUALITY:
        return filters.GopherQualityFilter(**{**dict.fromkeys(_QUALITY.values()), _QUALITY[rule]: limit})
    if rule in _REPETITION or rule in _NGRAMS:
        off = {**dict.fromkeys(_REPETITION.values()), "top_n_grams": (), "dup_n_grams": ()}
        kind, size = _NGRAMS.get(rule, ("", 0))
        own = {kind: ((size, limit),)} if kind else {_REPETITION[rule]: limit}
        return filters.GopherRepetitionFilter(**{**off, **own})
    if rule in _FINEWEB:
        return filters.FineWebQualityFilter(**{**dict(_FINEWEB.values()), _FINEWEB[rule][0]: limit})
    off = {"min_num_sentences": -1, "filter_lorem_ipsum": False, "filter_curly_bracket": False}
    return filters.C4QualityFilter(**{**off, _C4[rule]: limit or True})


def _published() -> list[Any]:
    from datatrove.pipeline import filters

    names = ("GopherQualityFilter", "GopherRepetitionFilter", "FineWebQualityFilter", "C4QualityFilter")
    return [getattr(filters, name)() for name in names]


def _judge(filters: list[Any], text: str) -> None:
    for one in filters:
        _fails(one, text)


def _fails(one: Any, text: str) -> bool:
    """What a filter of datatrove says; C4's changes the document, so that each gets its own."""
    from datatrove.data import Document

    found = one.filter(Document(text=text, id=""))
    return (found if isinstance(found, bool) else found[0]) is False


def _any(failed: pl.DataFrame) -> float:
    """The share of rows that fail any rule, in %."""
    return 100 * float(np.mean(failed.to_numpy().any(axis=1)))
