"""Shorter vectors: what is measured of them, what is chosen by it, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from recryst.state.errors import InputError, IntegrityError
from recryst.state.params.vectors import EmbedParams
from recryst.tools.vectors import axes
from recryst.tools.vectors.neighbors import unit

AUTO = EmbedParams(dimensions="auto", recall=0.9)


def rows(count: int, seed: int = 0, width: int = 48) -> np.ndarray:
    """Unit vectors off the origin that spread far in few directions, none of them along an axis."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(np.random.default_rng(7).standard_normal((width, width)))[0]
    spread = random.standard_normal((count, width)) * np.geomspace(1, 0.05, width)
    return unit(((spread + 0.5) @ rotation).astype(np.float32))


def test_the_smallest_size_is_taken_that_finds_enough_for_rows_that_were_not_fitted_to():
    vectors = rows(1000)
    found = axes.sampled(vectors, AUTO, 0)
    assert [size for size, _ in found.recall] == [4 * part for part in range(1, 12)]
    size = axes.chosen_size(found, AUTO)
    assert dict(found.recall)[size] >= 0.9 > dict(found.recall)[size - 4]
    laid = axes.axes_chosen(found, AUTO)
    assert (laid.dtype, laid.shape) == (np.float32, (48, size))
    others = rows(500, seed=1)
    kept = axes.recall(
        axes.neighbors_of(axes.along(vectors, laid), axes.along(others, laid)), axes.neighbors_of(vectors, others)
    )
    assert kept == pytest.approx(dict(found.recall)[size], abs=0.03)
    more, all_of_them = (AUTO.model_copy(update={"recall": share}) for share in (0.97, 1.0))
    assert axes.chosen_size(found, more) > size
    assert axes.chosen_size(found, all_of_them) is None
    assert axes.axes_chosen(found, all_of_them) is None
    with pytest.raises(IntegrityError, match="other sizes"):
        axes.chosen_size(replace(found, recall=found.recall[1:]), AUTO)
    with pytest.raises(IntegrityError, match="second moments"):
        axes.axes_chosen(replace(found, moments=None), AUTO)


def test_what_is_asked_about_is_not_fitted_to():
    vectors = np.zeros((200, 16), dtype=np.float32)
    vectors[:, 0] = 1.0  # all alike, but for two in three of those that are asked about
    order = np.random.default_rng(3).permutation(200)
    fitted, asked = axes.parts(200)
    assert (fitted, asked) == (160, 40)
    vectors[order[:asked]] = rows(asked, width=16)
    assert axes.sampled(vectors, AUTO, 3).moments.nonzero()[0].tolist() == [0]


def test_the_bits_are_the_same_whatever_the_threads():
    from threadpoolctl import threadpool_limits

    vectors, made = rows(6000), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found = axes.sampled(vectors, AUTO, 0)
            made.append((found.recall, axes.along(vectors, axes.axes_chosen(found, AUTO)).tobytes()))
    assert made[0] == made[1]


def test_what_cannot_be_shortened_is_refused_or_stays():
    with pytest.raises(InputError, match="48 are asked for, and the vectors have 48"):
        axes.sampled(rows(200), EmbedParams(dimensions=48), 0)
    with pytest.raises(InputError, match="40 are asked for, and 32 rows to fit them to are too few"):
        axes.sampled(rows(40), EmbedParams(dimensions=40), 0)
    with pytest.raises(InputError, match="vectors of 9 numbers stand beside such of 48"):
        axes.along(np.ones((1, 9), dtype=np.float32), np.eye(48, dtype=np.float32))
    few = rows(99)
    whole, said = axes.shortest(few, AUTO, 0)
    assert np.array_equal(whole, few)
    assert said == "vectors keep all 48 dimensions: 99 rows are too few to measure shorter ones on"
    short, said = axes.shortest(few, EmbedParams(dimensions=6), 0)
    assert short.shape == (99, 6)
    assert np.linalg.norm(short, axis=1) == pytest.approx(1)
    assert said.startswith("vectors have 6 of 48 dimensions: with 6 axes, 19 rows kept out of the fit find ")
