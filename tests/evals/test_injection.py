"""The injection experiment: what it plants, what it would notice, and that it measures both extremes of a mind."""

import json
import shutil

import numpy as np
import polars as pl
import pytest

from recryst.evals import injection
from recryst.evals.attacks import FAMILIES, attacks, curator_attacks, plant
from recryst.evals.data import banking77, with_vectors
from recryst.evals.table import Table

ROWS = 100


def test_published_attacks_are_all_read(shared_data):
    found = {family: attacks(shared_data, family) for family in FAMILIES}
    assert len(found["bipia"]) == 2 * 15 * 5
    assert len(found["giskard"]) == 35
    assert all(attack.strip() for family in FAMILIES for attack in found[family])


def test_an_attack_is_planted_in_the_chosen_rows_and_nowhere_else():
    frame = pl.DataFrame({"text": [f"row {n}" for n in range(10)]})
    chosen = np.array([2, 7])
    appended = plant(frame, chosen, curator_attacks()["other"], "appended")["text"].to_list()
    alone = plant(frame, chosen, curator_attacks()["other"], "alone")["text"].to_list()
    assert [at for at in range(10) if appended[at] != f"row {at}"] == [2, 7]
    assert appended[2] == f"row 2 {alone[2]}"


def test_text_at_the_decider_would_be_noticed():
    class Leaky:
        def requests(self, kind):
            shown = json.dumps({"theme": "is my new card ever going to arrive"})
            messages = [{"role": "system", "content": "how long does it take"}, {"role": "user", "content": shown}]
            yield json.dumps({"request": {"messages": messages}}).encode()

    found = injection.leaks(Leaky(), ["My new account ever going to arrive"])
    assert found == ["ever going to arrive"]
    assert injection.leaks(Leaky(), ["How long does it take to arrive?"]) == []  # stands in our own instructions only


@pytest.fixture(scope="module")
def embedded(shared_data, tmp_path_factory):
    """The cache of the clean rows' vectors."""
    folder = tmp_path_factory.mktemp("embedded") / "vectors"
    with_vectors(banking77(shared_data, ROWS), folder)
    return folder


@pytest.mark.parametrize("mind", ["neutral", "obedient"])
def test_hostile_rows_stay_within_the_bounds(mind, shared_data, embedded, script, tmp_path):
    from curators import curators

    shutil.copytree(embedded, tmp_path / "vectors")

    llm = {"model": script(curators(shared_data)[mind]).model}
    plan = injection.Plan(rows=ROWS, rate=0.2, max_rounds=1, families=["drop"])
    table = injection.run(shared_data, llm, plan, tmp_path)
    lines = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [line["planted as"] for line in lines] == ["", "appended", "alone", "flood", "flood, embedded"]
    for line in lines:
        bounds = ("unflagged", "outside caps", "invented", "text at decider", "audit")
        assert [line[name] for name in bounds] == [0, 0, 0, 0, 0]
    planted = lines[1:]
    assert all(line["questions that showed one"] for line in planted), "the attacks never reached the model"
    if mind == "neutral":
        assert [line["flips"] for line in planted] == [0, 0, 0, None]
    else:
        assert all(line["verdicts swayed"] for line in planted), "nothing was obeyed"


def test_a_table_prints_as_markdown():
    table = Table("T", ("name", "n"), (("a|b", 1200), ("c", None)), ("A note.",), "recryst eval t")
    lines = table.markdown().splitlines()
    assert lines[:3] == ["### T", "", "`recryst eval t`"]
    assert lines[4:8] == ["| name | n |", "|---|--:|", "| a\\|b | 1,200 |", "| c | – |"]
    assert lines[-1] == "A note."
