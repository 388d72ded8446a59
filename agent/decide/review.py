"""Which rows that stand are in doubt: what the evidence speaks against, and no action on such rows has settled.

An action that would take out every such row did not pay, or nobody tried it; or there are too few rows of a class to
measure by. A person can tell.
"""

import numpy as np
import polars as pl

from ...state.events import Review
from ...state.values import Role
from ...tools.judge.doubt import most_informative
from ...tools.judge.evidence.mislabelled import SMALL_CLASS, support_of_views
from ...tools.write.reasons import REASONS
from ...tools.write.shown import InDoubt, InDoubts
from ..view import View
from .person import answers
from .suspects import STRENGTHS

#: Why a row is in doubt; where a row is for several reasons, the first counts.
WHY = {
    "relabelled": f"it was given the suggested label, and one of the two classes has fewer than {SMALL_CLASS} rows",
    "small_class": f"the other rows do not bear out its label, and its class has fewer than {SMALL_CLASS} rows",
    "label": "the other rows do not bear out its label",
    "pair": REASONS["pair_doubt"],
    "text": REASONS["surprise"],
    "cluster": "it stands for a cluster that may be junk",
}
EXCERPT = 300  # characters of a text
_SPEAKING = ("low_quality", "outliers", "near_duplicates")  # figures of a cluster
_PER_CLUSTER = 2  # rows that stand for a cluster
_SCHEMA = {
    "row": pl.UInt32, "why": pl.String, "doubt": pl.Float64, "group": pl.String, "cluster": pl.Int32,
    "suggested": pl.String, "because": pl.String,
}  # fmt: skip


def in_doubt(view: View) -> pl.DataFrame:
    """The rows in doubt, held-out ones too, the most informative first.

    Returns:
        ``row`` uint32, ``why`` (of ``WHY``), ``doubt`` float64, ``group``, ``cluster`` int32 (null for a held-out row),
        ``suggested`` (another label) and ``because`` (what else is known), strings.
    """
    if not view.has("evidence", "assignments"):
        return pl.DataFrame(schema=_SCHEMA)
    found = [*_of_rows(view, "evidence", view.kept()), *_of_rows(view, "anchor_evidence", view.anchor())]
    doubts = pl.concat([pl.DataFrame(schema=_SCHEMA), *_relabelled(view), *found, _of_clusters(view)])
    doubts = doubts.filter(pl.col("row") < view.values.ingested)
    order = pl.Series("place", doubts["why"].replace_strict(list(WHY), range(len(WHY)), return_dtype=pl.Int64))
    ordered = most_informative(doubts.with_columns(order).sort("place", maintain_order=True).drop("place"))
    # Only now: an answer leaves the others in their order.
    return ordered.filter(~pl.col("row").is_in(answers(view)["row"].implode()))


def _of_rows(view: View, role: Role, rows: np.ndarray) -> list[pl.DataFrame]:
    """What the evidence of a role puts in doubt among positions (uint32 [n]) that stand, kind by kind."""
    if not view.has(role):
        return []
    frame = view.frame(role).filter(pl.col("row").is_in(rows))
    return [
        *(_labels(view, frame) if "label_support" in frame.columns else ()),
        *(_past(view, frame, "pair_doubt", "pair") if "pair_doubt" in frame.columns else ()),
        *(_past(view, frame, "surprise", "text") if "pair_doubt" not in frame.columns else ()),
    ]


def _labels(view: View, frame: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows whose label is not borne out; those of small classes by what their views say, which spared them.

    How clearly a label is wrong is the lead of the other label's probability over its own.
    """
    limit, labels = STRENGTHS["label_support"][-1], view.labels()
    sizes = labels.gather(view.kept()).drop_nulls().value_counts(name="rows").rename({"label": "own"})
    own = pl.DataFrame({"own": labels.gather(frame["row"])}).join(sizes, on="own", how="left", maintain_order="left")
    small = (own["rows"].fill_null(0) < SMALL_CLASS).to_numpy() & own["own"].is_not_null().to_numpy()
    support, mine, other = (_column(frame, name) for name in ("label_support", "own_probability", "other_probability"))
    by_views = support_of_views(mine, _column(frame, "own_vote"), _column(frame, "agreement"))
    lead = np.nan_to_num(other) - np.where(np.isnan(mine), np.nan_to_num(support), mine)
    suggested = frame["other_label"] if "other_label" in frame.columns else pl.lit(None, dtype=pl.String)
    found = frame.select("row").with_columns(doubt=pl.Series(lead), suggested=suggested)
    return [
        _told(view, found.filter(pl.Series(small & (np.fmin(support, by_views) < limit))), "small_class"),
        _told(view, found.filter(pl.Series(~small & (support < limit))), "label"),
    ]


def _column(frame: pl.DataFrame, name: str) -> np.ndarray:
    """A column of figures, float64 [n]; NaN where there is none."""
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _past(view: View, frame: pl.DataFrame, kind: str, why: str) -> list[pl.DataFrame]:
    """Rows past the loosest limit at which evidence of a kind is offered."""
    if kind not in frame.columns:
        return []
    found = frame.filter(pl.col(kind) >= STRENGTHS[kind][-1])  # type: ignore[index]
    because = found["fault"].replace(REASONS) if "fault" in found.columns else pl.lit(None, dtype=pl.String)
    return [_told(view, found.with_columns(doubt=kind, because=because), why)]


def _relabelled(view: View) -> list[pl.DataFrame]:
    """Rows that were given another label where one of the two classes is small: too few to have been measured by."""
    changed = view.relabelled()
    if changed.is_empty():
        return []
    size = dict(view.frame("rows", "label")["label"].value_counts(name="rows").drop_nulls().iter_rows())
    small = [min(size.get(was, 0), size.get(label, 0)) for _, was, label in changed.iter_rows()]
    found = changed.with_columns(doubt=-pl.Series(small, dtype=pl.Float64), suggested="label")
    return [_told(view, found.filter(pl.Series(small, dtype=pl.Int64) < SMALL_CLASS), "relabelled")]


def _of_clusters(view: View) -> pl.DataFrame:
    """Rows that stand for clusters that the critic calls junk, or cannot settle, and that stand all the same."""
    stands = set(view.kept().tolist())
    lines = list[tuple[object, ...]]()
    for cluster, critique in zip(view.report().clusters, view.critiques(), strict=True):
        if critique.verdict == "drop" or critique.review:
            typical = [row for row in (cluster.medoid, *cluster.boundary) if row in stands]
            gravity, said = max(getattr(cluster, name) for name in _SPEAKING), "; ".join(critique.reasons)
            group = f"cluster {cluster.cluster}"
            lines += [
                (row, "cluster", gravity, group, cluster.cluster, None, said)
                for row in dict.fromkeys(typical[:_PER_CLUSTER])
            ]
    return pl.DataFrame(lines, schema=_SCHEMA, orient="row")


def _told(view: View, found: pl.DataFrame, why: str) -> pl.DataFrame:
    """Rows in doubt (``row``, ``doubt`` and what else is known) with where they stand: as ``in_doubt``.

    Held-out rows are in no cluster and go by their label.
    """
    clusters = view.frame("assignments").select("row", pl.col("cluster").cast(pl.Int32))
    nothing = {name: pl.lit(None, dtype=pl.String) for name in ("suggested", "because") if name not in found.columns}
    placed = found.select("row", "doubt", *(name for name in ("suggested", "because") if name in found.columns))
    placed = placed.with_columns(**nothing).join(clusters, on="row", how="left", maintain_order="left")
    label = view.labels().gather(placed["row"]).fill_null("")
    group = pl.when(pl.col("cluster").is_null()).then("label " + label).otherwise(pl.format("cluster {}", "cluster"))
    return placed.with_columns(why=pl.lit(why), group=group, doubt=pl.col("doubt").cast(pl.Float64)).select(*_SCHEMA)


def listed(view: View, doubts: pl.DataFrame) -> tuple[InDoubt, ...]:
    """Rows in doubt (as ``in_doubt``), with their texts and the figures that speak against them."""
    rows = doubts["row"].to_numpy()
    ids, own = view.ledger()["id"], view.frame("rows", "label")["label"]
    figures = _figures(view, rows)
    return tuple(
        InDoubt(
            id=ids[one["row"]],
            text=text[:EXCERPT],
            label=own[one["row"]],
            suggested=one["suggested"],
            why=one["why"],
            words=words(one["why"], one["because"]),
            evidence=figures.get(one["row"], {}),
            cluster=one["cluster"],
        )
        for one, text in zip(doubts.iter_rows(named=True), view.text(rows), strict=True)
    )


def _figures(view: View, rows: np.ndarray) -> dict[int, dict[str, float]]:
    """The figures of the evidence on positions (uint32 [n]), by row; what a row does not have is left out."""
    found = dict[int, dict[str, float]]()
    roles: tuple[Role, ...] = ("evidence", "anchor_evidence")
    for frame in (view.frame(role) for role in roles if view.has(role)):
        numbers = [name for name in frame.columns if frame[name].dtype.is_float()]
        for one in frame.filter(pl.col("row").is_in(rows)).select("row", *numbers).iter_rows(named=True):
            row = one.pop("row")
            found[row] = {name: round(value, 6) for name, value in one.items() if value is not None}
    return found


def summed(view: View) -> InDoubts | None:
    """The rows in doubt as the run listed them; None where nothing is in doubt, or it has not come to that."""
    event = next((event for event in reversed(view.events) if isinstance(event, Review)), None)
    if event is None or not event.rows:
        return None
    rows = listed(view, view.frame("review")) if event.listed else ()
    return InDoubts(rows=event.rows, by=event.by, listed=rows, file=view.run.review.name)


def words(doubt: str, because: str | None) -> str:
    """Why a row is in doubt, by the kind of it and what else is known."""
    if because is None:
        return WHY[doubt]
    return f"{WHY[doubt]}: {because}" if doubt == "cluster" else because
