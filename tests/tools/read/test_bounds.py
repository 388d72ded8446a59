"""What unpacks to far more than its size is refused, or read in little memory; every type stays what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from recryst.state.errors import InputError
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.load import LoadResult, load

MEGABYTE = 1 << 20


def repeated(value: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))


def loaded(path: Path, **params: Any) -> LoadResult:
    return load(str(path), LoadParams(**params), path.parent / "out")


def texts(result: LoadResult) -> list[str | None]:
    return pl.read_parquet(result.rows)["text"].to_list()


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (repeated("x" * 5_000_000, 1000), "unpacks to more than 1000 times its size"),
        (repeated("x" * 100_000_000, 1), "unpack to 95 MB at once"),
        (pa.ListArray.from_arrays(pa.array([0, 10**6]), repeated("x" * 10_000, 10**6)), "longer than 16 MB"),
        (pa.ListArray.from_arrays(pa.array(range(501)), repeated("x" * 8_000_000, 500)), "more than 1000 times"),
    ],
    ids=["rows", "page", "list", "lists"],
)
def test_a_bomb_of_parquet_is_refused_before_it_unpacks(tmp_path: Path, column: pa.Array, reason: str) -> None:
    table = pa.table({"text": column})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", store_schema=False, write_statistics=False)
    assert (tmp_path / "a.parquet").stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    with pytest.raises(InputError, match=reason):
        loaded(tmp_path / "a.parquet")
    assert pa.total_allocated_bytes() - before < 200 * MEGABYTE


def test_a_bomb_of_arrow_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    pa.feather.write_feather(pa.table({"text": ["x" * MEGABYTE] * 100}), tmp_path / "a.feather", compression="zstd")
    with pytest.raises(InputError, match="unpack to 100 MB at once; write it with smaller record batches"):
        loaded(tmp_path / "a.feather")


@pytest.mark.parametrize("writer", ["parquet", "feather"])
def test_a_value_longer_than_a_line_is_quarantined_and_no_other(tmp_path: Path, writer: str) -> None:
    table = pa.table({"text": ["a", "b" * 2 * MEGABYTE, "c", "d"], "tags": [["x"], [], None, ["y" * 2 * MEGABYTE]]})
    path = tmp_path / f"a.{writer}"
    pq.write_table(table, path) if writer == "parquet" else pa.feather.write_feather(table, path)
    result = loaded(path, max_line_mb=1)
    assert texts(result) == ["a", "c"]
    assert [orjson.loads(line)["line"] for line in result.quarantine.read_bytes().splitlines()] == [2, 4]


@pytest.mark.parametrize("form", ["parquet", "v2", "delta", "file", "stream", "feather"])
def test_every_type_stays_what_it_is(tmp_path: Path, form: str) -> None:
    count = 5000
    table = pa.table(
        {
            "text": pa.array([f"text {at % 700}" for at in range(count)], pa.large_string()),
            "label": pa.array(["x", None, "z", "x", "y"] * (count // 5)).dictionary_encode(),
            "turns": [[{"role": "user", "said": "hi"}], [], None, [], []] * (count // 5),
            "pairs": pa.array([[("k", "v")], None, [("k", "w")], []] * (count // 4), pa.map_(pa.string(), pa.string())),
            "box": pa.array([[1.0, 2.0]] * count, pa.list_(pa.float32(), 2)),
            "blob": pa.array([b"\x00\xff", None] * (count // 2)),
            "when": pa.array(range(count), pa.timestamp("ns", "UTC")),
        }
    )  # fmt: skip
    path = tmp_path / ("a.parquet" if "parquet" in form or form in ("v2", "delta") else "a.arrow")
    if form == "feather":
        pa.feather.write_feather(table, path, compression="lz4", chunksize=777)
    elif path.suffix == ".arrow":
        make = pa.ipc.new_file if form == "file" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as file, make(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=777)
    elif form == "delta":
        encodings = {"text": "DELTA_BYTE_ARRAY", "blob": "DELTA_LENGTH_BYTE_ARRAY"}
        pq.write_table(table, path, use_dictionary=["label"], column_encoding=encodings, row_group_size=1500)
    else:
        pq.write_table(table, path, data_page_version="2.0" if form == "v2" else "1.0", data_page_size=2000)
    result = loaded(path, batch_rows=1024)
    read = pq.read_table(result.originals).drop(["row"])
    assert read.to_pylist() == table.to_pylist()
    assert [field.type for field in read.schema] == [field.type for field in table.schema]


def saved(folder: Path, indices: list[int], **part: int) -> Path:
    """As `datasets` 1.x saved a filtered set: all rows, and the indices of those that count."""
    folder.mkdir()
    for name, column in (
        ("data", pa.array([f"row {at}" for at in range(10)])),
        ("indices", pa.array(indices, pa.uint64())),
    ):
        table = pa.table({"text" if name == "data" else "indices": column})
        with pa.OSFile(str(folder / f"{name}.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    state = {"_data_files": [{"filename": "data.arrow", **part}]}
    if indices:
        state["_indices_data_files"] = [{"filename": "indices.arrow"}]
    (folder / "state.json").write_bytes(orjson.dumps(state))
    (folder / "dataset_info.json").write_bytes(b"{}")
    return folder


def test_the_indices_of_a_saved_set_choose_its_rows(tmp_path: Path) -> None:
    result = loaded(saved(tmp_path / "set", [8, 6, 4, 2, 0, 8]))
    assert texts(result) == [f"row {at}" for at in (8, 6, 4, 2, 0, 8)]
    assert any("only the rows that the indices" in note for note in result.notes)
    with pytest.raises(InputError, match="lead beyond its 10 rows"):
        loaded(saved(tmp_path / "beyond", [3, 10]))
    assert texts(loaded(saved(tmp_path / "part", [], skip=2, take=3))) == ["row 2", "row 3", "row 4"]
