"""The end of a run: what is skipped and why, and a curated set that follows from the ledger."""

import polars as pl
import pytest
from small_view import ROWS, Round

from recryst.agent.steps.finish import Export, Quantise, Train, _Written, write_curated
from recryst.state.actions import Deduplicate
from recryst.state.errors import IntegrityError
from recryst.state.values import ModelFigures


@pytest.fixture
def ended(tmp_path):
    run = Round(tmp_path, train={"enabled": False})
    return run, run.put_values(run.described(run.held_out()), stop_reason="enough")


def figures(name):
    return ModelFigures(name=name, size_bytes=1, perplexity=2.0, bits_per_byte=1.0, answer="so")


def test_without_a_model_both_steps_say_why(ended):
    run, view = ended
    view = run.step(run.step(view, Train()), Quantise())
    assert [(event.outcome, event.reasons[0]) for event in view.events[-2:]] == [
        ("skipped", "train.enabled is false"),
        ("skipped", "there is no trained model"),
    ]


def test_the_models_are_those_that_were_asked_for(ended):
    run, view = ended
    models = tuple(map(figures, ("dense", "nf4", "int8")))
    done = run.event(view, Quantise(), _Written({"model/nf4/x": "0" * 64}, models))
    assert done.state.values.models == models
    assert [effect.kind for effect in done.effects] == ["file:model/nf4/x"]
    with pytest.raises(IntegrityError, match="dense, nf4, int8"):
        run.event(view, Quantise(), _Written({}, models[:2]))


def test_the_curated_set_is_what_the_ledger_keeps(ended):
    run, view = ended
    copies = Deduplicate(cosine=0.9999, which_to_keep="furthest")
    view = run.measured(run.acted(run.choosing(view, copies)), met=1.0)
    result = write_curated(view, view.run.curated)
    train = pl.read_parquet(view.run.curated / "train-00000.parquet")
    assert train["recryst_id"].to_list() == view.ledger()["id"].gather(view.kept()).to_list()
    assert result.rows == {"train": len(view.kept()), "anchor": len(view.anchor())}
    assert sum(result.rows.values()) == ROWS - 1
    event = run.event(view, Export(), _Written({}, fields={"rows": result.rows}))
    assert event.counts.kept == ROWS - 1
    whole = run.event(ended[1], Export(), _Written({}, fields={"rows": {}}))
    assert event.state.values.curated_sha256 != whole.state.values.curated_sha256
