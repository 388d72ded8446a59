"""What became of each fault, and of the rows that had none."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ...state.params.preparation import DedupParams
from ...tools.repeats.dedup import near_duplicates
from ...tools.repeats.minhash import SignedRows, signatures
from ..runs import FinishedRun
from .faults import Crude
from .sets import sound


@dataclass(frozen=True)
class Outcome:
    """The ids of the rows that stay, and the new label of those that were given one."""

    kept: frozenset[str]
    labels: Mapping[str, str] = field(default_factory=dict)


def outcome(run: FinishedRun) -> Outcome:
    """What a run has made of its input: held-out rows that stay are among the kept."""
    ledger = run.view.ledger()
    kept = frozenset(ledger.filter((pl.col("status") != "removed") & (pl.col("origin") == "input"))["id"])
    if not run.view.has("relabelled"):
        return Outcome(kept)
    changed = run.view.frame("relabelled")
    return Outcome(kept, dict(zip(ledger["id"].gather(changed["row"]), changed["label"], strict=True)))


@dataclass(frozen=True)
class Found:
    """Shares; the precision is None where nothing was removed.

    removed: of all rows. clean_lost: of the rows without a fault, each group of rows that say the same once.
    precision: of the removed rows, those that a fault or a row that says the same gives cause to remove. recall: of the
    planted faults, by kind. garbled: of the families with an edited copy of which a row is left, those of which only
    edited ones are; None where there is none.
    """

    removed: float
    clean_lost: float
    precision: float | None
    recall: dict[str, float]
    garbled: float | None


def found(crude: Crude, made: Outcome, groups: Sequence[int]) -> Found:
    """Hold an outcome against the truth.

    A copy is found where no row of its family, that is its original and all copies of that, is left beside another; the
    first that is left stands for all. Another fault is found where no row of the family that has it is left: a wrong
    label also where it was put right. A family without a fault is lost where none of it is left with its true label.

    Args:
        groups: for each row of the set the group of rows without a fault that say the same (``same_groups``).
    """
    table = _table(crude, made, groups)
    # Of what is left of a family the original stands for it, else an exact copy, which says the same.
    order = pl.col("first").not_(), pl.col("fault") == "edited", pl.col("at")
    kept = table.filter("kept").sort(*order)
    beside = kept.filter(pl.int_range(pl.len()).over("origin") > 0)
    planted = _tally(table["fault"])
    missed = {**_tally(kept.filter("bad").unique("origin")["of_origin"]), **_tally(beside["fault"])}
    sound_rows = table.filter(pl.col("of_origin") == "")
    families = sound_rows["group"].n_unique()
    lost = families - sound_rows.filter(pl.col("kept") & ~pl.col("bad"))["group"].n_unique()
    gone = table.height - kept.height
    return Found(
        removed=gone / table.height,
        clean_lost=lost / max(1, families),
        precision=1 - min(lost, gone) / gone if gone else None,
        recall={fault: 1 - missed.get(fault, 0) / count for fault, count in planted.items()},
        garbled=_garbled(table),
    )


def _garbled(table: pl.DataFrame) -> float | None:
    edited = pl.col("fault") == "edited"
    families = table.filter(edited.any().over("origin") & pl.col("kept")).group_by("origin").agg(edited.all())
    return int(families["fault"].sum()) / families.height if families.height else None


def _tally(faults: pl.Series) -> dict[str, int]:
    counts = faults.value_counts().iter_rows()
    return {fault: count for fault, count in counts if fault}


def _table(crude: Crude, made: Outcome, groups: Sequence[int]) -> pl.DataFrame:
    """The side table with: at, first (no copy), of_origin (the origin's fault), kept, group, and bad: it still has it.

    A row that was given a new label is bad where that is not the true one.
    """
    answers = crude.rows[crude.rows.columns[2]].to_list()
    ids, truths = crude.side["id"].to_list(), crude.side["truth"].to_list()
    fault = dict(zip(ids, crude.side["fault"], strict=True))
    of_origin = [fault[origin] for origin in crude.side["origin"]]
    labelled = "label" in crude.rows.columns
    bad = [
        made.labels.get(row, answer) != truth if labelled else name != ""
        for row, answer, truth, name in zip(ids, answers, truths, of_origin, strict=True)
    ]
    return crude.side.with_columns(
        at=pl.int_range(pl.len()),
        first=pl.col("id") == pl.col("origin"),
        of_origin=pl.Series(of_origin, dtype=pl.String),
        kept=pl.Series([row in made.kept for row in ids], dtype=pl.Boolean),
        group=pl.Series(groups, dtype=pl.Int64),
        bad=pl.Series(bad, dtype=pl.Boolean),
    )


def same_groups(crude: Crude) -> np.ndarray:
    """For each row a group (int64 [n]): rows that a copy connects, and rows without a fault that nearly repeat another.

    The latter are in the set by nature: equal but for case and spaces, or of a Jaccard similarity of word 5-grams of
    at least 0.8.
    """
    at = {row: place for place, row in enumerate(crude.side["id"])}
    links = [(place, at[origin]) for place, origin in enumerate(crude.side["origin"])]
    natural = np.flatnonzero((crude.side["fault"] == "").to_numpy())
    said = crude.rows.select(pl.concat_str(pl.nth(range(1, _compared(crude))), separator="\n")).to_series()
    texts = pl.Series("text", [sound(text) for text in said.gather(natural)], dtype=pl.String)
    first: dict[str, int] = {}
    links += [(int(place), int(natural[first.setdefault(text, n)])) for n, (place, text) in
              enumerate(zip(natural, texts, strict=True))]  # fmt: skip
    removal = repeats(texts)
    links += [(int(natural[one]), int(natural[other])) for one, other in removal.items()]
    return _components(np.array(links, dtype=np.int64).reshape(-1, 2), crude.side.height)


def _compared(crude: Crude) -> int:
    """The columns up to which rows say the same: the text of a labelled row, both sides of a pair."""
    return 2 if "label" in crude.rows.columns else 3


def repeats(texts: pl.Series, threshold: float = 0.8) -> dict[int, int]:
    """Positions of near-duplicates (verified Jaccard of word 5-grams), each with that of the text it repeats."""
    params = DedupParams(threshold=threshold)
    signed = SignedRows(texts, np.arange(len(texts), dtype=np.uint32), signatures(texts, params))
    removal = near_duplicates(signed, params)
    return dict(zip(removal.rows.tolist(), np.asarray(removal.duplicate_of).tolist(), strict=True))


def _components(links: np.ndarray, size: int) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def oracle(crude: Crude) -> Outcome:
    """What a person who knew every fault would make: no planted row, no copy, the true labels."""
    mine = crude.side.filter((pl.col("id") == pl.col("origin")) & pl.col("fault").is_in(["", "flip"]))
    return Outcome(frozenset(mine["id"]), dict(zip(mine["id"], mine["truth"], strict=True)))


def faults_out(crude: Crude) -> Outcome:
    """What perfect removal would make: no row with a fault, no copy, no label put right."""
    return Outcome(frozenset(crude.side.filter(pl.col("fault") == "")["id"]))


def labels_of(crude: Crude, made: Outcome) -> list[str]:
    """The label of every row of the set after an outcome."""
    return [made.labels.get(row, label) for row, label in crude.rows.select("id", "label").iter_rows()]


def positions(crude: Crude, kept: Collection[str]) -> np.ndarray:
    """Where rows stand in the set (int64 [m], ascending)."""
    return np.flatnonzero(crude.rows["id"].is_in(list(kept)).to_numpy())
