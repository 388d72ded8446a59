"""Embedding: the published model, one vector per text, and a cache that a crash or a flipped bit cannot spoil."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recryst.state.errors import InputError, IntegrityError, UsageError
from recryst.state.params.vectors import EmbedParams, EmbedTableParams
from recryst.tools.vectors import embed as module
from recryst.tools.vectors.embed import (
    Encoder,
    VectorCache,
    embed,
    open_encoder,
    read_known,
    table_vectors,
    write_known,
)
from recryst.tools.vectors.encoders import embedded
from recryst.tools.vectors.encoders import open as opening
from recryst.tools.vectors.encoders.embedded import MiniLMEncoder
from recryst.tools.vectors.encoders.minilm import check_weights, model_folder
from recryst.tools.vectors.encoders.sentence import further_windows
from recryst.tools.vectors.encoders.windows import Reading

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMS = EmbedParams(batch_size=8)
TABLE = EmbedTableParams(batch_size=8)
TEXTS = pl.Series([f"{'word ' * (i % 7)}row number {i}" for i in range(150)])


class Wrapped:
    """The real encoder, counting texts and stopping after so many calls."""

    def __init__(self, encoder: Encoder, calls: int | None = None) -> None:
        self.name, self.dimensions, self.local = encoder.name, encoder.dimensions, encoder.local
        self.reading = encoder.reading
        self.encoder, self.calls, self.seen = encoder, calls, list[str]()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls = None if self.calls is None else self.calls - 1
        self.seen += texts
        return self.encoder.encode(texts)


@pytest.fixture(scope="module")
def minilm(one_thread: None) -> Encoder:
    return open_encoder(PARAMS)


def cache_in(folder: Path, encoder: Encoder) -> VectorCache:
    return VectorCache(folder, encoder.name, encoder.dimensions)


@pytest.fixture(scope="module")
def whole(minilm: Encoder, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The vectors of ``TEXTS`` from a run without interruption."""
    return embed(TEXTS, minilm, cache_in(tmp_path_factory.mktemp("whole"), minilm), PARAMS).vectors


def test_paraphrases_are_closer_than_strangers(minilm: Encoder, tmp_path: Path) -> None:
    texts = [
        "How do I reset my password?",
        "I forgot my password, how can I change it?",
        "The cat sleeps on the warm window sill.",
        "A kitten is napping by the sunny window.",
    ]
    vectors = embed(pl.Series(texts), minilm, cache_in(tmp_path, minilm), PARAMS).vectors
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T
    assert min(cosines[0, 1], cosines[2, 3]) > 0.5 > 0.2 > cosines[:2, 2:].max()


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    shutil.copyfile(model_folder() / "model.safetensors", tmp_path / "model.safetensors")
    check_weights(tmp_path)
    with (tmp_path / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    with pytest.raises(IntegrityError, match="not the published model"):
        check_weights(tmp_path)


def test_the_embedded_model_asks_nothing_of_the_network() -> None:
    program = (
        "import sys\n"
        "def refuse(event, _):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'): raise SystemExit(event)\n"
        "sys.addaudithook(refuse)\n"
        "from recryst.state.params.vectors import EmbedParams\n"
        "from recryst.tools.vectors.embed import open_encoder\n"
        "assert 'torch' not in sys.modules\n"
        "print(open_encoder(EmbedParams()).encode(['a text']).shape)\n"
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1, 384)\n", "")


def test_an_interrupted_run_ends_with_the_same_bytes(minilm: Encoder, whole: np.ndarray, tmp_path: Path) -> None:
    first = Wrapped(minilm, calls=6)
    with pytest.raises(KeyboardInterrupt):
        embed(TEXTS, first, cache_in(tmp_path, minilm), PARAMS)
    rest = Wrapped(minilm)
    done: list[int] = []
    resumed = embed(TEXTS, rest, cache_in(tmp_path, minilm), PARAMS, done.append)
    assert (resumed.embedded, resumed.cached) == (len(rest.seen), len(first.seen))
    assert 0 < len(first.seen) == len(TEXTS) - len(rest.seen) < len(TEXTS)
    assert sum(done) == len(TEXTS)
    assert resumed.vectors.tobytes() == whole.tobytes()


@pytest.mark.parametrize("spoil", ["torn", "altered", "swapped"])
def test_a_spoilt_group_is_never_trusted(minilm: Encoder, whole: np.ndarray, tmp_path: Path, spoil: str) -> None:
    cache = cache_in(tmp_path, minilm)
    embed(TEXTS, minilm, cache, PARAMS)
    group, *others = sorted(cache.folder.glob("*/*.vectors"), key=lambda path: -path.stat().st_size)
    content = bytearray(group.read_bytes())
    texts = (len(content) - 32) // (4 * 384)
    altered = bytes(content[:-1]) + bytes([content[-1] ^ 1])
    same_size = next(path for path in others if path.stat().st_size == len(content))
    group.write_bytes({"altered": altered, "torn": content[:-1000], "swapped": same_size.read_bytes()}[spoil])
    result = embed(TEXTS, minilm, cache_in(tmp_path, minilm), PARAMS)
    assert result.embedded == texts
    assert result.vectors.tobytes() == whole.tobytes()
    assert embed(TEXTS, minilm, cache_in(tmp_path, minilm), PARAMS).embedded == 0


def test_what_the_cache_holds_changes_no_bit(minilm: Encoder, whole: np.ndarray, tmp_path: Path) -> None:
    """Another run knew most of the texts, and others beside them: a text encoded in other company may differ."""
    others = pl.concat([TEXTS.gather_every(3), pl.Series([f"another row, number {n}" for n in range(70)])])
    embed(others, minilm, cache_in(tmp_path, minilm), PARAMS)
    assert embed(TEXTS, minilm, cache_in(tmp_path, minilm), PARAMS).vectors.tobytes() == whole.tobytes()


def test_a_row_more_embeds_its_own_group_and_no_other(minilm: Encoder, tmp_path: Path) -> None:
    cache = cache_in(tmp_path, minilm)
    embed(TEXTS, minilm, cache, PARAMS)
    more = embed(pl.concat([TEXTS, pl.Series(["one row more"])]), minilm, cache, PARAMS)
    assert 0 < more.embedded <= 3 * PARAMS.batch_size
    assert more.cached >= len(TEXTS) - 3 * PARAMS.batch_size


def test_vectors_that_are_handed_over_are_taken_as_they_are(minilm: Encoder, tmp_path: Path) -> None:
    given = np.random.default_rng(0).random((100, 384), dtype=np.float32)
    texts = TEXTS.head(100).scatter(99, "row number 0")  # a repetition: its first vector counts
    write_known(tmp_path / "new" / "known.npy", texts, given, PARAMS)
    known = read_known(tmp_path / "new" / "known.npy")
    encoder = Wrapped(minilm)
    result = embed(TEXTS, encoder, cache_in(tmp_path, minilm), PARAMS, known=known)
    assert (result.cached, result.embedded, len(encoder.seen)) == (99, 51, 51)
    assert np.array_equal(result.vectors[:99], given[:99])
    assert read_known(tmp_path / "no such file").find(np.array([b"x" * 16])).tolist() == [-1]


def test_order_and_repetition_do_not_matter(minilm: Encoder, whole: np.ndarray, tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(TEXTS)), 2))
    encoder = Wrapped(minilm)
    result = embed(TEXTS.gather(order), encoder, cache_in(tmp_path, minilm), PARAMS)
    assert result.embedded == len(encoder.seen) == len(TEXTS)
    assert result.vectors.tobytes() == whole[order].tobytes()


def test_another_model_finds_nothing_in_the_cache(minilm: Encoder, tmp_path: Path) -> None:
    embed(TEXTS[:3], minilm, cache_in(tmp_path, minilm), PARAMS)
    longer = open_encoder(EmbedParams(max_tokens=256))
    assert embed(TEXTS[:3], longer, cache_in(tmp_path, longer), PARAMS).embedded == 3


def test_strange_texts(minilm: Encoder, tmp_path: Path) -> None:
    encoder = Wrapped(minilm)
    texts = pl.Series(["", None, "\x00", "\U0001f9ea" * 300, "word " * 2_000_000, " " * 100])
    result = embed(texts, encoder, cache_in(tmp_path, minilm), PARAMS)
    assert np.allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-5)
    assert max(map(len, encoder.seen)) == 512 * PARAMS.max_tokens
    assert embed(texts.head(0), minilm, cache_in(tmp_path, minilm), PARAMS).vectors.shape == (0, 384)


def test_a_model_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        open_encoder(EmbedParams(model="./models/mine/here"))
    (tmp_path / "readme.txt").write_text("no model")
    with pytest.raises(InputError, match="cannot load the model in"):
        open_encoder(EmbedParams(model=str(tmp_path)))


def test_a_model_from_a_folder(minilm: Encoder) -> None:
    folder = open_encoder(EmbedParams(model=str(model_folder())))
    assert folder.dimensions == 384
    assert folder.name != minilm.name
    exact = open_encoder(EmbedParams(precision="float32"))
    texts = [*TEXTS[:20], "", "Bread, water and wine. " * 500, "naïve 東京 \x00 ﬁ"]
    assert np.allclose(folder.encode(texts), exact.encode(texts), atol=1e-5)
    assert np.sum(folder.encode(texts) * minilm.encode(texts), axis=1).min() > 0.999


def test_without_openvino_pytorch_embeds_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(opening, "openvino_is_there", lambda: False)
        slow = open_encoder(PARAMS)
        with pytest.raises(UsageError, match="float32 here"):
            open_encoder(EmbedParams(precision="bfloat16"))
    exact = open_encoder(EmbedParams(precision="float32"))
    assert slow.name == exact.name
    assert "OpenVINO, which is several times as fast, is not installed" in slow.runtime
    assert np.allclose(slow.encode(TEXTS[:9]), exact.encode(TEXTS[:9]), atol=1e-5)


def test_how_many_threads_there_are_changes_no_bit(minilm: MiniLMEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        embedded._compiled.cache_clear()
        other = MiniLMEncoder(PARAMS)
        assert other._compiled.threads == int(threads) or os.cpu_count() == 1
        assert other.encode(TEXTS).tobytes() == minilm.encode(TEXTS).tobytes()


def test_a_model_that_may_hold_a_program_is_not_opened(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Program:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(ran), "w"))

    folder = Path(shutil.copytree(model_folder(), tmp_path / "model"))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(pickle.dumps(Program()))
    with pytest.raises(InputError, match=r"pytorch_model\.bin may hold a program and is not opened: save the model"):
        open_encoder(EmbedParams(model=str(folder)))
    shutil.rmtree(folder / "2_Dense")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights in safetensors"):
        open_encoder(EmbedParams(model=str(folder)))
    assert not ran.exists()


def test_vector_columns() -> None:
    expected = np.array([[0.6, 0.8], [0, 0]], dtype=np.float32)
    for kind in (pl.List(pl.Float64), pl.Array(pl.Float32, 2)):
        assert np.allclose(table_vectors(pl.DataFrame({"vector": [[3, 4], [0, 0]]}, {"vector": kind})), expected)
    for bad in ([[1.0, 2.0], [1.0]], [[1.0], None], [[1.0], [float("nan")]], [[1.0], [None]]):
        with pytest.raises(InputError, match="row 1"):
            table_vectors(pl.DataFrame({"vector": bad}, {"vector": pl.List(pl.Float64)}))
    with pytest.raises(InputError, match="row 0"):
        table_vectors(pl.DataFrame({"vector": ["text"]}))


def test_tool_on_a_table(whole: np.ndarray) -> None:
    table, notes = module.TOOL.on_table(pl.DataFrame({"text": TEXTS}), TABLE, 0)
    assert notes == []
    assert isinstance(table, pl.DataFrame)
    assert table["vector"].dtype == pl.Array(pl.Float32, 384)
    assert table_vectors(table) == pytest.approx(whole, abs=1e-6)
    with pytest.raises(InputError, match="no column `text`"):
        module.TOOL.on_table(table.select("vector"), TABLE, 0)


class Tokens:
    """A tokeniser of words; as many special tokens as MiniLM's."""

    is_fast = True

    def num_special_tokens_to_add(self) -> int:
        return 2

    def __call__(self, texts: list[str], **_: object) -> dict[str, list[list[tuple[int, int]]]]:
        return {"offset_mapping": [[found.span() for found in re.finditer(r"\S+", text)] for text in texts]}


class Model:
    tokenizer, max_seq_length = Tokens(), 18  # so that 16 words fit, and two overlap


@pytest.mark.parametrize(("words", "starts"), [
    (0, []), (16, []), (17, [14]), (30, [14]), (31, [14, 28]), (114, [14, 28, 42, 56, 70, 84, 98]),
    (115, [14, 28, 42, 56, 70, 84, 99]), (716, [100, 200, 300, 400, 500, 600, 700]),
])  # fmt: skip
def test_windows_cover_a_text_or_are_spread_over_it(words: int, starts: list[int]) -> None:
    spelled = [str(n) for n in range(words)]
    found, further = further_windows(Model(), ["short", " ".join(spelled), "x"])
    assert further == [" ".join(spelled[start : start + 16]) for start in starts]
    assert found.of == [1] * len(starts)
    assert found.tokens == [min(16, words - start) for start in starts]
    assert found.first_tokens == [1, min(words, 16), 1]
    assert found.reading == Reading(3, int(bool(starts)), 3 + len(starts), 2 + min(words, 16),
                                    2 + min(words, 16) + sum(found.tokens))  # fmt: skip


def test_a_model_without_a_limit_or_places_of_tokens_is_asked_once() -> None:
    class Endless(Model):
        max_seq_length = None

    class Slow(Model):
        class tokenizer(Tokens):
            is_fast = False

    for model in (Endless(), Slow()):
        assert further_windows(model, ["word " * 500])[1] == []


def first_windows(encoder: MiniLMEncoder, texts: list[str]) -> np.ndarray:
    """The vectors of texts cut off where their first window ends."""
    spelled = encoder._compiled.tokenizer.encode_batch(texts, add_special_tokens=False)
    room = PARAMS.max_tokens - 2
    cut = [text[: one.offsets[:room][-1][1]] for text, one in zip(texts, spelled, strict=True)]
    return encoder.encode(cut)


def test_short_texts_have_the_vectors_that_they_had(minilm: MiniLMEncoder) -> None:
    short, long = TEXTS[:12].to_list(), ["A letter about clocks. " * 60, "Bread, water and wine. " * 500]
    first = first_windows(minilm, [*short, *long])
    assert minilm.encode([*short, *long])[:12].tobytes() == first[:12].tobytes()
    assert minilm.encode(short).tobytes() == first_windows(minilm, short).tobytes()


def test_next_to_nothing_of_a_batch_is_padding(minilm: MiniLMEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of marks has ten times as many tokens as one of words that is as long in characters."""
    given, start = list[list[int]](), embedded._Batches.start

    def seen(batches: Any, chosen: list[int], windows: list[np.ndarray]) -> None:
        given.append([len(window) for window in windows])
        start(batches, chosen, windows)

    monkeypatch.setattr(embedded._Batches, "start", seen)
    minilm.encode([text for _ in range(160) for text in ("! " * 18, "international organisation understanding"[:36])])
    assert sum(len(batch) * max(batch) for batch in given) <= 1.1 * sum(map(sum, given))


def test_long_texts_are_read_to_their_end(minilm: MiniLMEncoder) -> None:
    head = "From: a reader of the list. Subject: a question. Organization: the university. " * 12
    texts = [
        head + "The engine of my motorcycle leaks oil. " * 30,
        head + "God and the church in the New Testament. " * 30,
    ]
    heads = first_windows(minilm, texts)
    before = minilm.reading
    one, other = minilm.encode(texts)
    assert one @ other < 0.9 < float(np.prod(heads, axis=0).sum())
    read = minilm.reading
    assert (read.texts - before.texts, read.long - before.long) == (2, 2)
    assert read.windows - before.windows > 4
    assert "mean" in str(read.said(128))
    assert Reading(texts=3).said(128) is None
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-6)


def test_the_tool_embeds_what_rows_say_beside_a_common_prompt() -> None:
    prompt = " ".join(
        f"Rule {n}: never promise a book that is out, and do not speak of other readers." for n in range(60)
    )
    own = ["Do you lend telescopes?", "When do you close?", "Is there a printer?", "Where are the maps of the coast?"]
    frame = pl.DataFrame({"text": [f"{prompt}\n\n{one}" for one in own]})
    table, notes = module.TOOL.on_table(frame, TABLE, 0)
    assert table["text"].to_list() == frame["text"].to_list()
    cosines = table_vectors(table) @ table_vectors(table).T
    assert np.triu(cosines, 1).max() < 0.7
    (note,) = notes
    assert note.startswith("1 passage that many rows share is left out of what is embedded")


def test_the_tool_says_what_long_texts_cost() -> None:
    draw = np.random.default_rng(0)
    words = ["clock", "market", "bridge", "sailor", "violin", "garden", "harbour"]
    frame = pl.DataFrame({"text": [" ".join(draw.choice(words, size)) for size in (400, 20)]})
    _, notes = module.TOOL.on_table(frame, TABLE, 0)
    assert notes == [
        "1 of 2 texts embedded is longer than 128 tokens: such a text is read in up to 8 windows, 5 in all, and its "
        "vector is their mean; that is 3.2 times the work of the first window alone"
    ]
