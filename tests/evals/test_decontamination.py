"""Decontamination on data whose answer is known."""

import pytest

from recryst.evals import decontamination


@pytest.mark.shared_data
def test_what_is_known_to_be_repeated_is_found_and_little_else(shared_data):
    table = decontamination.run(shared_data)
    lines = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    for line in lines:
        assert line["found"] == line["repeats"]
    source, other, short, real = (lines[at : at + 2] for at in range(0, 8, 2))
    assert [line["repeats"] for line in source] == [7473, 7473]
    assert [line["repeats"] for line in other] == [0, 0]
    assert all(line["flagged"] <= 0.005 * line["rows"] for line in other)
    assert [line["repeats"] for line in short] == [6, 6]
    assert short[0]["flagged"] < 0.01 * short[0]["rows"]
    assert all(line["flagged"] < 0.001 * line["rows"] for line in real)
