"""Tables that are whole or not there."""

import polars as pl
import pyarrow as pa
import pytest

from recryst.state.errors import StorageError, UsageError
from recryst.tools.write.tables import check_target, table_writer

ROWS = pa.record_batch({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_a_table_is_there_when_the_last_batch_is_written(tmp_path, name):
    target = tmp_path / name
    with table_writer(target, ROWS.schema) as write:
        write(ROWS)
        write(ROWS)
        assert not target.exists()
    read = pl.read_parquet(target) if target.suffix == ".parquet" else pl.read_ndjson(target)
    assert read.rows() == [(1, "x"), (2, None)] * 2
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_full_disk_leaves_the_table_that_was_there(tmp_path, monkeypatch):
    target = tmp_path / "out.jsonl"
    target.write_text("old")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recryst.state.store.os.fsync", full)
    with pytest.raises(StorageError, match="disk full"), table_writer(target, ROWS.schema) as write:
        write(ROWS)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_target_is_refused_before_the_work(tmp_path):
    with pytest.raises(UsageError, match=r"as \.parquet or \.jsonl"):
        check_target(tmp_path / "out.csv")
    with pytest.raises(UsageError, match="no folder"):
        check_target(tmp_path / "missing" / "out.parquet")
