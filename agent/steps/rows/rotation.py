"""The kept rows as held-out rows in turn, so that an action is looked at on every labelled row and not on a fifth.

Cross-validation of the whole action (Stone 1974; Hastie et al. 2009, §7.10.2: what selects rows is part of the method
and is fitted anew in every fold). In each of five folds of whole groups the evidence is gathered from the other four
alone, the action goes by that evidence, and the probes of what it leaves are held against the fold. An action whose
selection reads no label is the same in every fold. The spread of the differences is taken as if rows were independent,
which folds that share training rows are not quite (Bengio & Grandvalet 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

import numpy as np
import polars as pl

from ....state.actions import LOW_IF_SUSPECT, Action, Relabel, RemoveSuspects
from ....state.rows import kept_rows
from ....tools.judge.evidence.discriminant import (
    Moments,
    discriminant,
    moments,
    predicted,
    probabilities,
    updated,
)
from ....tools.judge.evidence.folds import FOLDS, group_folds
from ....tools.judge.evidence.mislabelled import (
    chance_agreement,
    label_evidence,
    like_groups,
    relative_to_class,
    support,
    votes,
)
from ....tools.vectors.neighbors import NeighborGraph, nearest_among, restrict
from ...decide.person import pinned
from ...decide.suspects import most_suspect, past_limit
from ...view import View
from ..measured import KeptRows
from ..probed import codes_of, row_groups
from .evidence import CONFIRMED, LIKE
from .removals import LedgerChange

MOST_ROWS = 20_000  # above, the anchor alone has power enough


@dataclass(frozen=True)
class Fold:
    """One fold: who is held out and who is learned from (bool [n]), and the evidence on the latter, in their order."""

    held: np.ndarray
    known: np.ndarray
    evidence: pl.DataFrame


@dataclass(frozen=True)
class Rotation:
    """The kept rows that have a label, and what is needed to hold each fold of them out.

    ``rows``: positions, uint32 [n]; ``codes``: their labels, integers [n]; ``names``: of the codes.
    """

    rows: np.ndarray
    vectors: np.ndarray
    graph: NeighborGraph
    codes: np.ndarray
    names: pl.Series
    folds: Sequence[Fold]
    wanted: int  # rows that are kept, with a label or without
    told: np.ndarray  # positions that a person keeps or labels, uint32

    @classmethod
    def of(cls, view: View) -> Rotation | None:
        """None where the probes learn no labels, or where there are so many rows that nobody needs it."""
        rows = rotated(view)
        if not len(rows):
            return None
        kept = KeptRows.of(view)
        there = np.isin(kept.rows, rows)
        graph, vectors = restrict(kept.graph, there), kept.vectors[there]
        labels = view.labels().gather(rows)
        names = labels.unique().sort()
        groups = like_groups(graph, row_groups(view, rows), LIKE)
        number = group_folds(groups, FOLDS, view.seed(9))
        folds = []
        for fold in range(FOLDS):
            known = number != fold
            among = restrict(graph, known)
            found = label_evidence(vectors[known], labels.filter(pl.Series(known)), groups[known], among, view.seed(8))
            folds.append(Fold(~known, known, found.insert_column(0, pl.Series("row", rows[known]))))
        codes = labels.replace_strict(names, pl.Series(range(len(names)), dtype=pl.Int64)).to_numpy()
        return cls(rows, vectors, graph, codes, names, folds, len(kept.rows), pinned(view))

    @cached_property
    def confirmed(self) -> np.ndarray:
        """Which rows the others bear out: bool [n]."""
        borne_out = np.zeros(len(self.rows))
        for fold, of in zip(self.folds, self._moments, strict=True):
            own = self.codes[fold.held]
            found = probabilities(discriminant(of), self.vectors[fold.held])[np.arange(len(own)), own]
            around = self.graph.indices[fold.held]
            theirs = np.where((around >= 0) & fold.known[around], self.codes[around], -1)
            chance = chance_agreement(self.codes[fold.known])
            voted = votes(own, theirs, self.graph.similarities[fold.held], chance)
            borne_out[fold.held] = support(found, voted)
        borne_out = relative_to_class(borne_out, self.codes)
        return np.asarray((borne_out >= CONFIRMED) | np.isin(self.rows, self.told))

    @cached_property
    def _moments(self) -> list[Moments]:
        """Of the rows that each fold learns from."""
        parts = [moments(self.vectors[fold.held], self.codes[fold.held], len(self.names)) for fold in self.folds]
        whole = reduce(or_, parts)
        return [whole.without(part) for part in parts]

    def as_they_stand(self) -> np.ndarray:
        """What the probes make of every row before anything is done: float64 [2, n] of 0 and 1."""
        return self._scores([(fold, fold.known, self.codes) for fold in self.folds])

    def after(self, action: Action, change: LedgerChange) -> np.ndarray:
        """What the probes make of every row once an action was carried out on the other folds: float64 [2, n]."""
        if isinstance(action, RemoveSuspects | Relabel) and _by_labels(action):
            return self._scores([(fold, *self._judged(fold, action)) for fold in self.folds])
        stays, codes = np.isin(self.rows, kept_rows(change.ledger)), self.codes
        if change.relabelled is not None:
            codes = self._named(change.relabelled.rename({"label": "other_label"}))
        return self._scores([(fold, fold.known & stays, codes) for fold in self.folds])

    def _judged(self, fold: Fold, action: RemoveSuspects | Relabel) -> tuple[np.ndarray, np.ndarray]:
        """The rows that an action leaves of those that a fold learns from (bool [n]), and all labels (integers [n])."""
        evidence = fold.evidence.filter(~pl.col("row").is_in(self.told))
        removal = past_limit(evidence, action)
        if action.target_rows is not None:  # as large a share as of all rows
            removal = most_suspect(removal, round((self.wanted - action.target_rows) * fold.known.mean()))
        codes, gone = self.codes, removal.rows
        if isinstance(action, Relabel):
            named = evidence.filter(pl.col("row").is_in(gone) & pl.col("other_label").is_not_null())
            codes = self._named(named)
            gone = np.setdiff1d(gone, named["row"].to_numpy())
        return fold.known & ~np.isin(self.rows, gone), codes

    def _named(self, named: pl.DataFrame) -> np.ndarray:
        """The labels (integers [n]) once rows (``row``) have others (``other_label``)."""
        mine = named.filter(pl.col("row").is_in(self.rows) & pl.col("other_label").is_in(self.names.implode()))
        codes = self.codes.copy()
        codes[np.searchsorted(self.rows, mine["row"])] = np.searchsorted(self.names, mine["other_label"])
        return codes

    def _scores(self, states: Sequence[tuple[Fold, np.ndarray, np.ndarray]]) -> np.ndarray:
        """Whether 1-NN and a discriminant find the labels of each fold's rows: float64 [2, n].

        ``states``: of each fold the rows learned from (bool [n]) and their labels (integers [n]).
        """
        right = np.zeros((2, len(self.rows)))
        for (fold, known, codes), whole in zip(states, self._moments, strict=True):
            own = self.codes[fold.held]
            right[0, fold.held] = codes[self._nearest(fold.held, known)] == own
            now = np.where(known, codes, -1)
            model = discriminant(updated(whole, self.vectors, np.where(fold.known, self.codes, -1), now))
            right[1, fold.held] = predicted(model, self.vectors[fold.held]) == own
        return right

    def _nearest(self, held: np.ndarray, known: np.ndarray) -> np.ndarray:
        """The nearest of the ``known`` rows to each of the ``held`` ones (bool [n] both): integers [held]."""
        near = NeighborGraph(self.graph.indices[held], self.graph.similarities[held])
        return nearest_among(near, self.vectors, self.vectors[held], known)[0].astype(np.int64)


def rotated(view: View) -> np.ndarray:
    """Positions of the kept rows that are held out in turn, uint32 [n], ascending."""
    kept = view.kept()
    if "nearest_neighbor" not in view.values.probes or len(kept) > MOST_ROWS:
        return kept[:0]
    return np.asarray(kept[codes_of(view, kept) >= 0])


def _by_labels(action: RemoveSuspects | Relabel) -> bool:
    """Whether what an action selects depends on labels."""
    return isinstance(action, Relabel) or action.by in LOW_IF_SUSPECT
