"""Text normalisation and exact duplicates: what every later tool may take for granted.

Only the text that Recryst reads and measures is normalised; the original columns are never touched.
"""

import numpy as np
import polars as pl

from ...state.params.preparation import CleanParams
from ...state.phrases import Advance
from ...state.rows import Removal
from ..table_tool import TableTool
from .batches import batches

# Everything that ends a line somewhere: CRLF, a lone CR, vertical tab, form feed, Unicode's two separators.
_LINE_END = r"\r\n?|[\x0B\x0C\x{2028}\x{2029}]"
# Invisible characters that change what is seen: the tags that spell a flag (UTS #51: a black flag, a subdivision of 3
# to 7 letters and digits, the cancel tag; more would be a hidden text), the variation selector of an ideograph (UTS
# #37), the variation selectors and the vowel separator of Mongolian.
_VISIBLE = (
    r"\x{1F3F4}[\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]{3,7}\x{E007F}"
    r"|\p{Ideographic}[\x{E0100}-\x{E01EF}]|[\x{1820}-\x{18AA}][\x{180B}-\x{180F}]{1,2}"
)
# Control characters but newline and tab, and what Unicode calls default-ignorable (zero-width spaces, soft hyphens,
# bidi marks, byte-order marks, tag characters) with the interlinear anchors. Joiners and variation selectors are
# default-ignorable too, but spell words (Persian, Indic scripts) and emoji: they are not taken out wholesale.
_INVISIBLE = r"[\p{Cc}\p{Default_Ignorable_Code_Point}\x{FFF9}-\x{FFFB}--[\n\t\x{200C}\x{200D}\x{FE00}-\x{FE0F}]]"
_HIDDEN = rf"({_VISIBLE})|{_INVISIBLE}"
# A joiner means something only between letters that join; after Latin, ASCII or blank space it only hides.
_IDLE_JOINER = r"(^|[\s\x00-\x7F\p{Latin}])[\x{200C}\x{200D}]+"
_TRAILING_SPACE = r"(?m)[^\S\n]+$"
_BATCH_BYTES = 8 << 20  # of texts that are normalised at a time


def normalise(text: pl.Series, params: CleanParams) -> pl.Series:
    """Texts in one Unicode form, without invisible characters, carriage returns or stray blank space.

    In this order: the Unicode normal form (UAX #15), every line end as LF, control, zero-width, bidi and other
    invisible characters removed, but for those that change what is seen (flags, variants of ideographs), trailing
    spaces of lines and outer blank space stripped. Idempotent. The series keeps its name and its nulls; a text of
    invisible characters alone becomes empty.
    """
    column = pl.col(text.name)
    column = column.str.replace_all(_LINE_END, "\n").str.replace_all(_HIDDEN, "${1}")
    visible = _composed(text, params).to_frame().select(column.str.replace_all(_IDLE_JOINER, "${1}")).to_series()
    # What stood on both sides of a removed character may now compose.
    column = pl.col(text.name).str.replace_all(_TRAILING_SPACE, "").str.strip_chars()
    return _composed(visible, params).to_frame().select(column).to_series()


def _composed(text: pl.Series, params: CleanParams) -> pl.Series:
    """Texts in the Unicode form. ASCII is in every form, and finding it costs a hundredth of normalising it."""
    other = (text.str.len_bytes() != text.str.len_chars()).arg_true()
    if params.unicode_form == "none" or not len(other):
        return text
    return text.clone().scatter(other, text.gather(other).str.normalize(params.unicode_form))


def exact_duplicates(text: pl.Series, rows: np.ndarray, reason: str = "exact_duplicate") -> Removal:
    """Rows (positions, uint32 [n]) whose text is byte for byte that of an earlier row; of equal rows the first stays.

    A 64-bit hash finds the rows that repeat, and only those are compared as text, so the cost in memory is 12 bytes
    a row and a hash collision removes nothing. A null repeats nothing.
    """
    hashed = pl.DataFrame({"at": pl.int_range(len(text), dtype=pl.UInt32, eager=True), "hash": text.hash()})
    repeats = hashed.filter(text.is_not_null() & hashed["hash"].is_duplicated())["at"]
    frame = pl.DataFrame({"row": np.asarray(rows, dtype=np.uint32)[repeats.to_numpy()], "text": text.gather(repeats)})
    firsts = frame.select("row", first=pl.col("row").min().over("text"))
    later = firsts.filter(pl.col("row") != pl.col("first")).sort("row")
    return Removal(reason, later["row"].to_numpy(), np.ones(later.height), 1.0, later["first"].to_numpy())


def _annotate(rows: pl.DataFrame, params: CleanParams) -> pl.DataFrame:
    """The texts anew: a column called ``text`` takes the place of the table's."""
    return normalise(rows["text"], params).to_frame()


def _removals(rows: pl.DataFrame, params: CleanParams, advance: Advance) -> list[Removal]:
    """Rows whose normalised content is that of an earlier row; of every row only a hash is held in memory.

    A hash that two contents have in common takes neither out.
    """
    text, hashes = rows["content"], []
    for start, count in batches(text, _BATCH_BYTES):
        hashes.append(normalise(text.slice(start, count), params).hash())
        advance(count)
    hashed = pl.DataFrame({"hash": pl.concat(hashes) if hashes else []}).with_row_index("row")
    later = (
        hashed.filter(text.is_not_null())
        .select("row", first=pl.col("row").min().over("hash"))
        .filter(pl.col("row") != pl.col("first"))
    )
    row, first = text.gather(later["row"]), text.gather(later["first"])
    same, exact = [], []
    for start, count in batches(row, _BATCH_BYTES):
        one, other = row.slice(start, count), first.slice(start, count)
        exact.append(one == other)
        same.append(normalise(one, params) == normalise(other, params))
        advance(0)  # the texts are read again: what holds them may let go
    if not same:
        return []
    equal, bytewise = pl.concat(same), pl.concat(exact)
    kinds = {"exact_duplicate": equal & bytewise, "normalised_duplicate": equal & ~bytewise}
    parts = {reason: later.filter(which) for reason, which in kinds.items()}
    return [
        Removal(reason, part["row"].to_numpy(), np.ones(part.height), 1.0, part["first"].to_numpy())
        for reason, part in parts.items()
    ]


TOOL = TableTool("clean", annotate=_annotate, removals=_removals)
