"""What is known of each cluster before anybody judges it: figures, terms and example rows.

The rules critic and a language model both read this report and nothing else. Rows appear as positions; of the
text only single words appear, the terms.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.params.rounds import CritiqueParams
from ...state.report import ClusterEvidence, ClusterReport
from .cluster import ClusterResult
from .neighbors import NeighborGraph
from .score import ClusterScores

#: Suspicion (``filters.strictness``) from which a row counts as low in quality: a quarter of the rules near a limit.
LOW_QUALITY = 0.25

_BLOCK = 8192  # rows held at a time
_CLASSES = 64  # classes whose words are counted at a time
_CHARACTERS = 2000  # of a text that are read for its terms
_LONGEST_TERM = 30
_DENSITY_NEIGHBORS = 10
_CONTRACTION = r"\p{L}+n['’]t\b|['’](?:s|ve|ll|re)\b"  # the English stop words list none of what these leave


def class_tfidf(
    text: pl.Series, labels: np.ndarray, top: int = 8, max_rows_per_cluster: int = 500
) -> dict[int, tuple[str, ...]]:
    """The terms that set each class apart from the others, best first; noise (-1) is a class like any other.

    Class-based TF-IDF (Grootendorst 2022, BERTopic, eq. 1): a term's count in the class times log(1 + A / its count
    in all classes), A being the mean number of terms in a class. Terms are lower-case runs of 2 to 30 letters that
    are no English stop words, so no digit, mark-up or control character can appear. Read are the first 2,000
    characters of ``max_rows_per_cluster`` rows of each class, evenly spaced.

    Args:
        text: strings [n], null where there is none; ``labels``: int [n].
    """
    order = np.argsort(labels, kind="stable")
    classes, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    counted = []
    for begin in range(0, len(classes), _CLASSES):
        several = slice(begin, begin + _CLASSES)
        read = np.minimum(sizes[several], max_rows_per_cluster)
        spans = zip(starts[several], sizes[several], read, strict=True)
        place = np.concatenate([start + np.arange(few) * size // few for start, size, few in spans])
        counted.append(_term_counts(text.gather(order[place]), np.repeat(classes[several], read)))
    terms = pl.concat([pl.DataFrame(schema={"class": pl.Int64, "term": pl.String, "n": pl.Int64}), *counted])
    mean_terms = terms["n"].sum() / max(1, len(classes))
    best = (
        terms.with_columns(weight=pl.col("n") * (1 + mean_terms / pl.col("n").sum().over("term")).log())
        .sort("class", "weight", "term", descending=[False, True, False])
        .group_by("class", maintain_order=True)
        .agg(pl.col("term").head(top))
    )
    found = {label: tuple(words) for label, words in best.iter_rows()}
    return {int(label): found.get(int(label), ()) for label in classes}


def _term_counts(text: pl.Series, labels: np.ndarray) -> pl.DataFrame:
    """How often each term stands in each class: columns ``class`` (int64), ``term``, ``n`` (int64)."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    lower = pl.col("term").str.slice(0, _CHARACTERS).str.to_lowercase()
    words = lower.str.replace_all(_CONTRACTION, " ").str.extract_all(r"\p{L}[\p{L}\p{M}]+")
    return (
        pl.DataFrame({"class": labels.astype(np.int64), "term": text.cast(pl.String)})
        .lazy()
        .with_columns(words)
        .explode("term")
        .drop_nulls()
        .filter(pl.col("term").str.len_chars() <= _LONGEST_TERM)
        .filter(~pl.col("term").is_in(sorted(ENGLISH_STOP_WORDS)))
        .group_by("class", "term")
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .collect()
    )


def density(graph: NeighborGraph) -> np.ndarray:
    """How close the data lies around each row: its mean cosine to up to 10 neighbours, float32 [n]; 0 without any."""
    known = graph.indices[:, :_DENSITY_NEIGHBORS] >= 0
    total = np.where(known, graph.similarities[:, :_DENSITY_NEIGHBORS], 0.0).sum(axis=1, dtype=np.float64)
    return np.asarray(total / np.maximum(known.sum(axis=1), 1), dtype=np.float32)


@dataclass(frozen=True)
class Evidence:
    """What is known of rows that are clustered, in arrays that agree in their first dimension [n]."""

    rows: np.ndarray  # uint32 [n], their positions in the run, which a report names
    vectors: np.ndarray  # float [n, d], unit rows, those that were clustered
    graph: NeighborGraph  # their nearest neighbours, as positions in 0 … n-1
    text: pl.Series  # strings [n]
    strictness: np.ndarray  # float32 [n], suspicion in [0, 1]
    sparse: np.ndarray  # bool [n], outliers
    quality: np.ndarray | None = None  # predicted, float32 [n] in [0, 5]


def cluster_report(
    round: int,
    known: Evidence,
    result: ClusterResult,
    scores: ClusterScores,
    params: CritiqueParams,
    cosine: float,
    seed: int,
) -> ClusterReport:
    """Everything known of every cluster that has rows, noise (-1) among them; floats are rounded to 6 decimals.

    The medoid is the row closest to the centroid. Boundary rows are those whose cosine to their own centroid exceeds
    the cosine to the next-nearest one by least; where there is no other, those furthest from their own. A row is low
    in quality when its ``strictness`` is at least 0.25, and nearly a duplicate when it has a neighbour of at least
    ``cosine``. Noise is described around the mean of its rows.
    """
    rows, vectors, graph = known.rows, known.vectors, known.graph
    k = len(result.centroids)
    own = np.where(result.labels < 0, k, result.labels).astype(np.int64)  # noise stands last
    sizes = np.bincount(own, minlength=k + 1)
    centroids = np.vstack([result.centroids, _direction(vectors, own == k)])
    own_cosine, margin = _margins(vectors, centroids, own, sizes)
    by_row = {
        "cohesion": own_cosine,
        "near_duplicates": np.any((graph.indices >= 0) & (graph.similarities >= cosine), axis=1),
        "outliers": known.sparse,
        "low_quality": known.strictness >= LOW_QUALITY,
    } | ({} if known.quality is None else {"quality": known.quality})
    means = {
        name: np.bincount(own, weights=values, minlength=k + 1) / np.maximum(sizes, 1)
        for name, values in by_row.items()
    }
    nearest, separation = _nearest_clusters(centroids[:k], sizes[:k])
    by_margin = np.lexsort((margin, own))
    by_cosine = np.lexsort((-own_cosine, own))
    ends = np.cumsum(sizes)
    terms = class_tfidf(known.text, result.labels)
    clusters = []
    for at in np.flatnonzero(sizes):
        label = int(at) if at < k else -1
        first, last = ends[at] - sizes[at], ends[at]
        few = min(params.samples, int(sizes[at]))
        picked = np.random.default_rng((seed, label + 1)).choice(by_margin[first:last], few, replace=False)
        has_nearest = label >= 0 and nearest[at] >= 0
        clusters.append(
            ClusterEvidence(
                cluster=label,
                size=int(sizes[at]),
                silhouette=_figure(scores.silhouette_by_cluster[at]) if label >= 0 else None,
                nearest_cluster=int(nearest[at]) if has_nearest else None,
                separation=_figure(separation[at]) if has_nearest else None,
                stability=_figure(scores.stability_by_cluster[at]) if label >= 0 else None,
                terms=terms[label],
                medoid=int(rows[by_cosine[first]]),
                boundary=tuple(rows[by_margin[first : first + few]].tolist()),
                random=tuple(np.sort(rows[picked]).tolist()),
                **{name: _rounded(mean[at]) for name, mean in means.items()},
            )
        )
    return ClusterReport(
        round=round,
        algorithm=result.algorithm,
        k=int(np.count_nonzero(sizes[:k])),
        rows=len(own),
        noise=int(sizes[k]),
        clusters=tuple(sorted(clusters, key=lambda evidence: evidence.cluster)),
        **{name: _figure(value) for name, value in vars(scores).items() if name in ClusterReport.model_fields},
    )


def _direction(vectors: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The mean of the chosen rows scaled to length one, float [d]; zeros where there are none."""
    mean = vectors[chosen].sum(axis=0, dtype=np.float64)
    return np.asarray(mean / (np.linalg.norm(mean) or 1.0), dtype=vectors.dtype)


def _margins(
    vectors: np.ndarray, centroids: np.ndarray, own: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each row's cosine to its own centroid, and by how much that exceeds the next-nearest: float32 [n] each."""
    cosine = np.empty(len(own), dtype=np.float32)
    margin = np.empty(len(own), dtype=np.float32)
    others = np.append(sizes[:-1] > 0, False)  # nothing is near to noise, and nothing to an empty cluster
    alone = np.count_nonzero(others) < 2
    for start in range(0, len(own), _BLOCK):
        similarity = vectors[start : start + _BLOCK] @ centroids.T
        at = (np.arange(len(similarity)), own[start : start + _BLOCK])
        cosine[start : start + _BLOCK] = similarity[at]
        similarity[at] = -1.0
        similarity[:, ~others] = -1.0
        margin[start : start + _BLOCK] = cosine[start : start + _BLOCK] - (0.0 if alone else similarity.max(axis=1))
    return cosine, margin


def _nearest_clusters(centroids: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of k clusters the nearest other one with rows (int64 [k], -1 for none) and its cosine distance."""
    if not len(sizes):  # all is noise
        return np.empty(0, dtype=np.int64), np.empty(0)
    similarity = np.asarray(centroids @ centroids.T, dtype=np.float64)
    np.fill_diagonal(similarity, -np.inf)
    similarity[:, sizes == 0] = -np.inf
    nearest = similarity.argmax(axis=1)
    best = similarity[np.arange(len(nearest)), nearest]
    return np.where(np.isfinite(best), nearest, -1), 1.0 - best


def _rounded(value: float) -> float:
    """Six decimals, so that a report does not change with the last bits of a sum; never minus zero."""
    return round(float(value), 6) + 0.0


def _figure(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else _rounded(value)
