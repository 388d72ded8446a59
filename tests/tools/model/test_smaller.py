"""A student, and what pruning leaves of a model, must be smaller, learn, and say the same when they are read back."""

import shutil
from pathlib import Path

import pytest
from small_llama import TINY, rows

from recryst.state.errors import InputError, UsageError
from recryst.state.params.final_model import TrainParams
from recryst.state.settings import parse_config
from recryst.tools.model import resume
from recryst.tools.model.checkpoint import linear_layers, load_model
from recryst.tools.model.finetune import check_base
from recryst.tools.model.perplexity import evaluate
from recryst.tools.model.quantise import export, why_not
from recryst.tools.model.train import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(rows(1000, 0), TINY, tmp_path_factory.mktemp("teacher") / "model", seed=0).path


def changed(**changes: object) -> TrainParams:
    return TrainParams.model_validate({**TINY.model_dump(), **changes})


def divergence(model: Path, teacher: Path) -> float:
    """KL of a model's next tokens from the teacher's, in nats per token."""
    import torch

    (student, tokenizer), (knows, _) = load_model(model), load_model(teacher)
    ids = torch.tensor([tokenizer(" ".join(rows(20, 5)))["input_ids"][:128]]).view(-1, 32)
    with torch.inference_mode():
        mine, theirs = (one(input_ids=ids).logits.log_softmax(-1) for one in (student, knows))
    return float((theirs.exp() * (theirs - mine)).sum(-1).mean())


def test_a_student_learns_what_its_teacher_knows(teacher: Path, tmp_path: Path) -> None:
    small = changed(layers=1, tokens=4000)
    student = changed(layers=1, tokens=4000, distil_from=str(teacher))
    alone = train(rows(500, 1), small, tmp_path / "alone", seed=1).path
    found = train(rows(500, 1), student, tmp_path / "student", seed=1)
    assert found.losses[-1] < 0.5 * found.losses[0]
    assert divergence(found.path, teacher) < 0.8 * divergence(alone, teacher)
    assert (found.path / "tokenizer.json").read_bytes() == (teacher / "tokenizer.json").read_bytes()
    assert found.parameters < 0.7 * sum(one.numel() for one in load_model(teacher)[0].parameters())
    again = train(rows(500, 1), student, tmp_path / "again", seed=1)
    assert (again.path / "model.safetensors").read_bytes() == (found.path / "model.safetensors").read_bytes()
    export(found.path, "f16", tmp_path / "f16")
    held_out = rows(60, 2)
    assert evaluate(tmp_path / "f16", held_out, 32).answer == evaluate(found.path, held_out, 32).answer
    with pytest.raises(UsageError, match="would overwrite its teacher"):
        train(rows(500, 1), student, teacher, seed=1)


@pytest.mark.parametrize("part", ["layers", "heads", "weights"])
def test_half_of_a_model_learns_to_do_without_the_other(tmp_path: Path, part: str) -> None:
    out = tmp_path / "model"
    found = train(rows(1000, 0), changed(prune=part, layers=4, heads=4, tokens=16_000), out, seed=0)
    assert found.unpruned == tmp_path / "model-unpruned"
    (before, _), (after, _) = load_model(found.unpruned), load_model(out)
    if part == "layers":
        assert (before.config.num_hidden_layers, after.config.num_hidden_layers) == (4, 2)
    elif part == "heads":
        assert (before.config.num_attention_heads, after.config.num_attention_heads) == (4, 2)
        assert after.config.head_dim == before.config.head_dim == 16
        assert after.get_submodule("model.layers.3.self_attn.o_proj").weight.shape == (64, 32)
    else:
        zeros = [float((layer.weight == 0).float().mean()) for layer in linear_layers(after).values()]
        assert zeros == pytest.approx([0.5] * len(zeros), abs=0.01)
    held_out = rows(60, 2)
    whole, half = (evaluate(folder, held_out, 32) for folder in (found.unpruned, out))
    assert half.perplexity < 1.25 * whole.perplexity
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-unpruned"]
    for to in ("int2", "f16"):
        assert why_not(out, to) == ""  # type: ignore[arg-type]
        export(out, to, tmp_path / to)  # type: ignore[arg-type]
    assert evaluate(tmp_path / "f16", held_out, 32).answer == half.answer
    again = train(rows(1000, 0), changed(prune=part, layers=4, heads=4, tokens=16_000), tmp_path / "again", seed=0)
    assert (again.path / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()


def test_a_recovery_that_was_killed_comes_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    monkeypatch.setattr(resume, "_PATIENCE", 0.0)
    params = changed(prune="weights", layers=1, tokens=10_000)
    whole = train(rows(1000, 0), params, tmp_path / "whole", seed=0).path
    told = [0]

    def stop(tokens: int) -> None:
        told[0] += tokens
        if told[0] > 10_500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(rows(1000, 0), params, tmp_path / "model", seed=0, advance=stop)
    again: list[int] = []
    train(rows(1000, 0), params, tmp_path / "model", seed=0, advance=again.append)
    assert len(again) < 6  # what was done, told at once, twice, and the few steps that were left
    assert (tmp_path / "model/model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_those_parts_go_that_do_least() -> None:
    """A layer that adds nothing, and heads that nobody listens to, are known from the text alone."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from recryst.tools.model.prune import _take_heads, _take_layers

    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 3}
    config = LlamaConfig(vocab_size=100, num_attention_heads=8, num_key_value_heads=4, **shape)
    batches = torch.randint(0, 100, (8, 16)).split(4)
    model = LlamaForCausalLM(config)
    idle = model.model.layers[1]
    with torch.no_grad():
        idle.self_attn.o_proj.weight.zero_()
        idle.mlp.down_proj.weight.zero_()
    _take_layers(model, 0.3, batches)
    assert idle not in list(model.model.layers)
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == [0, 1]
    with torch.no_grad():
        for layer in model.model.layers:  # of four pairs of heads that share keys the first and the third
            layer.self_attn.o_proj.weight.view(64, 4, 16)[:, ::2] = 0
    ids = batches[0]
    expected = model(input_ids=ids).logits
    _take_heads(model, 0.5, batches)
    assert (model.config.num_attention_heads, model.config.num_key_value_heads, model.config.head_dim) == (4, 2, 8)
    assert torch.allclose(model(input_ids=ids).logits, expected, atol=1e-5)


def test_how_many_heads_stay_is_what_transformers_takes(teacher: Path, tmp_path: Path) -> None:
    """Of five heads three would stay, by which the width cannot be divided."""
    found = train(
        rows(500, 0),
        changed(hidden_size=320, heads=5, layers=1, prune="heads", prune_share=0.4, tokens=1000),
        tmp_path / "model",
        seed=0,
    )
    config = load_model(found.path)[0].config
    assert (config.num_attention_heads, config.head_dim) == (4, 64)


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_a_model_that_was_fine_tuned_is_pruned_too(teacher: Path, tmp_path: Path, mode: str) -> None:
    params = changed(mode=mode, model=str(teacher), prune="layers", tokens=4000)
    found = train(rows(500, 1, ("astronaut",)), params, tmp_path / "model", seed=0)
    assert load_model(found.path)[0].config.num_hidden_layers == 1
    held_out = rows(60, 2, ("astronaut",))
    assert evaluate(found.path, held_out, 32).perplexity < evaluate(teacher, held_out, 32).perplexity


def test_what_cannot_be_pruned_is_refused_before_the_run(teacher: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    other = tmp_path / "gpt2"
    shutil.copytree(teacher, other)
    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=64, n_layer=1, n_head=2, n_positions=32)).save_pretrained(other)
    check_base(changed(mode="full", model=str(other)))
    with pytest.raises(InputError, match="is a gpt2, and only Llama-shaped models are pruned"):
        check_base(changed(mode="full", model=str(other), prune="weights"))
    one = train(rows(100, 0), changed(layers=1, heads=1, tokens=1000), tmp_path / "one", seed=0).path
    for part in ("layers", "heads"):
        with pytest.raises(InputError, match=f"but one of the {part}"):
            check_base(changed(mode="full", model=str(one), prune=part))
        with pytest.raises(UsageError, match=f"needs train.{part} of at least 2"):
            train(rows(100, 0), changed(layers=1, heads=1, prune=part), tmp_path / "out", seed=0)
    with pytest.raises(UsageError, match=r"train.distil_from: is for train.mode=scratch"):
        parse_config({"train": {"mode": "full", "model": "a", "distil_from": "b"}}, "the test")
