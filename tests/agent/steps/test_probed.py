"""What rows are worth: which probes learn from them, and that held-out rows are met by those that are left."""

import numpy as np
import polars as pl
import pytest
from small_view import ROWS, Round, SmallRun, texts

from recryst.agent.steps.measured import KeptRows, spaces
from recryst.agent.steps.probed import (
    Pool,
    anchor_held_out,
    anchor_scores,
    choose_probes,
    codes_of,
    covered_by_chance,
    covered_rows,
    held_out_weights,
    learns_labels,
    pool_scores,
    row_groups,
)
from recryst.state.errors import InputError
from recryst.state.params.vectors import ClusterParams
from recryst.state.phrases import silent


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    run = Round(tmp_path_factory.mktemp("run"))
    return run.described(run.held_out())


def test_labels_are_learned_where_most_rows_have_one(view, tmp_path):
    kept = KeptRows.of(view)
    assert learns_labels(view, kept.rows)
    assert choose_probes(view, kept) == (("nearest_neighbor", "linear_discriminant"), 0)
    bare = SmallRun(tmp_path, texts(ROWS), labels=["one"] * 10 + [None] * (ROWS - 10)).loaded()
    assert not learns_labels(bare, np.arange(ROWS, dtype=np.uint32))


def test_a_probe_of_labels_without_any_is_refused_with_the_remedy(tmp_path):
    run = Round(tmp_path, probe={"kind": "pairs"})
    with pytest.raises(InputError, match=r"probe\.kind may be text"):
        choose_probes(run.embedded(run.held_out()), None)


def test_a_density_methods_space_is_made_once_for_the_same_rows(view):
    kept, params = KeptRows.of(view), ClusterParams(algorithm="hdbscan", min_cluster_size=5)
    found = spaces(view, kept, params, [1, 2])
    larger, wider = (params.model_copy(update=one) for one in ({"min_cluster_size": 9}, {"dimensions": 3}))
    assert spaces(view, kept, larger, [1, 2]) is found
    assert np.array_equal(spaces(view, kept, params, [2])[0], found[1])
    assert spaces(view, kept, wider, [1])[0].shape == (len(kept.rows), 3)
    assert spaces(view, kept, ClusterParams(), [1, 2]) == [None, None]


def test_a_class_whose_rows_are_gone_is_met_no_longer(view):
    kept, codes = view.kept(), codes_of(view, view.kept())
    vectors = np.asarray(view.array("vectors"))
    names = view.values.probes
    whole = anchor_scores(view, names, 0, kept, vectors, silent)
    gone = codes != codes[0]
    without = anchor_scores(view, names, 0, kept[gone], vectors[gone], silent)
    lost = codes_of(view, view.anchor()) == codes[0]
    assert whole[:, lost].mean() > 0.9
    assert without[:, lost].max() == 0
    assert (without[:, ~lost] >= whole[:, ~lost]).all()


def test_held_out_rows_weigh_by_group_and_by_class(view):
    anchor = view.anchor()
    sure = np.ones(len(anchor), dtype=bool)
    weights = held_out_weights(view, view.values.probes, anchor, sure)
    codes = codes_of(view, anchor)
    by_class = np.bincount(codes, weights.by_class)
    assert np.allclose(by_class[by_class > 0], 1 / (by_class > 0).sum())
    assert np.allclose(np.bincount(row_groups(view, anchor), weights.confirmed).max(), weights.confirmed.max())
    nobody = held_out_weights(view, view.values.probes, anchor, ~sure)
    assert nobody.confirmed.sum() == 0 < nobody.raw.sum()


@pytest.mark.parametrize("relabelled", [0, 9])
def test_what_is_known_of_the_pool_gives_the_scores_of_a_training(view, relabelled):
    kept, vectors = view.kept(), np.asarray(view.array("vectors"))
    left, names = np.arange(len(kept)) % 3 > 0, view.labels().drop_nulls().unique().sort()
    held, after = anchor_held_out(view, view.values.probes), view
    if relabelled:
        rows = pl.Series(kept[left][:relabelled])
        after = view.with_labels(pl.DataFrame({"row": rows, "label": [names[0]] * relabelled}))
    plain = anchor_scores(after, view.values.probes, 0, kept[left], vectors[left], silent)
    assert np.array_equal(pool_scores(after, kept[left], held, Pool.of(view)), plain)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.35])
def test_what_rows_out_by_chance_cover_is_foreseen(view, share):
    rows, random = len(view.array("pool")), np.random.default_rng(0)
    out = round(rows * share)
    drawn = [covered_rows(view, random.permutation(rows) >= out) for _ in range(400)]
    foreseen = covered_by_chance(view, np.ones(rows, dtype=bool), out / rows)
    assert abs(np.mean(drawn) - foreseen.mean()) < 0.01
    assert np.abs(np.mean(drawn, axis=0) - foreseen).max() < 0.1


def test_an_emptied_region_covers_less_than_chance(view):
    codes = codes_of(view, np.asarray(view.array("pool")))
    gone = codes == codes[0]
    lost = codes_of(view, view.anchor()) == codes[0]
    by_chance = covered_by_chance(view, np.ones(len(gone), dtype=bool), gone.mean())
    assert by_chance[lost].mean() > 0.8
    assert covered_rows(view, ~gone)[lost].mean() < 0.5
