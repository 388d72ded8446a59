"""The curated files: the original columns untouched, and ours beside them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recryst.state.rows import Removal, new_ledger, remove_rows
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
