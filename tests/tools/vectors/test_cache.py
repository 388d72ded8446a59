"""One cache of vectors for all runs of a user: private, bounded, shared between processes, and never needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.params.vectors import EmbedParams
from recryst.tools.folders import private, user_cache
from recryst.tools.vectors import cache as module
from recryst.tools.vectors.cache import VectorCache, groups, open_cache
from recryst.tools.vectors.embed import open_encoder
from recryst.tools.vectors.encoders.remote import RemoteEncoder

KEYS = np.frombuffer(np.random.default_rng(0).bytes(16 * 5), dtype="S16")
VECTORS = np.random.default_rng(1).random((5, 3), dtype=np.float32)


@given(st.binary(max_size=16 * 300), st.integers(1, 70))
def test_groups_cover_every_text_once_and_none_is_too_large(drawn: bytes, most: int) -> None:
    keys = np.frombuffer(drawn[: len(drawn) // 16 * 16], dtype="S16")
    found = groups(keys, most)
    assert [at for first, end in found for at in range(first, end)] == list(range(len(keys)))
    assert all(0 < end - first <= most for first, end in found)


def test_groups_are_the_same_around_a_text_that_came_in() -> None:
    keys = np.frombuffer(np.random.default_rng(2).bytes(16 * 4000), dtype="S16")
    more = np.insert(keys, 2000, b"\x01" * 16)
    one = {keys[first:end].tobytes() for first, end in groups(keys, 64)}
    other = {more[first:end].tobytes() for first, end in groups(more, 64)}
    assert len(one - other) <= 8  # up to the next end that a text itself makes
    assert 25 < 4000 / len(one) < 64


def test_what_is_kept_comes_back_for_the_same_texts_of_the_same_model_in_the_same_order(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, "model", 3)
    assert cache.read(KEYS) is None
    cache.write(KEYS, VECTORS)
    assert np.array_equal(cache.read(KEYS), VECTORS)
    assert cache.read(KEYS[::-1]) is None
    assert cache.read(KEYS[:4]) is None
    assert VectorCache(tmp_path, "another", 3).read(KEYS) is None
    assert VectorCache(tmp_path, "model", 4).read(KEYS) is None


def test_what_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = VectorCache(tmp_path / "file" / "below", "model", 3)
    cache.write(KEYS, VECTORS)
    assert cache.read(KEYS) is None
    cache.tidy()


SHARING = """
import sys
from pathlib import Path
import numpy as np
from recryst.tools.vectors.cache import VectorCache, drop_oldest

cache = VectorCache(Path(sys.argv[1]), "model", 3)
for at in range(90):
    keys = np.frombuffer(np.random.default_rng(at % 30).bytes(16 * 5), dtype="S16")
    found = cache.read(keys)
    assert found is None or (found == at % 30).all()
    cache.write(keys, np.full((5, 3), at % 30, dtype=np.float32))
    drop_oldest(cache.folder, 2000)
"""


def test_processes_share_a_folder(tmp_path: Path) -> None:
    workers = [subprocess.Popen([sys.executable, "-P", "-c", SHARING, str(tmp_path)]) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    assert list(tmp_path.glob("*/tmp*")) == []


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = VectorCache(tmp_path, "model", 3, most_bytes=300)  # a group takes 92 bytes
    keys = [np.frombuffer(np.random.default_rng(n).bytes(16 * 5), dtype="S16") for n in range(4)]
    for number, one in enumerate(keys):
        cache.write(one, VECTORS)
        os.utime(cache._path(one), (number, number))
    cache.read(keys[0])  # and so it is the newest
    cache.tidy()
    assert [cache.read(one) is not None for one in keys] == [True, False, False, True]
    cache.write(keys[1], VECTORS)
    cache.write(keys[2], VECTORS)
    cache.tidy()  # not again so soon
    assert all(cache.read(one) is not None for one in keys)
    monkeypatch.setattr(module, "_TIDIED_EVERY", 0)
    cache.write(keys[2], VECTORS)
    cache.tidy()
    assert sum(cache.read(one) is not None for one in keys) == 2


def test_the_folder_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECRYST_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folder = user_cache()
    assert folder == tmp_path / "xdg" / "recryst"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert user_cache() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the XDG specification has programs ignore
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache() == tmp_path / "home" / ".cache" / "recryst"
    monkeypatch.setenv("RECRYST_CACHE_DIR", str(tmp_path / "mine"))
    assert user_cache() == tmp_path / "mine"


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert private(tmp_path / "link") is None
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert private(tmp_path) is None
    monkeypatch.setenv("RECRYST_CACHE_DIR", str(tmp_path))
    encoder = open_encoder(EmbedParams())
    assert open_cache(encoder, tmp_path / "run").folder == tmp_path / "run" / "vectors"


def test_vectors_of_a_server_stay_in_the_run(tmp_path: Path, llm_server, monkeypatch: pytest.MonkeyPatch) -> None:
    server = llm_server()
    encoder = RemoteEncoder(EmbedParams(model="ollama:m", base_url=server.base_url("ollama")))
    assert open_cache(encoder, tmp_path).folder == tmp_path / "vectors"
    assert open_cache(open_encoder(EmbedParams()), tmp_path).folder == Path(os.environ["RECRYST_CACHE_DIR"]) / "vectors"
