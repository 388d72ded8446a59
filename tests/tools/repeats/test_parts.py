"""Rows of several parts are alike where each of their parts is."""

import polars as pl
import pytest

from recryst.tools.repeats.minhash import Parts

LONG = "the quick brown fox jumps over the lazy dog by the river in the evening sun of a long and quiet day"
NEAR = LONG.replace("quiet", "calm")
APART = "\n\u241e\n"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (LONG, NEAR, True),  # one part each: the whole was compared before
        (f"{LONG}{APART}yes", f"{NEAR}{APART}yes", True),
        (f"{LONG}{APART}yes", f"{LONG}{APART}no", False),
        (f"{LONG}{APART}{NEAR}", f"{NEAR}{APART}{LONG}", True),
        (f"{LONG}{APART}yes", f"{LONG}\n\u241f\nyes", True),  # turns are parts, as columns are
        (f"{LONG}{APART}yes", LONG, False),
        (f"{LONG}{APART}yes", f"{LONG}{APART}yes", True),
        (f"{LONG}{APART}今日は良い天気です", f"{LONG}{APART}今日は悪い天気です", False),
        (None, LONG, True),
    ],
)
def test_each_part_is_compared_by_itself(one: str | None, other: str | None, alike: bool) -> None:
    assert Parts(pl.Series([one, other], dtype=pl.String), 2).alike(0, 1, 0.7) is alike
