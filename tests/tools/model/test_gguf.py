"""A GGUF file must hold the whole model: read back from it alone, by three readers, it must say the same."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from recryst.state.errors import InputError, UsageError
from recryst.state.params.final_model import TrainParams
from recryst.tools.model.checkpoint import load_model
from recryst.tools.model.gguf_write import export_gguf, why_no_gguf
from recryst.tools.model.perplexity import evaluate
from recryst.tools.model.train import END, train

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMS = TrainParams(
    vocab_size=400, hidden_size=64, layers=2, heads=2, context=32, batch_size=8, tokens=8_000, learning_rate=5e-3
)
TRICKY = [
    "  double  spaces\n\ttabs ",
    "数据 🧪 déjà",
    "1234567",
    f"a row that spells {END} out",
    "It's 3.5 %, put in 'self' .\r\n\r\n",
]
LLAMA_CPP = "NODE_LLAMA_CPP"  # the folder where `npm install node-llama-cpp` was run


def rows(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    verbs, nouns = ["cleans", "leaves", "paints", "sells"], ["kitchen", "harbour", "field", "laboratory"]
    return [f"The chemist {rng.choice(verbs)} the {rng.choice(nouns)} before dawn." for _ in range(count)]


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(rows(1000, 0), PARAMS, tmp_path_factory.mktemp("gguf") / "model", seed=0).path


def exported(source: Path, to: str, out: Path) -> Path:
    export_gguf(source, to, out)  # type: ignore[arg-type]
    return out


@pytest.mark.parametrize(
    ("to", "size", "loss", "agreement"),
    [("f16", 0.53, 0.001, 0.99), ("q8_0", 0.3, 0.01, 0.97), ("q4_0", 0.2, 0.1, 0.9)],
)
def test_small_and_nearly_as_good(dense: Path, tmp_path: Path, to: str, size: float, loss: float, agreement: float):
    out = exported(dense, to, tmp_path / to)
    assert sorted(path.name for path in out.iterdir()) == ["Modelfile", "model.gguf"]
    before, found = (evaluate(folder, rows(60, 1), PARAMS.context) for folder in (dense, out))
    assert (found.tokens, found.bytes) == (before.tokens, before.bytes)
    assert found.perplexity != before.perplexity  # it is the export that was measured
    assert found.perplexity == pytest.approx(before.perplexity, rel=loss)
    assert found.agreement(before) >= agreement
    assert found.memory_bytes < size * before.memory_bytes
    assert found.size_bytes == (out / "model.gguf").stat().st_size > found.memory_bytes
    again = exported(dense, to, tmp_path / "again")
    assert (again / "model.gguf").read_bytes() == (out / "model.gguf").read_bytes()
    export_gguf(dense, "f16", out)  # it replaces what it wrote itself
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", to]


def test_the_reader_of_transformers_finds_the_same_weights(dense: Path, tmp_path: Path):
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    out = exported(dense, "q8_0", tmp_path / "q8_0")
    logging.disable_progress_bar()
    theirs = AutoModelForCausalLM.from_pretrained(out, gguf_file="model.gguf", dtype=torch.float32)
    logging.enable_progress_bar()
    ours, _ = load_model(out)
    batch = torch.arange(64).reshape(2, 32)
    with torch.inference_mode():
        assert torch.allclose(theirs(input_ids=batch).logits, ours(input_ids=batch).logits, atol=1e-4)


def test_a_head_of_its_own_and_shared_keys(dense: Path, tmp_path: Path):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    source = tmp_path / "source"
    shutil.copytree(dense, source)
    torch.manual_seed(0)
    shape = {"hidden_size": 128, "intermediate_size": 160, "num_hidden_layers": 1, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=416, num_key_value_heads=2, max_position_embeddings=32, **shape)
    LlamaForCausalLM(config).save_pretrained(source)  # of 416 embeddings 16 are of no token
    (before, _), (after, _) = load_model(source), load_model(exported(source, "f16", tmp_path / "f16"))
    assert not after.config.tie_word_embeddings
    batch = torch.arange(32)[None]
    with torch.inference_mode():
        assert torch.allclose(after(input_ids=batch).logits, before(input_ids=batch).logits, atol=1e-3)


def test_the_tokenizer_is_in_the_file(dense: Path, tmp_path: Path):
    _, before = load_model(dense)
    _, after = load_model(exported(dense, "f16", tmp_path / "f16"))
    for text in [*rows(5, 3), *TRICKY]:
        ids = before(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert after(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] == ids
        assert after.decode(ids) == text
    assert after.eos_token == END


def test_ollama_is_told_what_the_model_needs(dense: Path, tmp_path: Path):
    said = (exported(dense, "q4_0", tmp_path / "q4_0") / "Modelfile").read_text().splitlines()
    assert said == [
        "FROM ./model.gguf",
        "PARAMETER num_ctx 32",
        f'PARAMETER stop "{END}"',
        'TEMPLATE """{{ .Prompt }}"""',
    ]


def test_what_is_not_written(dense: Path, tmp_path: Path):
    def changed(name: str, **settings: object) -> Path:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        shutil.copytree(dense, folder)
        told = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**told, **settings}))
        return folder

    refused = {
        changed("config.json", model_type="gpt2"): "is a gpt2, and only Llama-shaped",
        changed("config.json", attention_bias=True): "biases or scaled positions",
        changed("config.json", rope_parameters={"rope_type": "yarn"}): "biases or scaled positions",
        changed("config.json", hidden_size=72): "its hidden_size is 72, .* multiple of 32",
        changed("tokenizer.json", pre_tokenizer={"type": "Whitespace"}): "its tokenizer is none of gpt-2, smollm",
    }
    for folder, sentence in refused.items():
        with pytest.raises(InputError, match=sentence):
            export_gguf(folder, "f16", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert why_no_gguf(dense) == ""
    with pytest.raises(UsageError, match="would overwrite its source"):
        export_gguf(dense, "f16", dense)

    out = exported(dense, "q8_0", tmp_path / "damaged")
    whole = (out / "model.gguf").read_bytes()
    (out / "model.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot load the model"):
        load_model(out)


def _tidied(text: str) -> str:
    """What llama.cpp's detokenizer makes of any text where the tokenizer cuts it as GPT-2's does; it changes no id."""
    for mark in (" ?", " !", " .", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(mark, mark.strip())
    return text


def test_llama_cpp_answers_and_spells_as_transformers_does(dense: Path, tmp_path: Path):
    import torch

    place = os.environ.get(LLAMA_CPP)
    if place is None or shutil.which("node") is None:
        pytest.skip(f"llama.cpp is not here: run `npm install node-llama-cpp` in a folder and name it in {LLAMA_CPP}")
    out = exported(dense, "f16", tmp_path / "f16")
    model, tokenizer = load_model(dense)
    texts = [*rows(100, 7), *TRICKY]
    ids = [tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] for text in texts]
    prompts = [one[: 3 + number % 4] for number, one in enumerate(ids[:20])]
    asked = {"model": str(out / "model.gguf"), "context": 32, "prompts": prompts, "tokens": 8, "texts": texts}
    script = Path(__file__).parents[2] / "fakes" / "llama_cpp.mjs"
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    command = ["node", script, place, tmp_path / "asked.json", tmp_path / "told.json"]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["ids"] == ids
    assert told["spelled"] == [_tidied(text) for text in texts]
    for prompt, answer in zip(prompts, told["answers"], strict=True):
        told_by_us = list(prompt)
        with torch.inference_mode():
            for _ in answer:
                told_by_us.append(int(model(input_ids=torch.tensor([told_by_us])).logits[0, -1].argmax()))
        assert answer == told_by_us[len(prompt) :]
