"""What the plots of the experiments hold, from records as finished cells have them."""

import pytest

from recryst.evals.loop.cells import Plan
from recryst.evals.loop.gate import GatePlan
from recryst.evals.plots.loop import of_clean, of_crude, of_gate, of_human, of_pairs, of_policies

METHODS = ("loop", "random", "absent")


def _made(recovered):
    return {name: {"recovered": share} for name, share in zip(METHODS, recovered, strict=False)}


def _records(make, **plan):
    cells = Plan(**plan).cells()
    return [(cell, {"cell": {"set": cell.set}, **make(cell)}) for cell in cells]


def test_a_set_of_crude_ones_has_its_panel_and_a_seed_its_dot():
    records = _records(
        lambda cell: {"methods": _made([0.5 + 0.1 * cell.seed, -4.0])}, sets=("banking77", "clinc"), seeds=2
    )
    plot = of_crude(records, METHODS)
    assert [panel.title for panel in plot.panels] == ["banking77", "clinc"]
    assert plot.groups == (("", ("loop", "random")),), "a method without a figure has a line"
    assert plot.panels[0].dots["loop"].points == (0.5, 0.6)
    low = plot.panels[0].low
    assert -1.5 < low < -1, "one bad method squeezes the others"
    assert plot.panels[0].marks == (("crude", 0.0), ("oracle", 1.0))


def test_severities_have_panels_of_their_own():
    records = _records(
        lambda cell: {"methods": _made([0.5, 0.1])}, sets=("clinc",), severities=("mild", "harsh"), seeds=1
    )
    assert [panel.title for panel in of_crude(records, METHODS).panels] == ["clinc, mild", "clinc, harsh"]


def test_pairs_show_what_is_found_in_percent():
    made = {"recall": {"swapped": 0.25}, "clean_lost": 0.02}
    plot = of_pairs(_records(lambda cell: {"methods": {"loop": made}}, sets=("gsm8k",), seeds=1), ("swapped",), "loop")
    assert plot.panels[0].dots["swapped"].points == (25.0,)
    assert plot.panels[0].dots["sound rows lost"].points == (2.0,)


def test_a_loss_of_a_clean_set_is_positive_and_pairs_have_none():
    def make(cell):
        score = 0.80 if cell.labelled else None
        return {"before": score, "after": score and score - 0.01, "removed": 0.02, "clean_lost": 0.0}

    plot = of_clean(_records(make, sets=("banking77", "gsm8k"), seeds=2))
    lost, removed, sound = plot.panels
    assert lost.dots["banking77"].points == pytest.approx((1.0, 1.0))
    assert set(lost.dots) == {"banking77"}
    assert removed.dots["gsm8k"].points == (2.0, 2.0)
    assert sound.low <= 0 < sound.high


def test_a_policy_stands_between_crude_and_oracle():
    methods = {"rules": {"score": 0.86}, "random": {"score": 0.79}}
    records = _records(lambda cell: {"crude": 0.8, "oracle": 0.9, "methods": methods}, sets=("docstrings",), seeds=2)
    (panel,) = of_policies(records, ("rules", "random")).panels
    assert panel.marks == (("crude", pytest.approx(0.8)), ("oracle", pytest.approx(0.9)))
    assert panel.dots["rules"].points == (0.86, 0.86)
    assert panel.low < 0.79


def test_the_gate_counts_each_set_and_all_trials():
    def trials(kept):
        return [{"name": "one class", "outcome": "kept" if one else "rolled_back"} for one in kept]

    found = []
    for cell in GatePlan(sets=("banking77", "clinc"), draws=1, anchors=(0, 200)).cells():
        kept = [True, False, False, False] if cell.set == "banking77" else [False, False]
        useful = [{"name": "labels", "outcome": "kept"}]
        record = {
            "held_out": cell.anchor or 400,
            "trials": {"harmful": trials(kept), "useful": useful, "exception": []},
        }
        found.append((cell, record))
    plot = of_gate(found)
    assert [panel.title for panel in plot.panels] == ["middle, 400 rows held out", "middle, 200 rows held out"]
    harmful = plot.panels[0].dots["one class"]
    assert harmful.points == (25.0, 0.0)
    assert harmful.stroke == pytest.approx(100 / 6)
    assert [names for _, names in plot.groups] == [("one class",), ("labels",)]


def test_human_noise_shows_score_recall_and_loss():
    methods = {"loop": {"score": 0.82, "recall": {"out of scope": 0.6}, "clean_lost": 0.01}}
    records = _records(lambda cell: {"crude": 0.8, "oracle": 0.84, "methods": methods}, sets=("clinc",), seeds=1)
    score, found, lost = of_human(records, ("loop", "random"), {"clinc": "out of scope"}).panels
    assert score.dots["loop"].points == pytest.approx((2.0,))
    assert dict(score.marks)["without noise"] == pytest.approx(4.0)
    assert found.dots["loop"].points == (60.0,)
    assert lost.dots["loop"].points == (1.0,)
