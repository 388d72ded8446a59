"""Draws from a crude set: faults at the rates asked for, and no copy without what it repeats."""

import pytest

from recryst.evals.loop.draws import drawn
from recryst.evals.loop.faults import LABELLED_RATES, SEVERITIES, labelled, planted
from recryst.evals.loop.sets import LabelledSet

CLASSES, EACH = 4, 125


@pytest.fixture(scope="module")
def crude():
    train = tuple(
        (f"row {n} of the class {n % CLASSES}, one of many", f"c{n % CLASSES}") for n in range(EACH * CLASSES)
    )
    foreign = tuple(f"a text {n} of elsewhere" for n in range(100))
    return labelled(LabelledSet("made up", train, (), foreign), "middle", 0, len(train))


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_draw_has_faults_at_the_rates_of_its_severity(crude, severity):
    made = planted(drawn(crude, severity, 150, 1))
    own = made[""] + made["flip"]
    assert sum(made.values()) == pytest.approx(150, abs=4)
    for fault, rate in LABELLED_RATES.items():
        assert made[fault] == pytest.approx(rate * SEVERITIES[severity] * own, abs=1), fault


def test_a_copy_stands_beside_what_it_repeats(crude):
    made = drawn(crude, "harsh", 150, 2)
    assert set(made.side["origin"]) <= set(made.side["id"])
    assert made.rows["id"].to_list() == made.side["id"].to_list()
    assert made.rows.equals(crude.rows.filter(crude.rows["id"].is_in(made.side["id"].implode())))


def test_draws_differ_and_come_again(crude):
    one, other = (set(drawn(crude, "middle", 150, seed).rows["id"]) for seed in (1, 2))
    assert one != other
    assert one == set(drawn(crude, "middle", 150, 1).rows["id"])


def test_a_draw_is_smaller_where_a_fault_is_too_rare_for_it(crude):
    made = planted(drawn(crude, "harsh", 10_000, 1))
    own = made[""] + made["flip"]
    assert made["flip"] == pytest.approx(0.12 * 1.8 * own, abs=1)
