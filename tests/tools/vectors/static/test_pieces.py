"""Words of texts as sparse counts, against the tokeniser on whole texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.errors import InputError
from recryst.tools.vectors.encoders.minilm import CLS, SEP, model_folder
from recryst.tools.vectors.static import pieces as module
from recryst.tools.vectors.static.pieces import Pieces, Words, batches

TABLE = Pieces.of_model(model_folder())
SIZE = len(TABLE.vectors)
SPECIAL = {TABLE.tokenizer.id_to_token(number) for number in (0, 100, CLS, SEP, 103)}


@given(st.lists(st.text(max_size=40), max_size=5))
def test_the_pieces_are_those_of_the_whole_text(texts: list[str]) -> None:
    texts = [
        *texts,
        "汉" * 300,
        "Ünïcode ÀÉÎ, can't foo_bar; 汉字漢字 3.14 half-hearted\x00\ttab 5¢ a\x0bb ΣΑΣ İ $+<=>^`|~ \u2028e",
        "",
    ]
    words = Words.of(pl.Series(texts), TABLE.tokenizer, SIZE)
    for row, text in enumerate(texts):
        if any(special in text for special in SPECIAL):
            continue
        whole = np.bincount(TABLE.tokenizer.encode(text, add_special_tokens=False).ids, minlength=SIZE)
        found = words.pieces[[row]].toarray()[0]
        assert words.counts[row] == whole.sum()
        assert np.allclose(found * np.sqrt(max(1, whole.sum())), whole, atol=1e-4)


def test_pairs_stand_within_a_text() -> None:
    number = TABLE.tokenizer.token_to_id
    card, lost, why = (number(word) for word in ("card", "lost", "why"))
    words = Words.of(pl.Series(["card lost", "", "why \x00 card", "lost"]), TABLE.tokenizer, SIZE)
    pairs = [(SIZE, card), (card, lost), (SIZE, why), (why, card), (SIZE, lost)]
    assert words.pairs.tolist() == [left * SIZE + right for left, right in pairs]
    assert words.rows.tolist() == [0, 0, 2, 2, 3]
    chosen = np.sort(words.pairs[[1, 3]])
    found = words.among(chosen).toarray()
    assert found.shape == (4, 2)
    assert np.allclose(found.sum(axis=1), [0.5**0.5, 0, 0.5**0.5, 0])
    assert words.among(chosen[:0]).shape == (4, 0)


def test_a_text_cannot_name_a_special_piece() -> None:
    words = Words.of(pl.Series(["[SEP] [CLS] [MASK] [PAD]"]), TABLE.tokenizer, SIZE)
    assert not set(words.pieces.indices) & {0, CLS, SEP, 103}


def test_only_the_beginning_of_a_text_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Words.of(pl.Series(["card lost why"]), TABLE.tokenizer, SIZE)
    monkeypatch.setattr(module, "_WORDS_AT_ONCE", 2)
    assert Words.of(pl.Series(["card lost why"]), TABLE.tokenizer, SIZE).pairs.tolist() == whole.pairs.tolist()
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 9)
    assert Words.of(pl.Series(["card lost why"]), TABLE.tokenizer, SIZE).counts.tolist() == [2]


def test_batches_keep_to_bytes_and_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH_BYTES", 10)
    monkeypatch.setattr(module, "_BATCH_ROWS", 3)
    texts = pl.Series(["a", "b", "c", "d", "e" * 30, "f" * 6, "ü" * 3, ""])
    assert [(one.start, one.stop) for one in batches(texts)] == [(0, 3), (3, 4), (4, 5), (5, 6), (6, 8)]
    assert list(batches(texts[:0])) == []


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a saved BERT model"):
        Pieces.of_model(tmp_path)
    (tmp_path / "model.safetensors").symlink_to(model_folder() / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="is not a saved BERT model"):
        Pieces.of_model(tmp_path)


def test_texts_of_pieces() -> None:
    texts = TABLE.texts()
    number = TABLE.tokenizer.token_to_id
    assert len(texts) == SIZE
    assert texts[number("card")] == "card"
    assert texts[number("##ing")] == "ing"
    assert texts[number("[")] == "["
    assert texts[CLS] == texts[0] == ""
