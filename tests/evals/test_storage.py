"""The size table: every format holds the same rows, and the figures are those of the files."""

import gzip

import polars as pl
import pytest

from recryst.evals import storage

FRAME = pl.DataFrame({"id": [f"r{n}" for n in range(2000)], "text": [f'say "{n}",\nagain' for n in range(2000)]})


def test_every_format_gives_the_rows_back(tmp_path):
    sizes = {}
    for kind, form in storage._FORMATS.items():
        path = tmp_path / kind
        form.write(FRAME, path)
        assert form.read(path).equals(FRAME), kind
        sizes[kind] = path.stat().st_size
        assert storage._measured(FRAME, kind)[0] == pytest.approx(sizes[kind], abs=40), kind  # gzip notes the name
    assert gzip.decompress((tmp_path / "JSONL.gz").read_bytes()) == (tmp_path / "JSONL").read_bytes()
    assert sizes["Parquet + Zstandard"] < sizes["JSONL.gz"] < sizes["JSONL"]


@pytest.mark.shared_data
def test_the_table_names_every_data_set_and_format(shared_data, monkeypatch):
    monkeypatch.setattr(storage, "DATA_SETS", {"banking77": storage.DATA_SETS["banking77"]})
    rows = storage.run(shared_data).as_json()["rows"]
    assert [row["format"] for row in rows] == list(storage._FORMATS)
    assert {row["rows"] for row in rows} == {10_003}
    plain = next(row for row in rows if row["format"] == "JSONL")
    assert plain["of JSONL"] == 1
    assert all(row["of JSONL"] == pytest.approx(row["bytes"] / plain["bytes"], abs=1e-3) for row in rows)
    assert all(row["write s"] >= 0 and row["read s"] > 0 for row in rows)
