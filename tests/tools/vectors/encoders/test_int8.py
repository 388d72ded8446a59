"""The embedded model in eight bits: near to float32, from ranges that can be measured again."""

import numpy as np
import pytest

from recryst.evals.speed import texts as speed_texts
from recryst.evals.speed.pairs import Plan
from recryst.state.errors import UsageError
from recryst.state.params.vectors import EmbedParams
from recryst.tools import docstrings
from recryst.tools.vectors.encoders import embedded, int8
from recryst.tools.vectors.encoders.embedded import MiniLMEncoder

NEIGHBOURS = 10


@pytest.fixture(scope="module")
def texts():
    rows = docstrings.read_docstrings()  # parsed once
    return [rows[at]["text"] for at in np.random.default_rng(7).permutation(len(rows))[:300]]


@pytest.fixture(scope="module")
def exact(texts):
    return MiniLMEncoder(EmbedParams(precision="float32")).encode(texts)


def _nearest(vectors):
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    return np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]


@pytest.fixture
def encoder():
    try:
        return MiniLMEncoder(EmbedParams(precision="int8"))
    except UsageError as error:
        pytest.skip(str(error))


def test_nearly_the_vectors_of_float32_and_their_neighbours(encoder, texts, exact):
    vectors = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert (vectors * exact).sum(axis=1).min() > 0.985
    same = [len({*mine} & {*theirs}) for mine, theirs in zip(_nearest(vectors), _nearest(exact), strict=True)]
    assert np.mean(same) / NEIGHBOURS >= 0.93
    assert not np.allclose(vectors, exact, atol=1e-3)  # it is no float32 under another name
    assert encoder.name != MiniLMEncoder(EmbedParams(precision="float32")).name
    assert "int8 beside" in encoder.runtime
    assert encoder.encode(texts).tobytes() == vectors.tobytes()


def test_the_ranges_are_those_that_are_measured(texts):
    known = int8.known_ranges()
    found = int8.measured(texts[:60])
    assert found.keys() == known.keys()
    for name, (least, most) in found.items():
        assert known[name].shape == (2, len(least))
        room = 0.5 * (known[name][1] - known[name][0])
        inside = (least >= known[name][0] - room) & (most <= known[name][1] + room)
        assert inside.mean() > 0.99, name


def test_a_processor_that_multiplies_bytes_too_coarsely_is_refused(monkeypatch):
    monkeypatch.setattr(int8, "_NEAR", 1.1)
    embedded._compiled.cache_clear()
    with pytest.raises(UsageError, match=r"too coarsely for int8: set embed\.precision=auto"):
        MiniLMEncoder(EmbedParams(precision="int8"))
    line = speed_texts._line("short_texts", ["one", "two"], None, "int8", 4.5, Plan(repeats=1))
    assert (line.seconds, line.met, line.quality) == (None, None, "not on this processor")
    embedded._compiled.cache_clear()


def test_what_is_too_coarse_is_told_from_what_is_not(exact):
    vector = MiniLMEncoder(EmbedParams(precision="float32")).encode([int8.CHECKED])[0]
    assert int8.computes(vector)
    assert not int8.computes(exact[0])
