"""Two bits a weight must be what they say they are, be read back as they were written, and be refused when damaged."""

import json
import shutil
from pathlib import Path

import pytest
from small_llama import TINY, rows

from recryst.state.errors import InputError
from recryst.tools.model.checkpoint import linear_layers, load_model
from recryst.tools.model.int2 import packed, unpacked
from recryst.tools.model.perplexity import evaluate
from recryst.tools.model.quantise import quantise, why_not
from recryst.tools.model.train import train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(rows(1000, 0), TINY, tmp_path_factory.mktemp("int2") / "model", seed=0).path


@pytest.fixture(scope="module")
def int2(dense: Path) -> Path:
    quantise(dense, "int2", dense.with_name("int2"))
    return dense.with_name("int2")


def test_small_and_read_back_as_it_was_written(dense: Path, int2: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    before, found = (evaluate(folder, rows(60, 2), 32) for folder in (dense, int2))
    assert (found.tokens, found.bytes) == (before.tokens, before.bytes)
    assert before.perplexity != found.perplexity < 1.3 * before.perplexity
    (source, _), (model, _) = load_model(dense), load_model(int2)
    matrices = linear_layers(model)
    weights = sum(layer.weight.numel() for layer in matrices.values())
    rest = sum(one.numel() for one in model.parameters()) - weights
    by_row = 2 * sum(layer.out_features for layer in matrices.values())
    assert found.size_bytes == pytest.approx(2.5 / 8 * weights + 2 * rest + by_row, abs=8192)
    assert found.memory_bytes == before.memory_bytes  # it is a plain Llama again
    state = source.state_dict()
    for name, one in model.state_dict().items():
        if name.removesuffix(".weight") in matrices:
            packs = packed(state[name])
            assert torch.equal(one, unpacked(*packs, one.shape[1]))
        else:
            assert torch.equal(one, state[name].bfloat16().float())
    quantise(dense, "int2", tmp_path / "again")
    assert (tmp_path / "again/int2.safetensors").read_bytes() == (int2 / "int2.safetensors").read_bytes()
    with pytest.raises(OSError, match="no file named"):  # rather than a model of noise
        AutoModelForCausalLM.from_pretrained(int2, local_files_only=True)
    with pytest.raises(InputError, match=r"already quantised \(int2\)"):
        quantise(int2, "int8", tmp_path / "twice")


def test_the_levels_are_fitted_to_their_group() -> None:
    import torch

    torch.manual_seed(0)
    weights = torch.randn(64, 256)
    weights[0], weights[1, ::7], weights[2] = 0.0, 0.0, 0.5
    again = unpacked(*packed(weights), 256)
    # Four levels at the best distance for all of a Gaussian leave 0.119 of its square.
    assert ((again - weights).square().sum() / weights.square().sum()).item() < 0.072
    assert torch.equal(again[0], weights[0])
    assert torch.allclose(again[2], weights[2], rtol=1e-3)
    far = torch.tensor([[3.0, 3.1, 3.2, 3.3] * 4])
    assert torch.allclose(unpacked(*packed(far), 16), far, rtol=0.2)
    tiny = unpacked(*packed(1e-4 * weights), 256) / 1e-4
    assert ((tiny - weights).square().sum() / weights.square().sum()).item() < 0.074


def test_what_is_damaged_is_refused_in_a_sentence(int2: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    name = "model.layers.0.mlp.up_proj.weight"

    def refused(sentence: str, **changes: object) -> None:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(int2, folder)
        tensors = load_file(folder / "int2.safetensors")
        for part, change in changes.items():
            whole = f"{name}.{part}" if part in ("codes", "groups", "tops") else part.replace("__", ".")
            tensors[whole] = change  # type: ignore[assignment]
        save_file({key: one for key, one in tensors.items() if one is not None}, folder / "int2.safetensors")
        with pytest.raises(InputError, match=sentence) as caught:
            load_model(folder)
        assert "\n" not in str(caught.value)

    tensors = load_file(int2 / "int2.safetensors")
    refused("incomplete: .*up_proj.weight.codes is missing", codes=None)
    refused("steps are damaged", tops=torch.full_like(tensors[f"{name}.tops"], torch.nan))
    refused("steps are damaged", codes=tensors[f"{name}.codes"].float())
    refused("make no rows of 64", groups=tensors[f"{name}.groups"][:, :-1].clone())
    refused("make no rows of 64", codes=tensors[f"{name}.codes"][:-1].clone())
    refused("size mismatch", **{part: tensors[f"{name}.{part}"][:-1].clone() for part in ("codes", "groups", "tops")})
    refused("model.norm.weight is in the weights or in the configuration", model__norm__weight=None)
    refused("stranger is in the weights or in the configuration", stranger=torch.zeros(1))
    (tmp_path / "0/int2.safetensors").write_bytes(b"too short")
    with pytest.raises(InputError, match="cannot load the model"):
        load_model(tmp_path / "0")


def test_shapes_that_it_cannot_take(dense: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    assert why_not(dense, "int2") == ""
    odd, other = tmp_path / "odd", tmp_path / "gpt2"
    for folder in (odd, other):
        shutil.copytree(dense, folder)
    shape = {"hidden_size": 40, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=400, **shape)).save_pretrained(odd)
    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=40, n_layer=1, n_head=2, n_positions=32)).save_pretrained(other)
    assert json.loads((odd / "config.json").read_text())["hidden_size"] == 40
    assert "q_proj has rows of 40, and int2 needs multiples of 16" in why_not(odd, "int2")
    assert why_not(other, "int2") == "it has no linear layer that int2 knows"
    with pytest.raises(InputError, match=r"cannot be quantised: its layer .* quantise to int8 instead"):
        quantise(odd, "int2", tmp_path / "out")
    assert not (tmp_path / "out").exists()
