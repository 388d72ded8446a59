"""The end of a run: a curated set that follows from the ledger."""

from collections import Counter

import numpy as np
import polars as pl
from small_view import ROWS, Round

from recryst.agent.steps.final.train import _shuffled_text
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


def test_rows_of_small_clusters_are_repeated_where_that_is_asked_for(tmp_path):
    plain, run = Round(tmp_path / "plain"), Round(tmp_path / "asked", outcome={"repeat": 3})
    sizes = {0: 50, 1: 14, 2: 4, -1: 4}
    ended = []
    for one in (plain, run):
        view = one.described(one.held_out())
        cluster = np.repeat(list(sizes), list(sizes.values())).astype(np.int32)
        ended.append(one.holding(view, assignments=view.frame("assignments").with_columns(cluster=pl.Series(cluster))))
    view = ended[1]
    write_curated(view, view.run.curated)
    train = pl.read_parquet(view.run.curated / "train-00000.parquet")
    times = dict(train.group_by("recryst_cluster").agg(pl.col("recryst_repeat").unique()).iter_rows())
    assert times == {0: [1], 1: [2], 2: [3], -1: [1]}, "four rows would stand six times, were three not the most"
    assert set(pl.read_parquet(view.run.curated / "anchor-00000.parquet")["recryst_repeat"]) == {1}
    read = list(_shuffled_text(view))
    assert sorted(read) == sorted(view.text(np.repeat(view.kept(), train["recryst_repeat"])))
    event = run.event(view, Export(), Written({}, fields={"rows": {}}))
    without = plain.event(ended[0], Export(), Written({}, fields={"rows": {}}))
    assert event.state.values.curated_sha256 != without.state.values.curated_sha256
    write_curated(ended[0], ended[0].run.curated)
    assert "recryst_repeat" not in pl.read_parquet(ended[0].run.curated / "train-00000.parquet").columns
    assert Counter(_shuffled_text(ended[0])).total() == len(ended[0].kept())
