"""How figures are written, and which groups are told first."""

import pytest
from shown_about import headline_about

from recryst.state.events import StageGain
from recryst.tools.write.figures import (
    GROUPS_SHOWN,
    duration,
    gain_in_words,
    hardest,
    headline_in_words,
    headline_style,
    hit_in_words,
    percent,
    size,
)
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


def test_the_headline_says_whether_it_went_up_or_down_or_neither():
    unsure, worse = headline_about(), headline_about(-1)
    assert headline_in_words(unsure) == (
        "On 389 rows that nobody looked at: probes 0.8123 before, 0.8345 after, difference +0.0222 [−0.0034, +0.0478]: "
        "the interval holds 0, so that no difference is shown. Over all 426, the doubtful ones too: 0.7001 before, "
        "0.7102 after, difference +0.0101 [−0.0095, +0.0297]."
    )
    assert "difference −0.0222 [−0.0323, −0.0121]: worse." in headline_in_words(worse)
    assert headline_style(worse) == "bold red"
    better = unsure.model_copy(update={"score": unsure.raw.model_copy(update={"low": 0.001})})
    assert ": better." in headline_in_words(better)
    still = unsure.raw.model_copy(update={"difference": 0.0, "error": 0.0, "low": 0.0, "high": 0.0})
    same = headline_in_words(unsure.model_copy(update={"score": still, "rows": 389}))
    assert same.endswith("difference +0.0000 [+0.0000, +0.0000]: no row is scored otherwise.")
    assert "no probe scores enough of them" in headline_in_words(unsure.model_copy(update={"score": None}))
