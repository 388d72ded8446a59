"""The end of a run: a curated set that follows from the ledger."""

import polars as pl
from small_view import ROWS, Round

from recryst.agent.steps.finish import Export, Written, write_curated
from recryst.state.actions import Deduplicate


def test_the_curated_set_is_what_the_ledger_keeps(tmp_path):
    run = Round(tmp_path, train={"enabled": False})
    ended = run.put_values(run.described(run.held_out()), stop_reason="enough")
    copies = Deduplicate(cosine=0.9999, which_to_keep="furthest")
    view = run.measured(run.acted(run.choosing(ended, copies)), met=1.0)
    result = write_curated(view, view.run.curated)
    train = pl.read_parquet(view.run.curated / "train-00000.parquet")
    assert train["recryst_id"].to_list() == view.ledger()["id"].gather(view.kept()).to_list()
    assert result.rows == {"train": len(view.kept()), "anchor": len(view.anchor())}
    assert sum(result.rows.values()) == ROWS - 1
    event = run.event(view, Export(), Written({}, fields={"rows": result.rows}))
    assert event.counts.kept == ROWS - 1
    whole = run.event(ended, Export(), Written({}, fields={"rows": {}}))
    assert event.state.values.curated_sha256 != whole.state.values.curated_sha256
