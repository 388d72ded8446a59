"""The same crude set under each policy, and what the scripts choose."""

import pytest

from recryst.evals.loop import policies
from recryst.evals.loop.random_choice import decide
from recryst.evals.runs import FinishedRun


def _question(offered, said="a round"):
    return {"shown": {"candidates": [{"id": name, "action": action} for name, action in offered]}, "said": said}


def test_chance_chooses_what_is_on_offer_and_the_same_again():
    offered = [("a", "prune"), ("b", "relabel"), ("c", "stop"), ("d", "synthesise")]
    chosen = [decide(_question(offered, f"round {n}"))["candidate"] for n in range(60)]
    assert set(chosen) == {"a", "b", "c"}
    assert chosen == [decide(_question(offered[::-1], f"round {n}"))["candidate"] for n in range(60)]


@pytest.mark.shared_data
def test_a_set_is_refined_under_each_policy(few_intents, tmp_path):
    plan = policies.plan_of(sets=("banking77", "gsm8k"), seeds=1, rows=150)
    (table,) = policies.EXPERIMENT.run(few_intents, plan, tmp_path)
    lines = {line[2]: dict(zip(table.columns, line, strict=True)) for line in table.rows}
    assert tuple(lines) == policies.POLICIES
    assert {line["set"] for line in lines.values()} == {"banking77"}
    folder = tmp_path / "policies/banking77-middle-0"
    first, _ = FinishedRun(folder / policies.SCRIPT).decisions()[0]
    assert first.action == "relabel"
    for name in (policies.RULES, policies.CHANCE, policies.SCRIPT):
        tried = [outcome for _, outcome in FinishedRun(folder / name).decisions() if outcome != "stopped"]
        assert (lines[name]["rounds"], lines[name]["kept"]) == (len(tried), tried.count("kept"))
    assert lines[policies.NOBODY]["rounds"] == 0
    assert 0 < lines[policies.NOBODY]["removed"] < 0.15  # exact copies alone
