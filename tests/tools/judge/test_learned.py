"""The score on rows kept apart, on vectors whose classes are plain."""

import numpy as np
import pytest

from recryst.tools.judge.learned import macro_f1, recovered


def test_the_score_is_of_the_classes_asked_for():
    random = np.random.default_rng(0)
    names = [f"c{at % 4}" for at in range(120)]
    vectors = np.eye(4, 16, dtype=np.float32)[np.arange(120) % 4] + 0.1 * random.standard_normal((120, 16))
    test, truth = vectors[::3], names[::3]
    assert macro_f1(vectors, names, test, truth) > 0.95
    without = [at for at, name in enumerate(names) if name != "c3"]
    missing = macro_f1(vectors[without], [names[at] for at in without], test, truth)
    assert 0.6 < missing < 0.8  # a class that nothing was learned of counts as missed
    assert macro_f1(vectors[:1], names[:1], test, truth) < 0.3


def test_the_recovered_share_is_that_of_the_gap():
    assert recovered(0.7, 0.6, 0.8) == pytest.approx(0.5)
    assert recovered(0.5, 0.6, 0.8) == pytest.approx(-0.5)
    assert recovered(0.9, 0.6, 0.8) == pytest.approx(1.5)
    assert recovered(0.7, 0.8, 0.8) is None
