"""Passages that much of a data set shares (system prompts, templates, boilerplate), left out where rows are compared.

A long passage that every row begins with outweighs what the rows say: near-duplicates by their shingles, and vectors,
would then tell the passage apart from others and not the rows.
"""

import polars as pl

_SAMPLE = 20_000  # rows in which passages are counted
_SHARE = 0.05  # of the rows that hold a passage, from which on it is shared
_LEAST_ROWS = 3
_LEAST_CHARACTERS = 40  # shorter ones outweigh nothing
_MOST = 64  # passages
_HEADING = r"\A### \w+:\n"


def shared_passages(text: pl.Series) -> list[str]:
    """The paragraphs that stand in a twentieth of the rows or more, the longest first; three rows at the least.

    ``text``: strings, [n], as they are rendered or compared; nulls hold nothing.
    """
    sample = text.gather_every(max(1, len(text) // _SAMPLE)).drop_nulls()
    paragraphs = pl.DataFrame({"row": pl.int_range(len(sample), eager=True), "passage": sample.str.split("\n\n")})
    counted = (
        paragraphs.lazy()
        .explode("passage", empty_as_null=True, keep_nulls=True)
        .with_columns(pl.col("passage").str.replace(_HEADING, "").str.strip_chars())
        .filter(pl.col("passage").str.len_chars() >= _LEAST_CHARACTERS)
        .unique(["row", "passage"])
        .group_by("passage")
        .len("rows")
        .filter(pl.col("rows") >= max(_LEAST_ROWS, _SHARE * len(sample)))
        .sort(pl.col("passage").str.len_chars(), "passage", descending=[True, False])
        .head(_MOST)
        .collect()
    )
    return counted["passage"].to_list()


def without(text: pl.Series, passages: list[str]) -> pl.Series:
    """Texts (strings, [n]) without some passages; one that would say nothing else stays as it is."""
    left = text
    for passage in passages:
        left = left.str.replace_all(passage, "", literal=True)
    if not passages:
        return text
    says = left.str.replace_all(r"(?m)^### \w+:$|[\s\u241e\u241f\u2400]", "") != ""
    return pl.select(pl.when(says).then(left).otherwise(text)).to_series().alias(text.name)
