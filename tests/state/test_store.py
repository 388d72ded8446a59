"""The artefact store: content-addressed, verified when read, whole or not there."""

import numpy as np
import polars as pl
import pytest

from recryst.state.errors import IntegrityError, StorageError
from recryst.state.store import Store, whole_file, write_whole


def test_tables_arrays_and_json_come_back(tmp_path):
    store = Store(tmp_path)
    frame = pl.DataFrame({"a": [1, None], "b": ["x", "é"]})
    assert store.frame(store.put_frame(frame)).equals(frame)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(store.array(store.put_array(array)), array)
    assert store.json(store.put_json({"b": 1, "a": [None, 0.5]})) == {"a": [None, 0.5], "b": 1}


def test_equal_content_has_one_reference_and_no_leftovers(tmp_path):
    store = Store(tmp_path)
    assert store.put_json({"a": 1, "b": 2}) == store.put_json({"b": 2, "a": 1})
    assert len(list(store.refs())) == 1
    assert not list((tmp_path / "tmp").iterdir())


def test_a_changed_byte_is_found_by_the_next_reader(tmp_path):
    ref = Store(tmp_path).put_array(np.arange(100))
    path = Store(tmp_path).path(ref)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=ref[:20]):
        Store(tmp_path).array(ref)


@pytest.mark.parametrize("ref", ["../../evil.npy", "x" * 64 + ".npy", "a" * 64 + ".pickle"])
def test_a_reference_cannot_leave_the_store(tmp_path, ref):
    with pytest.raises(IntegrityError, match="reference"):
        Store(tmp_path).path(ref)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recryst.state.store.os.fsync", full)
    with pytest.raises(StorageError, match="disk full"):
        store.put_json([1])
    assert not list(store.refs())
    assert not list((tmp_path / "tmp").iterdir())


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "file.txt"
    write_whole(path, "caf\udcc3é")  # a lone surrogate, as in a name that is not UTF-8
    assert path.read_text() == "caf?é"
    with pytest.raises(TypeError), whole_file(path) as made:
        made.write_bytes(b"half" + None)
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]
    assert path.read_text() == "caf?é"
    with pytest.raises(StorageError, match=r"keeping .*file\.txt"), whole_file(path, "keeping"):
        pass  # nothing was written
    with whole_file(path) as made:
        made.write_text("new")
    assert path.read_text() == "new"
