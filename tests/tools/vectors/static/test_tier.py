"""The tier: the student embeds only where it agrees with its model, and the model what it says too little of."""

import numpy as np
import polars as pl
import pytest

from recryst.state.params.vectors import EmbedParams
from recryst.tools.vectors.cache import VectorCache
from recryst.tools.vectors.encoders.embedded import MiniLMEncoder
from recryst.tools.vectors.static import tier
from recryst.tools.vectors.static.student import agreement

PARAMS = EmbedParams()


@pytest.fixture(scope="module")
def encoder():
    return MiniLMEncoder(PARAMS)


@pytest.fixture
def embedded(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(tier, "SAMPLE", 300)
    monkeypatch.setattr(tier, "HELD_OUT", 100)

    def embed(texts, least=400):
        cache = VectorCache(tmp_path / "cache", encoder.name, encoder.dimensions)
        return tier.embed_by_student(texts, encoder, cache, PARAMS, 0, least=least)

    return embed


@pytest.fixture(scope="module")
def questions(shared_data):
    return pl.read_csv(shared_data / "banking77" / "train.csv")["text"].head(700)


def test_a_student_that_agrees_embeds_what_it_knows(embedded, questions, encoder, monkeypatch):
    monkeypatch.setattr(tier, "ACCEPTED", 0.4)
    texts = pl.concat([questions, pl.Series(["zxqv wvuq qqzz", "", None])])
    made = embedded(texts)
    assert made.student is not None
    assert "texts, the model the rest (student " in made.said
    truth = encoder.encode(texts.fill_null("").to_list())
    alike = np.sum(made.vectors * truth, axis=1)
    assert alike[-3:].min() > 0.999  # borderline: the model's own
    assert 0.3 < np.mean(alike < 0.999) < 0.6  # the student's; the sample and the held-out are the model's
    assert agreement(made.vectors, truth) > 0.5
    assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(embedded(texts).vectors, made.vectors)


def test_a_student_that_does_not_agree_embeds_nothing(embedded, questions, encoder, monkeypatch):
    monkeypatch.setattr(tier, "ACCEPTED", 0.99)
    made = embedded(questions)
    assert made.student is None
    assert made.said.endswith("fewer than 99%: the model embeds all")
    assert np.sum(made.vectors * encoder.encode(questions.to_list()), axis=1).min() > 0.999


def test_few_texts_are_the_models(embedded):
    made = embedded(pl.Series(["one text", "another", "one text"]), least=3)
    assert (made.student, made.said) == (None, "no static student: fewer than 3 distinct texts")
    assert made.vectors.shape == (3, 384)
