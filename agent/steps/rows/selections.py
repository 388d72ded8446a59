"""The choices of rows by which a run can end with what its user wants: so many rows, or so few in doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ....state.params.selection import LoopStrategy, SelectParams
from ....state.report import SelectionName
from ....state.rows import Removal
from ....tools.judge.coreset import Bounds, at_large, in_proportion, nearness, representative
from ....tools.judge.selection.choose import chosen as chosen_by
from ...decide.caps import synthetic_bound
from ...decide.person import pinned
from ...decide.suspects import IN_DOUBT, by_fault, doubts
from ...view import View
from ..probed import codes_of, learns_labels
from ..quality.lessons import held_out_endorsed

#: Rows that stay of a class, on average, from which on they are many: then hard rows teach more than easy ones.
MANY = 100


@dataclass(frozen=True)
class Choice:
    """Rows that may stay (positions, uint32 [n], ascending), and how the others would go."""

    name: SelectionName
    rows: np.ndarray
    removals: tuple[Removal, ...]


@dataclass(frozen=True)
class Plan:
    """The kept training rows (positions, uint32 [n]), which of them are in doubt (bool [n]; None: there is no
    evidence), and the choices of the same size; none where no row has to go.

    ``asked``: the choice that the user has asked for by name, and that is taken whatever the probes say.
    """

    kept: np.ndarray
    in_doubt: np.ndarray | None
    choices: tuple[Choice, ...] = ()
    asked: SelectionName | None = None

    def doubted(self, rows: np.ndarray) -> int | None:
        """How many of positions (uint32 [m]) are in doubt; None where there is no evidence."""
        return None if self.in_doubt is None else int(np.isin(self.kept[self.in_doubt], rows).sum())


def plan(view: View) -> Plan:
    """The choices for a view, the same for loop and audit."""
    if "outcome" not in view.memo:
        view.memo["outcome"] = _plan(view)
    found: Plan = view.memo["outcome"]
    return found


def _plan(view: View) -> Plan:
    kept, wanted = view.kept(), view.config.outcome
    found = doubts(view, kept)
    rows = _Rows.of(view, kept, found)
    keep = len(kept) if wanted.keep is None else wanted.keep
    noise, stays = _most_suspect(view, rows, keep, wanted.target_noise)
    left = rows.only(stays)
    if len(left.rows) > keep:
        choices, asked = _to_size(view, left, keep, noise)
    elif noise:
        size = len(left.rows)
        choices = (Choice("suspicion", left.rows, noise), _random(view, rows, size, ()))
        asked = "suspicion"
    else:
        choices, asked = (), None
    return Plan(kept, rows.in_doubt, choices, asked)


@dataclass(frozen=True)
class _Rows:
    """Rows to choose among (positions, uint32 [n]), and what is known of each: what speaks against it (float64 [n] and
    the table of ``doubts``, None where there is no evidence), its class and its source (int [n], −1 for none), whether
    a person keeps it and whether a language model wrote it (bool [n])."""

    rows: np.ndarray
    found: pl.DataFrame | None
    classes: np.ndarray
    sources: np.ndarray
    fixed: np.ndarray
    written: np.ndarray

    @classmethod
    def of(cls, view: View, rows: np.ndarray, found: pl.DataFrame | None) -> _Rows:
        """Positions, uint32 [n], ascending, with what the evidence says of them."""
        none, sources = np.full(len(rows), -1), view.sources()
        return cls(
            rows,
            found,
            codes_of(view, rows) if learns_labels(view, rows) else none,
            none if sources is None else sources.gather(rows).rank("dense").cast(pl.Int64).fill_null(-1).to_numpy(),
            np.isin(rows, pinned(view)),
            rows >= view.values.ingested,
        )

    def only(self, stays: np.ndarray) -> _Rows:
        """Some of them, bool [n]."""
        found = None if self.found is None else self.found.filter(pl.Series(stays))
        parts = (self.classes, self.sources, self.fixed, self.written)
        return _Rows(self.rows[stays], found, *(part[stays] for part in parts))

    @property
    def in_doubt(self) -> np.ndarray | None:
        """Which the evidence puts in doubt, bool [n]."""
        return None if self.found is None else self.found["doubt"].to_numpy() >= 1

    def bounds(self, total: int) -> Bounds:
        """What holds when ``total`` of them stay: classes shrink in proportion, real and synthetic rows apart."""
        strata = np.unique(np.stack([self.classes, self.written]), axis=1, return_inverse=True)[1].ravel()
        return Bounds(total, strata, (self.classes, self.sources), self.fixed)


def _most_suspect(view: View, rows: _Rows, keep: int, target: float | None) -> tuple[tuple[Removal, ...], np.ndarray]:
    """The rows that go so that at most the share ``target`` of those that stay, ``keep`` at most, is in doubt, the most
    suspect first; and which stay, bool [n].

    The best row of every class and of every source stays.
    """
    stays = np.ones(len(rows.rows), dtype=bool)
    if target is None or rows.found is None or rows.in_doubt is None:
        return (), stays
    doubt, in_doubt = rows.found["doubt"].to_numpy(), int(rows.in_doubt.sum())
    may_go = rows.in_doubt & ~rows.bounds(0).best_fixed(-doubt)
    number = np.arange(in_doubt + 1)  # that go: those in doubt that are left must be few enough of all that are left
    enough = in_doubt - number <= target * np.minimum(keep, len(stays) - number) + 1e-9
    order = np.flatnonzero(may_go)
    goes = order[np.lexsort((order, -doubt[order]))][: int(enough.argmax())]
    stays[goes] = False
    return _by_evidence(view, rows.only(~stays)), stays


def _by_evidence(view: View, rows: _Rows) -> tuple[Removal, ...]:
    """Rows in doubt as they would go by the evidence of its kind that speaks against them most."""
    found, removals = rows.found, list[Removal]()
    assert found is not None
    for kind, limit in IN_DOUBT.items():
        mine = found.filter(pl.col("kind") == kind)
        if mine.height:
            removal = Removal(kind, mine["row"].to_numpy(), mine["figure"].to_numpy(), limit)
            removals += by_fault(view.frame("evidence"), removal)
    return tuple(removals)


def _to_size(
    view: View, rows: _Rows, keep: int, noise: tuple[Removal, ...]
) -> tuple[tuple[Choice, ...], SelectionName | None]:
    """The choices of ``keep`` rows, and the one that is asked for by name; ``noise`` goes before."""
    bounds, found = rows.bounds(keep), list[Choice]()
    vectors = np.asarray(view.array("vectors"))[np.isin(view.array("pool"), rows.rows)]
    clusters = _clusters(view, rows.rows)
    typical = clusters["similarity"].to_numpy()
    liked = _endorsed(view)
    if liked is not None:
        near = nearness(vectors, liked)
        found.append(_choice(view, rows, "endorsed", at_large(near, bounds), near, near, noise))
    if rows.found is not None:
        doubt, figure = rows.found["doubt"].to_numpy(), rows.found["figure"].cast(pl.Float64).to_numpy()
        # Of rows that are as suspect some go by lot: by place, the last of the file would.
        rank = np.empty(len(doubt))
        rank[np.lexsort((_lot(view, rows), doubt))] = -np.arange(len(doubt))
        found.append(_choice(view, rows, "suspicion", in_proportion(rank, bounds), rank, figure, noise))
    best = typical if rows.found is None else -rows.found["doubt"].to_numpy()
    fixed = bounds.best_fixed(best)
    chosen, nearest = representative(vectors, clusters["cluster"].to_numpy(), bounds, fixed, view.seed(12))
    found.append(_choice(view, rows, "representative", chosen, -nearest, nearest, noise))
    lot = _lot(view, rows)
    for name in dict.fromkeys([_hard_or_easy(rows, clusters, keep), *view.config.outcome.strategies]):
        first = _by_strategy(view, vectors, clusters, keep, name)
        rank = first + lot / 2
        found.append(_choice(view, rows, name, in_proportion(rank, bounds), rank, None, noise))
    found.append(_random(view, rows, keep, noise))
    return tuple(found), None if liked is None else "endorsed"


def _hard_or_easy(rows: _Rows, clusters: pl.DataFrame, keep: int) -> LoopStrategy:
    """Rows far from their centroid where many stay of a class, else those near to it (Sorscher et al. 2022).

    What is many depends on the data and the model; the probes are asked whether the choice was right. Rows without
    labels go by their clusters.
    """
    parts = rows.classes if rows.classes.max(initial=-1) >= 0 else clusters["cluster"].to_numpy()
    return "furthest" if keep >= MANY * len(np.unique(parts)) else "closest"


def _by_strategy(view: View, vectors: np.ndarray, clusters: pl.DataFrame, keep: int, name: LoopStrategy) -> np.ndarray:
    """1 for the ``keep`` rows that a strategy would choose if no bound held, else 0: float64 [n]."""
    columns = pl.Series("vector", vectors, dtype=pl.Array(pl.Float32, vectors.shape[1])), clusters["cluster"]
    params = SelectParams(strategy=name, keep=keep)
    first = np.zeros(len(vectors))
    first[chosen_by(pl.DataFrame(columns), params, view.seed(12, 2))] = 1.0
    return first


def _random(view: View, rows: _Rows, keep: int, noise: tuple[Removal, ...]) -> Choice:
    """So many rows by lot, under the same bounds."""
    lot = _lot(view, rows)
    return _choice(view, rows, "random", in_proportion(lot, rows.bounds(keep)), lot, None, noise)


def _lot(view: View, rows: _Rows) -> np.ndarray:
    """A lot for each row, float64 [n] in [0, 1)."""
    return np.random.default_rng(view.seed(12, 1)).random(len(rows.rows))


def _choice(
    view: View,
    rows: _Rows,
    name: SelectionName,
    chosen: np.ndarray,
    rank: np.ndarray,
    score: np.ndarray | None,
    noise: tuple[Removal, ...],
) -> Choice:
    """A choice of rows (bool [n]), less the synthetic ones that are too many beside the real ones, the lowest in
    ``rank`` (float64 [n]). ``score``: what is noted of a row that goes."""
    chosen = chosen.copy()
    synthetic = np.flatnonzero(chosen & rows.written)
    most = synthetic_bound(int((chosen & ~rows.written).sum()), view.config.caps.synthetic_fraction)
    chosen[synthetic[np.lexsort((synthetic, -rank[synthetic]))][most:]] = False
    noted = None if score is None else score[~chosen]
    goes = Removal(f"over_keep_{name}", rows.rows[~chosen], noted)
    return Choice(name, rows.rows[chosen], (*noise, goes) if len(goes.rows) else noise)


def _clusters(view: View, rows: np.ndarray) -> pl.DataFrame:
    """``cluster`` and ``similarity`` to its centroid of positions (uint32 [n]); noise is a cluster and like nothing."""
    found = pl.DataFrame({"row": rows}).join(view.frame("assignments"), on="row", how="left", maintain_order="left")
    return found.select(pl.col("cluster").fill_null(-1), pl.col("similarity").fill_nan(None).fill_null(0.0))


def _endorsed(view: View) -> np.ndarray | None:
    """Unit vectors of the endorsed rows but for those that are held out, float32 [m, d]; None where none are named."""
    if view.config.quality.like is None or not view.has("endorsed_vectors"):
        return None
    endorsed = np.asarray(view.array("endorsed_vectors"))
    return np.asarray(endorsed[~held_out_endorsed(view, endorsed)])
