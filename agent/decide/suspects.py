"""Rows that the evidence of the round speaks against, and rows that a rule of the first separation marks.

Each kind of evidence comes in a few strengths. Which of them pays is measured; no threshold wins everywhere.
"""

import numpy as np
import polars as pl

from ...state.actions import LOW_IF_SUSPECT, Relabel, RemoveMarked, RemoveSuspects, Suspicion
from ...state.rows import Removal
from ..view import View
from .person import pinned
from .verdict import NEAR_DUPLICATE

#: Evidence → the thresholds at which it is offered, the strictest first.
STRENGTHS: dict[Suspicion, tuple[float, ...]] = {
    "label_support": (0.001, 0.005, 0.02),
    "label_margin": (-4.0, -2.5, -1.0),
    "pair_doubt": (3.0, 2.0, 1.0),
    "surprise": (8.0, 6.0),
}
#: From where a row counts as in doubt for who asks for a share of noise, or for so many rows. ``label_margin`` is for
#: actions, whose gain is measured: by its weaker limits many a sound row that is hard to tell would be in doubt.
IN_DOUBT: dict[Suspicion, float] = {kind: limits[-1] for kind, limits in STRENGTHS.items() if kind != "label_margin"}


def suspect_counts(view: View) -> dict[str, dict[str, int]]:
    """For each kind of evidence there is, how many kept rows are past each of its thresholds."""
    if not view.has("evidence"):
        return {}
    evidence = _open(view)
    return {
        kind: {f"{limit:g}": int(past(evidence, kind, limit).sum()) for limit in limits}
        for kind, limits in STRENGTHS.items()
        if kind in evidence.columns
    }


def _open(view: View) -> pl.DataFrame:
    """The evidence in force on the rows of which no person has spoken."""
    evidence, told = view.frame("evidence"), pinned(view)
    return evidence.filter(~pl.col("row").is_in(told)) if len(told) else evidence


def past(evidence: pl.DataFrame, kind: Suspicion, limit: float) -> np.ndarray:
    """Which rows of the evidence are past a limit: bool [n]."""
    column = evidence[kind]
    past = column < limit if kind in LOW_IF_SUSPECT else column >= limit
    return past.fill_null(False).to_numpy()


def doubts(view: View, rows: np.ndarray) -> pl.DataFrame | None:
    """How much the evidence in force speaks against positions (uint32 [n], ascending), whatever its kind.

    A row is in doubt past a limit of ``IN_DOUBT``. Kinds have no common scale: ``doubt`` goes by the limits that
    a row is past and by its place among the rows, of the kind that speaks against it most. Nothing speaks against a row
    of which a person has spoken.

    Returns:
        ``row``, ``doubt`` float64 (0 to 2, from 1 on in doubt), ``kind`` and ``figure`` float64, its evidence of that
        kind; None where there is no evidence.
    """
    if not view.has("evidence"):
        return None
    evidence = pl.DataFrame({"row": rows}).join(_open(view), on="row", how="left", maintain_order="left")
    kinds = [kind for kind in IN_DOUBT if kind in evidence.columns]
    if not kinds:
        return None
    each = np.stack([_doubt(evidence, kind) for kind in kinds])
    most = each.argmax(axis=0)
    figures = np.stack([evidence[kind].cast(pl.Float64).fill_null(np.nan).to_numpy() for kind in kinds])
    figure = pl.Series(np.take_along_axis(figures, most[None, :], axis=0)[0]).fill_nan(None)
    return pl.DataFrame({"row": rows, "doubt": each.max(axis=0), "kind": [kinds[at] for at in most], "figure": figure})


def _doubt(evidence: pl.DataFrame, kind: Suspicion) -> np.ndarray:
    """The same by one kind of evidence, float64 [n]."""
    limits = STRENGTHS[kind]
    passed = np.mean([past(evidence, kind, limit) for limit in limits], axis=0)
    place = (evidence[kind].rank("average", descending=kind in LOW_IF_SUSPECT) / max(1, evidence.height)).fill_null(0.0)
    return np.asarray(past(evidence, kind, limits[-1]) + (passed + place.to_numpy()) / 2)


def suspects(view: View, action: RemoveSuspects | Relabel) -> Removal:
    """The kept rows that an action is about, as many as it may take: the most suspect first."""
    evidence = _open(view)
    removal = past_limit(evidence, action)
    if action.target_rows is not None:
        removal = most_suspect(removal, len(view.kept()) - action.target_rows)
    return _leaving_classes(view, removal)


def _leaving_classes(view: View, removal: Removal) -> Removal:
    """The removal without the least suspect row of each class of which it would leave none."""
    labels, score = view.labels(), removal.score
    assert score is not None
    taken = pl.DataFrame({"at": np.arange(len(score)), "label": labels.gather(removal.rows), "score": score})
    stay = labels.gather(np.setdiff1d(view.kept(), removal.rows)).unique()
    emptied = taken.drop_nulls("label").filter(~pl.col("label").is_in(stay.implode()))
    low = removal.reason in LOW_IF_SUSPECT
    spared = emptied.sort("score", "at", descending=[low, False]).unique("label", keep="first")["at"]
    left = np.setdiff1d(np.arange(len(score)), spared.to_numpy())
    return Removal(removal.reason, removal.rows[left], score[left], removal.threshold)


def most_suspect(removal: Removal, rows: int) -> Removal:
    """At most so many rows of a removal: those that the evidence speaks against most."""
    assert removal.score is not None
    low = removal.reason in LOW_IF_SUSPECT
    order = np.lexsort((removal.rows, removal.score if low else -removal.score))
    chosen = np.sort(order[: max(0, rows)])
    return Removal(removal.reason, removal.rows[chosen], removal.score[chosen], removal.threshold)


def past_limit(evidence: pl.DataFrame, action: RemoveSuspects | Relabel) -> Removal:
    """The rows of ``evidence`` (by ``row``, ascending) that are past the limit of an action."""
    kind: Suspicion = "label_support" if isinstance(action, Relabel) else action.by
    found = past(evidence, kind, action.threshold)
    score = evidence[kind].to_numpy()[found].astype(np.float64)
    return Removal(kind, evidence["row"].to_numpy()[found], score, action.threshold)


def by_fault(evidence: pl.DataFrame, removal: Removal) -> list[Removal]:
    """A removal apart by what each row is suspected for, where the evidence names it (mispaired, broken off, …)."""
    if "fault" not in evidence.columns or removal.reason != "pair_doubt":
        return [removal]
    faults = evidence["fault"].gather(np.searchsorted(evidence["row"].to_numpy(), removal.rows))
    found = []
    for fault in faults.unique().sort():
        here = (faults == fault).to_numpy()
        score = None if removal.score is None else removal.score[here]
        found.append(Removal(str(fault), removal.rows[here], score, removal.threshold))
    return found


def marked(view: View, action: RemoveMarked) -> Removal:
    """The kept rows that a rule marks; of near-duplicates, those whose twin is kept, the likest first."""
    kept = view.kept()
    return marked_among(view, action, kept, kept)


def marked_among(view: View, action: RemoveMarked, rows: np.ndarray, stay: np.ndarray) -> Removal:
    """Of some rows (positions, uint32 [n]) those that a rule marks; of near-duplicates, those whose twin is among the
    rows that stay (positions, uint32 [m])."""
    if action.mark != NEAR_DUPLICATE:
        rows = np.setdiff1d(rows, pinned(view))
        read = rows[rows < view.values.ingested]  # no rule has judged what a language model wrote
        fails = view.frame("verdicts", action.mark)[action.mark].gather(read).to_numpy()
        return Removal(action.mark, read[fails])
    twins = _standing_twins(view, rows, stay).sort(["score", "row"], descending=[True, False])
    if action.target_rows is not None:
        twins = twins.head(max(0, len(rows) - action.target_rows))
    twins = twins.sort("row")
    kept_instead = view.positions(twins["duplicate_of"])
    return Removal(
        NEAR_DUPLICATE, twins["row"].to_numpy(), twins["score"].to_numpy(), view.config.dedup.threshold, kept_instead
    )


def _standing_twins(view: View, rows: np.ndarray, stay: np.ndarray) -> pl.DataFrame:
    """The near-duplicates among some rows, of a row that stays, with the same label, but for those a person keeps."""
    twins = view.frame("near_duplicates").filter(~pl.col("other_label") & ~pl.col("row").is_in(pinned(view)))
    names = view.ledger()["id"].gather(stay)
    return twins.filter(pl.col("row").is_in(rows) & pl.col("duplicate_of").is_in(names.implode()))


def mark_counts(view: View) -> dict[str, int]:
    """For each mark of the first separation how many kept rows have it, those without any left out."""
    kept, counts = np.setdiff1d(view.kept(), pinned(view)), dict[str, int]()
    if view.has("near_duplicates"):
        counts[NEAR_DUPLICATE] = _standing_twins(view, kept, view.kept()).height
    if view.has("verdicts"):
        verdicts = view.frame("verdicts")[kept[kept < view.values.ingested]]
        counts |= {name: int(verdicts[name].sum()) for name in sorted(verdicts.columns) if name != "row"}
    return {name: rows for name, rows in counts.items() if rows}
