"""Lloyd's rounds against the same written plainly, and the same bits on any number of threads."""

import os
import subprocess
import sys

import numpy as np
import pytest

from recryst.evals.speed.rows import inertia, mixture
from recryst.tools.vectors.partition import lloyd as module
from recryst.tools.vectors.partition.lloyd import assigned, label_sums, lloyd


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 100)
    monkeypatch.setattr(module, "_SCORES", 300)


@pytest.mark.usefixtures("small_blocks")
def test_rows_go_to_the_nearest_centroid_of_whatever_length(tmp_path):
    random = np.random.default_rng(0)
    vectors, centroids = random.normal(size=(1050, 6)), random.normal(size=(9, 6))
    np.save(tmp_path / "rows.npy", vectors.astype(np.float32))
    labels = assigned(np.load(tmp_path / "rows.npy", mmap_mode="r"), centroids)
    distances = ((vectors[:, None] - centroids[None]) ** 2).sum(axis=2)
    assert (labels == distances.argmin(axis=1)).all()
    assert labels.dtype == np.int32
    assert not assigned(vectors.astype(np.float32), np.repeat(centroids[:1], 3, axis=0)).any(), "the first of equals"


@pytest.mark.usefixtures("small_blocks")
def test_sums_leave_out_rows_without_a_label():
    vectors = np.random.default_rng(0).normal(size=(730, 4))
    labels = np.random.default_rng(1).integers(-1, 5, 730)
    sums = label_sums(vectors, labels, 6, scale=lambda rows: 2 * rows)
    assert np.allclose(sums[:5], [2 * vectors[labels == label].sum(axis=0) for label in range(5)])
    assert not sums[5].any()


@pytest.mark.usefixtures("small_blocks")
def test_rounds_are_those_of_scikit_learn():
    from sklearn.cluster import KMeans

    vectors = mixture(2000, 0, 24)
    start = vectors[::200].copy()
    made = lloyd(vectors, start, 7, least=0)
    theirs = KMeans(10, init=start, n_init=1, max_iter=7, tol=0).fit(vectors)
    assert np.allclose(made, theirs.cluster_centers_, atol=1e-4)


def test_rounds_end_when_they_bring_little_and_a_centroid_without_rows_stays():
    vectors = mixture(2000, 0, 24)
    start = np.vstack([vectors[:8], np.full((1, 24), 5, np.float32)])
    far = lloyd(vectors, start, 50, least=0)
    near = lloyd(vectors, start, 50, least=0.05)
    assert (far[8] == 5).all()
    assert inertia(vectors, assigned(vectors, far)) < inertia(vectors, assigned(vectors, near))
    assert (lloyd(vectors, far, 50, least=1e-6) == lloyd(vectors, far, 2, least=0)).all()


PROGRAM = """
import hashlib, sys
import numpy as np
from recryst.state.params.vectors import ClusterParams, NeighborParams
from recryst.tools.vectors.cluster import cluster
from recryst.tools.vectors.neighbors import neighbor_graph
vectors = np.load(sys.argv[1])
found = cluster(vectors, ClusterParams(k=10), seed=1)
exact = neighbor_graph(vectors[:2000], NeighborParams(k=5), seed=1)
near = neighbor_graph(vectors[:4000], NeighborParams(k=5, exact_rows=1000), seed=1)
for array in (found.labels, found.centroids, exact.indices, exact.similarities, near.indices, near.similarities):
    print(hashlib.sha256(array.tobytes()).hexdigest())
"""


def test_the_same_bits_on_any_number_of_threads(tmp_path):
    """Above the row count up to which k-means is scikit-learn's; BLAS, too, has as many threads as it likes.

    The rows are made once: they are a product themselves, whose bits may depend on the threads.
    """
    np.save(tmp_path / "rows.npy", mixture(52_000, 0, 32))
    digests = []
    for threads in ("1", "3"):
        set_ = {"NUMBA_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, tmp_path / "rows.npy"],
            env=os.environ | set_,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout.split())
    assert len(digests[0]) == 6
    assert digests[0] == digests[1]
