"""The static student: what it is fitted to, what it makes of texts it never saw, and which it calls borderline."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recryst.state.errors import InputError, IntegrityError
from recryst.state.params.vectors import EmbedParams
from recryst.tools.vectors.encoders.minilm import model_folder
from recryst.tools.vectors.encoders.open import open_encoder
from recryst.tools.vectors.neighbors import unit
from recryst.tools.vectors.static import pieces as counting
from recryst.tools.vectors.static.pieces import Pieces, Words
from recryst.tools.vectors.static.student import MOST_TEXTS, StaticModel, agreement, fit

WORDS = [
    "card", "payment", "money", "transfer", "account", "bank", "cash", "top", "up", "limit", "fee", "refund", "how",
]  # fmt: skip


def sentences(rows: int, words: list[str] = WORDS, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(words, random.integers(3, 9))) for _ in range(rows)]


def meanings(texts: list[str], dimensions: int) -> np.ndarray:
    """What a model could say of ``sentences``: each word has its direction, and all of them lean to one side."""
    of = dict(zip(WORDS, directions(len(WORDS), dimensions) + 0.1, strict=True))
    return unit(np.array([sum(of[word] for word in text.split()) for text in texts], dtype=np.float32))


def directions(rows: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32))


@pytest.fixture(scope="module")
def pieces() -> Pieces:
    return Pieces.of_model(model_folder())


@pytest.fixture(scope="module")
def model(pieces: Pieces) -> StaticModel:
    return fit(sentences(300), meanings(sentences(300), 16), pieces)


@pytest.mark.shared_data
def test_neighbours_of_rows_it_never_saw(shared_data: Path, pieces: Pieces) -> None:
    """By far more of them are the full model's than by words hashed to as many dimensions."""
    from sklearn.feature_extraction.text import HashingVectorizer

    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    chosen = np.random.default_rng(0).permutation(len(texts))[:2000]
    sample, held_out = [texts[row] for row in chosen[:1500]], [texts[row] for row in chosen[1500:]]
    encoder = open_encoder(EmbedParams())
    known, full = encoder.encode(sample), encoder.encode(held_out)
    vectors = fit(sample, known, pieces).encode(held_out).vectors
    hashed = HashingVectorizer(n_features=384, alternate_sign=False).transform(held_out).toarray()
    by_student, by_words = agreement(vectors, full), agreement(hashed.astype(np.float32), full)
    assert by_student > 0.65
    assert by_student > by_words + 0.2
    vectors, borderline = fit(sample[:200], known[:200], pieces).encode(held_out)
    cosines = (vectors * full).sum(axis=1)
    assert 10 < borderline.sum() < 100
    assert cosines[~borderline].mean() > cosines[borderline].mean() + 0.1


def test_is_the_ridge_regression(pieces: Pieces) -> None:
    """The primal problem, solved on columns that are made here: pieces, pairs at half, the table's mean of a text."""
    texts, vectors = sentences(200), directions(200, 5)
    model = fit(texts, vectors, pieces)
    words = Words.of(pl.Series(texts), pieces.tokenizer, len(pieces.vectors))
    seen = np.unique(words.pieces.indices)
    counts = words.pieces.toarray()
    table = pieces.vectors - pieces.vectors[seen].mean(axis=0)
    table *= (np.log(201 / (1 + (counts > 0).sum(axis=0))) / np.log(201) / np.linalg.norm(table, axis=1))[:, None]
    numbers, times = np.unique(words.pairs, return_counts=True)
    kept = numbers[times >= 3]
    assert np.array_equal(model.pairs, kept)
    pairs = np.zeros((200, len(kept)))
    for pair, row in zip(words.pairs, words.rows, strict=True):
        pairs[row, kept == pair] += words.scale[row]
    columns = np.hstack([counts[:, seen], pairs / 2, counts @ table]).astype(np.float64)
    ask = np.repeat([0.3, 0.3, 0.1], [len(seen), len(kept), table.shape[1]])
    mean = vectors.mean(axis=0)
    found = np.linalg.solve(columns.T @ columns + np.diag(ask), columns.T @ (vectors - mean))
    assert np.allclose(model.encode(texts).vectors, unit(columns @ found + mean), atol=1e-4)


def test_a_word_outside_the_sample_follows_from_the_table(pieces: Pieces) -> None:
    """Where the full model is a linear map of the table, words that no text of the sample has are mapped alike."""
    known = [piece for piece in pieces.texts() if piece.isascii() and piece.isalpha() and len(piece) > 4][:4000]
    table = Pieces(pieces.tokenizer, directions(len(pieces.vectors), 12))
    numbers = [pieces.tokenizer.token_to_id(word) for word in known]
    known = [word for word, number in zip(known, numbers, strict=True) if number is not None]
    to = np.random.default_rng(3).normal(size=(12, 20)).astype(np.float32)

    def truth(texts: list[str]) -> np.ndarray:
        cut = [[pieces.tokenizer.token_to_id(word) for word in text.split()] for text in texts]
        return unit(np.array([table.vectors[one].sum(axis=0) @ to for one in cut], dtype=np.float32))

    sample, others = sentences(2000, known[: len(known) // 2]), sentences(200, known[len(known) // 2 :])
    vectors, borderline = fit(sample, truth(sample), table).encode(others)
    assert (vectors * truth(others)).sum(axis=1).mean() > 0.9
    assert borderline.all()


def test_borderline_texts_are_those_of_unknown_words(model: StaticModel) -> None:
    known, unknown = sentences(20, seed=9), sentences(20, ["zebra", "glacier", "violin", "🜁", "comet"])
    assert not model.encode(known).borderline.any()
    assert model.encode(unknown).borderline.all()
    for strangers, expected in ((3, False), (4, True)):  # of ten
        mixed = [" ".join([*WORDS[:-4][: 10 - strangers], *["zebra", "violin", "comet", "glacier"][:strangers]])]
        assert model.encode(mixed).borderline.tolist() == [expected]
    assert model.encode(["", "card", "\x00", "zebra"]).borderline.all()


def test_borderline_texts_say_nothing_much_or_what_no_piece_stands_for(pieces: Pieces) -> None:
    to = directions(1, 8)
    texts, vectors = ["card card card", "lost lost lost", "🜁 🜁 🜁"] * 40, np.vstack([to, -to, to] * 40)
    borderline = fit(texts, vectors, pieces).encode(["card card card", "card card lost lost", "🜁 🜁 🜁"]).borderline
    assert borderline.tolist() == [False, True, True]


def test_unit_length_and_nothing_to_read(model: StaticModel) -> None:
    vectors, borderline = model.encode(["", None, "  \n", "\x00\x01", "card", "汉字 ünïcode _ [SEP] 🜁", "x" * 100_000])  # type: ignore[list-item]
    assert vectors.dtype == np.float32
    assert vectors.shape == (7, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(vectors[:4], unit(model.mean[None]), atol=1e-6)
    assert borderline[:4].all()
    nothing = model.encode([])
    assert nothing.vectors.shape == (0, 16)
    assert nothing.borderline.shape == (0,)


def test_a_vector_does_not_depend_on_its_neighbours(model: StaticModel, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*sentences(40, seed=4), "", "zebra violin card"]
    together = model.encode(texts)
    monkeypatch.setattr(counting, "_BATCH_ROWS", 3)
    monkeypatch.setattr(counting, "_BATCH_BYTES", 50)
    apart = model.encode(texts)
    assert np.array_equal(together.vectors, apart.vectors)
    assert np.array_equal(together.borderline, apart.borderline)
    turned = model.encode(texts[::-1])
    assert np.array_equal(turned.vectors[::-1], together.vectors)


FITTING = """
from test_student import *
print(fit(sentences(700), directions(700, 64), Pieces.of_model(model_folder())).sha256)
"""


def test_the_same_bits_in_every_process_with_any_number_of_threads() -> None:
    found = set()
    for threads in ("1", "3"):
        named = (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "POLARS_MAX_THREADS",
            "RAYON_NUM_THREADS",
        )
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        environment = os.environ | dict.fromkeys(named, threads) | {"PYTHONPATH": path, "PYTHONHASHSEED": threads}
        done = subprocess.run([sys.executable, "-c", FITTING], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_hash_tells_students_apart(model: StaticModel, pieces: Pieces) -> None:
    texts, vectors = sentences(300), meanings(sentences(300), 16)
    assert fit(texts, vectors, pieces).sha256 == model.sha256
    assert fit(texts, vectors[::-1], pieces).sha256 != model.sha256
    assert fit([*texts[1:], "card"], vectors, pieces).sha256 != model.sha256


def test_is_found_again_as_it_was_saved(model: StaticModel, tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"
    model.save(file)
    loaded, texts = StaticModel.load(file), sentences(50, seed=2)
    assert loaded.sha256 == model.sha256
    assert np.array_equal(loaded.encode(texts).vectors, model.encode(texts).vectors)


def test_a_file_that_was_changed_is_refused(model: StaticModel, tmp_path: Path) -> None:
    file = tmp_path / "student.safetensors"
    model.save(file)
    whole = bytearray(file.read_bytes())
    whole[-100] ^= 1
    file.write_bytes(whole)
    with pytest.raises(IntegrityError, match="was changed after it was written: fit it again"):
        StaticModel.load(file)
    for content in (b"", bytes(whole[:1000]), b"\x80\x04pickle", b"\xff" * 64):
        file.write_bytes(content)
        with pytest.raises(IntegrityError, match="is not a static model: fit it again"):
            StaticModel.load(file)
    with pytest.raises(IntegrityError, match="is not a static model"):
        StaticModel.load(model_folder() / "model.safetensors")
    with pytest.raises(InputError, match="cannot read the static model"):
        StaticModel.load(tmp_path / "none")


def test_what_cannot_be_fitted_is_refused(pieces: Pieces) -> None:
    for texts, vectors in (([], 0), (["one"], 1), (["one", "two"], 3), ([""] * (MOST_TEXTS + 1), MOST_TEXTS + 1)):
        with pytest.raises(InputError, match=f"2 to {MOST_TEXTS} texts with a vector each"):
            fit(texts, directions(vectors, 4), pieces)
    wordless = fit(["", " "], directions(2, 4), pieces)
    assert np.allclose(np.linalg.norm(wordless.encode(["card"]).vectors, axis=1), 1)


def test_agreement_counts_shared_neighbours() -> None:
    rows = directions(400, 8)
    assert agreement(rows, rows) == 1
    turned = rows @ np.linalg.qr(np.random.default_rng(5).normal(size=(8, 8)))[0].astype(np.float32)
    assert agreement(turned, rows) > 0.99
    assert agreement(directions(400, 8, seed=1), rows) < 0.06  # 10 of 399 by chance
    line = unit(np.array([[1, x] for x in (0.0, 0.1, 0.25, 0.45)], dtype=np.float32))
    bent = unit(np.array([[1, x] for x in (0.0, 0.3, 0.25, 0.45)], dtype=np.float32))
    assert agreement(bent, line, k=2) == pytest.approx(7 / 8)
    with pytest.raises(InputError, match="more than 10 rows"):
        agreement(rows[:10], rows[:10])
