"""Davies-Bouldin and Calinski-Harabasz are scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from recryst.tools.vectors.dispersion import dispersion


@given(st.integers(0, 2**16), st.integers(4, 300), st.integers(1, 12), st.booleans())
def test_both_are_those_of_scikit_learn(seed: int, rows: int, k: int, noise: bool):
    random = np.random.default_rng(seed)
    vectors = random.standard_normal((rows, 8), dtype=np.float32)
    labels = random.integers(-1 if noise else 0, k, rows) * 2  # numbers in between have no row
    labels[labels < 0] = -1
    known = labels >= 0
    davies, calinski = dispersion(vectors, labels)
    if not 2 <= len(np.unique(labels[known])) < known.sum():
        assert (davies, calinski) == (None, None)
        return
    assert davies == pytest.approx(davies_bouldin_score(vectors[known], labels[known]), rel=1e-4)
    assert calinski == pytest.approx(calinski_harabasz_score(vectors[known], labels[known]), rel=1e-4)


def test_rows_of_many_blocks_and_of_one_place():
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 20_000)
    vectors = (random.standard_normal((20_000, 16)) + labels[:, None]).astype(np.float32)
    figures = davies_bouldin_score(vectors, labels), calinski_harabasz_score(vectors, labels)
    assert dispersion(vectors, labels) == pytest.approx(figures, rel=1e-5)
    assert dispersion(np.ones((20_000, 16), dtype=np.float32), labels) == (0.0, 1.0)
    places = np.eye(7, 16, dtype=np.float32)[labels]
    theirs = davies_bouldin_score(places, labels), calinski_harabasz_score(places, labels)
    assert dispersion(places, labels) == (0.0, 1.0) == theirs
