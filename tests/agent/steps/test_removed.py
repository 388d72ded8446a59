"""What a run removed is a file: every original column, the reason, the twin and the survivor; and it is audited."""

import polars as pl
import pytest
from commands import sound_rows
from small_view import Round

from recryst.agent.account.publish import pages
from recryst.agent.account.removed import removed_sample
from recryst.agent.audit.files import check_written, outside
from recryst.agent.session import Session
from recryst.agent.steps.finish import Export
from recryst.agent.view import View
from recryst.state.actions import Deduplicate
from recryst.state.phrases import silent
from recryst.tools.write.reasons import REASONS


def test_every_removed_row_is_there_as_it_came(finished, docstrings):
    root, told = finished
    gone = pl.read_parquet(root / "removed" / "*.parquet")
    kept = pl.read_parquet(root / "curated" / "*.parquet")
    came = sound_rows(docstrings)
    assert gone.height == told["rows"]["removed"] >= 30
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


@pytest.fixture
def small(tmp_path):
    """A small run after a round that took a row, with its files written: the view before and after ``export``."""
    run = Round(tmp_path, train={"enabled": False})
    copies = Deduplicate(cosine=0.9999, which_to_keep="furthest")
    view = run.measured(run.acted(run.choosing(run.described(run.held_out()), copies)), met=1.0)
    written = Export().measure(Session, view, silent)
    return view, run.step(view, Export(), written)


def test_a_row_that_went_in_a_round_is_there_with_its_twin(small):
    view, _ = small
    [row] = pl.read_parquet(view.run.removed / "removed-00000.parquet").iter_rows(named=True)
    line = view.ledger().filter(status="removed").row(0, named=True)
    assert row["recryst_id"] == line["id"]
    assert row["text"] == row["recryst_text"] == view.texts()[line["row"]]
    assert (row["recryst_rule"], row["recryst_twin"], row["recryst_score"]) == (
        line["reason"],
        line["duplicate_of"],
        line["score"],
    )
    assert row["recryst_reason"] == REASONS[line["reason"]]
    assert row["recryst_survivor"] == line["duplicate_of"]
    assert [one.id for one in removed_sample(view)] == [line["id"]]


def test_a_changed_byte_and_a_file_that_was_put_there_are_found(small):
    _, view = small
    path = view.run.removed / "removed-00000.parquet"
    assert {wrong for _, wrong in check_written(view.run, view.events)} == {""}
    whole = path.read_bytes()
    for changed in (whole[:99] + bytes([whole[99] ^ 1]) + whole[100:], whole[:-1]):
        path.write_bytes(changed)
        [wrong] = [wrong for _, wrong in check_written(view.run, view.events) if wrong]
        assert "removed-00000.parquet was changed" in wrong
    path.unlink()
    (view.run.removed / "more.parquet").write_bytes(whole)
    found = [wrong for _, wrong in check_written(view.run, view.events) if wrong]
    assert ["is missing" in found[0], "more.parquet is not in the log" in found[1]] == [True, True]


def test_a_changed_cell_does_not_follow_whatever_the_log_says(small):
    before, after = small
    path = before.run.removed / "removed-00000.parquet"
    table = pl.read_parquet(path)
    assert list(outside(before, after, after.events[-1])) == []
    for column in table.columns:
        other = pl.lit(0.123) if table[column].dtype.is_float() else pl.lit("another")
        table.with_columns(other.alias(column)).write_parquet(path)
        [wrong] = outside(before, after, after.events[-1])
        assert "removed-00000.parquet does not follow" in wrong
        assert repr(column) in wrong
    table[:0].write_parquet(path)
    assert "it has 0 rows, not 1" in next(outside(before, after, after.events[-1]))
