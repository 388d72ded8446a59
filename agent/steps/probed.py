"""What rows are worth: the probes that learn from them, the held-out rows that score them, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ...state.errors import InputError, IntegrityError
from ...state.params.vectors import ClusterParams
from ...state.phrases import Advance
from ...state.report import Objective, Probe, ProbeName
from ...tools.judge import objective as objective_tool
from ...tools.judge.evidence.discriminant import Labelled, Moments, discriminant, moments, predicted, updated
from ...tools.judge.evidence.pairs import nearest_answer
from ...tools.judge.probe import linear_discriminant, nearest_neighbor, text_by_row
from ...tools.vectors import score as score_tool
from ...tools.vectors.cluster import cluster
from ...tools.vectors.neighbors import NeighborGraph, nearest, nearest_among
from ..decide.verdict import Weights, class_weights, group_weights, mean_score
from ..view import View
from .measured import Clustered, KeptRows, spaces

RESEEDED_CLUSTERINGS = 4
_NEAR = 16  # nearest rows of the pool that are remembered of a held-out row


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
    there = codes >= 0
    return Labelled(vectors, codes) if there.all() else Labelled(vectors[there], codes[there])


def anchor_scores(
    view: View, names: tuple[ProbeName, ...], budget: int, rows: np.ndarray, vectors: np.ndarray, advance: Advance
) -> np.ndarray:
    """What each probe, trained on positions (uint32 [n], ascending), makes of every held-out row.

    ``vectors``: theirs, float32 [n, d].

    Returns:
        float64 [probes, m]; NaN where a probe says nothing of a row.
    """
    return held_out_scores(view, (names, budget), KnownRows(rows, vectors), anchor_held_out(view, names), advance)


@dataclass(frozen=True)
class KnownRows:
    """Rows that probes learn from: positions uint32 [n], ascending, and their vectors, float32 [n, d]."""

    rows: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, view: View) -> KnownRows:
        """The kept rows of a run, without what :class:`KeptRows` knows of their neighbours."""
        rows, pool, vectors = view.kept(), np.asarray(view.array("pool")), np.asarray(view.array("vectors"))
        return cls(rows, vectors if len(rows) == len(pool) else vectors[np.isin(pool, rows)])


@dataclass(frozen=True)
class HeldOut:
    """Rows that probes are scored on: positions uint32 [m], ascending; vectors float32 [m, d]; and where they ask and
    answer, those of questions and of answers."""

    rows: np.ndarray
    vectors: np.ndarray
    questions: np.ndarray | None = None
    answers: np.ndarray | None = None


@dataclass(frozen=True)
class Pool:
    """What is found once of the pool, and changes little in a trial: the rows of it that are nearest to each held-out
    one, the labels of all its rows (integers [p], −1 for none), and the moments of those that are ``kept`` (bool [p])
    and have one."""

    near: NeighborGraph
    labels: np.ndarray
    kept: np.ndarray
    moments: Moments

    @classmethod
    def of(cls, view: View) -> Pool:
        """That of a run as it stands."""
        if "pool" not in view.memo:
            vectors, pool = np.asarray(view.array("vectors")), view.array("pool")
            labels, kept = codes_of(view, np.asarray(pool)), np.isin(pool, view.kept())
            classes = view.frame("rows", "label")["label"].drop_nulls().n_unique()
            there = kept & (labels >= 0)
            view.memo["pool"] = cls(near_anchor(view), labels, kept, moments(vectors[there], labels[there], classes))
        found: Pool = view.memo["pool"]
        return found


def anchor_held_out(view: View, names: tuple[ProbeName, ...]) -> HeldOut:
    """The anchor, with what the probes need of it."""
    held = HeldOut(view.anchor(), np.asarray(view.array("anchor_vectors")))
    if "nearest_answer" not in names:
        return held
    among = np.isin(view.array("pair_rows"), held.rows)
    asked, answered = (np.asarray(view.array(role))[among] for role in ("question_vectors", "answer_vectors"))
    return replace(held, questions=asked, answers=answered)


def near_anchor(view: View) -> NeighborGraph:
    """The nearest rows of the pool to every held-out row, found once: a trial leaves one of them nearly always."""

    def found() -> NeighborGraph:
        pool, anchor = np.asarray(view.array("vectors")), np.asarray(view.array("anchor_vectors"))
        return NeighborGraph(*nearest(pool, anchor, _NEAR))

    return view.follows("vectors", ("nearest to", view.ref("anchor_vectors")), found)


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


def pool_scores(view: View, rows: np.ndarray, held: HeldOut, of: Pool) -> np.ndarray:
    """As :func:`held_out_scores`, of the two probes of labels where they learn from positions of the pool alone
    (uint32 [n]): by what is known of it. float64 [2, m]."""
    pool, own = np.asarray(view.array("pool")), codes_of(view, held.rows)
    labels = of.labels if view.tried_labels is None else codes_of(view, pool)
    codes, vectors = np.where(np.isin(pool, rows), labels, -1), np.asarray(view.array("vectors"))
    at, _ = nearest_among(of.near, vectors, held.vectors, codes >= 0)
    model = discriminant(updated(of.moments, vectors, np.where(of.kept, of.labels, -1), codes))
    right = np.stack([(at >= 0) & (codes[at] == own), predicted(model, held.vectors) == own])
    return np.where(own >= 0, right, np.nan)


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
    """Which held-out rows have within their radius one of the pool that ``mask`` (bool [pool]) keeps: bool [m].

    Source: Naeem et al. 2020, §3.2.
    """
    vectors, anchor = (np.asarray(view.array(role)) for role in ("vectors", "anchor_vectors"))
    _, cosines = nearest_among(near_anchor(view), vectors, anchor, mask)
    return np.asarray(cosines >= view.array("anchor_radii"))


def covered_by_chance(view: View, mask: np.ndarray, share: float) -> np.ndarray:
    """How likely each held-out row is covered once a share of the rows that ``mask`` (bool [pool]) keeps went by
    chance: float64 [m]. Of those within its radius up to ``_NEAR`` are counted, which is exact to 1e-6 for a third."""
    near, radii = near_anchor(view), np.asarray(view.array("anchor_radii"))
    within = (near.indices >= 0) & mask[near.indices] & (near.similarities >= radii[:, None])
    covered = covered_rows(view, mask)
    return np.asarray(covered * (1.0 - share ** np.maximum(within.sum(axis=1), 1)))


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
    structure = objective_tool.structure(grouped)
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
        "clustering": quality(view, clustered.result.labels, found.scores.silhouette, found.scores.stability),
        "balance": objective_tool.balance(clustered.result.labels),
        "redundancy": objective_tool.redundancy(kept.graph, view.config.semantic.cosine),
        "noise": float(kept.sparse.mean()),
        "structure": structure,
        "silhouette": found.scores.silhouette,
        "stability": found.scores.stability,
    }
    rounded = {name: None if value is None else round(value, 6) for name, value in figures.items()}
    return Objective.model_validate({"probes": probes, "clustering_sd": found.clustering_sd, **rounded})


def quality(view: View, labels: np.ndarray, silhouette: float | None, stability: float | None) -> float:
    """How good a clustering is, by two of its scores; ``labels``: int32 [n]."""
    grouped = objective_tool.Clustering(labels, silhouette, stability)
    return objective_tool.clustering_quality(grouped, view.config.objective)


def clustering_noise(view: View, kept: KeptRows, params: ClusterParams, advance: Advance) -> float:
    """The standard deviation of the clustering's quality when the same rows are clustered and scored from other seeds.

    A density method's space is made anew for each seed, because that is where its chance lies.
    """
    scoring, values = view.config.score, []
    seeds = [view.seed(2, trial) for trial in range(RESEEDED_CLUSTERINGS)]
    for seed, space in zip(seeds, spaces(view, kept, params, seeds), strict=True):
        result = cluster(kept.vectors, params, seed, space)
        clustered = score_tool.Clustered(kept.vectors, result, params, space)
        found = score_tool.silhouette_and_stability(clustered, scoring, seed)
        values.append(quality(view, result.labels, *found))
        advance(1)
    return round(float(np.std(values, ddof=1)), 6)
