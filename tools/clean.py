"""Text normalisation and exact duplicates: what every later tool may take for granted.

Only the text that Recryst reads and measures is normalised; the original columns are never touched.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ..state.config import CleanParams
from ..state.rows import Removal
from .registry import Tool

# Everything that ends a line somewhere: CRLF, a lone CR, vertical tab, form feed, Unicode's two separators.
_LINE_END = r"\r\n?|[\x0B\x0C\x{2028}\x{2029}]"
# Control characters but newline and tab, and what Unicode calls default-ignorable (zero-width spaces, soft hyphens,
# bidi marks, byte-order marks, tag characters) with the interlinear anchors. Joiners and variation selectors are
# default-ignorable too, but spell words (Persian, Indic scripts) and emoji: they are not taken out wholesale.
_INVISIBLE = r"[\p{Cc}\p{Default_Ignorable_Code_Point}\x{FFF9}-\x{FFFB}--[\n\t\x{200C}\x{200D}\x{FE00}-\x{FE0F}]]"
# A joiner means something only between letters that join; after Latin, ASCII or blank space it only hides.
_IDLE_JOINER = r"(^|[\s\x00-\x7F\p{Latin}])[\x{200C}\x{200D}]+"
_TRAILING_SPACE = r"(?m)[^\S\n]+$"


def normalise(text: pl.Series, params: CleanParams) -> pl.Series:
    """Texts in one Unicode form, without invisible characters, carriage returns or stray blank space.

    In this order: the Unicode normal form (UAX #15), every line end as LF, control, zero-width, bidi and other
    invisible characters removed, trailing spaces of lines and outer blank space stripped. Idempotent.

    Args:
        text: strings, [n]; a null stays null.
        params: the Unicode form.

    Returns:
        Strings, [n], under the same name; a text of invisible characters alone becomes empty.
    """
    form = params.unicode_form
    column = pl.col(text.name)
    if form != "none":
        column = column.str.normalize(form)
    column = column.str.replace_all(_LINE_END, "\n").str.replace_all(_INVISIBLE, "")
    column = column.str.replace_all(_IDLE_JOINER, "${1}")
    if form != "none":
        # What stood on both sides of a removed character may now compose.
        column = column.str.normalize(form)
    column = column.str.replace_all(_TRAILING_SPACE, "").str.strip_chars()
    return text.to_frame().select(column).to_series()


def exact_duplicates(text: pl.Series, rows: np.ndarray, reason: str = "exact_duplicate") -> Removal:
    """Rows whose text is byte for byte that of an earlier row.

    A 64-bit hash finds the rows that repeat, and only those are compared as text, so the cost in memory is 12 bytes
    a row and a hash collision removes nothing.

    Args:
        text: strings, [n]; nulls are duplicates of nothing.
        rows: positions, uint32 [n]; ``text[i]`` belongs to ``rows[i]``.
        reason: the reason to record.

    Returns:
        The rows to remove, each with the position of the first row of that text, which stays.
    """
    hashed = pl.DataFrame({"at": pl.int_range(len(text), dtype=pl.UInt32, eager=True), "hash": text.hash()})
    repeats = hashed.filter(text.is_not_null() & hashed["hash"].is_duplicated())["at"]
    frame = pl.DataFrame({"row": np.asarray(rows, dtype=np.uint32)[repeats.to_numpy()], "text": text.gather(repeats)})
    later = (
        frame.select("row", first=pl.col("row").min().over("text")).filter(pl.col("row") != pl.col("first")).sort("row")
    )
    return Removal(
        reason=reason,
        rows=later["row"].to_numpy(),
        score=np.ones(later.height),
        threshold=1.0,
        duplicate_of=later["first"].to_numpy(),
    )


def _on_table(frame: pl.DataFrame, params: CleanParams, seed: int) -> pl.DataFrame:
    """The frame with ``text`` normalised and exact duplicates taken out."""
    cleaned = frame.with_columns(normalise(frame["text"], params))
    positions = np.arange(cleaned.height, dtype=np.uint32)
    removal = exact_duplicates(cleaned["text"], positions)
    return cleaned[np.delete(positions, removal.rows)]


TOOL = Tool(
    name="clean",
    version=1,
    description="Normalise the `text` column (Unicode, invisible characters, line ends) and take out exact duplicates.",
    params=CleanParams,
    result=pl.Series,
    run=normalise,
    on_table=_on_table,
)
