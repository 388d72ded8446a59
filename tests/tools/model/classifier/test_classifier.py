"""Classifiers of the real embedder on few rows: they learn, are read back by Transformers alone, and stay small."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recryst.state.errors import InputError, UsageError
from recryst.state.params.final_model import TrainParams
from recryst.state.phrases import silent
from recryst.state.settings import parse_config
from recryst.tools.model import resume
from recryst.tools.model.checkpoint import quiet
from recryst.tools.model.classifier import prune
from recryst.tools.model.classifier.distil import distil
from recryst.tools.model.classifier.encoder import averaging, encoder, load_classifier, logits_of
from recryst.tools.model.classifier.evaluate import evaluate, parameters_in, scored
from recryst.tools.model.classifier.final import Trained, train_classifier
from recryst.tools.model.classifier.inherit import student_of
from recryst.tools.model.classifier.rows import passes, rows_of
from recryst.tools.model.classifier.train import Schedule
from recryst.tools.model.classifier.vocabulary import trimmed

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ("card", "rate", "top up")
ASKED = {
    "card": ["My {} card was stolen.", "I lost the {} card, block it.", "Where is my {} card?"],
    "rate": ["Which {} exchange rate applies?", "Is the {} rate of today good?", "Tell me the {} rate for pounds."],
    "top up": ["My {} top-up failed.", "Why was the {} top-up reverted?", "The {} top up did not arrive."],
}
PARAMS = TrainParams(mode="classifier", epochs=4, context=32)


def questions(count: int, seed: int) -> tuple[list[str], list[str]]:
    rng = random.Random(seed)
    labels = [rng.choice(NAMES) for _ in range(count)]
    kinds = ["new", "old", "virtual", "second", "latest", "usual"]
    return [rng.choice(ASKED[label]).format(rng.choice(kinds)) for label in labels], labels


TEXTS, LABELS = questions(96, 0)
HELD_OUT = questions(60, 1)


HALF: list[str | None] = [label if at % 2 else None for at, label in enumerate(LABELS)]


def trained(
    kind: str, out: Path, labels: list[str | None], epochs: int = 4, advance: Callable[[int], None] = silent
) -> Trained:
    params = PARAMS.model_copy(update={"classifier": kind, "epochs": epochs})
    return train_classifier(TEXTS, labels, params, out, seed=3, advance=advance)


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A teacher that saw the labels of half the rows, and a student that saw its answers on all."""
    return trained("distilled", tmp_path_factory.mktemp("distilled") / "classifier", HALF)


def test_a_student_learns_from_its_teacher_and_is_a_tenth_of_it(distilled: Trained) -> None:
    assert [folder.name for folder in distilled.folders] == ["teacher", "classifier"]
    assert distilled.classes == NAMES
    assert distilled.losses[-1] < 0.7 * distilled.losses[0]
    teacher, student = (evaluate(folder, *HELD_OUT, 32) for folder in distilled.folders)
    assert teacher.macro_f1 > 0.9
    assert student.macro_f1 > 0.9
    assert student.parameters < teacher.parameters / 10
    for folder, found in zip(distilled.folders, (teacher, student), strict=True):
        assert parameters_in(folder) == found.parameters
        assert found.size_bytes == pytest.approx(4 * found.parameters, rel=0.01)


def test_a_student_begins_as_the_first_layer_of_its_teacher() -> None:
    import torch

    with quiet():
        teacher, tokenizer = encoder(NAMES, 32)
        student, reader = student_of(teacher, tokenizer, TEXTS)
    body, states = student.albert.encoder, torch.randn(2, 5, 384, generator=torch.Generator().manual_seed(0))
    old, new = (torch.tensor(read(TEXTS[:1])["input_ids"]) for read in (tokenizer, reader))
    with torch.inference_mode():
        own = body.albert_layer_groups[0].albert_layers[0](states)
        assert torch.allclose(own, teacher.bert.encoder.layer[0](states), atol=1e-5)
        given = body.embedding_hidden_mapping_in(student.albert.embeddings(new))
        assert torch.cosine_similarity(given, teacher.bert.embeddings(old), dim=-1).mean() > 0.7
        assert torch.equal(student.classifier(states), teacher.classifier(states))


def test_transformers_alone_reads_it_and_says_the_same(distilled: Trained) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    for folder in distilled.folders:
        model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        with torch.inference_mode():
            batch = tokenizer(HELD_OUT[0], padding=True, truncation=True, return_tensors="pt")
            plain = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            long = model(**tokenizer("a card " * 90, truncation=True, return_tensors="pt")).logits
        assert long.shape == (1, 3)
        ours = logits_of(*load_classifier(folder), HELD_OUT[0], 32)
        assert np.allclose(plain.numpy(), ours, atol=1e-4)
        assert [model.config.id2label[at] for at in range(3)] == list(NAMES)


def test_same_seed_same_bytes(distilled: Trained, tmp_path: Path) -> None:
    def bytes_of(kind: str, at: str, epochs: int) -> bytes:
        return (trained(kind, tmp_path / at, list(LABELS), epochs).folders[-1] / "model.safetensors").read_bytes()

    assert bytes_of("encoder", "one", 1) == bytes_of("encoder", "other", 1)
    assert bytes_of("head", "one", 1) != bytes_of("encoder", "other", 1)  # and the folder's model was replaced


def test_a_training_that_is_killed_twice_comes_to_the_same_bytes(
    distilled: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the teacher's six steps, and of the student's 24."""
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    monkeypatch.setattr(resume, "_PATIENCE", 0.0)
    done, restore = list[int](), resume.Resume.restore

    def seen(self: resume.Resume, *found: Any) -> int:
        done.append(restore(self, *found))
        return done[-1]

    def killed_after(batches: int) -> Callable[[int], None]:
        left = iter(range(batches))

        def advance(_: int) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        return advance

    monkeypatch.setattr(resume.Resume, "restore", seen)
    out = tmp_path / "classifier"
    for batches in (3, 6 + 10):
        with pytest.raises(KeyboardInterrupt):
            trained("distilled", out, HALF, advance=killed_after(batches))
    found = trained("distilled", out, HALF)
    assert done == [0, 3, 0, 6, 10]
    assert found.losses == distilled.losses
    for own, other in zip(found.folders, distilled.folders, strict=True):
        assert (own / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"teacher", "classifier"}


def test_the_head_reads_the_vectors_that_the_embedder_was_trained_for(tmp_path: Path) -> None:
    import torch

    with quiet():
        model, tokenizer = encoder(NAMES, 32)
        longer = averaging(model)
    batch = tokenizer([*TEXTS[:8], "Why?"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model.bert(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None]
        mean = (states * mask).sum(1) / mask.sum(1)
        given = longer.bert(**batch).pooler_output
    centred = mean - mean.mean(-1, keepdim=True)
    assert torch.cosine_similarity(given, centred).min() > 0.999
    assert given.norm(dim=-1).numpy() == pytest.approx(1.0, abs=0.02)
    out = trained("head", tmp_path / "head", list(LABELS)).folders[0]
    assert evaluate(out, *HELD_OUT, 32).accuracy > 0.9


def test_a_trimmed_vocabulary_reads_the_texts_as_before() -> None:
    with quiet():
        _, tokenizer = encoder(NAMES, 32)
    reader, stay = trimmed(tokenizer, TEXTS)
    assert len(stay) < 400
    before, after = (one(TEXTS)["input_ids"] for one in (tokenizer, reader))
    assert [[int(stay[at]) for at in row] for row in after] == before
    assert reader.unk_token_id not in reader("Zygomorphic 1234567")["input_ids"]


def test_what_is_pruned_stays_so_while_the_rest_learns() -> None:
    with quiet():
        model, tokenizer = encoder(NAMES, 32)
    rows = rows_of(TEXTS, LABELS)
    answers = logits_of(model, tokenizer, TEXTS, 32)
    short = prune.without_layers(model, 3)
    assert len(short.bert.encoder.layer) == 3
    assert prune.evenly(6, 3) == [0, 2, 5]
    assert prune.evenly(12, 4) == [0, 4, 7, 11]
    last = short.bert.encoder.layer[2].output.dense.weight
    assert (last == model.bert.encoder.layer[5].output.dense.weight).all()

    importance = prune.head_importance(model, tokenizer, rows, 32, seed=0)
    assert importance.shape == (6, 12)
    assert np.linalg.norm(importance, axis=1) == pytest.approx(1.0, abs=1e-5)
    prune.mask_heads(model, importance, 0.5)
    schedule = Schedule(1, 1e-3, 32, seed=0, head=1.0)
    distil(model, tokenizer, TEXTS, answers, schedule)
    prune.settle(model)
    kept = [layer.attention.self.value.weight.view(12, -1).abs().sum(1) > 0 for layer in model.bert.encoder.layer]
    assert sum(int(one.sum()) for one in kept) == 36
    assert all(one[at] for one, at in zip(kept, importance.argmax(axis=1), strict=True))

    prune.mask_weights(model, 0.5)
    prune.settle(model)
    assert set(dict(model.named_parameters())) == set(dict(encoder(NAMES, 32)[0].named_parameters()))
    assert (model.bert.encoder.layer[0].output.dense.weight == 0).float().mean() == pytest.approx(0.5, abs=0.01)


def test_every_row_is_read_once_a_pass() -> None:
    batches = list(passes([5, 3, 9, 1, 4], 2, 6, seed=0))
    assert [sorted(np.concatenate(part).tolist()) for part in (batches[:3], batches[3:])] == [[0, 1, 2, 3, 4]] * 2
    assert Schedule(2, 1.0, 32, 0).steps([10] * 96) == 6
    assert Schedule(2, 1.0, 32, 0, tokens=960).steps([10] * 96) == 3


def test_scores() -> None:
    macro_f1, accuracy = scored(["a", "a", "b", "b"], ["a", "a", "b", "c"])
    assert accuracy == 0.75
    assert macro_f1 == pytest.approx((1 + 2 / 3) / 2)  # c is no class of the rows


def test_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs rows of two classes, and the labels name only 'card'"):
        train_classifier(["one", "two"], ["card", None], PARAMS, tmp_path / "model", 0)
    with pytest.raises(UsageError, match=r"train\.classifier: needs train\.mode=classifier"):
        parse_config({"train": {"classifier": "head"}}, "the test")
    with pytest.raises(UsageError, match=r"train\.model: needs train\.mode=lora or full"):
        parse_config({"train": {"mode": "classifier", "model": "somewhere"}}, "the test")
    with pytest.raises(UsageError, match=r"train\.chat_template: needs train\.mode=lora or full"):
        parse_config({"train": {"mode": "classifier", "chat_template": "never"}}, "the test")
    assert not list(tmp_path.iterdir())
