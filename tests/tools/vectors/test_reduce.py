import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from recryst.state.errors import InputError
from recryst.state.params.vectors import ReduceParams
from recryst.tools.vectors.reduce import TOOL, Maps, pca, reduce


def planted(rows: int, clusters: int, width: int = 64, spread: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around random centres, and the centre each belongs to."""
    random = np.random.default_rng(0)
    labels = random.integers(clusters, size=rows)
    vectors = random.standard_normal((clusters, width))[labels] / np.sqrt(width)
    vectors += spread * random.standard_normal((rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, Maps, list[int]]:
    vectors, labels = planted(700, 6)
    steps: list[int] = []
    return vectors, labels, reduce(vectors, ReduceParams(landmarks=300), 7, steps.append), steps


def test_maps_have_every_row_and_keep_planted_clusters(drawn):
    _, labels, maps, steps = drawn
    assert sorted(maps.coordinates) == ["pca_2d", "pca_3d", "tsne_2d", "umap_2d", "umap_3d"]
    assert maps.landmarks == 300
    assert sum(steps) == 5
    for name, points in maps.coordinates.items():
        assert points.shape == (700, int(name[-2]))
        assert points.dtype == np.float32
        assert maps.trustworthiness[name] > 0.8
        if not name.startswith("pca"):  # landmarks and placed rows alike lie nearest to their own cluster's middle
            middles = np.stack([np.median(points[labels == label], axis=0) for label in range(6)])
            nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
            assert (nearest == labels).mean() > 0.98


def test_same_seed_gives_the_same_bytes(drawn):
    vectors, _, maps, _ = drawn
    again = reduce(vectors, ReduceParams(landmarks=300), 7)
    assert again.trustworthiness == maps.trustworthiness
    assert all(again.coordinates[name].tobytes() == points.tobytes() for name, points in maps.coordinates.items())


def test_kernels_of_umap_are_kept_and_leave_the_lock_to_other_threads():
    """Two of them UMAP has compiled whenever it is imported, and the one that takes the time holds Python's lock."""
    program = """
import numba
njit = numba.njit
from recryst.tools.vectors.reduce import load_libraries
load_libraries()
assert numba.njit is njit
from umap import layouts, utils
for kernel in (utils.tau_rand, utils.tau_rand_int, layouts._nb_optimize_layout_euclidean_single_epoch):
    assert kernel.targetoptions["nogil"]
    print(type(kernel._cache).__name__)
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["FunctionCache"] * 3), done.stderr


def test_pca_is_the_exact_decomposition():
    from sklearn.decomposition import PCA

    vectors, _ = planted(5000, 4, width=20)  # more than one block
    truth = PCA(3, svd_solver="full").fit_transform(vectors.astype(np.float64))
    np.testing.assert_allclose(np.abs(pca(vectors, 3)), np.abs(truth), atol=1e-5)


@pytest.mark.parametrize("rows", [5, 10, 50])
def test_tiny_and_identical_rows_are_drawn(rows):
    vectors, _ = planted(rows, 3)
    copies = [np.repeat(vectors[:distinct], 30, axis=0)[:rows] for distinct in (1, 3)]
    for some in (vectors, *copies, vectors[:, :2]):
        maps = reduce(some, ReduceParams(), 1)
        assert all(np.isfinite(points).all() for points in maps.coordinates.values())
        assert all(0 <= value <= 1 for value in maps.trustworthiness.values())


def test_what_cannot_be_drawn_is_refused():
    vectors, _ = planted(20, 2)
    with pytest.raises(InputError, match="at least 5 rows"):
        reduce(vectors[:4], ReduceParams(), 0)
    vectors[3, 3] = np.nan
    with pytest.raises(InputError, match="not finite"):
        reduce(vectors, ReduceParams(), 0)


def test_tool_adds_a_column_per_axis():
    vectors, _ = planted(30, 2)
    frame = TOOL.on_table(pl.DataFrame({"vector": vectors.tolist()}), ReduceParams(methods=("pca",)), 0)
    assert frame.columns == ["vector", "pca_2d_x", "pca_2d_y", "pca_3d_x", "pca_3d_y", "pca_3d_z"]
    assert frame["pca_2d_x"].dtype == pl.Float32
