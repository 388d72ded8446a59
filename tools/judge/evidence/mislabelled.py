"""Which labels the other rows do not bear out: evidence on every labelled row, from rows that are no copies of it.

Two views of a row's own label: its probability under a linear discriminant that was fitted without the row's group
(ranking by out-of-sample probability beats more complex detectors on real label errors in text, Chong et al. 2022),
and its share of the votes of the nearest neighbours (Wilson 1972; SimiFeat, Zhu et al. 2022). A row is doubted where
both doubt it. Where the labels of its neighbours agree no better than chance (junk: off-topic rows, gibberish and
boilerplate that carry whatever label) no label is borne out. How well is meant beside the row's own class, as the
thresholds of confident learning are (Northcutt et al. 2021, §3.1): the rows of a class of many kinds are all hard to
tell, and of a small one most of them would go.
"""

from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np
import polars as pl

from ...vectors.neighbors import NeighborGraph, nearest
from .discriminant import Labelled, discriminant, fit, log_odds, moments, probabilities, softmax
from .folds import FOLDS, group_folds
from .pairs import above_median

NEIGHBORS = 15
_SHARPNESS = 8.0  # a neighbour 0.1 further away in cosine has less than half the vote
_INFORMED = 0.1  # agreement of the neighbours' labels, chance set to 0, from which a label counts in full
_NEAREST = 5  # neighbours that tell how isolated a row is
_LIKELY = 0.5  # probability from which another class is named as the right one,
_UNITED = 0.2  # where the neighbours' labels agree as far (chance set to 0): junk has no right label
_FAR = 50.0  # a margin of log-odds from which it does not matter how far
_ABSENT = -1e6  # log-odds of a class of which the other folds have no row
_UNCERTAIN = 0.05  # added to shares whose logarithm is taken: of 15 votes none is no proof
SMALL_CLASS = 12  # rows below which an error cannot be told from a class's variety, unless another class claims the row


def like_groups(graph: NeighborGraph, groups: np.ndarray, cosine: float) -> np.ndarray:
    """``groups`` (integers [n]) joined where rows are neighbours above a cosine: integers [n].

    A copy in other folds would vouch for its copy's wrong label.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows, columns = np.nonzero((graph.similarities >= cosine) & (graph.indices >= 0))
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    ends = (
        np.concatenate([rows, np.arange(len(groups))]),
        np.concatenate([graph.indices[rows, columns], first[inverse]]),
    )
    links = coo_matrix((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(len(groups), len(groups)))
    return np.asarray(connected_components(links, directed=False)[1])


def isolation(graph: NeighborGraph, groups: np.ndarray) -> np.ndarray:
    """How far rows lie from their five nearest neighbours that are no copies, in robust deviations, float64 [n].

    The distance to nearest neighbours is the plainest outlier score (Ramaswamy et al. 2000); 0 is the set's median.
    """
    other = (graph.indices >= 0) & (groups[graph.indices] != groups[:, None])
    nearest_first = np.cumsum(other, axis=1)
    counted = other & (nearest_first <= _NEAREST)
    cosine = np.where(counted, graph.similarities, 0.0).sum(axis=1) / np.maximum(1, counted.sum(axis=1))
    return above_median(-cosine.astype(np.float64))


def label_evidence(
    vectors: np.ndarray, labels: pl.Series, groups: np.ndarray, graph: NeighborGraph, seed: int
) -> pl.DataFrame:
    """The evidence on each row's label.

    Args:
        vectors: float32 [n, d], unit length.
        labels: strings [n]; null where a row has none.
        groups: integers [n]; rows of one group say nothing of one another.
        graph: the neighbours among the rows.
        seed: of the folds.

    Returns:
        [n] rows, null where a row has no label: ``own_probability``, ``own_vote``, ``agreement`` of the neighbours'
        labels (1 all alike, 0 as by chance), ``label_support`` in [0, 1], ``label_margin`` (see there; below 0 another
        class is likelier), ``other_label`` and ``other_probability`` (the class that both views prefer, null where they
        differ, or are unsure, or the neighbours are of many labels). In a class of fewer than ``SMALL_CLASS`` rows a
        label is borne out unless there is such another.
    """
    known = labels.is_not_null().to_numpy()
    names = labels.drop_nulls().unique().sort()
    codes = np.full(len(labels), -1)
    codes[known] = labels.drop_nulls().replace_strict(names, pl.Series(range(len(names)), dtype=pl.Int64)).to_numpy()
    own, other, sure, borne_out, lead, vote, agreement = (np.full(len(labels), np.nan) for _ in range(7))
    agree = np.zeros(len(labels), dtype=bool)
    if len(names) > 1:
        at = np.flatnonzero(known)
        own[at], other[at], sure[at], margin = _out_of_fold(vectors, codes, groups, at, len(names), seed)
        near = graph.indices[at]
        theirs = np.where((near >= 0) & (groups[near] != groups[at][:, None]), codes[near], -1)
        voted = votes(codes[at], theirs, graph.similarities[at], chance_agreement(codes[at]))
        vote[at], agreement[at] = voted.own, voted.agreement
        agree[at] = (other[at] == voted.elected) & (sure[at] >= _LIKELY) & (voted.agreement >= _UNITED)
        small = np.bincount(codes[at], minlength=len(names))[codes[at]] < SMALL_CLASS
        spared = small & ~agree[at]
        borne_out[at] = np.where(spared, 1.0, relative_to_class(support(own[at], voted), codes[at]))
        together = label_margin(margin, voted, codes[at])
        lead[at] = np.where(spared, np.maximum(together, 0.0), together)
    other_names = names.gather(np.where(agree, np.nan_to_num(other), 0).astype(np.int64))
    figures = {
        "own_probability": own, "own_vote": vote, "agreement": agreement, "label_support": borne_out,
        "label_margin": lead, "other_probability": np.where(agree, sure, np.nan),
    }  # fmt: skip
    frame = pl.DataFrame({name: value.astype(np.float32) for name, value in figures.items()}).fill_nan(None)
    nobody = pl.Series([None] * len(labels), dtype=pl.String)
    return frame.with_columns(other_label=other_names.zip_with(pl.Series(agree), nobody))


def _out_of_fold(
    vectors: np.ndarray, codes: np.ndarray, groups: np.ndarray, at: np.ndarray, classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For the labelled rows ``at`` [m]: the own class's probability, the likeliest other class, its own, and by how
    much the log-odds of the former exceed those of the latter."""
    folds = group_folds(groups[at], FOLDS, seed)
    own, other, sure, margin = np.ones(len(at)), *np.zeros((3, len(at)))
    parts = [moments(vectors[at[folds == fold]], codes[at[folds == fold]], classes) for fold in range(FOLDS)]
    for fold in range(FOLDS):
        out = np.flatnonzero(folds == fold)
        if not len(out) or len(out) == len(at):
            continue
        rest = reduce(or_, [part for other, part in enumerate(parts) if other != fold])
        odds = log_odds(discriminant(rest), vectors[at[out]])
        found, rows, mine = softmax(odds), np.arange(len(out)), codes[at[out]]
        odds = np.nan_to_num(odds, neginf=_ABSENT)
        own[out], margin[out] = found[rows, mine], odds[rows, mine]
        odds[rows, mine] = -np.inf
        likeliest = odds.argmax(axis=1)
        other[out], sure[out] = likeliest, found[rows, likeliest]
        margin[out] = np.clip(margin[out] - odds[rows, likeliest], -_FAR, _FAR)
    return own, other, sure, margin


class Votes(NamedTuple):
    """What the neighbours say of rows [m]: the share of the votes for the own class, the class elected among the
    others (−1: none), and how far their labels agree beyond chance; NaN where a row has no neighbour that counts."""

    own: np.ndarray
    elected: np.ndarray
    agreement: np.ndarray


def votes(codes: np.ndarray, theirs: np.ndarray, cosines: np.ndarray, chance: float) -> Votes:
    """The votes of the nearest neighbours, weighted by how near they are.

    Args:
        codes: the class of each row, integers [m].
        theirs: the classes of its neighbours, integers [m, k]; −1 where one does not count.
        cosines: their similarity, float32 [m, k].
        chance: how often two rows drawn at random have one label.
    """
    counts = theirs >= 0
    nearest = np.where(counts, cosines, -1.0).max(axis=1, keepdims=True)
    weight = np.where(counts, np.exp(_SHARPNESS * (cosines - nearest)), 0.0)
    total = weight.sum(axis=1)
    own, best, elected, pairs = (np.zeros(len(codes)) for _ in range(4))
    elected -= 1.0
    for column in range(theirs.shape[1]):  # the k neighbours, not the rows
        there = counts[:, column]
        same = counts & (theirs == theirs[:, column : column + 1])
        held = np.where(there, (weight * same).sum(axis=1), 0.0)
        mine = theirs[:, column] == codes
        own = np.where(mine & there, held, own)
        better = ~mine & (held > best)
        best, elected = np.where(better, held, best), np.where(better, theirs[:, column], elected)
        pairs += np.where(there, same.sum(axis=1) - 1, 0)
    neighbours = counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = (pairs / (neighbours * (neighbours - 1)) - chance) / (1.0 - chance)
        return Votes(np.where(total > 0, own / total, np.nan), elected, np.where(neighbours > 1, agreement, np.nan))


def chance_agreement(codes: np.ndarray) -> float:
    """How often two rows drawn at random have one label; ``codes`` integers [n]."""
    shares = np.bincount(codes) / max(1, len(codes))
    return float((shares**2).sum())


def held_out_support(known: Labelled, held_out: Labelled) -> np.ndarray:
    """How well the labels of held-out rows are borne out by ``known`` rows, none of them a copy: float64 [m] in [0, 1].

    The ``label_support`` of ``label_evidence``, from all known rows at once.
    """
    classes = int(max(known.labels.max(initial=0), held_out.labels.max(initial=0))) + 1
    found = probabilities(fit(known.vectors, known.labels, classes), np.asarray(held_out.vectors))
    own = found[np.arange(len(found)), held_out.labels].astype(np.float64)
    near, cosines = nearest(known.vectors, held_out.vectors, NEIGHBORS)
    theirs = np.where(near >= 0, known.labels[near], -1)
    voted = votes(held_out.labels, theirs, cosines, chance_agreement(known.labels))
    return relative_to_class(support(own, voted), held_out.labels)


def support(own: np.ndarray, voted: Votes) -> np.ndarray:
    """The better of the two views, less where the neighbours' labels agree no better than chance: float64 [m].

    ``own``: the probability of the row's label, float [m]; ``voted``: what its neighbours say.
    """
    vote = np.where(np.isnan(voted.own), own, voted.own)
    return np.asarray(np.maximum(own, vote) * np.clip(np.nan_to_num(voted.agreement, nan=1.0) / _INFORMED, 0.0, 1.0))


def label_margin(margin: np.ndarray, voted: Votes, codes: np.ndarray) -> np.ndarray:
    """By how much the log-odds of a row's class exceed those of the likeliest other, both views taken together, beside
    its class: float64 [m].

    The margin of a row's own label ranks label errors (Northcutt et al. 2021, of probabilities). Views add up as
    independent evidence does, the neighbours at half weight, for both read the same vectors. A class whose median is
    lower than that of all is raised to it, as for ``label_support``.

    Args:
        margin: that of the model, float64 [m].
        voted: what the neighbours say.
        codes: the class of each row, integers [m].
    """
    vote = np.where(np.isnan(voted.own), 0.5, voted.own)
    agreement = np.clip(np.nan_to_num(voted.agreement, nan=1.0) / _INFORMED, 0.0, 1.0)
    together = margin + 0.5 * np.log((vote + _UNCERTAIN) / (1.0 - vote + _UNCERTAIN))
    raised = together + np.maximum(0.0, np.median(together) - _class_medians(together, codes))
    return np.asarray(raised + 0.5 * np.log(agreement + _UNCERTAIN))


def _class_medians(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The median of each row's class, float64 [n]; ``values`` float64 [n], ``codes`` integers [n]."""
    rows = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes))[:-1]
    medians = np.array([np.median(part) if len(part) else 0.0 for part in np.split(values[rows], ends)])
    return np.asarray(medians[codes])


def relative_to_class(borne_out: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The support of labels (float64 [n]) as if the median of its class (integers [n]) were that of all, where it is
    lower: float64 [n], 1 at most."""
    typical, usual = _class_medians(borne_out, codes), np.median(borne_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        raised = np.where(typical > 0, borne_out * (usual / typical), 1.0)
    return np.where(typical < usual, np.minimum(raised, 1.0), borne_out)


def support_of_views(own: np.ndarray, vote: np.ndarray, agreement: np.ndarray) -> np.ndarray:
    """``label_support`` of its parts (float [n] each, NaN for none), small classes judged like others: float64 [n]."""
    return support(own, Votes(vote, np.full(len(vote), -1.0), agreement))
