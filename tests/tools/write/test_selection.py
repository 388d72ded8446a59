"""Rows as one file, and as embedding-atlas reads them."""

import sys

import polars as pl
import pytest

from recryst.state.errors import MissingExtraError, UsageError
from recryst.tools.write.selection import encoded, for_atlas

ROWS = pl.DataFrame({"row": [7, 2, 9, 4], "recryst_x": ["a", "b", "c", "d"]}, schema_overrides={"row": pl.UInt32})


def test_neighbours_are_places_in_the_file_and_columns_of_the_data_keep_their_names():
    places = pl.DataFrame(
        {"row": [2, 4, 7], "x": [0.5, 1.0, -1.0], "y": [0.0, 2.0, 3.0]}, schema_overrides={"row": pl.UInt32}
    )
    pairs = [(7, 7, 1.0), (7, 4, 0.9), (7, 5, 0.8), (7, 2, 0.25), (4, 9, 0.5)]
    near = pl.DataFrame(pairs, schema={"row": pl.UInt32, "neighbour": pl.UInt32, "cosine": pl.Float32}, orient="row")
    made = for_atlas(ROWS, places, near)
    assert made["recryst_x"].to_list() == ["a", "b", "d"], "the row without a place is left out"
    assert made["recryst_x_"].to_list() == [-1.0, 0.5, 1.0]
    assert made["recryst_neighbors"].to_list() == [
        {"ids": [2, 1], "distances": pytest.approx([0.1, 0.75])},
        {"ids": [], "distances": []},
        {"ids": [], "distances": []},
    ]


def test_the_same_rows_are_the_same_file():
    for kind in ("parquet", "jsonl", "hf"):
        if kind == "hf":
            pytest.importorskip("datasets")
        assert encoded(ROWS, kind).data == encoded(ROWS, kind).data, kind
    with pytest.raises(UsageError, match="parquet, jsonl"):
        encoded(ROWS, "csv")


def test_without_datasets_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "recryst\[hf\]"'):
        encoded(ROWS, "hf")
