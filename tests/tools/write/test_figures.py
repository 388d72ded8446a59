"""How figures are written, and which groups are told first."""

import pytest

from recryst.state.events import StageGain
from recryst.tools.write.figures import GROUPS_SHOWN, duration, gain_in_words, hardest, hit_in_words, percent, size
from recryst.tools.write.shown import Hit


def test_figures_have_the_unit_that_fits():
    assert [duration(one) for one in (0, 59.9, 60, 119.6, 3600, 86_399)] == [
        *("0.0 s", "59.9 s", "1 min 00 s", "2 min 00 s", "1 h 00 min", "23 h 59 min")
    ]
    assert [size(one) for one in (999, 1000, 2_540_000, 3.2e9)] == ["999 B", "1.00 kB", "2.54 MB", "3.20 GB"]
    assert [percent(0.5), percent(0.1234, 0), percent(None)] == ["50.0 %", "12 %", "–"]


def hit(group, rows, removed, average=0.1, high=False):
    rate = removed / rows
    return Hit(
        stage="filter", kind="source", group=group, groups=1, rows=rows, removed=removed, rate=rate, average=average,
        high=high,
    )  # fmt: skip


def test_the_groups_that_lost_most_beyond_the_average_come_first():
    small, large, fair = hit("small", 20, 10, high=True), hit("large", 1000, 300), hit("fair", 100, 10)
    assert hardest([fair, large, hit(None, 500, 500), small]) == [small, large]
    many = [hit(f"g{n}", 100, 20 + n) for n in range(GROUPS_SHOWN + 3)]
    assert hardest(many) == many[: -GROUPS_SHOWN - 1 : -1]
    assert (
        hit_in_words(large) == "filter removed 30.0 % of the source “large” (300 of 1,000 rows); its average is 10.0 %"
    )


@pytest.mark.parametrize(("added", "more"), [(9, ""), (5, " (5 of 9 rows)")])
def test_a_gain_says_of_how_many_rows_it_tells(added, more):
    fields = {"stage": "filter", "removed": 9, "anchor_copies": 0, "unlabelled": 0}
    gain = StageGain(**fields, added=added, gain=-0.05, error=0.01, verdict="hurts")
    assert gain_in_words(gain) == f"−0.0500 ± 0.0100, hurts{more}"
    nothing = StageGain(**fields, added=0, gain=None, error=None, verdict="nothing to put back")
    assert gain_in_words(nothing) == gain_in_words(None) == "–"
