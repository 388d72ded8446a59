"""The curated files: the original columns untouched, and ours beside them."""

import decimal
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recryst.state.params.preparation import LoadParams
from recryst.state.rows import Removal, new_ledger, remove_rows
from recryst.tools.read.load import load
from recryst.tools.write.export import Curated, content_sha256, export


@pytest.fixture
def curated(tmp_path):
    """Four rows with a label and a column called as ours is, of which one went."""
    ids = pl.Series([f"r{n}" for n in range(4)])
    rows = pl.Series("row", range(4), dtype=pl.UInt32)
    columns = {"group": ["a", "b", None, "a"], "recryst_label": ["theirs"] * 4}
    pl.DataFrame({"row": rows, **columns}).write_parquet(tmp_path / "originals.parquet")
    ledger = remove_rows(new_ledger(ids, 1), Removal("language", np.array([3], dtype=np.uint32)), "language", 2)
    clusters = pl.DataFrame({"row": rows, "cluster": pl.Series([0] * 4, dtype=pl.Int32)})
    return Curated(tmp_path / "originals.parquet", ledger, pl.Series(["x"] * 4), clusters)


def test_a_new_label_stands_in_a_column_of_its_own(curated, tmp_path):
    changed = pl.DataFrame({"row": pl.Series([0, 2], dtype=pl.UInt32), "label": ["b", "c"]})
    export(replace(curated, relabelled=changed), tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "train-00000.parquet")
    assert rows["group"].to_list() == ["a", "b", None]
    assert rows["recryst_label"].to_list() == ["theirs"] * 3
    assert rows["recryst_label_"].to_list() == ["b", None, "c"]


def test_without_new_labels_there_is_no_such_column(curated, tmp_path):
    export(curated, tmp_path / "out")
    rows = pl.read_parquet(tmp_path / "out" / "train-00000.parquet")
    assert rows.columns == ["group", "recryst_label", "recryst_id", "recryst_text", "recryst_cluster"]


def test_a_new_label_changes_the_hash_of_the_content(curated):
    changed = pl.DataFrame({"row": pl.Series([0], dtype=pl.UInt32), "label": ["b"]})
    other = changed.with_columns(label=pl.lit("c"))
    hashes = {content_sha256(replace(curated, relabelled=one)) for one in (None, changed, other)}
    assert len(hashes) == 3


def exported(table, folder):
    """A Parquet file that is loaded, and of which all but the second row is exported; the columns written."""
    pq.write_table(table, folder / "in.parquet")
    loaded = load(str(folder / "in.parquet"), LoadParams(), folder / "loaded")
    rows = pl.read_parquet(loaded.rows)
    gone = Removal("language", np.array([1], dtype=np.uint32))
    ledger = remove_rows(new_ledger(rows["id"], 1), gone, "language", 2)
    clusters = rows.select("row", cluster=pl.lit(0, dtype=pl.Int32))
    export(Curated(loaded.originals, ledger, rows["text"], clusters), folder / "out")
    return loaded, pq.ParquetFile(folder / "out" / "train-00000.parquet").read()


def test_every_type_of_the_input_is_written_as_it_came(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["one", "two", "three"], pa.large_string()),
            "kind": pa.array(["a", None, "b"]).dictionary_encode(),
            "when": pa.array([1, 2, None], pa.timestamp("ns", tz="Europe/Vienna")),
            "price": pa.array([decimal.Decimal("1.00000000000000000001"), None, None], pa.decimal128(30, 20)),
            "half": pa.array(np.array([0.5, 1.5, 2.5], np.float16)),
            "raw": [b"\xff\x00", b"", None],
            "span": pa.array([{"start": 1}, None, {"start": None}]),
            "vec": pa.array([[0.5, 1.5]] * 3, pa.list_(pa.float32(), 2)),
            "attrs": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "took": pa.array([1, 2, 3], pa.duration("ms")),
            "nan": [float("nan"), float("inf"), None],
            "big": pa.array([2**64 - 1, 1, None], pa.uint64()),
            "day": pa.array([1, 2, 3], pa.date32()),
            "clock": pa.array([1, 2, 3], pa.time64("us")),
            "__index_level_0__": [7, 8, 9],
        }
    )
    _, written = exported(table, tmp_path)
    assert written.schema.names == [*table.schema.names, "recryst_id", "recryst_text", "recryst_cluster"]
    left = table.take([0, 2])
    for name in table.schema.names:
        assert written.schema.field(name).type == table.schema.field(name).type, name
        # NaN equals nothing, so values are held against each other as they are spelled.
        assert repr(written[name].to_pylist()) == repr(left[name].to_pylist()), name


def test_a_curated_set_is_curated_again_and_loses_no_column(tmp_path):
    names = ("recryst_id", "recryst_text", "recryst_cluster", "row", "label", "source", "vector", "cluster", "reason")
    table = pa.table({"text": ["one", "two", "three"], "id": ["a", "b", "a"], **{n: [f"my {n}"] * 3 for n in names}})
    for at in range(2):
        folder = tmp_path / str(at)
        folder.mkdir()
        loaded, written = exported(table, folder)
        renamed = written.rename_columns(["row" if n == loaded.row_column else n for n in written.schema.names])
        left = table.take([row for row in range(table.num_rows) if row != 1])
        assert renamed.select(table.schema.names).to_pylist() == left.to_pylist()
        ours = renamed.schema.names[len(table.schema.names) :]
        assert ours == [f"recryst_{name}{'_' * (at + 1)}" for name in ("id", "text", "cluster")]
        assert renamed[ours[1]].to_pylist() == left["text"].to_pylist()
        table = pa.concat_tables([renamed, renamed.slice(1)])
        table = table.set_column(0, "text", pa.array(["one", "three", "four"][: table.num_rows]))
