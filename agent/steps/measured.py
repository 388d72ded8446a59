"""A state of the data, measured: its rows embedded, clustered and scored; ``probed`` tells what they are worth.

The same functions measure the data in force (once, at the start) and every action on trial, so that before and after
are alike. What needs the encoder or chance stands apart from what follows: the audit reads the first back and derives
the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.errors import IntegrityError
from ...state.events import Act, Embed
from ...state.params.vectors import ClusterParams
from ...state.phrases import Advance
from ...state.values import Role
from ...tools.judge import objective as objective_tool
from ...tools.repeats.shared import shared_passages, without
from ...tools.vectors import score as score_tool
from ...tools.vectors.axes import along
from ...tools.vectors.cluster import ClusterResult, cluster, density_spaces
from ...tools.vectors.embed import KnownVectors, embed, open_cache, read_known, write_known
from ...tools.vectors.encoders.windows import Reading
from ...tools.vectors.evidence import density
from ...tools.vectors.neighbors import NeighborGraph, neighbor_graph, restrict, unit
from ..session import Session
from ..view import View
from .base import Content, Plain

_RESOLVED = ("eps", "min_cluster_size")  # what a density method chooses by itself where it is not told
HANDED_OVER = Path("cache", "handed-over.npy")  # vectors of another run of the same texts, in a run's folder


@dataclass(frozen=True)
class KeptRows:
    """The kept training rows of one ledger, as arrays that agree in their first dimension [n]."""

    ledger: Role  # that keeps them
    rows: np.ndarray  # positions, uint32 [n], ascending
    mask: np.ndarray  # bool [pool]: which pool rows they are
    vectors: np.ndarray  # float32 [n, d], unit length
    graph: NeighborGraph  # neighbours among them, indices into these rows
    sparse: np.ndarray  # bool [n]: outliers of the pool

    @classmethod
    def of(cls, view: View, role: Role = "ledger") -> KeptRows:
        """The rows of the ledger in force, or of the one on trial; all of them are in the pool."""
        rows = view.kept(role)
        mask, graph = neighbors_among(view, rows)
        vectors, spread = np.asarray(view.array("vectors")), np.asarray(view.array("density"))
        sparse = spread[mask] < objective_tool.sparse_below(spread)
        return cls(role, rows, mask, vectors if mask.all() else vectors[mask], graph, sparse)


# Vectors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Embedded:
    """Vectors of rows that had none (float32 [m, d]), and the neighbours of the pool that they join.

    ``embedded`` of them were made anew, ``cached`` found in the cache.
    """

    vectors: np.ndarray
    graph: NeighborGraph
    embedded: int = 0
    cached: int = 0


def missing_rows(view: View, rows: np.ndarray) -> np.ndarray:
    """Those of ``rows`` (positions, uint32 [n]) that are not in the pool yet."""
    return np.setdiff1d(rows, view.array("pool")) if view.has("pool") else rows


def _joined(view: View, missing: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pool with ``missing`` rows (uint32 [m]) and their vectors (float32 [m, d]): positions [n], vectors [n, d]."""
    if not view.has("pool"):
        return missing, vectors
    pool = np.concatenate([view.array("pool"), missing])
    order = np.argsort(pool, kind="stable")
    return pool[order], np.concatenate([view.array("vectors"), vectors])[order]


def embed_missing(
    session: Session, view: View, rows: np.ndarray, advance: Advance, vectors: np.ndarray | None = None
) -> Embedded | None:
    """Vectors and neighbours for positions (uint32 [n]) that have none yet; None where nothing is missing.

    ``vectors``: unit vectors of ``rows`` where they are known already, none of them in the pool: float32 [n, d].
    """
    missing = missing_rows(view, rows)
    if not len(missing):
        return None
    fresh, counts = row_vectors(session, view, missing, advance) if vectors is None else (vectors, (0, 0))
    graph = neighbor_graph(_joined(view, missing, fresh)[1], view.config.neighbors, view.config.seed)
    return Embedded(fresh, graph, *counts)


def logged_embedded(view: View, event: Embed | Act, rows: np.ndarray) -> Embedded | None:
    """What ``embed_missing`` gave for positions (uint32 [n]), read back from an event."""
    artefacts = event.state.artefacts
    if artefacts.get("pool") is None:
        return None
    pool, vectors, indices, similarities = (
        view.store.array(artefacts[role] or "")
        for role in ("pool", "vectors", "neighbor_indices", "neighbor_similarities")
    )
    fresh = np.asarray(vectors)[np.isin(pool, missing_rows(view, rows))]
    counts = (event.embedded, event.cached if isinstance(event, Embed) else 0)
    return Embedded(fresh, NeighborGraph(indices, similarities), *counts)


def pool_contents(view: View, rows: np.ndarray, found: Embedded | None) -> dict[Role, Content]:
    """The tables of the pool once positions (uint32 [n]) have joined it; none where nothing was missing.

    Raises:
        IntegrityError: rows were missing, and nothing was found for them.
    """
    missing = missing_rows(view, rows)
    if not len(missing):
        return {}
    if found is None:
        raise IntegrityError("there are rows without a vector")
    pool, vectors = _joined(view, missing, found.vectors)
    return {
        "pool": pool,
        "vectors": vectors,
        "neighbor_indices": found.graph.indices,
        "neighbor_similarities": found.graph.similarities,
        "density": density(found.graph),
    }


def embedded_parts(view: View) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions (uint32 [n]) and unit vectors (float32 [n, d]) of the rows to train on, and of those held out."""
    parts, split = [(np.asarray(view.array("pool")), view.array("vectors"))], view.ledger()["split"]
    held_out: tuple[tuple[str, Role], ...] = (("anchor", "anchor_vectors"), ("sealed", "sealed_vectors"))
    for name, role in held_out:
        if view.has(role):
            parts.append(((split == name).arg_true().to_numpy(), view.array(role)))
    return [(rows, vectors) for rows, vectors in parts if len(rows) == len(vectors)]


def embedded_rows(view: View, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of some positions (uint32 [n], ascending) have a vector: integers [m]; and theirs, float32 [m, d]."""
    if not view.has("pool", "vectors"):
        return np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32)
    parts = [(np.isin(known, rows), known, vectors) for known, vectors in embedded_parts(view)]
    known = np.concatenate([positions[wanted] for wanted, positions, _ in parts])
    vectors = np.concatenate([np.asarray(theirs)[wanted] for wanted, _, theirs in parts])
    order = np.argsort(known, kind="stable")
    return np.searchsorted(rows, known[order]), vectors[order]


def row_vectors(session: Session, view: View, rows: np.ndarray, advance: Advance) -> tuple[np.ndarray, tuple[int, int]]:
    """Unit vectors of positions (uint32 [m]), float32 [m, d], the user's own or the encoder's; and the counts."""
    if view.has("given_vectors"):
        return shortened(view, unit(np.asarray(view.array("given_vectors")[rows], dtype=np.float32))), (0, 0)
    return text_vectors(session, view.text(rows), advance)


def text_vectors(session: Session, text: pl.Series, advance: Advance) -> tuple[np.ndarray, tuple[int, int]]:
    """Unit vectors of texts (strings [m]) by the run's encoder, float32 [m, d]; how many were embedded, and cached.

    They are of what texts say beside the ``passages`` of the run, laid along its axes where it has any.
    """
    if session.passages is None:
        session.passages = passages(session.view)
    encoder, encoder.reading = session.encoder, Reading()
    root, said = session.run.root, without(text, session.passages)
    known = handed_over(root)
    result = embed(said, encoder, open_cache(encoder, root / "cache"), session.config.embed, advance, root, known)
    if not encoder.local:
        session.texts_sent += result.embedded
    session.embedded_by = encoder.runtime
    session.reading += encoder.reading
    return shortened(session.view, result.vectors), (result.embedded, result.cached)


def shortened(view: View, vectors: np.ndarray) -> np.ndarray:
    """Unit vectors (float32 [m, w]) laid along the axes of the run, float32 [m, d]; as they are where it has none.

    Every vector that a run works with has passed here, but for those that the axes are fitted to.

    Raises:
        InputError: they have another length than those.
    """
    return along(vectors, np.asarray(view.array("axes")) if view.has("axes") else None)


def hand_over_vectors(view: View, root: Path) -> None:
    """Give the vectors of a run to another in the folder ``root``, which embeds by the same model.

    Vectors that were shortened are not: they would be taken for the model's, whose own the run has not kept.

    Raises:
        StorageError: the disk is full or not writable.
    """
    own = not view.has("given_vectors") and not view.has("axes")
    if own and view.has("pool", "vectors", "anchor_vectors"):
        # Of all rows that were held out: some may be removed since.
        anchor = view.ledger().filter(pl.col("split") == "anchor")["row"].to_numpy()
        rows = np.concatenate([np.asarray(view.array("pool")), anchor])
        vectors = np.concatenate([view.array("vectors"), view.array("anchor_vectors")])
        said = without(view.text(rows), passages(view))
        write_known(root / HANDED_OVER, said, vectors, view.config.embed)


def handed_over(root: Path) -> KnownVectors:
    """What ``hand_over_vectors`` gave to a folder; nothing where it gave none."""
    return read_known(root / HANDED_OVER)


def passages(view: View) -> list[str]:
    """What many of the ingested rows' texts share, the same in every round; none where the rows have their vectors."""
    return [] if view.has("given_vectors") else shared_passages(view.texts().head(view.values.ingested))


def neighbors_among(view: View, rows: np.ndarray) -> tuple[np.ndarray, NeighborGraph]:
    """The neighbours among some rows (positions, uint32 [n], ascending), and which of the pool they are.

    Returns:
        bool [pool], and a graph of n rows with indices into ``rows``.
    """
    roles: tuple[Role, ...] = ("pool", "neighbor_indices", "neighbor_similarities")
    pool, neighbors, similarities = (view.array(role) for role in roles)
    mask = np.isin(pool, rows)
    return mask, restrict(NeighborGraph(neighbors, similarities), mask)


# Clusters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clustered:
    """A clustering and, for density methods, the space it ran in: float32 [n, dimensions]."""

    result: ClusterResult
    space: np.ndarray | None

    def contents(self, kept: KeptRows) -> dict[Role, Content]:
        """Its tables: labels by position, centroids, space.

        The labels are ``row`` uint32, ``cluster`` int32 (−1 noise), ``similarity`` float32 to the own centroid.
        """
        labels, centroids = self.result.labels, self.result.centroids
        own, real = np.full(len(kept.rows), np.nan, dtype=np.float32), labels >= 0
        own[real] = np.einsum("nd,nd->n", kept.vectors[real], centroids[labels[real]])
        frame = pl.DataFrame({"row": kept.rows, "cluster": labels, "similarity": own})
        return {"assignments": frame, "centroids": centroids, "space": self.space}


def spaces(view: View, kept: KeptRows, params: ClusterParams, seeds: Sequence[int]) -> Sequence[np.ndarray | None]:
    """The space of a density method from each of some seeds, float32 [n, dimensions]; k-means has none.

    They are made once for the rows of a ledger, and serve whatever clusters are sought in them.
    """
    if params.algorithm == "kmeans":
        return [None] * len(seeds)
    # The ledger says which rows; what else the spaces follow from:
    what = (view.ref("vectors"), view.ref("neighbor_indices"), params.space, *map(str, (params.dimensions, *seeds)))
    return view.follows(kept.ledger, what, lambda: density_spaces(kept.vectors, params, kept.graph, seeds))


def cluster_rows(view: View, kept: KeptRows, params: ClusterParams, start: np.ndarray | None = None) -> Clustered:
    """Cluster rows, starting from centroids (float32 [k, d]) where there are any."""
    [space] = spaces(view, kept, params, [view.config.seed])
    return Clustered(cluster(kept.vectors, params, view.seed(3), space, start), space)


def logged_clustered(view: View, artefacts: Mapping[Role, str | None], params: ClusterParams) -> Clustered:
    """A clustering read back: ``artefacts`` name its tables, ``params`` are what it was resolved to."""
    labels = view.store.frame(artefacts.get("assignments") or "", ["cluster"])["cluster"].to_numpy()
    centroids = np.asarray(view.store.array(artefacts.get("centroids") or ""))
    space = artefacts.get("space")
    if params.algorithm == "kmeans":
        resolved: dict[str, int | float] = {"k": len(centroids)}
    else:
        resolved = {name: getattr(params, name) for name in _RESOLVED if getattr(params, name) is not None}
    result = ClusterResult(labels, centroids, params.algorithm, resolved)
    return Clustered(result, None if space is None else view.store.array(space))


def resolved(params: ClusterParams, result: ClusterResult) -> ClusterParams:
    """``params`` with what the clustering chose by itself (k, eps, min_cluster_size) filled in."""
    return params.model_copy(update={name: value for name, value in result.params.items() if hasattr(params, name)})


def clustering_in_force(view: View) -> Clustered:
    """The clustering of the data in force."""
    return logged_clustered(view, view.state.artefacts, view.clustering)


# Scores and worth ------------------------------------------------------------------------------------------------


def score_rows(
    view: View, kept: KeptRows, clustered: Clustered, params: ClusterParams, advance: Advance
) -> score_tool.ClusterScores:
    """Score a clustering; the overlaps use the UMAP maps where they are drawn."""
    maps: dict[str, np.ndarray] = {}
    if view.has("maps"):
        frame = view.frame("maps")
        method = next((m for m in ("umap", "tsne", "pca") if f"{m}_2d_x" in frame.columns), None)
        if method and frame.height == len(kept.mask):
            for name, axes in (("2d", "xy"), ("3d", "xyz")):
                maps[name] = frame.select([f"{method}_{name}_{axis}" for axis in axes]).to_numpy()[kept.mask]
    made = score_tool.Clustered(kept.vectors, clustered.result, params, clustered.space)
    return score_tool.score(made, view.config.score, view.config.seed, maps.get("2d"), maps.get("3d"), advance)


def scores_json(scores: score_tool.ClusterScores) -> Plain:
    """``scores`` as plain JSON; undefined values become null."""
    return Plain({name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in vars(scores).items()})


def scores_from_json(value: Json) -> score_tool.ClusterScores:
    """The inverse of ``scores_json``: arrays [k] with NaN for null."""
    arrays = {"silhouette_by_cluster", "stability_by_cluster"}
    fields: Json = {k: np.array(v, dtype=np.float64) if k in arrays else v for k, v in value.items()}
    return score_tool.ClusterScores(**fields)
