"""The final model: what is skipped and why, which formats are told of, and which of them is named."""

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file
from small_view import ROWS, Round, ignored

from recryst.agent.cli.progress import Reporter
from recryst.agent.steps.final.figures import Models
from recryst.agent.steps.final.quantise import Quantise
from recryst.agent.steps.final.train import Train, _crude
from recryst.state.actions import Deduplicate
from recryst.state.errors import IntegrityError, UsageError
from recryst.state.params.final_model import QuantiseParams
from recryst.state.settings import parse_config
from recryst.state.values import ModelFigures
from recryst.tools.model.pick import pick_final


@pytest.fixture
def ended(tmp_path):
    run = Round(tmp_path, train={"enabled": False})
    return run, run.put_values(run.described(run.held_out()), stop_reason="enough")


SIZES = {"dense": 100, "nf4": 30, "int8": 40, "f16": 50, "q8_0": 35, "q4_0": 20}
LOSSES = {"dense": 0.0, "nf4": 0.05, "int8": -0.001, "f16": 0.0, "q8_0": 0.004, "q4_0": 0.08}


def figures(name):
    return ModelFigures(
        name=name, size_bytes=SIZES[name], perplexity=2.0 * (1 + LOSSES[name]), bits_per_byte=1.0, answer="so"
    )


MODELS = tuple(map(figures, SIZES))


def test_without_a_model_both_steps_say_why(ended):
    run, view = ended
    view = run.step(run.step(view, Train()), Quantise())
    assert [(event.outcome, event.reasons[0]) for event in view.events[-2:]] == [
        ("skipped", "train.enabled is false"),
        ("skipped", "there is no trained model"),
    ]


def test_the_models_are_those_that_were_asked_for(ended):
    run, view = ended
    done = run.event(view, Quantise(), Models({"model/nf4/x": "0" * 64}, models=MODELS))
    assert done.state.values.models == MODELS
    assert [effect.kind for effect in done.effects] == ["file:model/nf4/x"]
    with pytest.raises(IntegrityError, match="dense, nf4, int8, f16, q8_0, q4_0"):
        run.event(view, Quantise(), Models({}, models=MODELS[:2]))


def test_the_smallest_that_loses_little_is_the_final_one_and_the_log_says_why(ended):
    run, view = ended
    done = run.event(view, Quantise(), Models({}, models=MODELS))
    final = done.state.values.final_model
    assert final.name == "q8_0"  # not q4_0 nor nf4, which are smaller and lose more
    assert done.reasons == (final.why,)
    assert "within quantise.max_loss = 2.00%: it changes the perplexity by +0.40%; beyond" in final.why
    assert "nf4 changes the perplexity by +5.00%, q4_0 changes the perplexity by +8.00%" in final.why


@pytest.mark.parametrize(
    ("settings", "name", "why"),
    [
        ({"max_loss": 0.1}, "q4_0", "the smallest"),
        ({"to": "f16"}, "f16", "was named in quantise.to"),
        ({"to": "q4_0"}, "dense", "it is not shipped as final"),
        ({"to": "q4_0", "max_loss": 0.08}, "q4_0", "was named in quantise.to"),
        ({"to": "dense"}, "dense", "was named in quantise.to"),
        ({"formats": ("q4_0",)}, "dense", "no export stays within the loss"),
        ({"formats": ()}, "dense", "there is no other"),
    ],
)
def test_which_model_is_final(settings, name, why):
    params = QuantiseParams(**settings)
    models = [model for model in MODELS if model.name in ("dense", *params.formats)]
    final = pick_final(models, params, {})
    assert final.name == name
    assert why in final.why


def test_a_final_format_that_is_not_exported_is_refused():
    with pytest.raises(UsageError, match=r"quantise.to: must be .* lacks nf4"):
        parse_config({"quantise": {"to": "nf4", "formats": ["f16"]}}, "the test")


def test_what_was_pruned_is_told_and_counted_again_in_the_files(tmp_path):
    run = Round(tmp_path, train={"prune": "weights", "prune_share": 0.4})
    view = run.put_values(run.described(run.held_out()), stop_reason="enough")
    for name, zeros in (("dense-unpruned", 0), ("dense", 4)):
        folder = view.run.model / name
        folder.mkdir(parents=True)
        save_file({"weight": np.array([0.0] * zeros + [1.0] * (10 - zeros))}, folder / "model.safetensors")
    fields = {"tokens": 9, "epochs": 1.0, "vocabulary": 3, "losses": (1.0,), "unpruned_perplexity": 1.5}
    fields |= {"unpruned_parameters": 10, "share_left": 0.6}
    done = run.event(view, Train(), Models({}, fields, MODELS[:1]))
    assert "60.0% of its 10 parameters stay; held-out perplexity 1.5 → 2.0" in done.reasons[0]
    forged = done.model_copy(update={"share_left": 0.9, "unpruned_parameters": 7})
    assert Train().logged(view, forged).fields == fields


TINY = {"vocab_size": 300, "hidden_size": 64, "layers": 1, "heads": 2, "context": 16, "tokens": 2000}


def test_the_crude_set_s_model_is_measured_beside_it_and_not_kept(tmp_path):
    run = Round(tmp_path, train={**TINY, "baseline": True})
    copies = Deduplicate(cosine=0.9999, which_to_keep="furthest")
    view = run.measured(run.acted(run.choosing(run.described(run.held_out()), copies)), met=1.0)
    kept = view.kept()
    measured = Train().measure(Reporter(quiet=True), view, ignored)
    event = run.event(view, Train(), measured)
    found, dense = event.baseline, event.state.values.models[0]
    assert len(kept) < ROWS - len(view.held_out()) == found.rows  # the copy that was taken out is in it
    assert found.bits_per_byte != dense.bits_per_byte
    assert sorted(path.name for path in view.run.model.iterdir()) == ["dense"]

    def again(logged):
        return run.event(view, Train(), Train().logged(view, logged))

    assert again(event) == event
    forged = event.model_copy(update={"baseline": found.model_copy(update={"rows": found.rows + 1})})
    assert again(forged) == event  # and not what the log says
    with pytest.raises(IntegrityError, match="the baseline that was asked for is not told of"):
        again(event.model_copy(update={"baseline": None}))
    of_held_out = pl.when(pl.col("id") == f"r{kept[0]}").then(pl.lit(f"r{view.held_out()[0]}"))
    ledger = view.ledger().with_columns(duplicate_of=of_held_out.otherwise("duplicate_of"))
    assert kept[0] not in _crude(run.holding(view, ledger=ledger))
