"""Embedding: the published model, one vector per text, and a cache that a crash or a flipped bit cannot spoil."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recryst.state.config import EmbedParams
from recryst.state.errors import InputError, IntegrityError
from recryst.tools.vectors import embed as module
from recryst.tools.vectors.embed import Encoder, VectorCache, embed, open_encoder, table_vectors
from recryst.tools.vectors.encoder import _minilm_folder, check_weights

pytestmark = pytest.mark.usefixtures("one_thread")

PARAMS = EmbedParams(batch_size=8)
TEXTS = pl.Series([f"{'word ' * (i % 7)}row number {i}" for i in range(150)])


@pytest.fixture(autouse=True, scope="module")
def small_shards() -> Iterator[None]:
    """Shards of 64 texts, in calls of 16."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CALL_BATCHES", 2)
        patch.setattr(module, "_SHARD_CALLS", 4)
        yield


class Wrapped:
    """The real encoder, counting texts and stopping after so many calls."""

    def __init__(self, encoder: Encoder, calls: int | None = None) -> None:
        self.name, self.dimensions, self.local = encoder.name, encoder.dimensions, encoder.local
        self.encoder, self.calls, self.seen = encoder, calls, list[str]()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls = None if self.calls is None else self.calls - 1
        self.seen += texts
        return self.encoder.encode(texts)


@pytest.fixture(scope="module")
def minilm(one_thread: None, small_shards: None) -> Encoder:
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
    shutil.copyfile(_minilm_folder() / "model.safetensors", tmp_path / "model.safetensors")
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
        "from recryst.state.config import EmbedParams\n"
        "from recryst.tools.vectors.embed import open_encoder\n"
        "assert 'torch' not in sys.modules\n"
        "print(open_encoder(EmbedParams()).encode(['a text']).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1, 384)\n", "")


def test_an_interrupted_run_ends_with_the_same_bytes(minilm: Encoder, whole: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):  # in the middle of the second of three shards
        embed(TEXTS, Wrapped(minilm, calls=6), cache_in(tmp_path, minilm), PARAMS)
    rest = Wrapped(minilm)
    done: list[int] = []
    resumed = embed(TEXTS, rest, cache_in(tmp_path, minilm), PARAMS, done.append)
    assert (resumed.embedded, resumed.cached, len(rest.seen)) == (86, 64, 86)
    assert sum(done) == len(TEXTS)
    assert resumed.vectors.tobytes() == whole.tobytes()


@pytest.mark.parametrize("spoil", ["torn", "altered"])
def test_a_spoilt_shard_is_never_trusted(minilm: Encoder, whole: np.ndarray, tmp_path: Path, spoil: str) -> None:
    cache = cache_in(tmp_path, minilm)
    embed(TEXTS, minilm, cache, PARAMS)
    shard = max(cache.folder.glob("*.npy"), key=lambda path: path.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content if spoil == "altered" else content[:-1000])
    result = embed(TEXTS, minilm, cache_in(tmp_path, minilm), PARAMS)
    assert result.embedded == 64
    assert result.vectors.tobytes() == whole.tobytes()
    assert embed(TEXTS, minilm, cache_in(tmp_path, minilm), PARAMS).embedded == 0


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
    assert max(map(len, encoder.seen)) == 64 * PARAMS.max_tokens
    assert embed(texts.head(0), minilm, cache_in(tmp_path, minilm), PARAMS).vectors.shape == (0, 384)


def test_a_model_that_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        open_encoder(EmbedParams(model="./models/mine/here"))
    (tmp_path / "readme.txt").write_text("no model")
    with pytest.raises(InputError, match="cannot load the model in"):
        open_encoder(EmbedParams(model=str(tmp_path)))


def test_a_model_from_a_folder(minilm: Encoder) -> None:
    folder = open_encoder(EmbedParams(model=str(_minilm_folder())))
    assert folder.dimensions == 384
    assert folder.name != minilm.name
    assert np.allclose(folder.encode(TEXTS[:4]), minilm.encode(TEXTS[:4]), atol=1e-6)


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
    table = module.TOOL.on_table(pl.DataFrame({"text": TEXTS}), PARAMS, 0)
    assert isinstance(table, pl.DataFrame)
    assert table["vector"].dtype == pl.Array(pl.Float32, 384)
    assert table_vectors(table) == pytest.approx(whole, abs=1e-6)
    with pytest.raises(InputError, match="no column `text`"):
        module.TOOL.on_table(table.select("vector"), PARAMS, 0)
