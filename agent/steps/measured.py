"""What a state of the data is worth: cluster it, score it, and measure the objective on the anchor.

The same function measures the data in force (once, at the start) and every action on trial, so that before and
after are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ...state.config import ClusterParams
from ...state.errors import InputError
from ...state.progress import Advance
from ...state.report import Objective
from ...state.run import RunState
from ...state.store import Store
from ...tools.judge import objective as objective_tool
from ...tools.judge.probe import ProbeResult, probe_labels, probe_text
from ...tools.vectors import score as score_tool
from ...tools.vectors.cluster import ClusterResult, cluster, density_space
from ...tools.vectors.embed import VectorCache, embed, open_encoder
from ...tools.vectors.evidence import density
from ...tools.vectors.neighbors import NeighborGraph, neighbor_graph, restrict
from ..session import Session, derived_seed

RESEEDED_CLUSTERINGS = 4


@dataclass(frozen=True)
class View:
    """The kept training rows of one ledger, as arrays that agree in their first dimension [n]."""

    rows: np.ndarray  # positions, uint32 [n], ascending
    mask: np.ndarray  # bool [pool]: which pool rows they are
    vectors: np.ndarray  # float32 [n, d], unit length
    graph: NeighborGraph  # neighbours among them, indices into this view
    sparse: np.ndarray  # bool [n]: outliers of the pool


def extend_pool(
    session: Session, rows: np.ndarray, advance: Advance, vectors: np.ndarray | None = None
) -> tuple[dict[str, str | None], dict[str, int]]:
    """Give vectors and neighbours to positions that have none yet.

    Args:
        session: the run.
        rows: positions, uint32 [n].
        advance: told the rows embedded.
        vectors: unit vectors of ``rows`` where they are known already (none of them in the pool), float32 [n, d].

    Returns:
        New references by role (empty when nothing was missing), and the counts ``embedded`` (anew) and ``cached``.
    """
    known = session.array("pool") if "pool" in session.state.artefacts else np.zeros(0, dtype=np.uint32)
    missing = np.setdiff1d(rows, known)
    if not len(missing):
        return {}, {"embedded": 0, "cached": 0}
    fresh, counts = (
        row_vectors(session, missing, advance) if vectors is None else (vectors, {"embedded": 0, "cached": 0})
    )
    pool = np.concatenate([known, missing])
    order = np.argsort(pool, kind="stable")
    every = np.concatenate([session.array("vectors"), fresh])[order] if len(known) else fresh
    graph = neighbor_graph(every, session.config.neighbors, session.config.seed)
    store = session.store
    return {
        "pool": store.put_array(pool[order]),
        "vectors": store.put_array(every),
        "neighbor_indices": store.put_array(graph.indices),
        "neighbor_similarities": store.put_array(graph.similarities),
        "density": store.put_array(density(graph)),
    }, counts


def row_vectors(session: Session, rows: np.ndarray, advance: Advance) -> tuple[np.ndarray, dict[str, int]]:
    """Unit vectors of some positions, float32 [m, d]: the user's own column, or the encoder's."""
    if "given_vectors" in session.state.artefacts:
        given = np.asarray(session.array("given_vectors")[rows], dtype=np.float32)
        return given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), 1e-12), {"embedded": 0, "cached": 0}
    return text_vectors(session, session.text(rows), advance)


def text_vectors(session: Session, text: pl.Series, advance: Advance) -> tuple[np.ndarray, dict[str, int]]:
    """Unit vectors of texts (strings [m]) by the run's encoder, float32 [m, d], and the counts as ``extend_pool``."""
    encoder = open_encoder(session.config.embed)
    cache = VectorCache(session.run.root / "cache" / "embeddings", encoder.name, encoder.dimensions)
    result = embed(text, encoder, cache, session.config.embed, advance)
    if not encoder.local:
        session.texts_sent += result.embedded
    return result.vectors, {"embedded": result.embedded, "cached": result.cached}


def anchor_vectors(session: Session, advance: Advance) -> tuple[np.ndarray, dict[str, int]]:
    """Unit vectors of the held-out rows, float32 [m, d], and the counts ``embedded`` and ``cached``."""
    return row_vectors(session, session.anchor(), advance)


def view(session: Session, ledger: str = "ledger") -> View:
    """The kept training rows of a ledger (``ledger``, or ``trial_ledger``), all of which are in the pool."""
    rows = session.kept(ledger)
    mask, graph = neighbors_among(session.store, session.state, rows)
    spread = np.asarray(session.array("density"))
    sparse = spread[mask] < objective_tool.sparse_below(spread)
    return View(rows, mask, np.asarray(session.array("vectors"))[mask], graph, sparse)


def neighbors_among(store: Store, state: RunState, rows: np.ndarray) -> tuple[np.ndarray, NeighborGraph]:
    """The neighbours among some rows, and which of the pool they are.

    Args:
        store: holds the artefacts of ``state``.
        state: the run as it stands.
        rows: positions, uint32 [n], ascending, all of them in the pool.

    Returns:
        bool [pool], and a graph of n rows with indices into ``rows``.
    """
    pool, neighbors, similarities = (
        store.array(state.artefacts[role]) for role in ("pool", "neighbor_indices", "neighbor_similarities")
    )
    mask = np.isin(pool, rows)
    among = restrict(NeighborGraph(neighbors, similarities), mask)
    local = np.cumsum(mask, dtype=np.int32) - 1
    indices = among.indices[mask]
    return mask, NeighborGraph(np.where(indices >= 0, local[indices], -1).astype(np.int32), among.similarities[mask])


def cluster_view(
    session: Session, seen: View, params: ClusterParams, seed: int, start: np.ndarray | None = None
) -> tuple[ClusterResult, np.ndarray | None]:
    """Cluster the rows of a view; returns the result and, for density methods, the space they ran in [n, dims]."""
    space = None
    if params.algorithm != "kmeans":
        space = density_space(seen.vectors, params, seen.graph, session.config.seed)
    return cluster(seen.vectors, params, seed, space, start), space


def resolved(params: ClusterParams, result: ClusterResult) -> ClusterParams:
    """``params`` with what the clustering chose by itself (k, eps, min_cluster_size) filled in."""
    return params.model_copy(update={name: value for name, value in result.params.items() if hasattr(params, name)})


def score_view(
    session: Session,
    seen: View,
    result: ClusterResult,
    params: ClusterParams,
    space: np.ndarray | None,
    advance: Advance,
) -> score_tool.ClusterScores:
    """Score a clustering of a view; the overlaps use the UMAP maps where they are drawn.

    ``space`` is what a density method ran in, float32 [n, dims], or None.
    """
    maps: dict[str, np.ndarray] = {}
    if "maps" in session.state.artefacts:
        frame = session.frame("maps")
        method = next((m for m in ("umap", "tsne", "pca") if f"{m}_2d_x" in frame.columns), None)
        if method and frame.height == len(seen.mask):
            for name, axes in (("2d", "xy"), ("3d", "xyz")):
                maps[name] = frame.select([f"{method}_{name}_{axis}" for axis in axes]).to_numpy()[seen.mask]
    return score_tool.score(
        seen.vectors,
        result,
        session.config.score,
        session.config.seed,
        cluster_params=params,
        space=space,
        map_2d=maps.get("2d"),
        map_3d=maps.get("3d"),
        advance=advance,
    )


def probe_view(session: Session, seen: View, kind: str, budget: int, advance: Advance) -> ProbeResult:
    """Train and score the probe on the rows of a view; ``budget`` is in rows (macro_f1) or bytes (bits_per_byte)."""
    return probe_rows(session, seen.rows, seen.vectors, kind, budget, advance)


def probe_rows(
    session: Session, rows: np.ndarray, vectors: np.ndarray, kind: str, budget: int, advance: Advance
) -> ProbeResult:
    """The same on any positions (uint32 [n], ascending); ``vectors`` (float32 [n, d]) are read by macro_f1 only."""
    params = session.config.probe
    seed = derived_seed(session.config, 1)
    if kind == "bits_per_byte":
        return probe_text(rows, session.text(rows), session.text(session.anchor()), budget, params, seed, advance)
    labels = session.frame("rows", "label")["label"]
    anchor = session.anchor()
    known = labels.gather(rows).is_not_null().to_numpy()
    known_anchor = labels.gather(anchor).is_not_null().to_numpy()
    return probe_labels(
        rows[known],
        vectors[known],
        labels.gather(rows[known]).to_numpy(),
        session.array("anchor_vectors")[known_anchor],
        labels.gather(anchor[known_anchor]).to_numpy(),
        budget,
        params,
        seed,
        advance,
    )


def scores_json(scores: score_tool.ClusterScores) -> dict[str, Any]:
    """``scores`` as plain JSON; undefined values become null."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(scores).items()}


def scores_from_json(value: dict[str, Any]) -> score_tool.ClusterScores:
    """The inverse of ``scores_json``: arrays [k] with NaN for null."""
    arrays = {"silhouette_by_cluster", "stability_by_cluster"}
    fields: dict[str, Any] = {k: np.array(v, dtype=np.float64) if k in arrays else v for k, v in value.items()}
    return score_tool.ClusterScores(**fields)


def choose_probe(session: Session, seen: View) -> tuple[str, int]:
    """Which probe the run uses and its training budget: half of what is there when the loop begins.

    Raises:
        InputError: there are neither labels nor text to learn from.
    """
    kind = session.config.probe.kind
    labels = session.frame("rows", "label")["label"]
    labelled = labels.gather(seen.rows).is_not_null()
    if kind == "auto":
        mostly = int(labelled.sum()) > len(seen.rows) / 2
        kind = "macro_f1" if mostly and labels.gather(seen.rows).drop_nulls().n_unique() > 1 else "bits_per_byte"
    if kind == "macro_f1":
        if not labelled.any() or labels.gather(session.anchor()).is_null().all():
            raise InputError("the probe macro_f1 needs labels; name their column with --label-column")
        return kind, max(20, int(labelled.sum()) // 2)
    size = int(session.text(seen.rows).str.len_bytes().sum())
    if size < 10 * len(seen.rows):
        raise InputError("there is too little text for the probe; name a label with --label-column")
    return kind, max(1000, size // 2)


def measure(
    session: Session,
    seen: View,
    result: ClusterResult,
    scores: score_tool.ClusterScores,
    probe: ProbeResult,
    clustering_sd: float,
) -> Objective:
    """The objective of a view that has been clustered, scored and probed."""
    anchor = session.array("anchor_vectors")
    covered = objective_tool.coverage(anchor, session.array("anchor_radii"), session.array("vectors"), seen.mask)
    everyone = np.ones(len(seen.rows), dtype=bool)
    return objective_tool.objective(
        probe,
        objective_tool.Clustering(result.labels, scores.silhouette, scores.stability),
        covered=covered,
        redundant=objective_tool.redundancy(seen.graph, everyone, session.config.semantic.cosine),
        noisy=float(seen.sparse.mean()),
        clustering_sd=clustering_sd,
        params=session.config.objective,
    )


def clustering_noise(session: Session, seen: View, params: ClusterParams, advance: Advance) -> float:
    """How much the objective moves when the same rows are clustered and scored from other seeds (standard deviation).

    A density method's space is made anew for each seed, because that is where its chance lies.
    """
    weights, scoring = session.config.objective, session.config.score
    values = []
    for trial in range(RESEEDED_CLUSTERINGS):
        seed = derived_seed(session.config, 2, trial)
        space = None if params.algorithm == "kmeans" else density_space(seen.vectors, params, seen.graph, seed)
        result = cluster(seen.vectors, params, seed, space)
        scores = score_tool.score(seen.vectors, result, scoring, seed, cluster_params=params, space=space)
        clustered = float((result.labels >= 0).mean())
        values.append(
            weights.structure * (scores.silhouette or 0.0) * clustered
            + weights.balance * objective_tool.balance(result.labels)
            + weights.stability * (scores.stability or 0.0)
        )
        advance(1)
    return round(float(np.std(values, ddof=1)), 6)


def labels_frame(seen: View, result: ClusterResult) -> pl.DataFrame:
    """Labels by position: ``row`` uint32, ``cluster`` int32 (−1 noise), ``similarity`` float32 to the own centroid."""
    own = np.full(len(seen.rows), np.nan, dtype=np.float32)
    real = result.labels >= 0
    own[real] = np.einsum("nd,nd->n", seen.vectors[real], result.centroids[result.labels[real]])
    return pl.DataFrame({"row": seen.rows, "cluster": result.labels, "similarity": own})
