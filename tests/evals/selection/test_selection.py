"""The experiments on selection at a size a test can afford, and that they go on where they were stopped."""

import gzip
import json

import numpy as np
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.selection import digits, mixtures, pruning
from recryst.state.errors import InputError, UsageError


@pytest.fixture
def data(tmp_path):
    """A folder of made-up digits: bars whose place tells the class."""
    random = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for name, rows in (("train", 400), ("t10k", 100)):
        labels = np.arange(rows) % 10
        images = random.integers(0, 60, (rows, 28, 28))
        for row, label in enumerate(labels):
            images[row, 4 + 2 * label : 6 + 2 * label, 4:24] = 250
        for kind, magic, held in (("images-idx3", 3, images), ("labels-idx1", 1, labels)):
            head = bytes([0, 0, 8, magic]) + np.array(held.shape, dtype=">i4").tobytes()
            with gzip.open(tmp_path / f"mnist/{name}-{kind}-ubyte.gz", "wb") as file:
                file.write(head + held.astype(np.uint8).tobytes())
    return tmp_path


def _run(*words):
    made = CliRunner().invoke(evals, [*map(str, words), "--json"], catch_exceptions=False)
    return json.loads(made.stdout)


def test_pruned_digits_are_learned_and_finished_cells_are_read_back(data, tmp_path, monkeypatch):
    words = ["pruning-mnist", "--data", data, "--k", 5, "--keep", 0.5, "--seeds", 1, "--epochs", 6]
    words += ["--out", tmp_path / "out"]
    (table,) = _run(*words)
    assert [(line["strategy"], line["digits"]) for line in table["rows"]] == [
        ("closest", 200), ("furthest", 200), ("random", 200), ("all", 400),
    ]  # fmt: skip
    assert table["rows"][-1]["median"] > 60
    assert table["rows"][-1]["published"] == "98.71 median"
    (tmp_path / "out/pruning-mnist/random-5-0.5-0/cell.json").unlink()
    trained = []
    monkeypatch.setattr(pruning, "accuracy", lambda *given: trained.append(given) or 0.5)
    (again,) = _run(*words)
    assert len(trained) == 1
    assert [line["median"] for line in again["rows"] if line["strategy"] != "random"] == [
        line["median"] for line in table["rows"] if line["strategy"] != "random"
    ]
    with pytest.raises(UsageError, match="--epochs"):
        _run(*words, "--epochs", 7)


def test_what_is_no_file_of_digits_is_refused(data):
    with gzip.open(data / "mnist/t10k-labels-idx1-ubyte.gz", "wb") as file:
        file.write(b"\0\0\x08\x01\0\0\0\x09few")
    with pytest.raises(InputError, match="not an IDX file"):
        digits.mnist(data)


def test_balance_of_a_plane(tmp_path, monkeypatch):
    monkeypatch.setattr(mixtures, "_POINTS", 1500)
    tables = _run("balance", "--data", tmp_path, "--set", "plane, apart", "--seeds", 1)
    by_method = {line["method"]: line for line in tables[0]["rows"]}
    assert by_method["hierarchical, resampled"]["KL"] < by_method["flat"]["KL"] < by_method["random"]["KL"]
    for line in by_method.values():
        assert line["KL"] + line["entropy"] == pytest.approx(np.log(20), abs=1e-3)
    assert tables[1]["rows"][0]["KL lower than flat"] == 1


def test_a_thinned_set_has_a_long_tail_and_the_test_rows_have_none():
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(8), 60)
    whole = mixtures.Mixture(np.zeros((480, 2), dtype=np.float32), classes, np.zeros((8, 2)), np.arange(8))
    thin = mixtures._thinned(whole, random)
    assert sorted(np.bincount(thin.classes)) == [7, 8, 10, 12, 15, 20, 30, 60]
    np.testing.assert_array_equal(thin.truth, np.arange(8))
