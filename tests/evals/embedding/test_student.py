"""The experiment on static students at a size a test can afford."""

import json

from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.embedding import student
from recryst.tools.vectors.static.student import ACCEPTED


def test_a_student_of_more_texts_agrees_more_and_one_that_is_accepted_teaches_nearly_as_much(few_intents, monkeypatch):
    monkeypatch.setattr(student, "SIZES", (30, 300))
    words = ["student", "--data", str(few_intents), "--set", "banking77", "--seeds", "1", "--json"]
    [table] = json.loads(CliRunner().invoke(evals, words, catch_exceptions=False).stdout)
    few, many = table["rows"]
    assert (few["texts"], many["texts"]) == (30, 300)
    assert few["agreement"] < ACCEPTED < many["agreement"] < 1.0
    for row in (few, many):
        assert row["least"] == min(row["regression"], row["nearest neighbour"])
    assert few["least"] < many["least"]
    assert many["least"] >= 0.92
