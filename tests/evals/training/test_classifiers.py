"""The experiment on classifiers, at a size a test can afford: all begin from the one teacher that is trained."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.training import classifiers

_ASKED = {
    "card": ["My {} card was stolen.", "I lost the {} card, block it.", "Where is my {} card?"],
    "rate": ["Which {} exchange rate applies?", "Is the {} rate of today good?", "Tell me the {} rate for pounds."],
}
_KINDS = ["new", "old", "virtual", "second", "latest", "usual", "first", "other", "same", "blue", "red", "green"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Questions of two intents, and a problem that is not for a bank."""
    random = np.random.default_rng(0)
    asked = [(line.format(kind), label) for label, lines in _ASKED.items() for line in lines for kind in _KINDS]
    order = random.permutation(len(asked)).tolist()
    (tmp_path / "banking77").mkdir()
    for part, chosen in (("train", order[:48]), ("test", order[48:])):
        with (tmp_path / f"banking77/{part}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "category"), *(asked[at] for at in chosen)])
    (tmp_path / "gsm8k").mkdir()
    with gzip.open(tmp_path / "gsm8k/train.jsonl.gz", "wt", encoding="utf-8") as problems:
        problems.write(json.dumps({"question": "How many apples are left?", "answer": "2"}) + "\n")
    return tmp_path


def _run(*words: object) -> dict[str, dict[str, float]]:
    made = CliRunner().invoke(evals, [*map(str, words), "--json"], catch_exceptions=False)
    return {row["model"]: row for row in json.loads(made.stdout)[0]["rows"]}


def test_all_are_made_of_one_teacher(data, tmp_path, monkeypatch):
    words = ["classifiers", "--data", data, "--seeds", 1, "--epochs", 4, "--out", tmp_path / "out"]
    rows = _run(*words)
    assert list(rows) == list(classifiers.MODELS)
    assert rows["teacher"]["macro-F1"] > 0.8
    assert rows["distilled"]["% of teacher"] < 10
    assert rows["distilled"]["kept %"] > 80
    assert rows["half the layers"]["macro-F1"] >= rows["half the layers, as they are"]["macro-F1"]
    for name in ("half the heads", "half the weights"):
        assert rows[name]["parameters"] == rows["teacher"]["parameters"]
        assert rows[name]["not 0"] < rows[name]["parameters"]

    (tmp_path / "out/classifiers/distilled-0/cell.json").unlink()
    monkeypatch.setattr(classifiers, "tuned", lambda *_: pytest.fail("the teacher was trained again"))
    assert _run(*words) == rows
