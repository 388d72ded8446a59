"""In what order a person is asked about rows in doubt: first those whose answers are likely to change most.

Within one kind of doubt the rows that are most clearly wrong come first: with few answers to be had, more faults are
mended by asking about clear ones than about those that a person would have to puzzle over (Bernhardt et al. 2022,
"Active label cleaning", where the ranking is the cross-entropy of the own label less the entropy of the prediction).
Rows of one neighbourhood tell much the same, so that the groups (clusters) take turns, as in batches of active learning
by cluster (Xu et al. 2003; Zhdanov 2019): the first of every group, then the second of every group, and so on.
"""

import polars as pl


def most_informative(doubts: pl.DataFrame) -> pl.DataFrame:
    """Rows in doubt, each once, the most informative first.

    Args:
        doubts: ``row`` uint32, ``why`` string (the kind of doubt), ``doubt`` float (the higher, the more clearly is the
            row at fault; comparable within a kind alone) and ``group`` string; further columns are kept. A row with
            several kinds of doubt stands for each; the one that comes first in the table counts.

    Returns:
        The same columns. Kinds are interleaved by the rank of a row within its kind.
    """
    once = doubts.unique("row", keep="first", maintain_order=True).sort("why", "row")
    ranked = once.with_columns(
        rank=pl.col("doubt").rank("ordinal", descending=True).over("why") / pl.len().over("why"),
        turn=pl.col("doubt").rank("ordinal", descending=True).over("why", "group"),
    )
    return ranked.sort("turn", "rank", "why", "row").select(doubts.columns)
