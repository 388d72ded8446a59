"""Rows as the table tools are given them."""

from collections.abc import Sequence

import polars as pl


def framed(
    text: Sequence[str | None] | pl.Series,
    content: Sequence[str | None] | None = None,
    empty: Sequence[bool | None] | None = None,
) -> pl.DataFrame:
    """A frame of ``text``, ``content`` (the text where none is given) and ``empty_answer`` (null where none is)."""
    texts = pl.Series("text", list(text), dtype=pl.String)
    return pl.DataFrame(
        {
            "text": texts,
            "content": texts if content is None else pl.Series(content, dtype=pl.String),
            "empty_answer": pl.Series([None] * len(texts) if empty is None else empty, dtype=pl.Boolean),
        }
    )
