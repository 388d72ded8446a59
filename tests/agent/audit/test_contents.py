"""How the audit compares: by content, within a tolerance, and with the place named."""

import numpy as np
import polars as pl
import pytest

from recryst.agent.audit.bills import lost
from recryst.agent.audit.contents import differences, of_arrays, of_json, of_tables
from recryst.agent.audit.rows import unlike_originals
from recryst.agent.view import View
from recryst.state.events import Load
from recryst.state.notes import LlmCall


def test_tables_differ_at_a_column_and_a_row():
    one = pl.DataFrame({"row": [0, 1], "score": [0.5, 0.25]})
    assert of_tables(one, one) == ""
    assert of_tables(one, one.with_columns(score=pl.col("score") + 1e-9), 1e-6) == ""
    assert "column 'score', row 0" in of_tables(one, one.with_columns(score=pl.col("score") + 1e-3), 1e-6)
    assert "'score'" in of_tables(one, one.drop("score"))
    assert "2 rows, not 1" in of_tables(one, one.head(1))
    assert "Int64, not Int32" in of_tables(one, one.with_columns(pl.col("row").cast(pl.Int32)))


@pytest.mark.parametrize("other", [np.zeros((2, 3), np.float32), np.zeros((3, 2)), np.full((3, 2), 0.1, np.float32)])
def test_arrays_differ_by_shape_type_or_value(other):
    assert of_arrays(np.zeros((3, 2), np.float32), other, 1e-6)


def test_json_differs_at_a_path():
    assert of_json({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 2.0 + 1e-9}]}, 1e-6) == ""
    assert [path for path, _, _ in differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}], "c": 1}, 0.0)] == [
        "a.1.b",
        "c",
    ]


def test_a_question_is_lost_only_where_it_may_have_been_billed():
    call = {"kind": "critique", "provider": "p", "model": "m", "prompt": "x@1", "request_sha": "0" * 64}
    assert lost(LlmCall(**call, problem="the connection broke"))
    assert not lost(LlmCall(**call, response_sha="1" * 64))


def test_rows_that_are_not_their_originals_are_named(finished):
    view = View.open(finished[0])
    load = next(event for event in view.events if isinstance(event, Load))
    assert list(unlike_originals(view.at(load.seq + 1), load)) == []
    other = load.model_copy(update={"missing_text": load.missing_text + 1})
    assert "missing_text" in " ".join(unlike_originals(view.at(load.seq + 1), other))
