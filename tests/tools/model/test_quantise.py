"""Both formats must be smaller, read back and nearly as good; whatever is no model must be refused in one sentence."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recryst.state.errors import InputError, UsageError
from recryst.state.params.final_model import TrainParams
from recryst.tools.model.checkpoint import load_model, weight_bytes
from recryst.tools.model.perplexity import Evaluation, evaluate
from recryst.tools.model.quantise import quantise
from recryst.tools.model.train import train

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMS = TrainParams(
    vocab_size=400, hidden_size=64, layers=2, heads=2, context=32, batch_size=8, tokens=20_000, learning_rate=5e-3
)


def rows(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    verbs, nouns = ["cleans", "leaves", "paints", "sells"], ["kitchen", "harbour", "field", "laboratory"]
    return [f"The chemist {rng.choice(verbs)} the {rng.choice(nouns)} before dawn." for _ in range(count)]


def quantised(source: Path, to: str, out: Path) -> Path:
    quantise(source, to, out)  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(rows(2000, 0), PARAMS, tmp_path_factory.mktemp("quantise") / "model", seed=0).path


@pytest.fixture(scope="module")
def dense_figures(dense: Path) -> Evaluation:
    return evaluate(dense, rows(100, 1), PARAMS.context)


# NF4 leaves an error of 9 % in every weight, INT8 below 1 %; the bounds say what that may cost.
@pytest.mark.parametrize(("to", "size", "bound"), [("nf4", 0.45, 1.10), ("int8", 0.55, 1.03)])
def test_smaller_readable_and_nearly_as_good(
    dense: Path, dense_figures: Evaluation, tmp_path: Path, to: str, size: float, bound: float
) -> None:
    out = quantised(dense, to, tmp_path / to)
    assert [path.name for path in tmp_path.iterdir()] == [to]

    found = evaluate(out, rows(100, 1), PARAMS.context)
    assert found.size_bytes == (out / "model.safetensors").stat().st_size < size * dense_figures.size_bytes
    assert (found.tokens, found.bytes) == (dense_figures.tokens, dense_figures.bytes)
    assert found.perplexity != dense_figures.perplexity  # it is the quantised one that was measured
    assert found.perplexity < bound * dense_figures.perplexity
    assert found.answer.strip()

    again = quantised(dense, to, tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (out / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="already quantised"):
        quantise(out, "int8", tmp_path / "twice")


def test_the_weights_are_the_rounded_ones(dense: Path, tmp_path: Path) -> None:
    import torch
    from bitsandbytes.functional import dequantize_4bit

    source, _ = load_model(dense)
    packed, _ = load_model(quantised(dense, "nf4", tmp_path / "nf4"))
    for name, layer in source.named_modules():
        if isinstance(layer, torch.nn.Linear) and name != "lm_head":
            weight = packed.get_submodule(name).weight
            error = dequantize_4bit(weight.data, weight.quant_state).float() - layer.weight
            assert 0.08 < (error.norm() / layer.weight.norm()).item() < 0.10  # NF4 on Gaussian weights: 0.092


def test_another_architecture(dense: Path, tmp_path: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    source = tmp_path / "gpt2"
    shutil.copytree(dense, source)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=64, n_layer=1, n_head=2, n_positions=32))
        model.save_pretrained(source)
    expected = evaluate(source, rows(20, 1), 32).perplexity
    for to in ("nf4", "int8"):
        found = evaluate(quantised(source, to, tmp_path / to), rows(20, 1), 32)
        assert found.size_bytes < weight_bytes(source)
        assert found.perplexity == pytest.approx(expected, rel=0.05)


def test_a_tokenizer_that_is_not_the_models(dense: Path, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    source = tmp_path / "few"
    shutil.copytree(dense, source)
    GPT2LMHeadModel(GPT2Config(vocab_size=99, n_embd=64, n_layer=1, n_head=2, n_positions=32)).save_pretrained(source)
    with pytest.raises(InputError, match="tokens the model does not know"):
        evaluate(source, rows(3, 1), 32)


def test_layers_that_the_kernel_cannot_take(dense: Path, tmp_path: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    source = tmp_path / "odd"
    shutil.copytree(dense, source)
    torch.manual_seed(0)  # of weights that nobody trained the first word may be the end of the text
    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_embd=40, n_layer=1, n_head=2, n_positions=32)).save_pretrained(source)
    with pytest.raises(InputError, match=r"is 120 x 40, and NF4 .* quantise to int8 instead"):
        quantise(source, "nf4", tmp_path / "nf4")
    assert not (tmp_path / "nf4").exists()
    assert evaluate(quantised(source, "int8", tmp_path / "int8"), rows(3, 1), 32).answer


def test_a_fresh_process_asks_nobody_and_says_nothing(dense: Path, tmp_path: Path) -> None:
    # Where the package `kernels` is installed, bitsandbytes fetches code through it when imported: here it would die.
    (tmp_path / "kernels.py").write_text("def get_kernel(*_, **__):\n    raise SystemExit('the hub was asked')\n")
    script = f"""
import socket, sys
from pathlib import Path
def refuse(*_): raise SystemExit("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
from recryst.tools.model.quantise import quantise
from recryst.tools.model.perplexity import evaluate
for to in ("nf4", "int8"):
    quantise(Path({str(dense)!r}), to, Path({str(tmp_path)!r}) / to)
    evaluate(Path({str(tmp_path)!r}) / to, ["The chemist cleans."], 32)
import kernels  # hidden no longer
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_no_model(dense: Path, tmp_path: Path) -> None:
    def refused(folder: Path, sentence: str) -> None:
        for attempt in (lambda: quantise(folder, "nf4", tmp_path / "out"), lambda: evaluate(folder, ["a"], 32)):
            with pytest.raises(InputError, match=sentence) as caught:
                attempt()
            assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    refused(tmp_path / "absent", "there is no folder")

    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, "it has no config.json")
    (empty / "config.json").write_text("{")
    refused(empty, "cannot read")
    (empty / "config.json").write_text("[]")
    refused(empty, "must hold keys and values, not a list")
    (empty / "config.json").write_text("{}")
    refused(empty, "it has no weights")
    (empty / "pytorch_model.bin").write_bytes(b"cos\nsystem\n")
    refused(empty, "only as pickle")

    damaged = tmp_path / "damaged"
    shutil.copytree(dense, damaged)
    weights = damaged / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    refused(damaged, "cannot load the model")

    weights.write_bytes(whole)
    settings = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps({**settings, "num_hidden_layers": 3, "layer_types": None}))
    refused(damaged, "incomplete: model.layers.2")

    (damaged / "config.json").write_text(json.dumps({**settings, "model_type": "unheard_of"}))
    refused(damaged, "cannot load the model")


def test_the_source_is_not_overwritten(dense: Path) -> None:
    before = (dense / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="would overwrite its source"):
        quantise(dense, "nf4", dense.parent / "." / dense.name)
    assert (dense / "model.safetensors").read_bytes() == before
