"""Loading: what a user may choose, what cannot be used, and a data set of a hub."""

from __future__ import annotations

import gzip
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loaded_rows import ROWS, json_lines, loaded, originals, quarantined, texts, write

from recryst.state.errors import InputError, MissingExtraError, StorageError, UsageError
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.columns import plain_rows
from recryst.tools.read.records import Quarantine, Reading
from recryst.tools.read.sources import read_source


def test_limit_stops_without_reading_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json_lines([{"text": f"row {at}"} for at in range(50)]) + b"broken\n"
    (tmp_path / "a.jsonl").write_bytes(content)
    pq.write_table(pa.table({"text": [f"row {at}" for at in range(50)]}), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        result = loaded(tmp_path / name, tmp_path / "out", limit=17, batch_rows=5)
        assert (result.ingested, result.quarantined) == (17, 0)
        assert texts(result)[-1] == "row 16"

    class Endless(io.RawIOBase):
        """Standard input that never ends and comes byte by byte."""

        at = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:1] = b'{"text": "again"}\n'[self.at : self.at + 1]
            self.at = (self.at + 1) % 18
            return 1

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    assert loaded("-", tmp_path / "out", limit=3).ingested == 3


def test_columns_named_by_the_user(tmp_path: Path) -> None:
    rows = [
        {"key": 7, "body": "a", "kind": 1, "where": "web", "source": "https://a"},
        {"key": 7, "body": " ", "kind": None, "where": "book", "source": "https://b"},
        {"key": None, "body": 3, "kind": "x", "where": None, "source": "https://c"},
    ]
    (tmp_path / "a.jsonl").write_bytes(json_lines(rows))
    named = {"id_column": "key", "label_column": "kind", "source_column": "where"}
    result = loaded(tmp_path / "a.jsonl", tmp_path / "out", **named)
    frame = pl.read_parquet(result.rows)
    assert frame.schema == {
        "row": pl.UInt32,
        "id": pl.String,
        "text": pl.String,
        "content": pl.String,
        "empty_answer": pl.Boolean,
        "label": pl.String,
        "source": pl.String,
    }
    assert frame["id"].to_list()[:2] == ["7", "7#2"]
    assert len(frame["id"][2]) == 16
    assert frame.select("text", "label", "source").rows() == [("a", "1", "web"), (None, None, "book"), ("3", "x", None)]
    assert (result.missing_text, result.duplicate_ids) == (1, 1)
    assert (result.text_column, result.id_column, result.label_column, result.source_column) == (
        "body",
        "key",
        "kind",
        "where",
    )
    assert loaded(tmp_path / "a.jsonl", tmp_path / "out").source_column == "source"
    with pytest.raises(InputError, match="line 2: no text"):
        loaded(tmp_path / "a.jsonl", tmp_path / "out", missing_text="stop")
    with pytest.raises(InputError, match="--label-column: the data has no column 'kinds'; did you mean 'kind'"):
        loaded(tmp_path / "a.jsonl", tmp_path / "out", label_column="kinds")


def test_vectors_take_the_place_of_text(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"v": [1, 2.5, -3], "t": 1}, {"v": [1, 2], "t": 2}, {"v": None, "t": 3}, {"t": 4}]
    rows += [{"v": [1, 2, "x"], "t": 5}, {"v": [0.5, 1e300, 0], "t": 6}, {"v": [4, 5, 6], "t": 7}]
    (tmp_path / "a.jsonl").write_bytes(json_lines(rows))
    (tmp_path / "a.csv").write_text('v;t\n[1, 2.5, -3];1\n"[1, 2]";2\nnothing;3\n[4, 5, 6];7\n')
    for name, batch_rows in (("a.jsonl", 1), ("a.jsonl", 100), ("a.csv", 2)):
        result = loaded(tmp_path / name, tmp_path / "out", vector_column="v", batch_rows=batch_rows)
        assert result.vectors is not None
        vectors = np.load(result.vectors)
        assert vectors.dtype == np.float32
        np.testing.assert_array_equal(vectors, [[1, 2.5, -3], [4, 5, 6]])
        assert [str(row["t"]) for row in originals(result)] == ["1", "7"]
        assert (result.ingested, result.missing_text) == (2, 0)
        assert "3 finite numbers" in quarantined(result)[0]["reason"]


def test_what_cannot_be_used_gives_one_sentence(tmp_path: Path) -> None:
    def refused(name: str, content: bytes | None, pattern: str, **params: Any) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=pattern) as error:
            loaded(tmp_path / name, tmp_path / "out", **params)
        assert "\n" not in str(error.value)

    refused("missing.jsonl", None, "does not exist")
    os.mkfifo(tmp_path / "pipe")
    refused("pipe", None, "is a pipe")
    refused("empty.jsonl", b"", "no usable row: it is empty")
    refused("header.csv", b"text,label\n", "no usable row: it is empty")
    refused("broken.jsonl", b"{\n}\n", "1 were broken, the first at line 1: an empty object")
    refused("blank.jsonl", b'{"text": " "}\n', "no usable row: all 1 lack text")
    refused("a.docx", b"PK\x03\x04", "no format that can be read")
    refused("wide.jsonl", json_lines([{f"key {at}": 1} for at in range(2001)]), "2000 different keys", batch_rows=9)
    refused("two.json", b'{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "several .'train', 'test'")
    refused("bad.json", b"[{]", "not valid JSON")
    refused("bad.json.gz", gzip.compress(b"[{}]" * 999)[:20], "breaks off")
    refused("bad.parquet", b"PAR1 and nothing", "not a readable Parquet file")
    labelled = b'{"text": "a", "kind": "b"}\n{"text": "a", "kind": ["b"]}\n'
    refused("nested.jsonl", labelled, "line 2: column 'kind' holds a list, an object", label_column="kind")
    refused("typo.csv", b"text\na\n", "no column 'vector'", vector_column="vector")
    (tmp_path / "folder").mkdir()
    refused("folder", None, "holds no data files .*[.]txt, ")
    with pytest.raises(StorageError, match="cannot finish loading"):
        loaded(write(tmp_path / "a.jsonl", json_lines(ROWS)), tmp_path / "a.jsonl" / "out")


def test_a_saved_hugging_face_data_set_and_a_streamed_one(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    train, test = datasets.Dataset.from_list(ROWS), datasets.Dataset.from_list(ROWS[:1])
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(
        tmp_path / "saved", num_shards={"train": 2, "test": 1}
    )
    result = loaded(tmp_path / "saved", tmp_path / "out")
    assert originals(result) == ROWS
    assert result.notes == ("only the split 'train' of train, test was read",)
    assert originals(loaded(tmp_path / "saved" / "test", tmp_path / "out")) == ROWS[:1]

    (tmp_path / "hub").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "hub" / "train.parquet")
    reading = Reading(LoadParams(batch_rows=2), Quarantine(io.BytesIO()))
    batches = list(read_source(f"hf:{tmp_path / 'hub'}@train", reading))
    assert [row for batch in batches for row in plain_rows(batch.table)] == ROWS
    with pytest.raises(InputError, match="no split 'dev'; it has train"):
        list(read_source(f"hf:{tmp_path / 'hub'}@dev", reading))


def test_without_datasets_an_hf_source_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r'pip install "recryst\[hf\]"'):
        loaded("hf:owner/name@train", tmp_path)
    with pytest.raises(UsageError, match="not of the form hf:owner/name"):
        loaded("hf:owner/name@train@test", tmp_path)
