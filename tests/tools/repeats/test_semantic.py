"""Semantic duplicates: known truths, what holds of every removal, keep orders and the target size."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import InputError
from recryst.state.params.preparation import SemanticParams
from recryst.state.params.vectors import NeighborParams
from recryst.tools.repeats.semantic import TOOL, keep_order, semantic_duplicates
from recryst.tools.vectors.neighbors import NeighborGraph, neighbor_graph

OFFSET = 1000  # positions in the data differ from positions in the arrays


def on_circle(*degrees: float) -> np.ndarray:
    angles = np.radians(np.asarray(degrees, dtype=np.float64))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def found(graph: NeighborGraph, order=None, **params):
    rows = np.arange(OFFSET, OFFSET + len(graph.indices), dtype=np.uint32)
    order = np.arange(len(rows)) if order is None else order
    return semantic_duplicates(graph, rows, SemanticParams(**params), order)


def told(removal) -> dict[int, int]:
    """Row that goes → row that stays, by their places in the arrays."""
    assert removal.rows.dtype == np.uint32
    assert (np.diff(removal.rows.astype(int)) > 0).all()
    return dict(zip((removal.rows - OFFSET).tolist(), (removal.duplicate_of - OFFSET).tolist(), strict=True))


def graph_of(vectors: np.ndarray, k: int = 3) -> NeighborGraph:
    return neighbor_graph(vectors, NeighborParams(k=k), seed=0)


def test_planted_paraphrases_are_found_with_their_evidence():
    rng = np.random.default_rng(0)
    originals = rng.normal(size=(60, 128))
    near = originals[:20] + 0.15 * rng.normal(size=(20, 128))  # cosine about 0.99
    far = originals[20:40] + 0.7 * rng.normal(size=(20, 128))  # cosine about 0.82
    vectors = np.concatenate([originals, near, far])
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    removal = found(graph_of(vectors), cosine=0.95)
    assert told(removal) == {60 + at: at for at in range(20)}
    assert (removal.reason, removal.threshold) == ("semantic_duplicate", 0.95)
    assert np.allclose(removal.score, (vectors[60:80] * vectors[:20]).sum(axis=1), atol=1e-6)


def test_a_chain_does_not_pull_a_row_out_for_one_that_went():
    chain = graph_of(on_circle(0, 10, 20, 30))  # cos 10° = 0.985, cos 20° = 0.940
    assert told(found(chain, cosine=0.95)) == {1: 0, 3: 2}
    assert told(found(chain, np.array([1, 0, 2, 3]), cosine=0.95)) == {0: 1, 2: 1}
    assert told(found(chain, cosine=0.93)) == {1: 0, 2: 0}  # 3 is 30° from 0


def test_one_list_that_names_the_other_row_is_enough():
    indices = np.array([[-1], [0], [-1]], dtype=np.int32)
    similarities = np.array([[-1], [0.97], [-1]], dtype=np.float32)
    graph = NeighborGraph(indices, similarities)
    assert told(found(graph)) == {1: 0}
    assert told(found(graph, np.array([1, 0, 2]))) == {0: 1}
    assert told(found(graph, cosine=0.98)) == {}


def test_the_likest_row_before_it_is_the_evidence_and_equals_go_by_position():
    graph = graph_of(on_circle(0, 16, -16, 12, 0))
    removal = found(graph, np.array([1, 2, 0, 3, 4]), cosine=0.96)  # cos 16° = 0.9613, cos 12° = 0.978
    assert told(removal) == {0: 1, 3: 1, 4: 1}
    assert removal.score[1] == pytest.approx(np.cos(np.radians(4)), abs=1e-6)


def test_a_cosine_that_float32_rounds_down_is_not_reached():
    graph = NeighborGraph(np.array([[1], [0]], np.int32), np.full((2, 1), 0.95, np.float32))
    assert float(np.float32(0.95)) < 0.95
    assert told(found(graph, cosine=0.95)) == {}


@st.composite
def graphs(draw):
    """Vectors around few centres, the graph of them, an order and a cosine."""
    size, seed = draw(st.integers(0, 40)), draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, 5))
    vectors = centres[rng.integers(0, 4, size)] + draw(st.sampled_from([0.0, 0.2, 0.6])) * rng.normal(size=(size, 5))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return graph_of(vectors, draw(st.integers(2, 6))), rng.permutation(size), draw(st.floats(0.5, 1))


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 40))
def test_every_row_that_goes_is_like_one_that_stays_and_no_two_like_rows_stay(given, target):
    graph, order, cosine = given
    size = len(order)
    likeness = np.full((size, size), -1.0)
    for row, column in zip(*np.nonzero(graph.indices >= 0), strict=True):
        other, value = graph.indices[row, column], float(graph.similarities[row, column])
        likeness[row, other] = likeness[other, row] = max(value, likeness[row, other])
    place = np.argsort(order)
    whole, cut = found(graph, order, cosine=cosine), found(graph, order, cosine=cosine, target_rows=target)
    for removal in (whole, cut):
        gone, kept = removal.rows - OFFSET, removal.duplicate_of - OFFSET
        assert not np.isin(kept, gone).any()
        assert (place[kept] < place[gone]).all()
        assert (removal.score >= cosine).all()
        assert (removal.score == likeness[gone, kept]).all()
    stays = np.setdiff1d(np.arange(size), whole.rows - OFFSET)
    assert (likeness[np.ix_(stays, stays)] < cosine).all()
    assert len(cut.rows) == min(len(whole.rows), max(0, size - target))


def test_down_to_a_target_the_likest_go_first():
    graph = graph_of(on_circle(0, 1, 90, 95, 180, 183, 183.5))
    assert told(found(graph, target_rows=6, cosine=0.9)) == {6: 5}
    assert told(found(graph, target_rows=5, cosine=0.9)) == {1: 0, 6: 5}
    everything = told(found(graph, cosine=0.9))
    assert told(found(graph, target_rows=2, cosine=0.9)) == everything == {1: 0, 3: 2, 5: 4, 6: 4}
    assert told(found(graph, target_rows=7, cosine=0.9)) == {}
    copies = graph_of(on_circle(0, 0, 0, 0))
    assert told(found(copies, target_rows=2)) == {2: 0, 3: 0}  # of equals, the one that stays least surely


def test_the_order_in_which_rows_stay():
    measured = np.array([3.0, 5.0, 5.0, 1.0])
    assert keep_order("first", 4, measured).tolist() == [0, 1, 2, 3]
    for which in ("longest", "best_quality", "nearest"):
        assert keep_order(which, 4, measured).tolist() == [1, 2, 0, 3]
    assert keep_order("furthest", 4, measured).tolist() == [3, 0, 1, 2]
    synthetic = np.array([False, True, False, True])
    assert keep_order("longest", 4, measured, synthetic).tolist() == [2, 0, 1, 3]
    assert keep_order("first", 4, None, synthetic).tolist() == [0, 2, 1, 3]


def test_the_tool_takes_rows_out_of_a_table():
    frame = pl.DataFrame(
        {
            "vector": on_circle(0, 10, 40, 100, 102, 140).tolist(),
            "text": ["a", "a longer one", "b", "c", "d", "e"],
            "cluster": [0, 0, 0, 1, 1, 1],
            "quality": [1.0, 2.0, 3.0, 5.0, 4.0, 0.0],
        }
    )

    def left(**params):
        return TOOL.on_table(frame, SemanticParams(**params), 0)["text"].to_list()

    assert left(which_to_keep="first") == ["a", "b", "c", "e"]
    assert left(which_to_keep="longest") == ["a longer one", "b", "c", "e"]
    assert left(which_to_keep="best_quality") == ["a longer one", "b", "c", "e"]
    assert left(which_to_keep="furthest") == ["a", "b", "c", "e"]  # the centroids lie at 17° and 114°
    assert left(which_to_keep="nearest") == ["a longer one", "b", "d", "e"]
    without = frame.drop("cluster")  # the centroid of all lies at 65°
    assert TOOL.on_table(without, SemanticParams(), 0)["text"].to_list() == ["a", "b", "d", "e"]
    with pytest.raises(InputError, match="goes by a column 'quality'"):
        TOOL.on_table(frame.drop("quality"), SemanticParams(which_to_keep="best_quality"), 0)
    assert TOOL.on_table(frame.head(0), SemanticParams(), 0).height == 0


def test_rows_that_differ_in_a_word_on_which_the_meaning_turns_are_not_alike():
    vectors = on_circle(0, 1, 2, 90, 91)
    texts = pl.Series(["Enable the cache.", "Disable the cache.", "Enable the caches.", "Say hi", "Say hello"])
    rows, order = np.arange(5, dtype=np.uint32), np.arange(5)
    graph = graph_of(vectors)
    by_vectors = semantic_duplicates(graph, rows, SemanticParams(cosine=0.95), order)
    assert by_vectors.rows.tolist() == [1, 2, 4]
    by_words = semantic_duplicates(graph, rows, SemanticParams(cosine=0.95), order, texts)
    assert (by_words.rows.tolist(), by_words.duplicate_of.tolist()) == ([2, 4], [0, 3])
