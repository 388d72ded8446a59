"""A state of the data, measured: its rows embedded, clustered, scored and probed, and what that comes to.

The same functions measure the data in force (once, at the start) and every action on trial, so that before and after
are alike. What needs the encoder or chance stands apart from what follows: the audit reads the first back and derives
the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from ...state.canonical import Json
from ...state.config import ClusterParams
from ...state.errors import InputError, IntegrityError
from ...state.events import Act, Embed
from ...state.phrases import Advance
from ...state.report import Objective, Probe, ProbeName
from ...state.values import Role
from ...tools.judge import objective as objective_tool
from ...tools.judge.evidence.discriminant import Labelled
from ...tools.judge.evidence.pairs import nearest_answer
from ...tools.judge.probe import linear_discriminant, nearest_neighbor, text_by_row
from ...tools.repeats.shared import shared_passages, without
from ...tools.vectors import score as score_tool
from ...tools.vectors.cluster import ClusterResult, cluster, density_space
from ...tools.vectors.embed import KnownVectors, embed, open_cache, open_encoder, read_known, write_known
from ...tools.vectors.evidence import density
from ...tools.vectors.neighbors import NeighborGraph, neighbor_graph, restrict, unit
from ..decide.verdict import Weights, class_weights, group_weights, mean_score
from ..session import Session
from ..view import View
from .base import Content, Plain

RESEEDED_CLUSTERINGS = 4
_RESOLVED = ("k", "eps", "min_cluster_size")  # what a clustering chooses by itself where it is not told
HANDED_OVER = Path("cache", "handed-over.npy")  # vectors of another run of the same texts, in a run's folder


@dataclass(frozen=True)
class KeptRows:
    """The kept training rows of one ledger, as arrays that agree in their first dimension [n]."""

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
        spread = np.asarray(view.array("density"))
        sparse = spread[mask] < objective_tool.sparse_below(spread)
        return cls(rows, mask, np.asarray(view.array("vectors"))[mask], graph, sparse)


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


def row_vectors(session: Session, view: View, rows: np.ndarray, advance: Advance) -> tuple[np.ndarray, tuple[int, int]]:
    """Unit vectors of positions (uint32 [m]), float32 [m, d], the user's own or the encoder's; and the counts."""
    if view.has("given_vectors"):
        return unit(np.asarray(view.array("given_vectors")[rows], dtype=np.float32)), (0, 0)
    return text_vectors(session, view.text(rows), advance)


def text_vectors(session: Session, text: pl.Series, advance: Advance) -> tuple[np.ndarray, tuple[int, int]]:
    """Unit vectors of texts (strings [m]) by the run's encoder, float32 [m, d]; how many were embedded, and cached.

    They are of what texts say beside the ``passages`` of the run.
    """
    if session.passages is None:
        session.passages = passages(session.view)
    encoder = open_encoder(session.config.embed)
    root, said = session.run.root, without(text, session.passages)
    known = handed_over(root)
    result = embed(said, encoder, open_cache(encoder, root / "cache"), session.config.embed, advance, root, known)
    if not encoder.local:
        session.texts_sent += result.embedded
    session.reading += encoder.reading
    return result.vectors, (result.embedded, result.cached)


def hand_over_vectors(view: View, root: Path) -> None:
    """Give the vectors of a run to another in the folder ``root``, which embeds by the same model.

    Raises:
        StorageError: the disk is full or not writable.
    """
    if view.has("pool", "vectors", "anchor_vectors") and not view.has("given_vectors"):
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


def cluster_rows(view: View, kept: KeptRows, params: ClusterParams, start: np.ndarray | None = None) -> Clustered:
    """Cluster rows, starting from centroids (float32 [k, d]) where there are any."""
    space = None
    if params.algorithm != "kmeans":
        space = density_space(kept.vectors, params, kept.graph, view.config.seed)
    return Clustered(cluster(kept.vectors, params, view.seed(3), space, start), space)


def logged_clustered(view: View, artefacts: Mapping[Role, str | None], params: ClusterParams) -> Clustered:
    """A clustering read back: ``artefacts`` name its tables, ``params`` are what it was resolved to."""
    labels = view.store.frame(artefacts.get("assignments") or "", ["cluster"])["cluster"].to_numpy()
    centroids = np.asarray(view.store.array(artefacts.get("centroids") or ""))
    space = artefacts.get("space")
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


# Worth -----------------------------------------------------------------------------------------------------------


def choose_probes(view: View, kept: KeptRows) -> tuple[tuple[ProbeName, ...], int]:
    """Which probes the run uses, and the bytes that a training of ``bits_per_byte`` draws: half of what is there.

    Raises:
        InputError: there are neither labels nor text to learn from.
    """
    kind = view.config.probe.kind
    if kind == "auto":
        kind = "labels" if learns_labels(view, kept.rows) else "pairs" if view.has("pair_rows") else "text"
    if kind == "labels":
        if view.labels().gather(kept.rows).is_null().all() or view.labels().gather(view.anchor()).is_null().all():
            raise InputError("the probes of labels need some; name their column with --label-column")
        return ("nearest_neighbor", "linear_discriminant"), 0
    if kind == "pairs":
        if not view.has("pair_rows"):
            raise InputError("the probe of pairs needs rows that ask and answer; probe.kind may be text instead")
        return ("nearest_answer",), 0
    size = int(view.text(kept.rows).str.len_bytes().sum())
    if size < 10 * len(kept.rows):
        raise InputError("there is too little text for the probe; name a label with --label-column")
    return ("bits_per_byte",), max(1000, size // 2)


def learns_labels(view: View, rows: np.ndarray) -> bool:
    """Whether the probes learn labels: they are told to, or most of the positions (uint32 [n]) have one of several."""
    if view.config.probe.kind != "auto":
        return view.config.probe.kind == "labels"
    labels = view.labels().gather(rows).drop_nulls()
    return len(labels) > len(rows) / 2 and labels.n_unique() > 1


def codes_of(view: View, rows: np.ndarray) -> np.ndarray:
    """The labels in force of positions (uint32 [n]) as numbers, the same for the same label: int64 [n], −1 for none."""
    names = view.frame("rows", "label")["label"].drop_nulls().unique().sort()
    labels = view.labels().gather(rows)
    return labels.replace_strict(names, pl.Series(range(len(names)), dtype=pl.Int64), default=-1).to_numpy()


def labelled(view: View, rows: np.ndarray, vectors: np.ndarray) -> Labelled:
    """Those of positions (uint32 [n], with vectors float32 [n, d]) that have a label."""
    codes = codes_of(view, rows)
    return Labelled(vectors[codes >= 0], codes[codes >= 0])


def anchor_scores(
    view: View, names: tuple[ProbeName, ...], budget: int, rows: np.ndarray, vectors: np.ndarray, advance: Advance
) -> np.ndarray:
    """What each probe, trained on positions (uint32 [n], ascending), makes of every held-out row.

    ``vectors``: theirs, float32 [n, d].

    Returns:
        float64 [probes, m]; NaN where a probe says nothing of a row.
    """
    held = HeldOut(view.anchor(), np.asarray(view.array("anchor_vectors")))
    if "nearest_answer" in names:
        among = np.isin(view.array("pair_rows"), held.rows)
        asked, answered = (np.asarray(view.array(role))[among] for role in ("question_vectors", "answer_vectors"))
        held = replace(held, questions=asked, answers=answered)
    return held_out_scores(view, (names, budget), KnownRows(rows, vectors), held, advance)


@dataclass(frozen=True)
class KnownRows:
    """Rows that probes learn from: positions uint32 [n], ascending, and their vectors, float32 [n, d]."""

    rows: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class HeldOut:
    """Rows that probes are scored on: positions uint32 [m], ascending; vectors float32 [m, d]; and where they ask and
    answer, those of questions and of answers."""

    rows: np.ndarray
    vectors: np.ndarray
    questions: np.ndarray | None = None
    answers: np.ndarray | None = None


def held_out_scores(
    view: View, probes: tuple[tuple[ProbeName, ...], int], known: KnownRows, held: HeldOut, advance: Advance
) -> np.ndarray:
    """What each of the ``probes`` (their names, and the bytes that a training draws) makes of held-out rows.

    Returns:
        float64 [probes, m]; NaN where a probe says nothing of a row.
    """
    (names, budget), found = probes, list[np.ndarray]()
    for name in names:
        if name == "bits_per_byte":
            params, seed, text = view.config.probe, view.seed(1), view.text(known.rows)
            found.append(text_by_row(known.rows, text, view.text(held.rows), budget, params, seed, advance))
            continue
        if name == "nearest_answer":
            found.append(_nearest_answers(view, known.rows, held))
            continue
        probe = nearest_neighbor if name == "nearest_neighbor" else linear_discriminant
        has_label = codes_of(view, held.rows) >= 0
        scores = np.full(len(held.rows), np.nan)
        learned, judged = labelled(view, known.rows, known.vectors), labelled(view, held.rows, held.vectors)
        scores[has_label] = probe(learned, judged)
        found.append(scores)
        advance(1)
    return np.stack(found)


def _nearest_answers(view: View, rows: np.ndarray, held: HeldOut) -> np.ndarray:
    """The probe of pairs on held-out rows, once it has learned from positions (uint32 [n]): float64 [m].

    Raises:
        IntegrityError: the held-out rows were not embedded as pairs.
    """
    if held.questions is None or held.answers is None:
        raise IntegrityError("the held-out rows have no vectors of questions and answers")
    known = np.isin(view.array("pair_rows"), rows)
    questions, answers = (np.asarray(view.array(role))[known] for role in ("question_vectors", "answer_vectors"))
    return nearest_answer(questions, answers, held.questions, held.answers)


def anchor_weights(view: View, names: tuple[ProbeName, ...], confirmed: np.ndarray) -> Weights:
    """What each row of the anchor weighs; ``confirmed``: which of them are, bool [m]."""
    return held_out_weights(view, names, view.anchor(), confirmed)


def held_out_weights(view: View, names: tuple[ProbeName, ...], rows: np.ndarray, confirmed: np.ndarray) -> Weights:
    """What each of held-out positions (uint32 [m]) weighs; ``confirmed``: which of them are, bool [m]."""
    groups = row_groups(view, rows)
    each = group_weights(groups)
    if "nearest_neighbor" not in names:
        return Weights(each * confirmed, each, each)
    codes = codes_of(view, rows)
    by_class = class_weights(np.where(confirmed, codes, -1), groups)
    return Weights(each * confirmed, by_class, class_weights(codes, groups))


def row_groups(view: View, rows: np.ndarray) -> np.ndarray:
    """The group of each position (uint32 [n]), uint32 [n]; a synthetic row is a group of its own."""
    groups = np.asarray(view.array("groups"))
    own = rows >= len(groups)
    return np.where(own, rows, groups[np.where(own, 0, rows)])


def confirmed_rows(view: View) -> np.ndarray:
    """Which held-out rows are what they seem, by another view than the probes' at the start: bool [m]."""
    return view.frame("anchor_evidence", "confirmed")["confirmed"].to_numpy()


def covered_rows(view: View, mask: np.ndarray) -> np.ndarray:
    """Which held-out rows have a row near them of those in the pool that ``mask`` (bool [pool]) keeps: bool [m]."""
    anchor, radii = view.array("anchor_vectors"), view.array("anchor_radii")
    return objective_tool.covered(anchor, radii, view.array("vectors"), mask)


@dataclass(frozen=True)
class Probed:
    """What is not derived of an objective: the scores of the clustering, those of the held-out rows by probe (float64
    [probes, m]), and the spread of re-seeded clusterings."""

    scores: score_tool.ClusterScores
    anchor: np.ndarray
    clustering_sd: float


def worth(
    view: View,
    kept: KeptRows,
    clustered: Clustered,
    found: Probed,
    names: tuple[ProbeName, ...],
    confirmed: np.ndarray,
) -> Objective:
    """What rows are worth that have been clustered, scored and probed; ``confirmed``: which held-out rows, bool [m]."""
    grouped = objective_tool.Clustering(clustered.result.labels, found.scores.silhouette, found.scores.stability)
    structure, params = objective_tool.structure(grouped), view.config.objective
    weights = anchor_weights(view, names, confirmed)
    probes = tuple(
        Probe(
            name=name,
            score=round(mean_score(scores, weights.confirmed), 6),
            raw=round(mean_score(scores, weights.raw), 6),
        )
        for name, scores in zip(names, found.anchor, strict=True)
    )
    covered = covered_rows(view, kept.mask)
    figures = {
        "value": float(np.mean([probe.score for probe in probes])),
        "coverage": float(covered[confirmed].mean()) if confirmed.any() else 0.0,
        "clustering": objective_tool.clustering_quality(grouped, params),
        "balance": objective_tool.balance(clustered.result.labels),
        "redundancy": objective_tool.redundancy(kept.graph, view.config.semantic.cosine),
        "noise": float(kept.sparse.mean()),
        "structure": structure,
        "silhouette": found.scores.silhouette,
        "stability": found.scores.stability,
    }
    rounded = {name: None if value is None else round(value, 6) for name, value in figures.items()}
    return Objective.model_validate({"probes": probes, "clustering_sd": found.clustering_sd, **rounded})


def clustering_noise(view: View, kept: KeptRows, params: ClusterParams, advance: Advance) -> float:
    """The standard deviation of the clustering's quality when the same rows are clustered and scored from other seeds.

    A density method's space is made anew for each seed, because that is where its chance lies.
    """
    scoring, values = view.config.score, []
    for trial in range(RESEEDED_CLUSTERINGS):
        seed = view.seed(2, trial)
        space = None if params.algorithm == "kmeans" else density_space(kept.vectors, params, kept.graph, seed)
        result = cluster(kept.vectors, params, seed, space)
        scores = score_tool.score(score_tool.Clustered(kept.vectors, result, params, space), scoring, seed)
        grouped = objective_tool.Clustering(result.labels, scores.silhouette, scores.stability)
        values.append(objective_tool.clustering_quality(grouped, view.config.objective))
        advance(1)
    return round(float(np.std(values, ddof=1)), 6)
