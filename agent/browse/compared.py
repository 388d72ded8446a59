"""Two clusterings of a run beside each other: which clusters stayed, split, merged or went, row by row."""

from __future__ import annotations

import polars as pl

from ...state.canonical import Json
from ...state.events import Decide
from ...state.values import RunState
from ..view import View
from .clusters import name_of

_SAME = 0.6  # Jaccard similarity of two clusters that are the same one, more or less
_WHOLE = 0.8  # of the rows of a cluster, that make it a part of another
_PART = 0.2  # of the rows of a cluster, that make another a part of it
_SHOWN = 4  # parts that are listed
_NONE = pl.DataFrame(schema={"row": pl.UInt32, "cluster": pl.Int32})


def moments(view: View) -> list[Json]:
    """The rounds whose clusterings can be compared: each as it was when its action was decided."""
    found, state = list[Json](), RunState()
    for event in view.events:
        state = state.after(event)
        if isinstance(event, Decide):
            found.append({"seq": event.seq, "round": state.round, "k": event.k, "kept": event.counts.kept})
    return found


def compared(then: View, now: View) -> Json:
    """The clusters of one moment, and what became of them at another.

    ``became`` of a cluster: *same* where its rows that stand and one cluster now have a Jaccard similarity of 0.6
    (Hennig, "Cluster-wise assessment of cluster stability", 2007); *merged* where four fifths of them are in one
    cluster, together with others'; *split* where a fifth of them or more is in each of several;
    *gone* where none of them stands; and *scattered* otherwise.
    """
    before, after = _assigned(then), _assigned(now)
    names, names_now = _names(then), _names(now)
    both = before.join(after.rename({"cluster": "to"}), on="row", how="left")
    overlap = both.group_by("cluster", "to").agg(rows=pl.len())
    overlap = overlap.sort("cluster", "rows", "to", descending=[False, True, False])
    sizes = dict(after["cluster"].value_counts(name="rows").iter_rows())
    lines = list[Json]()
    for (cluster,), parts in overlap.group_by("cluster", maintain_order=True):
        stand = parts.filter(pl.col("to").is_not_null())
        rows, standing = int(parts["rows"].sum()), int(stand["rows"].sum())
        listed = [
            {"cluster": to, "name": names_now.get(to, ""), "rows": n, "of": sizes[to]}
            for to, n in stand.head(_SHOWN).select("to", "rows").iter_rows()
        ]
        lines.append({
            "cluster": cluster, "name": names.get(cluster, ""), "rows": rows, "gone": rows - standing,
            "became": _became(stand, standing, sizes), "parts": listed, "more": max(0, stand.height - _SHOWN),
        })  # fmt: skip
    lines.sort(key=lambda line: -line["rows"])
    came = after.join(before, on="row", how="anti").height
    return {"then": _figures(then, before), "now": _figures(now, after), "came": came, "clusters": lines}


def _became(stand: pl.DataFrame, standing: int, sizes: dict[int, int]) -> str:
    if not standing:
        return "gone"
    first, to = int(stand["rows"][0]), int(stand["to"][0])
    if first >= _SAME * (standing + sizes[to] - first):
        return "same"
    if first >= _WHOLE * standing:
        return "merged"
    return "split" if (stand["rows"] >= _PART * standing).sum() > 1 else "scattered"


def _assigned(view: View) -> pl.DataFrame:
    """The cluster of every row that was clustered and stands."""
    if not view.has("assignments", "ledger"):
        return _NONE
    found = view.frame("assignments", "row", "cluster").cast({"row": pl.UInt32, "cluster": pl.Int32})
    return found.filter(pl.col("row").is_in(view.kept()))


def _figures(view: View, assigned: pl.DataFrame) -> Json:
    clusters = assigned.filter(pl.col("cluster") >= 0)["cluster"].n_unique()
    return {"round": view.state.round, "seq": view.seq, "clusters": clusters, "rows": assigned.height}


def _names(view: View) -> dict[int, str]:
    if not view.has("report"):
        return {}
    judged = {one.cluster: one for one in view.critiques()} if view.has("critiques") else {}
    return {one.cluster: name_of(one, judged.get(one.cluster)) for one in view.report().clusters}
