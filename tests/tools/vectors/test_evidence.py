import unicodedata

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.rounds import CritiqueParams
from recryst.tools.vectors.cluster import ClusterResult
from recryst.tools.vectors.evidence import Evidence, class_tfidf, cluster_report, density
from recryst.tools.vectors.neighbors import NeighborGraph
from recryst.tools.vectors.score import ClusterScores

RUN_OFFSET = 1000  # positions in the run differ from positions in the arrays


def scores(k: int) -> ClusterScores:
    return ClusterScores(0.51234567, np.linspace(0.1, 0.2, k), 1.0, 2.0, None, np.nan, np.full(k, np.nan), None, 0.25)


def report(vectors, labels, k, samples=3, **changed):
    rows = len(labels)
    sums = np.stack([vectors[labels == label].sum(axis=0) for label in range(k)])
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    centroids = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
    given = {
        "graph": NeighborGraph(np.full((rows, 2), -1, np.int32), np.full((rows, 2), -1, np.float32)),
        "text": pl.Series(["word"] * rows),
        "strictness": np.zeros(rows, np.float32),
        "sparse": np.zeros(rows, bool),
    } | changed
    known = Evidence(np.arange(RUN_OFFSET, RUN_OFFSET + rows, dtype=np.uint32), vectors, **given)
    result = ClusterResult(labels, centroids, "kmeans", {})
    return cluster_report(2, known, result, scores(k), CritiqueParams(samples=samples), cosine=0.95, seed=5)


def on_circle(degrees) -> np.ndarray:
    angles = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_every_figure_of_a_known_clustering():
    # Cluster 0 around 10°, cluster 1 around 90°, cluster 2 empty, two rows of noise around 180°.
    vectors = on_circle([0, 10, 20, 80, 90, 99, 91, 170, 190])
    labels = np.array([0, 0, 0, 1, 1, 1, 1, -1, -1], dtype=np.int32)
    indices, similarities = np.full((9, 2), -1, np.int32), np.full((9, 2), -1, np.float32)
    indices[:, 0], similarities[:, 0] = 0, 0.5
    similarities[4:7, 0] = (0.96, 0.95, 0.94)
    similarities[0, 1] = 0.99  # without a neighbour there: it does not count
    given = report(
        vectors,
        labels,
        3,
        graph=NeighborGraph(indices, similarities),
        sparse=labels < 0,
        strictness=np.array([0, 0.24, 0.25, 1, 0, 0, 0, 0, 0], np.float32),
        text=pl.Series(["red fox"] * 3 + ["blue whale"] * 4 + [None, "grey"]),
    )
    noise, first, second = given.clusters
    assert (given.round, given.k, given.rows, given.noise) == (2, 2, 9, 2)
    assert (given.silhouette, given.stability, given.overlap_2d, given.overlap_3d) == (0.512346, None, None, 0.25)
    assert [evidence.cluster for evidence in given.clusters] == [-1, 0, 1]
    assert first.cohesion == pytest.approx((1 + 2 * np.cos(np.radians(10))) / 3, abs=1e-6)
    assert first.medoid == RUN_OFFSET + 1
    assert first.boundary == (RUN_OFFSET + 2, RUN_OFFSET + 1, RUN_OFFSET)  # 20° is closest to the other cluster
    assert (first.nearest_cluster, second.nearest_cluster) == (1, 0)  # not the empty one
    assert first.separation == pytest.approx(1 - np.cos(np.radians(80)), abs=1e-4)
    assert (first.near_duplicates, second.near_duplicates) == (0, 0.5)
    assert first.low_quality == pytest.approx(1 / 3, abs=1e-6)
    assert (first.outliers, noise.outliers) == (0, 1)
    assert first.terms == ("fox", "red")
    assert noise.terms == ("grey",)
    assert (first.silhouette, second.silhouette) == (0.1, 0.15)
    assert (noise.silhouette, noise.nearest_cluster, noise.separation, noise.stability) == (None,) * 4
    assert noise.cohesion == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert set(noise.random) == {RUN_OFFSET + 7, RUN_OFFSET + 8}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=30), st.integers(0, 99))
def test_the_report_adds_up(labels, seed):
    own = np.asarray(labels, dtype=np.int32)
    vectors = np.random.default_rng(seed).standard_normal((len(own), 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    given = report(vectors, own, 4)
    assert sum(evidence.size for evidence in given.clusters) == given.rows == len(own)
    assert given.k == len(set(labels) - {-1})
    for evidence in given.clusters:
        members = set(np.flatnonzero(own == evidence.cluster) + RUN_OFFSET)
        assert evidence.size == len(members)
        assert {evidence.medoid, *evidence.boundary, *evidence.random} <= members
        assert len(set(evidence.random)) == len(evidence.boundary) == min(3, len(members))
        assert (evidence.nearest_cluster is None) == (evidence.cluster < 0 or given.k == 1)
    assert given == report(vectors, own, 4)
    assert given.model_validate_json(given.model_dump_json()) == given


def test_a_row_far_from_a_lone_cluster_is_its_boundary():
    given = report(on_circle([0, 2, 40]), np.zeros(3, np.int32), 1, samples=1)
    assert given.clusters[0].boundary == (RUN_OFFSET + 2,)
    assert given.clusters[0].separation is None


def test_noise_alone_is_reported():
    labels = np.full(3, -1, dtype=np.int32)
    graph = NeighborGraph(np.full((3, 1), -1, np.int32), np.full((3, 1), -1, np.float32))
    known = Evidence(
        np.arange(3, dtype=np.uint32), on_circle([0, 2, 40]), graph, pl.Series(["word"] * 3), np.zeros(3, np.float32),
        np.ones(3, bool),
    )  # fmt: skip
    result = ClusterResult(labels, np.empty((0, 2), np.float32), "hdbscan", {})
    given = cluster_report(0, known, result, scores(0), CritiqueParams(), 0.95, 0)
    assert (given.k, given.noise, [evidence.cluster for evidence in given.clusters]) == (0, 3, [-1])


def test_class_tfidf_finds_planted_words():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(-1, 69), 20)  # more classes than are counted at a time
    common = ["please", "answer", "question", "number"]
    letters = np.array([chr(97 + at // 26) + chr(97 + at % 26) for at in range(70)])
    text = [
        f"The {random.choice(common)} isn't about {' '.join(random.choice(common, 3))} they've, topic{letters[label]}"
        for label in labels
    ]
    terms = class_tfidf(pl.Series(text), labels)
    assert set(terms) == set(range(-1, 69))
    for label, words in terms.items():
        assert words[0] == f"topic{letters[label]}"
        assert set(words[1:]) <= {*common}  # neither stop words nor the halves of contractions


def test_class_tfidf_weighs_as_published():
    # 4 + 2 terms in 2 classes: A = 3. In class 0, "ab": 2 · log(1 + 3/2) = 1.83; "cd": 2 · log(1 + 3/3) = 1.39.
    terms = class_tfidf(pl.Series(["cd ab cd ab", "cd ef"]), np.array([0, 1]))
    assert terms == {0: ("ab", "cd"), 1: ("ef", "cd")}
    assert class_tfidf(pl.Series(["cd ab cd ab", "cd ef"]), np.array([0, 1]), top=1) == {0: ("ab",), 1: ("ef",)}


def test_class_tfidf_reads_a_bounded_even_share_of_a_class():
    text = pl.Series(
        [f"w{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(100)] + ["x" * 31 + " " * 3000 + "far"]
    )
    terms = class_tfidf(text, np.array([0] * 100 + [1]), top=50, max_rows_per_cluster=10)
    assert terms[0] == tuple(text[at] for at in range(0, 100, 10))
    assert terms[1] == ()  # the one word is too long, the other too far in


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_terms_hold_letters_only(text):
    for words in class_tfidf(pl.Series(text, dtype=pl.String), np.zeros(len(text), int)).values():
        kinds = {unicodedata.category(character) for word in words for character in word}
        assert {kind for kind in kinds if kind[0] not in "LM"} <= {"Cn"}  # Polars knows a later Unicode than Python


def test_density_ignores_missing_and_further_neighbours():
    indices = np.array([[1, 2, -1], [-1, -1, -1]], np.int32)
    near = density(NeighborGraph(indices, np.array([[0.9, 0.5, -1], [-1, -1, -1]], np.float32)))
    np.testing.assert_allclose(near, [0.7, 0])
    wide = NeighborGraph(np.ones((1, 12), np.int32), np.array([[1.0] * 10 + [0.0] * 2], np.float32))
    assert density(wide) == 1
    assert near.dtype == np.float32
