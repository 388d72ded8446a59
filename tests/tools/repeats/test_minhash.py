import gzip
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recryst.state.params.preparation import DedupParams
from recryst.tools.repeats import minhash
from recryst.tools.repeats.minhash import ShingleSets, _permutations, signatures, words_apart
from recryst.tools.text.compiled import kernel

# A character of a script that puts no blank between words is a word, with the marks that belong to it.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}\p{Myanmar}]\p{M}*"


def shingles(text: str | None, size: int) -> set[str]:
    words = regex.sub(UNSPACED, r" \g<0> ", (text or "").lower()).split()
    return {" ".join(words[at : at + size]) for at in range(max(len(words) - size + 1, 1))}


def published(texts: list[str | None], params: DedupParams) -> np.ndarray:
    """The signatures by datasketch itself."""
    from datasketch import MinHash

    rows = []
    for text in texts:
        sketch = MinHash(num_perm=params.num_perm, seed=1)
        sketch.update_batch([shingle.encode() for shingle in shingles(text, params.ngram_size)])
        rows.append(sketch.hashvalues)
    return np.array(rows, dtype=np.uint32).reshape(len(texts), params.num_perm)


def made(texts: list[str | None], params: DedupParams) -> np.ndarray:
    return signatures(pl.Series(texts, dtype=pl.String), params)


# Every character that str.split splits at, its neighbours in UTF-8, and letters whose lower case is longer, shorter,
# depends on what follows, or is ASCII.
blanks = [chr(code) for code in range(0x10000) if chr(code).isspace()]
near_blanks = [chr(ord(blank) + step) for blank in blanks for step in (-1, 1)]
letters = [
    "中", "か", "カ", "กำ", "ที่", "ខ្មែ", "ລາ", "မြ",
    "a", "B", "Σ", "σ", "İ", "K", "Å", "Ⱥ", "ß", "ẞ", "Ǆ", "Ꭰ", "𐐀", "𝔸", "中", "🙂", "é", "É",
]  # fmt: skip
some_text = st.text(st.characters(exclude_categories=["Cs", "Cn"])) | st.lists(
    st.sampled_from(blanks + near_blanks + letters + ["ab", "Cd "])
).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.none() | some_text, max_size=6), st.sampled_from([1, 2, 5]), st.sampled_from([16, 128]))
@example(["", None, " ", "\u3000\x85", "one", "ONE  two", "ΑΣ ΣΑΣ. Σ"], 5, 128)
@example(["".join(blanks), "x".join(blanks), "".join(near_blanks)], 1, 16)
@example(["word " * 40, "a" * 54, "a" * 55, "a" * 56, "a" * 63, "a" * 64, "a" * 119, "é" * 60 + " b"], 1, 16)
def test_signatures_are_those_of_datasketch(texts, size, num_perm):
    params = DedupParams(ngram_size=size, num_perm=num_perm)
    assert (made(texts, params) == published(texts, params)).all()


def test_a_text_without_blanks_is_its_characters_and_one_with_blanks_its_words():
    assert words_apart(pl.Series(["Ein Wörtchen", "今日はabc。", "ที่นี่", None])).str.split(" ").list.eval(
        pl.element().filter(pl.element() != "")
    ).to_list() == [["ein", "wörtchen"], ["今", "日", "は", "abc。"], ["ที่", "นี่"], []]


def test_the_permutations_of_stored_signatures_never_change():
    multiply, shift = _permutations(128)
    assert (multiply.dtype, shift.dtype) == (np.uint32, np.uint32)
    assert (multiply[:2].tolist(), shift[:2].tolist()) == ([3582191691, 4270784983], [214548472, 3287733501])
    assert (int(multiply.sum(dtype=np.uint64)), int(shift.sum(dtype=np.uint64))) == (273738405954, 274090808676)


def test_long_texts_and_long_words():
    rng = random.Random(3)
    texts = [
        " ".join(f"w{rng.getrandbits(30)}" for _ in range(100_000)),
        "x" * 1_000_000,
        " ".join("Ä" * rng.randrange(1, 300) for _ in range(500)),
    ]
    assert (made(texts, DedupParams()) == published(texts, DedupParams())).all()


@pytest.mark.shared_data
def test_real_texts(shared_data: Path):
    with gzip.open(shared_data / "newsgroups20" / "newsgroups20.jsonl.gz") as file:
        texts = pl.read_ndjson(file.read())["text"][::40].to_list()
    assert (made(texts, DedupParams()) == published(texts, DedupParams())).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.none() | some_text, min_size=1, max_size=8), st.sampled_from([1, 2, 5]))
def test_jaccard_is_that_of_the_sets(texts, size):
    sets = ShingleSets(pl.Series(texts, dtype=pl.String), size)
    sets.load(np.arange(0, len(texts), 2, dtype=np.uint32))  # the others are made when they are asked for
    for one in range(len(texts)):
        for other in range(len(texts)):
            a, b = shingles(texts[one], size), shingles(texts[other], size)
            assert sets.jaccard(one, other) == len(a & b) / len(a | b)


def test_few_sets_are_held(monkeypatch):
    monkeypatch.setattr(minhash, "_HELD_HASHES", 250)
    texts = [" ".join(f"w{row}x{at}" for at in range(104)) for row in range(20)]
    sets = ShingleSets(pl.Series(texts), 5)
    sets.load(np.arange(20, dtype=np.uint32))
    assert [sets.jaccard(row, (row + 1) % 20) for row in range(20)] == [0.0] * 20
    assert len(sets._held) == 2


def test_batches_threads_and_a_map_change_nothing(monkeypatch, tmp_path):
    texts = pl.Series([f"Zeile {row} " * (row % 50) + "É" * (row % 3) for row in range(700)])
    whole = signatures(texts, DedupParams())
    told: list[int] = []
    monkeypatch.setattr(minhash, "BATCH_BYTES", 1000)
    mapped = np.lib.format.open_memmap(tmp_path / "s.npy", mode="w+", dtype=np.uint32, shape=whole.shape)
    parted = signatures(pl.concat([texts[:300], texts[300:]]), DedupParams(), told.append, mapped)
    assert len(told) > 100
    assert sum(told) == 700
    assert (parted == whole).all()
    assert (np.load(tmp_path / "s.npy") == whole).all()
    assert signatures(texts.clear(), DedupParams()).shape == (0, 128)


def test_a_kernel_works_where_its_machine_code_cannot_be_kept():
    namespace: dict[str, Any] = {}
    exec(compile("def doubled(x):\n    return 2 * x", "<no file>", "exec"), namespace)  # Numba finds no folder for it
    assert kernel()(namespace["doubled"])(21) == 42
