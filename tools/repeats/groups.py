"""Which rows belong together, so that no part of a group is held out while another is learned from.

Rows belong together that share a value of the group column; that continue one another (a conversation unrolled turn by
turn, a document cut off); that ask the same; and that are near-duplicates. What belongs to one belongs to the other.
"""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from ...state.params.preparation import DedupParams
from ...state.phrases import Advance, silent
from ..text.batches import batches
from ..text.compiled import kernel_later
from .dedup import compared
from .lsh import matches
from .minhash import BATCH_BYTES, Parts, ShingleSets, signatures

_LEAST_CHARACTERS = 64  # that two rows begin with alike; fewer are a greeting
_MOST_ROWS, _MOST_SHARE = 50, 0.05  # that begin alike and are one conversation; more of both are a template
_NEARER = 0.1  # how far below the threshold of near-duplicates rows still tell of one another
_SETTING = ("System", "Tools")  # blocks that set a scene and ask nothing
_ASKING = ("User", "Prompt", "Question", "Instruction", "Input", "Context", "History", "Choices")


class Together(NamedTuple):
    """What tells that rows belong together; strings [n] each, by position, null where a row has none."""

    text: pl.Series  # as it is read, turns under their headings
    content: pl.Series  # what rows are compared by
    column: pl.Series | None = None  # the group column
    asked: pl.Series | None = None  # what is asked, where the text does not tell; None: it does
    twins: tuple[np.ndarray, np.ndarray] | None = None  # positions that are known to repeat, and of what


def row_groups(rows: Together, params: DedupParams, advance: Advance = silent) -> np.ndarray:
    """The group of each row: the least position of its rows, uint32 [n]; a row of its own has its own.

    ``advance`` is told the rows as near-duplicates are sought.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    size = len(rows.text)
    links = [continuations(rows.text), same(openings(rows.text) if rows.asked is None else asked(rows.asked), True)]
    if rows.column is not None:
        links.append(same(rows.column))
    if rows.twins is not None:
        links.append(rows.twins)
    links.append(_near(rows.content, params, advance))
    one, other = (np.concatenate(ends) for ends in zip(*links, strict=True))
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(size, size))
    _, first, group = np.unique(connected_components(graph, directed=False)[1], return_index=True, return_inverse=True)
    return first[group].astype(np.uint32)


_Links = tuple[np.ndarray, np.ndarray]


def same(values: pl.Series, beginnings: bool = False) -> _Links:
    """Each row (int64 [m]) whose value an earlier row has, and the first that has it; a null or blank links nothing.

    ``beginnings``: what very many rows share is a template, and links nothing either.
    """
    rows = pl.DataFrame({"row": pl.int_range(len(values), eager=True), "value": values.hash()})
    rows = rows.filter(values.is_not_null() & (values.str.strip_chars() != ""))
    linked = rows.with_columns(first=pl.col("row").min().over("value"), held=pl.len().over("value"))
    if beginnings:
        linked = linked.filter(pl.col("held") <= _most(len(values)))
    linked = linked.filter(pl.col("row") != pl.col("first"))
    return linked["row"].to_numpy(), linked["first"].to_numpy()


def _most(size: int) -> float:
    return max(_MOST_ROWS, _MOST_SHARE * size)


def asked(questions: pl.Series) -> pl.Series:
    """Questions (strings [n]) that say enough to be told from others; the others are null."""
    return pl.select(pl.when(questions.str.len_chars() >= _LEAST_CHARACTERS).then(questions)).to_series()


def openings(text: pl.Series) -> pl.Series:
    """What each row begins with and goes on from (strings [n]): its question, or as many turns as say enough.

    Null where the row has no turns or columns under headings, or says nothing more than that.
    """
    parts = [_openings(text.slice(*part)) for part in batches(text, BATCH_BYTES)]
    return pl.concat(parts) if parts else text.clear()


def _openings(text: pl.Series) -> pl.Series:
    rows = pl.DataFrame({"row": pl.int_range(len(text), eager=True), "block": text})
    blocks = (
        rows.lazy()
        .filter(pl.col("block").str.starts_with("### "))
        .with_columns(pl.col("block").str.strip_prefix("### ").str.split("\n\n### "))
        .explode("block")
        .with_columns(heading=pl.col("block").str.extract(r"\A([^\n]*):(?:\n|\z)"))
        .filter(~pl.col("heading").is_in(_SETTING).fill_null(False))
        .with_columns(asking=pl.col("heading").is_in(_ASKING).fill_null(False), length=pl.col("block").str.len_chars())
        .with_columns(
            before=(pl.col("length").cum_sum() - pl.col("length")).over("row"),
            answered=(~pl.col("asking")).cum_sum().over("row"),
        )
        .with_columns(taken=(pl.col("before") < _LEAST_CHARACTERS) | (pl.col("answered") == 0))
        .group_by("row")
        .agg(
            opening=pl.col("block").filter("taken").str.join("\n\n### "),
            more=~pl.col("taken").all(),
        )
        .filter("more")
    )
    opening = rows.lazy().join(blocks, on="row", how="left", maintain_order="left").collect()["opening"]
    return asked(opening).alias(text.name)


def continuations(text: pl.Series) -> _Links:
    """Each row (int64 [m]) that goes on from where another ends, and the longest such other.

    Only rows that begin alike are looked at, sorted, so that whatever a row goes on from stands before it.
    """
    heads = text.str.head(_LEAST_CHARACTERS)
    beginning = pl.DataFrame({"hash": heads.hash(), "long": heads.str.len_chars() == _LEAST_CHARACTERS})
    alike = beginning.select(pl.col("long") & (pl.len().over("hash") > 1)).to_series().fill_null(False)
    rows = alike.arg_true().to_numpy().astype(np.int64)
    chosen = text.gather(rows)
    order = chosen.arg_sort().to_numpy()
    array = chosen.gather(order).rechunk().to_arrow().cast(pa.large_string())
    _, offsets, data = array.buffers()
    ends = np.frombuffer(
        offsets or b"", dtype=np.int64, count=len(array) + 1 if offsets else 0, offset=8 * array.offset
    )
    before = np.full(len(rows), -1, dtype=np.int64)
    if len(rows):
        _nest(np.frombuffer(data or b"", dtype=np.uint8), ends, before)
    followed = np.bincount(before[before >= 0], minlength=len(rows))
    found = np.flatnonzero((before >= 0) & (followed[before] <= _most(len(text))))
    return rows[order[found]], rows[order[before[found]]]


@kernel_later
def _nest(data: Any, ends: Any, before: Any) -> None:
    """For each of some sorted texts the longest earlier one that it begins with; ``before`` (int64 [n]) is −1 if none.

    The texts lie one behind the other in ``data`` (uint8) and end where ``ends`` (int64 [n + 1]) says.
    """
    stack, top = np.empty(len(before), dtype=np.int64), 0
    for row in range(len(before)):
        length = ends[row + 1] - ends[row]
        while top > 0:
            first, last = ends[stack[top - 1]], ends[stack[top - 1] + 1]
            at = 0
            if last - first <= length:
                while at < last - first and data[first + at] == data[ends[row] + at]:
                    at += 1
            if at == last - first:
                before[row] = stack[top - 1]
                break
            top -= 1
        stack[top] = row
        top += 1


class _Whole(Parts):
    """Whether rows are alike as they are, too, and not only in what is left of them without passages they share."""

    def __init__(self, content: pl.Series, ngram_size: int) -> None:
        self._sets = ShingleSets(content, ngram_size)

    def alike(self, one: int, other: int, threshold: float) -> bool:
        return self._sets.jaccard(one, other) >= threshold


def _near(content: pl.Series, params: DedupParams, advance: Advance) -> _Links:
    """Each row (int64 [m]) that nearly repeats an earlier one, somewhat below the threshold, and that one."""
    params = params.model_copy(update={"threshold": max(params.threshold - _NEARER, 0.05), "target_rows": None})
    content = content.fill_null("")
    text = compared(content)
    signed = signatures(text, params)
    order = np.flatnonzero((text.str.strip_chars() != "").to_numpy())
    whole = _Whole(content, params.ngram_size)
    found = list(matches((text, whole), (signed[:0], signed), order, params, 0, closed=False, advance=advance))
    links = np.array([(match.entry, match.kept) for match in found], dtype=np.int64).reshape(-1, 2)
    return links[:, 0], links[:, 1]
