"""Labels by a classifier that the rules teach, for the rows that they leave open: weak supervision.

Keywords are labelling functions (Ratner et al. 2017, "Snorkel"): cheap, incomplete, sometimes wrong. The rows that they
are sure of teach a multinomial logistic regression on the vectors. Each keyword of a name counts as much as the next,
and each name as the next, for a name is more than its commonest word. Keywords of which one is part of the other (card,
cards, credit card) count as one: they are mostly forms of a word.

From where on it is sure is learned from rows that did not teach it. Rows left out by lot would say little: the
classifier learns the keywords first of all, and is sure of itself wherever they stand (the label bias of seed words,
Dong et al. 2023, arXiv 2305.14794), and in the rows to be labelled none of them does. So whole keywords are left out:
it is tried on rows that only they tell, and taught by rows in which none of them stands. What counts as right is what
the rules say, so that their own errors make it look worse than it is. That a precision so estimated nearly holds on
truth is this product's own finding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from ...state.values import LabelLesson
from .evidence.folds import FOLDS
from .labels import standing
from .learned import probabilities
from .taxonomy import Entry

FEWEST_KEYWORDS, FEWEST_ROWS = 2, 10  # that tell a name, none part of another; and rows that each of them stands in

_STRENGTH = 1.0  # C of the regression
_MOST_EXAMPLES = 10_000  # it learns from; more are drawn by lot, by what they count
_ONE_SIDED = 1.645  # standard errors below which a true share lies once in twenty


class _Examples(NamedTuple):
    """Rows that the rules labelled: which, integers [n], the number of the name of each, integers [n], which of all
    families of keywords stand there and tell that name, bool [n, families], and which name each tells, [families].
    """

    rows: np.ndarray
    names: np.ndarray
    standing: np.ndarray
    owner: np.ndarray

    def of(self, some: np.ndarray) -> "_Examples":
        """Some of them, by indices or mask."""
        return self._replace(rows=self.rows[some], names=self.names[some], standing=self.standing[some])


def by_classifier(
    text: pl.Series, vectors: np.ndarray, given: pl.Series, entries: Sequence[Entry], precision: float, seed: int
) -> tuple[pl.Series, LabelLesson]:
    """Names for rows in which no keyword stands, where the classifier is sure.

    Those in which keywords of several names stand are left open: they are unlike any row that it is tried on, and lie
    between names. So are those that say nothing, whatever vector they have.

    Args:
        text: strings [n], null where there is none.
        vectors: float32 [n, d], of unit length.
        given: what the rules gave each row, one name of ``entries`` or null: strings [n].
        entries: the names of one part of the taxonomy.
        precision: the share of the labels that must be right: the margin is the lowest past which the share of the
            tried rows that are named as the rules do is as high, at its lower bound of 95 % (Wilson 1927).
        seed: of the lot.

    Returns:
        Strings [n], null where a row had a name or gets none; and what was learned. It labels nothing where fewer than
        two names can be told (``FEWEST_KEYWORDS``, ``FEWEST_ROWS``), where no row can be tried, or where it is never as
        precise.
    """
    examples = _examples(text, given, entries)
    told = _told(examples, len(entries))
    left_out = tuple(entry.name for entry, known in zip(entries, told, strict=True) if not known)
    refused = LabelLesson(examples=len(examples.names), left_out=left_out, judged=0, margin=None, right=None)
    nothing = pl.Series([None] * len(text), dtype=pl.String)
    if told.sum() < 2:
        return nothing, refused
    examples = _drawn(examples, seed)
    lead, right = _tried(examples, vectors, told)
    margin, share = _margin(lead, right, precision)
    if margin is None:
        return nothing, refused.model_copy(update={"judged": len(lead)})
    found = np.full(len(text), -1)
    says = text.fill_null("").str.strip_chars() != ""
    asked = (given.is_null() & says).arg_true().to_numpy()
    for entry in entries:
        asked = asked[~standing(text.gather(asked), entry).any(axis=1)]
    if len(asked):
        likely, lead = _said(examples, vectors, asked, len(told))
        found[asked] = np.where(told[likely] & (lead >= margin), likely, -1)
    names = pl.Series([entry.name for entry in entries], dtype=pl.String)
    labels = names.gather(np.maximum(found, 0)).zip_with(pl.Series(found >= 0), nothing)
    return labels, LabelLesson(
        examples=refused.examples, left_out=left_out, judged=len(right), margin=margin, right=share
    )


def _examples(text: pl.Series, given: pl.Series, entries: Sequence[Entry]) -> _Examples:
    """The rows with a name."""
    known = np.flatnonzero(given.is_not_null().to_numpy())
    number = {entry.name: at for at, entry in enumerate(entries)}
    names = given.gather(known).replace_strict(number, return_dtype=pl.Int64).to_numpy()
    families = [_families(entry.keywords) for entry in entries]
    owner = np.repeat(np.arange(len(entries)), [len(set(family)) for family in families])
    told = np.zeros((len(known), len(owner)), dtype=bool)
    for at, entry in enumerate(entries):
        own, columns = np.flatnonzero(names == at), np.flatnonzero(owner == at)
        stands = standing(text.gather(known[own]), entry)
        for family, column in enumerate(columns):
            told[own, column] = stands[:, families[at] == family].any(axis=1)
    return _Examples(known, names, told, owner)


def _families(keywords: Sequence[str]) -> np.ndarray:
    """The family of each keyword: those are one of which one is part of the other (card, cards, credit card), or that
    have such a one between them: integers [keywords] from 0 on."""
    from scipy.sparse.csgraph import connected_components

    folded = [word.casefold() for word in keywords]
    if not folded:
        return np.zeros(0, dtype=np.int32)
    return np.asarray(connected_components(np.array([[one in other for other in folded] for one in folded]))[1])


def _told(examples: _Examples, names: int) -> np.ndarray:
    """Which names enough keywords tell: bool [names]."""
    often = examples.standing.sum(axis=0) >= FEWEST_ROWS
    return np.asarray(np.bincount(examples.owner[often], minlength=names) >= FEWEST_KEYWORDS)


def _weights(examples: _Examples) -> np.ndarray:
    """How much each row counts, so that the keywords of a name count alike, and the names: float64 [n], mean 1."""
    sizes = np.maximum(1, examples.standing.sum(axis=0))
    each = np.einsum("nf,f->n", examples.standing, 1 / sizes)  # in parts: a product would first copy all as float64
    alike = each / np.bincount(examples.names, weights=each)[examples.names]
    return np.asarray(alike / alike.mean())


def _drawn(examples: _Examples, seed: int) -> _Examples:
    """So many of them as are learned from."""
    if len(examples.names) <= _MOST_EXAMPLES:
        return examples
    chances = _weights(examples) / len(examples.names)
    drawn = np.random.default_rng(seed).choice(len(chances), _MOST_EXAMPLES, replace=False, p=chances)
    return examples.of(np.sort(drawn))


def _tried(examples: _Examples, vectors: np.ndarray, told: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much a name leads in each row that was tried, float64 [m], and whether it is that of the rules, bool [m].

    The families of each name that can be ``told`` (bool [names]) are dealt to the folds in the order of how many rows
    they stand in, beginning at another fold than those of the name before. Rows of other names always teach. A fold
    without which fewer than two names are taught is not tried: whoever knows one name is always sure of it.
    """
    sizes = examples.standing.sum(axis=0)
    fold = np.full(len(sizes), -1)
    for name in np.flatnonzero(told):
        own = np.flatnonzero((examples.owner == name) & (sizes > 0))
        fold[own[np.argsort(-sizes[own], kind="stable")]] = (np.arange(len(own)) + name) % FOLDS
    touched = np.stack([examples.standing[:, fold == part].any(axis=1) for part in range(FOLDS)], axis=1)
    leads, rights = list[np.ndarray](), list[np.ndarray]()
    for part in range(FOLDS):
        tried, taught = touched[:, part] & (touched.sum(axis=1) == 1), examples.of(~touched[:, part])
        if tried.any() and len(np.unique(taught.names)) >= 2:
            likely, lead = _said(taught, vectors, examples.rows[tried], len(told))
            counts = told[likely]  # what it would never give has no part in how precise it is
            leads.append(lead[counts])
            rights.append((likely == examples.names[tried])[counts])
    return np.concatenate([np.zeros(0), *leads]), np.concatenate([np.zeros(0, dtype=bool), *rights])


def _said(examples: _Examples, vectors: np.ndarray, asked: np.ndarray, names: int) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest name of each of the rows ``asked`` (integers [m]) by what the examples teach, integers [m], and its
    lead over the second, float64 [m], to six places: rows that are alike lead alike, and the margin is one of them."""
    taught = vectors[examples.rows]
    found = probabilities(taught, examples.names, vectors[asked], names, _STRENGTH, _weights(examples))
    *_, second, first = np.sort(found, axis=1).T
    return found.argmax(axis=1), np.round((first - second).astype(np.float64), 6)


def _margin(lead: np.ndarray, right: np.ndarray, precision: float) -> tuple[float | None, float | None]:
    """The lowest lead from which on the tried rows (``right``, bool [m]) are as precise, and how precise they are.

    Rows of one lead are counted together, for they are labelled together.
    """
    order = np.argsort(-lead)
    last = np.flatnonzero(np.diff(lead[order], append=-1.0))  # of those that lead by as much
    share = np.cumsum(right[order])[last] / (last + 1)
    good = np.flatnonzero(_lower_bound(share, last + 1) >= precision)
    if not len(good):
        return None, None
    return float(lead[order][last[good[-1]]]), round(float(share[good[-1]]), 6)


def _lower_bound(share: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Below which a share of so many rows lies once in twenty (the score interval, Wilson 1927): float64 [m]."""
    spread = _ONE_SIDED**2 / of
    middle = share + spread / 2
    return np.asarray((middle - np.sqrt(spread * (share * (1 - share) + spread / 4))) / (1 + spread))
