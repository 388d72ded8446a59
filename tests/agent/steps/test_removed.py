"""What a run removed is a file: every original column, the reason, the twin and the survivor; and it is audited."""

import json
import shutil

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recryst.agent.account.publish import pages
from recryst.agent.audit import audit
from recryst.agent.audit.files import outside
from recryst.agent.view import View


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run that may be changed."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def test_every_removed_row_is_there_as_it_came(finished, docstrings):
    root, told = finished
    gone = pl.read_parquet(root / "removed" / "*.parquet")
    kept = pl.read_parquet(root / "curated" / "*.parquet")
    came = {}
    for line in docstrings.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            came[row["id"]] = row
    assert gone.height == told["rows"]["removed"] > 30
    assert {*gone["id"], *kept["id"]} == set(came)
    assert gone.height + kept.height == len(came)
    assert gone.columns[: len(kept.columns) - 3] == kept.columns[:-3]
    for row in gone.iter_rows(named=True):
        assert {name: row[name] for name in came[row["id"]]} == came[row["id"]]
        assert row["recryst_reason"]
        assert row["recryst_rule"] in told["removed_by_reason"]
    copies = gone.filter(pl.col("id").str.starts_with("copy"), recryst_rule="exact_duplicate")
    assert copies.height > 20
    assert copies["recryst_twin_text"].to_list() == copies["recryst_text"].to_list()
    survivors = gone["recryst_survivor"].drop_nulls()
    assert survivors.is_in(kept["recryst_id"].implode()).all()
    assert copies["recryst_survivor"].null_count() < copies.height


def test_a_sample_of_it_stands_in_the_report(finished):
    root, _ = finished
    view = View.open(root)
    sample = pages(view, 1.0).removed_sample
    assert len(sample) == 20
    assert {row.rule for row in sample} == set(view.ledger().filter(status="removed")["reason"])
    page = (root / "report.html").read_text()
    assert all(row.reason in page for row in sample)


def test_the_choices_stand_in_json_report_and_card(finished):
    root, told = finished
    assert told["choices"]["text"] == ["text"]
    assert told["choices"]["label"] == "module"
    for page in ("report.html", "README.md"):
        assert "What the rows were taken for" in (root / page).read_text()


def test_a_changed_byte_of_the_file_is_found(run):
    path = run / "removed" / "removed-00000.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert [wrong for wrong in audit(run).failures if "removed-00000.parquet was changed" in wrong]
    path.unlink()
    assert [wrong for wrong in audit(run).failures if "removed-00000.parquet is missing" in wrong]


def test_a_file_that_was_put_there_is_found(run):
    (run / "removed" / "more.parquet").write_bytes(b"x")
    assert [wrong for wrong in audit(run).failures if "more.parquet is not in the log" in wrong]


@pytest.mark.parametrize("column", ["text", "recryst_reason", "recryst_score", "recryst_twin", "recryst_survivor"])
def test_a_changed_cell_does_not_follow_whatever_the_log_says(run, column):
    path = run / "removed" / "removed-00000.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index(column)
    values = table.column(at).to_pylist()
    values[-1] = 0.123 if column == "recryst_score" else "another"
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type)), path)
    view = View.open(run)
    event = next(event for event in view.events if event.type == "export")
    [wrong] = outside(view.at(event.seq), view.at(event.seq + 1), event)
    assert "removed-00000.parquet does not follow" in wrong
    assert repr(column) in wrong
