"""A model of tests' size must learn, be the same for the same seed, and be read back as it was written."""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from recryst.state.errors import InputError, UsageError
from recryst.state.params.final_model import TrainParams
from recryst.tools.model import resume
from recryst.tools.model.perplexity import evaluate
from recryst.tools.model.train import END, TrainResult, fit_tokenizer, train

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = TrainParams(
    vocab_size=400, hidden_size=64, layers=2, heads=2, context=32, batch_size=8, tokens=20_000, learning_rate=5e-3
)


def sentences(count: int, seed: int) -> list[str]:
    """Text with a grammar to learn: who does what, where, with agreement between the two halves."""
    rng = random.Random(seed)
    places = {"chemist": "laboratory", "baker": "kitchen", "sailor": "harbour", "farmer": "field"}
    rows = []
    for _ in range(count):
        who, what = rng.choice(sorted(places)), rng.choice(["cleans", "leaves", "paints", "sells"])
        rows.append(f"The {who} {what} the {places[who]} before {rng.choice(['dawn', 'noon', 'dusk'])}, déjà vu.")
    return rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(sentences(2000, 0), TINY, tmp_path_factory.mktemp("train") / "model", seed=3)


def test_it_learns(trained: TrainResult) -> None:
    assert trained.tokens == 20_000 // 256 * 256
    assert trained.vocabulary <= 400
    assert len(trained.losses) == 20
    assert trained.losses[0] == pytest.approx(math.log(trained.vocabulary), rel=0.3)  # at first it knows nothing
    found = evaluate(trained.path, sentences(100, 1), TINY.context)
    assert found.perplexity < 4  # three free choices in about a dozen tokens
    assert found.answer.strip()
    assert found.size_bytes == (trained.path / "model.safetensors").stat().st_size
    assert found.size_bytes == pytest.approx(4 * trained.parameters, rel=0.05)


def test_bits_per_byte_is_the_loss_over_the_bytes(trained: TrainResult) -> None:
    rows = sentences(30, 2)
    counted: list[int] = []
    found = evaluate(trained.path, rows, TINY.context, advance=counted.append)
    assert found.bytes == sum(len(row.encode()) for row in rows)
    assert sum(counted) == found.tokens
    assert found.bits_per_byte == pytest.approx(found.tokens * math.log2(found.perplexity) / found.bytes, rel=1e-6)


def test_every_token_is_counted_once_whatever_the_window(trained: TrainResult) -> None:
    rows = sentences(12, 2)
    counts = {evaluate(trained.path, rows, context).tokens for context in (7, 32, 1000)}
    assert len(counts) == 1
    few = evaluate(trained.path, rows, TINY.context, max_tokens=200)
    assert 100 < few.tokens <= 200


def test_same_seed_same_bytes(trained: TrainResult, tmp_path: Path) -> None:
    text = sentences(2000, 0)
    again = train(iter(text), TINY, tmp_path / "again", seed=3)
    files = sorted(path.name for path in trained.path.iterdir())
    assert files == sorted(path.name for path in again.path.iterdir())
    assert all((trained.path / name).read_bytes() == (again.path / name).read_bytes() for name in files)
    other = train(text, TINY.model_copy(update={"tokens": 1000}), tmp_path / "again", seed=4)  # replaces it
    assert other.path == again.path
    assert other.losses != again.losses
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_short_text_is_passed_over_four_times_at_most(tmp_path: Path) -> None:
    found = train(sentences(100, 0), TINY, tmp_path / "model", seed=0)
    assert 3.0 < found.epochs <= 4.0
    assert found.tokens < TINY.tokens
    once = train(sentences(100, 0), TINY.model_copy(update={"epochs": 1}), tmp_path / "once", seed=0)
    assert once.tokens == pytest.approx(found.tokens / 4, abs=256)


def test_it_leaves_the_global_generators_alone(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train(sentences(200, 0), TINY.model_copy(update={"tokens": 1000}), tmp_path / "model", seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_the_saved_tokenizer_is_the_one_it_was_trained_with(trained: TrainResult) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    raw = Tokenizer.from_file(str(trained.path / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(trained.path, local_files_only=True)
    for text in [*sentences(5, 9), "  double  spaces\n\ttabs ", "数据 🧪 \x00", "1234567"]:
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        assert ids == raw.encode(text, add_special_tokens=False).ids
        assert loaded.decode(ids) == text
    assert loaded.eos_token == END


def test_a_row_that_spells_the_end_token_is_text(trained: TrainResult) -> None:
    row = f"The baker {END} leaves"
    assert evaluate(trained.path, [row], TINY.context).tokens > evaluate(trained.path, ["The baker"], 32).tokens + 8


def test_it_reads_no_more_text_than_it_needs(tmp_path: Path) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "".join(sentences(20, read))

    train(endless(), TINY.model_copy(update={"tokens": 1000}), tmp_path / "model", seed=0)
    assert read * 1000 < 6_000_000


@pytest.mark.usefixtures("no_network")
def test_nothing_is_asked_of_the_network(trained: TrainResult, tmp_path: Path) -> None:
    train(sentences(200, 0), TINY.model_copy(update={"tokens": 1000}), tmp_path / "model", seed=0)
    evaluate(trained.path, sentences(3, 1), TINY.context)


def test_it_is_silent(trained: TrainResult, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    evaluate(trained.path, sentences(3, 1), TINY.context)
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


@pytest.mark.parametrize("late", [False, True])
def test_a_killed_training_comes_to_the_same_bytes(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """It is killed in its middle, or when the model was being written: a state of each step is kept here."""
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    monkeypatch.setattr(resume, "_PATIENCE", 0.0)
    out, told = tmp_path / "model", [0]

    def count(tokens: int) -> None:
        told[0] += tokens
        if told[0] >= 10_000 and not late:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if late:
            patch.setattr(Path, "rename", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(sentences(2000, 0), TINY, out, seed=3, advance=count)
    (state,) = tmp_path.iterdir()
    again: list[int] = []
    found = train(sentences(2000, 0), TINY, out, seed=3, advance=again.append)
    assert again[0] >= (19_000 if late else 9_000)  # it did go on
    assert found.losses == trained.losses
    assert (out / "model.safetensors").read_bytes() == (trained.path / "model.safetensors").read_bytes()
    assert not state.exists()


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_state_of_another_training_or_a_damaged_one_is_not_gone_on_with(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    monkeypatch.setattr(resume, "_PATIENCE", 0.0)
    out, state = tmp_path / "model", tmp_path / ".model.training"

    def stop(tokens: int) -> None:
        if tokens and state.exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(sentences(2000, 1), TINY, out, seed=3, advance=stop)
    assert train(sentences(2000, 0), TINY, out, seed=3).losses == trained.losses  # it was of other text
    with pytest.raises(KeyboardInterrupt):
        train(sentences(2000, 0), TINY, out, seed=3, advance=stop)
    state.write_bytes(state.read_bytes()[:-1000])
    assert train(sentences(2000, 0), TINY, out, seed=3).losses == trained.losses


def test_a_failure_leaves_the_model_before_it(trained: TrainResult, tmp_path: Path) -> None:
    out = tmp_path / "model"
    small = TINY.model_copy(update={"tokens": 1000})
    train(sentences(200, 0), small, out, seed=0)
    weights = (out / "model.safetensors").read_bytes()

    def stop(tokens: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(sentences(200, 0), small, out, seed=1, advance=stop)
    assert (out / "model.safetensors").read_bytes() == weights
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden_size": 100}, "train.hidden_size must be a multiple of 64"),
        ({"heads": 5}, "train.heads = 5 must divide"),
        ({"learning_rate": 1e30, "tokens": 2000}, "lower train.learning_rate"),
    ],
)
def test_settings_that_cannot_work(change: dict[str, float], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        train(sentences(200, 0), TINY.model_copy(update=change), tmp_path / "model", seed=0)
    assert not list(tmp_path.iterdir())


def test_too_little_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="less than one sequence of 32"):
        train(["Short.", ""], TINY, tmp_path / "model", seed=0)


def test_no_held_out_text(trained: TrainResult) -> None:
    with pytest.raises(InputError, match="no held-out text"):
        evaluate(trained.path, ["", ""], TINY.context)


def test_another_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a model, so it is not replaced"):
        train(sentences(200, 0), TINY.model_copy(update={"tokens": 1000}), tmp_path, seed=0)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_models_of_several_texts_can_read_alike(tmp_path: Path) -> None:
    tokenizer = fit_tokenizer(sentences(50, 7), TINY.vocab_size)
    params = TINY.model_copy(update={"tokens": 1000})
    for name, text in (("one", sentences(100, 0)), ("other", ["zyx wvu tsr qpo " * 20] * 10)):
        assert train(text, params, tmp_path / name, 0, tokenizer=tokenizer).vocabulary == tokenizer.get_vocab_size()
    assert (tmp_path / "one/tokenizer.json").read_bytes() == (tmp_path / "other/tokenizer.json").read_bytes()
