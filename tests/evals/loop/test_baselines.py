"""The baselines and what they learn with, on vectors whose faults are plain."""

import numpy as np
import polars as pl
import pytest

from recryst.evals.loop import baselines, learners
from recryst.state.errors import MissingExtraError

EACH, CLASSES = 30, 4


@pytest.fixture
def rows() -> baselines.Rows:
    """Four bundles of vectors; the rows 0 to 4 have a wrong label, the last ten repeat 0 to 9, label included."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    vectors = np.eye(CLASSES, 24)[labels] + 0.15 * random.normal(size=(EACH * CLASSES, 24))
    labels[:5] = 1 + np.arange(5) % 3
    texts = [f"text {at}" for at in range(EACH * CLASSES)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    both = np.concatenate([vectors, vectors[:10]]).astype(np.float32)
    return baselines.Rows(pl.Series([*texts, *texts[:10]]), both, np.concatenate([labels, labels[:10]]), 0)


def test_copies_go(rows):
    for name in ("exact + MinHash", "one per group"):
        assert np.flatnonzero(~baselines.BASELINES[name](rows)).tolist() == list(range(120, 130)), name


def test_wrong_labels_go_although_copies_vouch_for_them(rows):
    kept = baselines.by_own_probability(rows)
    by_row = learners.out_of_fold(rows.vectors, rows.labels, learners.folds_of(np.arange(130), 0), (1.0, 10.0))
    assert (by_row[np.arange(5), rows.labels[:5]] > baselines.DOUBTED).any()
    assert not kept[:5].any()
    assert not kept[120:].any()
    assert kept[5:120].mean() > 0.9


def test_chance_takes_as_many_as_it_is_told(rows):
    assert (~baselines.at_random(17, rows)).sum() == 17


def test_a_group_lies_in_one_fold(rows):
    groups = learners.near_groups(rows.vectors)
    folds = learners.folds_of(groups, 0)
    assert (folds[:10] == folds[120:]).all()
    assert len(np.unique(folds)) == learners.FOLDS
    assert (np.bincount(folds) > 15).all()


def test_cleanlab_says_how_it_is_installed_or_finds_wrong_labels(rows):
    if baselines.CLEANLAB not in baselines.available():
        with pytest.raises(MissingExtraError, match="pip install cleanlab"):
            baselines.by_cleanlab(rows)
    else:
        kept = baselines.by_cleanlab(rows)
        assert kept[5:120].mean() > 0.9


def test_semhash_says_how_it_is_installed_or_finds_copies(rows):
    if baselines.SEMHASH not in baselines.available():
        with pytest.raises(MissingExtraError, match="pip install semhash"):
            baselines.by_semhash(rows)
    else:
        near = rows.vectors @ rows.vectors.T - np.eye(130) > 0.9
        out = np.flatnonzero(~baselines.by_semhash(rows))
        assert set(range(120, 130)) <= set(out.tolist())
        assert near[out].any(axis=1).all(), "a row went that repeats none"


def test_the_nearest_class_is_by_direction():
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.6], [0, 1]], dtype=np.float32)
    assert learners.nearest_classes(vectors, ["a", "a", "b", "c"]) == {"a": "b", "b": "a", "c": "b"}
