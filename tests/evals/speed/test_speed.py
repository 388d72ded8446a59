"""The comparisons at a size a test can afford: the results are right, whatever the machine's speed; and the frame."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.loop.sets import banking77
from recryst.evals.speed import documents, experiment, labelled, pairs, rows, texts, whole
from recryst.evals.speed.pairs import Line, Plan, paired
from recryst.state.errors import UsageError
from recryst.tools import docstrings
from recryst.tools.vectors.static import tier


def test_the_command_prints_what_is_asked_for(monkeypatch):
    words = ["speed", "--only", "kmeans", "--only", "neighbours", "--rows", "1000", "--repeats", "1"]
    monkeypatch.setattr(rows, "_QUERIES", 100)
    made = CliRunner().invoke(evals, [*words, "--json"], catch_exceptions=False)
    table = json.loads(made.stdout)
    assert [line["what"] for line in table["rows"]] == ["kmeans", "neighbours"]
    assert all(line["Recryst s"] >= 0 and line["peer s"] > 0 and line["met"] in ("yes", "no") for line in table["rows"])
    assert "recall 1.0000" in table["rows"][1]["result"]
    assert table["command"] == "recryst eval speed --rows 1000 --repeats 1 --only kmeans --only neighbours"
    assert all(f"`{name}`: " in " ".join(table["notes"]) for name in ("kmeans", "neighbours"))
    assert experiment.processor() in table["notes"][0]


@pytest.mark.parametrize("name", experiment.LINES)
def test_each_name_is_that_of_a_comparison(name, monkeypatch, request):
    for bound, few in (("_SHORT", 100), ("_LONG", 30), ("_TRIED", 20)):
        monkeypatch.setattr(texts, bound, few)
    monkeypatch.setattr(texts, "read_docstrings", docstrings.read_docstrings)  # parsed once
    monkeypatch.setattr(whole, "read_docstrings", docstrings.read_docstrings)
    monkeypatch.setattr(whole, "_ROWS", 150)
    monkeypatch.setattr(whole, "_SETTINGS", {**whole._SETTINGS, "reduce": {"methods": ["pca"]}})
    monkeypatch.setattr(labelled, "_ROWS", 200)
    monkeypatch.setattr(labelled, "_PEER_TEXTS", 20)
    for bound, few in (("SAMPLE", 300), ("HELD_OUT", 100)):
        monkeypatch.setattr(tier, bound, few)
    data = request.getfixturevalue("shared_data") if name in experiment._OF_DATA else None
    if data is not None:
        few = banking77(data)
        few = replace(few, train=few.train[:300], test=few.test[:100])
        monkeypatch.setattr(labelled, "banking77", lambda _: few)
        monkeypatch.setattr(whole, "banking77", lambda _: few)
        monkeypatch.setattr(whole, "newsgroups20", lambda _: few)
    assert {line.name for line in experiment._lines(name, Plan(rows=1000, repeats=1, data=data))} == {name}


def test_what_is_measured_on_a_data_set_says_so():
    made = CliRunner().invoke(evals, ["speed", "--only", "static"])
    assert isinstance(made.exception, UsageError)
    assert "--data" in str(made.exception)


def test_the_rows_removed_are_those_of_datasketch():
    line = documents.minhash(Plan(rows=1500, repeats=1))[0]
    assert line.good
    assert 0.02 < int(line.quality.partition(" ")[0]) / 1500 < documents._COPIES
    assert "same rows" in line.quality


def test_a_peer_that_is_not_installed_leaves_a_gap(monkeypatch):
    monkeypatch.setattr(documents, "_installed", lambda name: False)
    line = documents.minhash(Plan(rows=1000, repeats=1))[1]
    assert "rensa" in line.peer
    assert (line.seconds, line.faster, line.met) == (None, None, None)
    assert line.cells()[3:6] == (None, None, None)


def test_other_rows_than_the_peers_do_not_pass(monkeypatch):
    monkeypatch.setattr(documents, "datasketch_removed", lambda text, params: ([7], 0.0))
    line = documents.minhash(Plan(rows=1000, repeats=1))[0]
    assert (line.met, line.good) == ("no", False)


@pytest.mark.parametrize(
    ("faster", "good", "met"), [(3.0, True, "yes"), (2.9, True, "no"), (9.0, False, "no"), (None, None, None)]
)
def test_a_line_passes_by_speed_and_result_together(faster, good, met):
    assert Line("a", "b", "c", None, faster, 3, "d", good, "e").met == met


def test_a_ratio_is_the_median_over_the_pairs_and_the_peer_is_scaled(monkeypatch):
    clock = iter([1.0, 6.0, 2.0, 4.0, 1.0, 3.0])  # ours, theirs, …: 6, 2 and 3 times
    monkeypatch.setattr(pairs, "timed", lambda work: (next(clock), work()))
    order = []
    measured = paired(lambda: order.append("ours"), lambda: order.append("theirs"), 3, scale=10)
    assert order == ["ours", "theirs"] * 3
    assert (measured.ours, measured.theirs, measured.faster) == (1.0, 40.0, 30.0)


def test_inertia_is_that_of_scikit_learn():
    from sklearn.cluster import KMeans

    vectors = rows.mixture(1500, 0)
    model = KMeans(12, n_init=1, random_state=0).fit(vectors)
    assert rows.inertia(vectors, model.labels_) == pytest.approx(model.inertia_, rel=1e-4)


def test_what_is_made_up_depends_on_the_seed_alone_and_is_not_parted_by_itself():
    vectors = rows.mixture(2000, 0)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert (vectors == rows.mixture(2000, 0)).all()
    assert not (vectors[:9] == rows.mixture(2000, 1)[:9]).any()
    assert documents.documents(50, 0).to_list() == documents.documents(50, 0).to_list()
    likeness = np.sort(vectors[:200] @ vectors.T, axis=1)
    assert 0.3 < likeness[:, -2].mean() < 0.8, "rows are copies, or strangers"
