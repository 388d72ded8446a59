"""A model that is fine-tuned must learn, keep its shape, and say the same when it is read back."""

import json
import random
import shutil
import sys
from pathlib import Path

import pytest

from recryst.state.errors import InputError, MissingExtraError, UsageError
from recryst.state.params.final_model import TrainParams
from recryst.state.settings import parse_config
from recryst.tools.model.checkpoint import load_model, weight_bytes
from recryst.tools.model.finetune import check_base
from recryst.tools.model.fit import TrainResult
from recryst.tools.model.perplexity import evaluate
from recryst.tools.model.quantise import export, why_not
from recryst.tools.model.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = TrainParams(
    vocab_size=400, hidden_size=64, layers=2, heads=2, context=32, batch_size=8, tokens=8_000, learning_rate=5e-3
)


def rows(subjects: list[str], count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    verbs, nouns = ["cleans", "leaves", "paints", "sells"], ["kitchen", "harbour", "field", "laboratory"]
    return [f"The {rng.choice(subjects)} {rng.choice(verbs)} the {rng.choice(nouns)}." for _ in range(count)]


NEW = ["astronaut", "magistrate"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that has read of a chemist and a baker."""
    return train(rows(["chemist", "baker"], 1000, 0), TINY, tmp_path_factory.mktemp("base") / "model", seed=0).path


def tuned(base: Path, mode: str, out: Path, seed: int = 1) -> TrainResult:
    changes = {"mode": mode, "model": str(base), "tokens": 4000, "learning_rate": 5e-3}
    return train(rows(NEW, 500, 1), TINY.model_copy(update=changes), out, seed)


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_it_learns_the_rows_and_is_read_back_as_it_was(base: Path, tmp_path: Path, mode: str) -> None:
    import torch

    found = tuned(base, mode, tmp_path / "model")
    assert found.losses[-1] < 0.7 * found.losses[0]
    held_out = rows(NEW, 60, 2)
    before, after = (evaluate(folder, held_out, 32) for folder in (base, found.path))
    assert after.perplexity < 0.7 * before.perplexity
    assert after.tokens == before.tokens  # it is the same tokenizer

    assert weight_bytes(found.path) == pytest.approx(weight_bytes(base), rel=0.01)
    assert found.parameters * 4 == pytest.approx(weight_bytes(base), rel=0.05)
    assert not list(found.path.glob("adapter*"))
    (old, _), (new, _) = load_model(base), load_model(found.path)
    changed = {name for name, one in old.state_dict().items() if not torch.equal(one, new.state_dict()[name])}
    assert any("q_proj" in name for name in changed)
    assert ("model.embed_tokens.weight" in changed) == (mode == "full")

    again = tuned(base, mode, tmp_path / "again")
    assert (again.path / "model.safetensors").read_bytes() == (found.path / "model.safetensors").read_bytes()
    export(found.path, "f16", tmp_path / "f16")
    assert evaluate(tmp_path / "f16", held_out, 32).answer == after.answer


def test_a_base_that_cannot_be_fine_tuned_is_refused_before_the_run(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def params(mode: str, model: Path | None) -> TrainParams:
        return TINY.model_copy(update={"mode": mode, "model": None if model is None else str(model)})

    check_base(params("lora", base))
    with pytest.raises(InputError, match="there is no folder"):
        check_base(params("full", tmp_path / "absent"))
    export(base, "int8", tmp_path / "int8")
    with pytest.raises(InputError, match=r"already quantised .* in train.model"):
        check_base(params("full", tmp_path / "int8"))
    spoilt = tmp_path / "spoilt"
    for file, changes, said in (
        ("config.json", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, and no model has over 1,000"),
        ("config.json", {"model_type": "vit", "architectures": []}, "holds a vit, which is no causal language model"),
        (
            "config.json",
            {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
            r"holds a bert \(BertForMaskedLM\)",
        ),
        ("tokenizer_config.json", {"eos_token": None}, "no end-of-text token"),
    ):
        shutil.copytree(base, spoilt, dirs_exist_ok=True)
        (spoilt / file).write_text(json.dumps({**json.loads((base / file).read_text()), **changes}))
        with pytest.raises(InputError, match=said):
            check_base(params("full", spoilt))
    with pytest.raises(UsageError, match="would overwrite its source"):
        train(rows(NEW, 100, 1), params("full", base), base, seed=0)
    monkeypatch.setitem(sys.modules, "peft", None)  # how Python spells "not to be imported"
    with pytest.raises(MissingExtraError, match=r"recryst\[lora\]"):
        check_base(params("lora", base))
    check_base(params("full", base))


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(UsageError, match=r"train.mode: needs train.model"):
        parse_config({"train": {"mode": "lora"}}, "the test")
    with pytest.raises(UsageError, match=r"train.model: needs train.mode"):
        parse_config({"train": {"model": "somewhere"}}, "the test")


def test_formats_that_a_model_cannot_be_written_in_are_known_before(base: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    other = tmp_path / "gpt2"
    shutil.copytree(base, other)
    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=40, n_layer=1, n_head=2, n_positions=32)).save_pretrained(other)
    assert json.loads((other / "config.json").read_text())["model_type"] == "gpt2"
    assert why_not(other, "q8_0") == "it is a gpt2, and only Llama-shaped models are"
    assert "is 120 x 40, and NF4 on a CPU needs multiples" in why_not(other, "nf4")
    assert why_not(other, "int8") == ""
    assert [why_not(base, to) for to in ("nf4", "int8", "f16", "q8_0", "q4_0")] == [""] * 5
