"""The event log: what it writes it reads back, and no change to it goes unnoticed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import IntegrityError, StorageError
from recryst.state.log import EventLog, read_log


def write(path, count=5):
    log = EventLog(path)
    for number in range(count):
        log.append(run_id="r", ts="2026-01-01T00:00:00Z", type=f"step{number}", metrics={"x": number / 3, "y": None})
    return log


def test_reads_back_what_it_wrote_and_goes_on(tmp_path):
    path = tmp_path / "events.jsonl"
    head = write(path).head
    again = EventLog(path)
    assert again.head == head
    again.append(run_id="r", ts="t", type="later")
    events, torn = read_log(path)
    assert [event.type for event in events] == ["step0", "step1", "step2", "step3", "step4", "later"]
    assert events[5].prev_hash == head
    assert torn == 0


def test_every_flipped_byte_is_found(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path)
    whole = path.read_bytes()
    rng = random.Random(0)
    for at in rng.sample(range(len(whole)), 200):
        changed = bytearray(whole)
        changed[at] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        if at == len(whole) - 1:  # the last newline: the last line is torn, and no longer part of the chain
            events, torn = read_log(path)
            assert (len(events), torn > 0) == (4, True)
        else:
            with pytest.raises(IntegrityError, match="line"):
                read_log(path)


@pytest.mark.parametrize("how", ["cut a line in the middle", "swap two lines", "repeat a line"])
def test_missing_and_moved_lines_are_found(tmp_path, how):
    path = tmp_path / "events.jsonl"
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    if how.startswith("cut"):
        del lines[2]
    elif how.startswith("swap"):
        lines[1], lines[2] = lines[2], lines[1]
    else:
        lines.insert(2, lines[1])
    path.write_bytes(b"".join(lines))
    with pytest.raises(IntegrityError, match=r"line 3|line 2"):
        read_log(path)


def test_half_a_line_left_by_a_crash_is_cut_off(tmp_path):
    path = tmp_path / "events.jsonl"
    log = write(path)
    head = log.head
    with path.open("ab") as file:
        file.write(b'{"attempt":1,"hash":"ab')
    again = EventLog(path)
    assert again.torn_bytes == 23
    assert again.head == head
    again.append(run_id="r", ts="t", type="later")
    assert read_log(path)[1] == 0


def test_a_full_disk_leaves_the_chain_whole(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    log = write(path)
    whole = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("recryst.state.log.os.fsync", full)
        with pytest.raises(StorageError, match="disk full"):
            log.append(run_id="r", ts="t", type="later")
    assert path.read_bytes() == whole
    assert log.append(run_id="r", ts="t", type="later").seq == 5


strings = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates have no UTF-8
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(metrics=st.dictionaries(strings, json_values, max_size=4))
def test_any_json_survives(tmp_path_factory, metrics):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    EventLog(path).append(run_id="r", ts="t", type="step", metrics=metrics)
    assert read_log(path)[0][0].metrics == metrics
