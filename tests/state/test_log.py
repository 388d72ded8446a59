"""The event log: what it writes it reads back, and no change to it goes unnoticed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import IntegrityError, StorageError
from recryst.state.log import EventLog, last_step, read_log
from recryst.state.notes import EVENT_VERSION

STAMP = {"run_id": "r", "ts": "2026-01-01T00:00:00Z"}
STEP = {**STAMP, "config_sha": "", "seed": 0, "seconds": 0.0, "state": {"round": 1}}


def write(path, count=5):
    log = EventLog(path)
    for number in range(count):
        log.append(**STAMP, type="error", error=f"no {number / 3}")
    return log


def test_reads_back_what_it_wrote_and_goes_on(tmp_path):
    path = tmp_path / "events.jsonl"
    head = write(path).events[-1].hash
    again = EventLog(path)
    assert again.events[-1].hash == head
    again.append(**STAMP, type="chat")
    events, torn = read_log(path)
    assert [event.type for event in events] == ["error"] * 5 + ["chat"]
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
    head = log.events[-1].hash
    with path.open("ab") as file:
        file.write(b'{"attempt":1,"hash":"ab')
    again = EventLog(path)
    assert again.torn_bytes == 23
    assert again.events[-1].hash == head
    again.append(**STAMP, type="chat")
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
            log.append(**STAMP, type="chat")
    assert path.read_bytes() == whole
    assert log.append(**STAMP, type="chat").seq == 5


strings = st.text(st.characters(exclude_categories=["Cs"]))  # lone surrogates have no UTF-8
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(config=st.dictionaries(strings, json_values, max_size=4))
def test_any_json_survives(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    begun = {"code": {}, "config_sha": "", "seed": 0, "input": "-", "runs_on": {}}
    EventLog(path).append(**STAMP, type="start", **begun, config=config)
    assert read_log(path)[0][0].config == config


def test_a_field_of_another_type_of_event_is_refused(tmp_path):
    with pytest.raises(ValueError, match="tools"):
        EventLog(tmp_path / "events.jsonl").append(**STAMP, type="error", error="no", tools=["x"])


def test_a_value_that_is_set_to_its_default_is_written(tmp_path):
    path = tmp_path / "events.jsonl"
    step = {**STEP, "state": {"values": {"trial": None, "offer": False}}}
    EventLog(path).append(**step, type="reduce")
    assert read_log(path)[0][0].state.values.model_fields_set == {"trial", "offer"}


def test_an_event_of_another_version_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "events.jsonl"
    write(path, 2)
    later = EVENT_VERSION + 1
    path.write_bytes(path.read_bytes().replace(b'"v":%d}' % EVENT_VERSION, b'"v":%d,"zeal":1}' % later))
    with pytest.raises(IntegrityError, match=rf"line 1: an event of version {later}, .*the Recryst that wrote it"):
        read_log(path)


def test_the_last_step_is_read_from_the_end(tmp_path):
    path = tmp_path / "events.jsonl"
    assert last_step(path) == ""
    log = EventLog(path)
    log.append(**STEP, type="reduce")
    log.append(**STEP, type="embed", rows=1, embedded=0, cached=0, reasons=['"type":"publish"'])
    log.append(**STAMP, type="error", error="stopped")
    with path.open("ab") as file:
        file.write(b'{"type":"publish","state":{')
    assert last_step(path) == "embed"
