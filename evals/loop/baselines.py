"""What single tools and a hand-written script make of a crude labelled set, and chance at the loop's size.

Each gives which rows it keeps, bool [n].
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.errors import MissingExtraError
from ...tools.text.clean import exact_duplicates
from .found import repeats
from .learners import folds_of, near_groups, out_of_fold

CLEANLAB, SEMHASH = OPTIONAL = ("cleanlab", "semhash")  # packages that need not be installed
DOUBTED = 0.15  # the own-label probability that a row must exceed


@dataclass(frozen=True)
class Rows:
    """A crude set as the baselines see it: texts (strings [n]), vectors (float32 [n, d]), labels (int64 [n])."""

    texts: pl.Series
    vectors: np.ndarray
    labels: np.ndarray
    seed: int


def exact_and_minhash(rows: Rows) -> np.ndarray:
    """Exact copies and near-duplicates (Jaccard of word 5-grams ≥ 0.8) of the text are out, bool [n]."""
    copies = exact_duplicates(rows.texts, np.arange(len(rows.texts), dtype=np.uint32)).rows
    kept = np.ones(len(rows.texts), dtype=bool)
    kept[copies] = False
    left = np.flatnonzero(kept)
    kept[left[list(repeats(rows.texts.gather(left)))]] = False
    return kept


def one_per_group(rows: Rows) -> np.ndarray:
    """Of rows that a cosine of 0.95 connects the first stays, bool [n]."""
    return _firsts(near_groups(rows.vectors), np.ones(len(rows.labels), dtype=bool))


def by_cleanlab(rows: Rows) -> np.ndarray:
    """What ``cleanlab.filter.find_label_issues`` finds is out (Northcutt, Jiang and Chuang 2021), bool [n].

    With its default settings and out-of-fold probabilities of logistic regression, C = 10, in five folds of rows.

    Raises:
        MissingExtraError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise MissingExtraError("cleanlab is not installed: `pip install cleanlab`") from error
    folds = folds_of(np.arange(len(rows.labels)), rows.seed)
    found = out_of_fold(rows.vectors, rows.labels, folds, (10.0,))
    # It divides by what a row's probabilities sum to, and those of a class that a fold lacks may be all there was.
    found = np.maximum(found, 1e-12)
    issues = find_label_issues(rows.labels, found / found.sum(axis=1, keepdims=True), n_jobs=1)
    return ~np.asarray(issues, dtype=bool)


def by_semhash(rows: Rows) -> np.ndarray:
    """What ``SemHash.self_deduplicate`` leaves at its own threshold, a cosine of 0.9 (Van Dongen and Tulkens 2025).

    Bool [n]. On our vectors in the place of its static ones, and with its exact index in the place of an approximate
    one, so that all methods see the same and find the same again.

    Raises:
        MissingExtraError: semhash is not installed.
    """
    try:
        from semhash import SemHash
    except ImportError as error:
        raise MissingExtraError("semhash is not installed: `pip install semhash`") from error
    records = [{"text": text, "at": at} for at, text in enumerate(rows.texts.to_list())]
    index = SemHash.from_embeddings(rows.vectors, records, model=None, columns=["text"], ann_backend="basic")
    kept = np.zeros(len(records), dtype=bool)
    kept[[record["at"] for record in index.self_deduplicate().selected]] = True
    return kept


def by_own_probability(rows: Rows) -> np.ndarray:
    """Rows whose own label has at most 0.15 are out, and all but the first of each group at cosine 0.95, bool [n].

    Out-of-fold probabilities, the mean of logistic regressions with C = 1 and 10, with the rows of a group in one fold,
    because a copy in the other folds vouches for the wrong label of its twin.
    """
    groups = near_groups(rows.vectors)
    found = out_of_fold(rows.vectors, rows.labels, folds_of(groups, rows.seed), (1.0, 10.0))
    return _firsts(groups, found[np.arange(len(rows.labels)), rows.labels] > DOUBTED)


def at_random(removed: int, rows: Rows) -> np.ndarray:
    """As many rows as ``removed`` are out, by chance, bool [n]."""
    kept = np.ones(len(rows.labels), dtype=bool)
    kept[np.random.default_rng(rows.seed).choice(len(kept), removed, replace=False)] = False
    return kept


def _firsts(groups: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The first row of each group ``among`` those that are left, bool [n]."""
    left = np.flatnonzero(among)
    kept = np.zeros(len(groups), dtype=bool)
    kept[left[np.unique(groups[left], return_index=True)[1]]] = True
    return kept


BASELINES: dict[str, Callable[[Rows], np.ndarray]] = {
    "exact + MinHash": exact_and_minhash,
    "one per group": one_per_group,
    SEMHASH: by_semhash,
    CLEANLAB: by_cleanlab,
    "own probability": by_own_probability,
}


def available() -> list[str]:
    """The baselines that can be measured here."""
    return [name for name in BASELINES if name not in OPTIONAL or importlib.util.find_spec(name)]
