"""The notes of a run on a table: titles where there are none, a topic for every row, and the sources of what went."""

import polars as pl
from small_view import Round

from recryst.agent.steps.rows.notes import kept_notes
from recryst.state.actions import Deduplicate
from recryst.tools.write.notes import NOTES


def test_every_kept_row_is_a_note_with_a_topic_and_speaks_for_what_went_for_it(tmp_path):
    run = Round(tmp_path, train={"enabled": False}, filter={"profile": "notes"})
    copies = Deduplicate(cosine=0.9999, which_to_keep="furthest")
    view = run.measured(run.acted(run.choosing(run.described(run.held_out()), copies)), met=1.0)
    notes = kept_notes(view)
    assert notes.schema == NOTES
    kept, gone = (view.ledger().filter(status=status) for status in ("kept", "removed"))
    assert notes["id"].to_list() == kept["id"].to_list()
    assert {*kept["split"]} >= {"train", "anchor"}
    assert notes["topic"].null_count() == 0, "held-out rows have no topic"
    assert 1 < notes["topic"].n_unique() < 20
    assert gone.height
    merged = dict(notes.select("id", "sources").iter_rows())
    for row, stays in gone.select("id", "duplicate_of").iter_rows():
        assert merged[stays] == [stays, row]
    assert sum(map(len, merged.values())) == view.values.ingested
    text = view.texts().gather(kept["row"])
    assert notes["title"].to_list() == notes["id"].to_list()  # of files these are their names
    assert (notes["tags"].list.len() == 0).all()
    assert pl.Series(notes["text"]).equals(text.alias("text"))
