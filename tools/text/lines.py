"""Measures of a text's lines and paragraphs, as the rules of Gopher, C4 and FineWeb count them.

Their sources stand in ``measures``; where these leave something open, Hugging Face's datatrove decides.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from .segments import occurrences, sums
from .tokens import BLANK, BLANKS, CLOSES, ENDS, Tokeniser, Tokens

_SHORT_LINE = 30  # characters
_LONGEST_WORD = 1000  # a line with a longer one is none of C4's

# Everything at which ``str.splitlines`` splits, besides LF.
_LINE_END = r"\r\n?|[\x0B\x0C\x1C-\x1E\x{85}\x{2028}\x{2029}]"
_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")

Measured = dict[str, np.ndarray]


@dataclass(frozen=True)
class Lines:
    """The lines of n texts (strings, [t]), those of text ``i`` at ``offsets[i] : offsets[i + 1]``."""

    line: pl.Series
    offsets: np.ndarray

    def select(self, **columns: pl.Expr) -> pl.DataFrame:
        """Columns worked out from ``line``."""
        return self.line.alias("line").to_frame().select(**columns)

    def repeats(self) -> np.ndarray:
        """Whether the same line stands before in its text: bool [t]."""
        return np.asarray(occurrences(self.line.hash().to_numpy(), self.offsets[:-1], self.offsets[1:]) == 0)


def split(text: pl.Series, separator: str = "\n") -> Lines:
    """The texts (strings, [n]) split at ``separator``; an empty one is one empty line."""
    lists = text.str.split(separator)
    return Lines(lists.explode(), np.concatenate([[0], np.cumsum(lists.list.len().to_numpy(), dtype=np.int64)]))


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, float64 [n], and 0 where there is nothing to divide by."""
    return np.asarray(np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0))


def line_measures(text: pl.Series, words: Tokens, tokeniser: Tokeniser) -> Measured:
    """What Gopher, C4 and FineWeb measure on the lines of texts (strings, [n]), by name, each float64 [n]."""
    characters = text.str.len_chars().to_numpy()
    lines = split(text)
    # Lines may end as Python's do, or at a line feed alone.
    python_text = text.str.replace_all(_LINE_END, "\n")
    python_lines = lines if python_text.equals(text) else split(python_text)
    return {
        **_gopher(python_text, python_lines),
        **_repeated_lines(text, lines, characters),
        **_repeated_paragraphs(text, characters),
        **_c4(python_lines, tokeniser),
        **_fineweb(lines, words),
    }


def _gopher(text: pl.Series, lines: Lines) -> Measured:
    line = pl.col("line").str
    found = lines.select(bullet=line.contains(rf"^[{BLANK}]*[•-]"), ellipsis=line.contains(rf"(?:\.\.\.|…)[{BLANK}]*$"))
    # What stands behind the last line end is a line only if it is not empty.
    count = np.diff(lines.offsets) - (text.str.ends_with("\n") | (text == "")).to_numpy()
    return {
        "gopher.bullet_lines": ratio(sums(found["bullet"].to_numpy(), lines.offsets), count),
        "gopher.ellipsis_lines": ratio(sums(found["ellipsis"].to_numpy(), lines.offsets), count),
    }


def _repeated_lines(text: pl.Series, lines: Lines, characters: np.ndarray) -> Measured:
    """Lines here are what stands between runs of line ends, so that a text may begin and end with an empty one."""
    lengths = lines.line.str.len_chars().to_numpy()
    repeats = lines.repeats() & (lengths > 0)
    begins, ends = (flag.to_numpy().astype(np.int64) for flag in (text.str.starts_with("\n"), text.str.ends_with("\n")))
    count = sums(lengths > 0, lines.offsets) + begins + ends
    repeated = sums(repeats, lines.offsets) + (begins & ends)
    covered = sums(lengths * repeats, lines.offsets)
    visible = ~(lines.line.str.strip_chars(BLANKS) == "").to_numpy()
    return {
        "gopher.duplicate_lines": ratio(repeated, count),
        "gopher.duplicate_line_characters": ratio(covered, characters),
        "fineweb.duplicate_line_characters": ratio(
            sums(lengths * (repeats & visible), lines.offsets), sums(lengths, lines.offsets)
        ),
    }


def _repeated_paragraphs(text: pl.Series, characters: np.ndarray) -> Measured:
    paragraphs = split(text.str.strip_chars(BLANKS).str.replace_all(r"\n{2,}", "\n\n"), "\n\n")
    repeats = paragraphs.repeats()
    covered = sums(paragraphs.line.str.len_chars().to_numpy() * repeats, paragraphs.offsets)
    return {
        "gopher.duplicate_paragraphs": ratio(sums(repeats, paragraphs.offsets), np.diff(paragraphs.offsets)),
        "gopher.duplicate_paragraph_characters": ratio(covered, characters),
    }


def _fineweb(lines: Lines, words: Tokens) -> Measured:
    line = pl.col("line").str
    found = lines.select(
        visible=line.strip_chars(BLANKS) != "",
        ended=line.contains(r"\p{Sentence_Terminal}$"),
        short=line.len_chars() <= _SHORT_LINE,
    )
    visible = found["visible"].to_numpy()
    count = sums(visible, lines.offsets)
    return {
        "fineweb.line_punctuation": ratio(sums(visible & found["ended"].to_numpy(), lines.offsets), count),
        "fineweb.short_lines": ratio(sums(visible & found["short"].to_numpy(), lines.offsets), count),
        "fineweb.newlines_per_word": ratio(np.diff(lines.offsets) - 1, np.diff(words.offsets)),
    }


def _c4(lines: Lines, tokeniser: Tokeniser) -> Measured:
    """C4 drops lines, and then judges the page by those that are left; its line rules hold in this order here."""
    line = pl.col("line")
    texts = len(lines.offsets) - 1
    frame = pl.DataFrame({"text": np.repeat(np.arange(texts), np.diff(lines.offsets)), "line": lines.line})
    frame = frame.with_columns(line.str.strip_chars(BLANKS)).filter(line != "")
    lower = line.str.to_lowercase().str
    javascript, policy = lower.contains("javascript", literal=True), lower.contains_any(list(_POLICY))
    visible = frame["text"].to_numpy()
    boilerplate = frame.select(found=javascript | policy)["found"].to_numpy()
    word, gap = rf"[^{BLANK}]", rf"[{BLANK}]+"
    kept = frame.filter(line.str.contains(rf"{word}{gap}{word}+{gap}{word}")).filter(~_long_word())
    kept = kept.with_columns(line.str.replace_all(_CITATION, ""))
    kept = kept.filter(line.str.contains(r"""[.?!"']$""") & ~line.str.ends_with("..."))
    lorem_ipsum = kept.filter(lower.contains("lorem ipsum", literal=True))["text"].to_numpy()
    kept = kept.filter(~javascript)
    curly_brackets = kept.filter(line.str.contains("{", literal=True))["text"].to_numpy()
    kept = kept.filter(~policy)
    sentences = np.bincount(kept["text"].to_numpy(), _sentences(kept["line"], tokeniser), minlength=texts)
    return {
        "c4.sentences": sentences,
        "c4.lorem_ipsum": np.bincount(lorem_ipsum, minlength=texts),
        "c4.curly_brackets": np.bincount(curly_brackets, minlength=texts),
        "c4.boilerplate_lines": ratio(
            np.bincount(visible[boilerplate], minlength=texts), np.bincount(visible, minlength=texts)
        ),
    }


def _long_word() -> pl.Expr:
    """Whether a line has a word of more than ``_LONGEST_WORD`` characters; only long lines are looked at."""
    long = pl.when(pl.col("line").str.len_chars() > _LONGEST_WORD).then(pl.col("line"))
    words = long.str.extract_all(rf"[^{BLANK}]+").list.eval(pl.element().str.len_chars())
    return (words.list.max() > _LONGEST_WORD).fill_null(False)


def _sentences(lines: pl.Series, tokeniser: Tokeniser) -> np.ndarray:
    """Sentences of lines (strings, [t]) that have a word: int64 [t], as spaCy's sentencizer splits them.

    After a token that ends a sentence the next begins at the first that is not punctuation.
    """
    words = tokeniser(lines, blanks=True)
    line = np.repeat(np.arange(len(lines)), np.diff(words.offsets))
    counted = np.flatnonzero((words.kinds & ENDS != 0) | (words.kinds & CLOSES == 0))
    ends, line = words.kinds[counted] & ENDS != 0, line[counted]
    begins = ~ends[1:] & ends[:-1] & (line[1:] == line[:-1])
    return 1 + np.bincount(line[1:][begins], minlength=len(lines))
