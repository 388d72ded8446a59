"""Hostile input: whatever bytes a file holds, the loaders answer in a sentence, and no row is lost without a word."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from frames import framed
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recryst.state.errors import InputError, RecrystError
from recryst.state.params.preparation import CleanParams, FilterParams, LoadParams
from recryst.state.phrases import silent
from recryst.tools.read.columns import plain_rows
from recryst.tools.read.load import LoadResult, load
from recryst.tools.text.clean import normalise
from recryst.tools.text.filters import TOOL

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".data", ".jsonl.gz", ".csv.gz", ".jsonl.zst", ".json.zst")

bounded = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
# What parsers trip over: quotes, ends, marks of compression, beginnings and ends of other formats.
_TOKENS = [
    b'"', b"'", b"\\", b"\n", b"\r\n", b"\r", b"\x00", b",", b"\t", b";", b"{", b"}", b"[", b"]", b":", b" ", b"\xff",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b'{"text": "', b'"text"', b"null", b"NaN",
    b"1e999", b"-0", b"99999999999999999999", b"\\ud800", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x1a", b"text,id\n",
    b"[" * 300, b'{"a":' * 300,
]  # fmt: skip
hostile = st.lists(st.sampled_from(_TOKENS) | st.binary(max_size=6), max_size=30).map(b"".join)


def outcome(path: Path, out: Path, **params: Any) -> LoadResult | None:
    """What ``load`` makes of a file, or None where it refuses it in a sentence; anything else raises."""
    said, result = "", None
    try:
        result = load(str(path), LoadParams(**params), out)
    except RecrystError as error:
        said = str(error)
    if result is None:
        assert said
        assert "\n" not in said
        return None
    rows = pl.read_parquet(result.rows)
    kept = [row for batch in pq.ParquetFile(result.originals).iter_batches() for row in plain_rows(batch)]
    assert len(kept) == rows.height == result.ingested
    assert rows["id"].n_unique() == result.ingested
    assert rows["text"].null_count() == result.missing_text
    entries = [orjson.loads(line) for line in result.quarantine.read_bytes().splitlines()]
    assert len(entries) == result.quarantined
    assert all(entry["reason"] and len(entry["excerpt"]) <= 200 for entry in entries)
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("suffix", SUFFIXES)
@bounded
@given(data=hostile)
def test_any_bytes_under_any_name(folder: Path, suffix: str, data: bytes) -> None:
    path = folder / f"any{suffix}"
    path.write_bytes(data)
    outcome(path, folder / "out", batch_rows=2)


ROWS: list[dict[str, Any]] = [
    {"id": f"r{at}", "text": f'row {at}, with a "quoted" word\nand a second line', "n": at, "tags": ["a"] * (at % 3)}
    for at in range(12)
]


def _table(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=5)
    return file.getvalue()


def _csv(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


LINES = b"".join(orjson.dumps(row) + b"\n" for row in ROWS)
WHOLE: dict[str, bytes] = {
    "a.jsonl": LINES,
    "a.json": orjson.dumps(ROWS),
    "a.csv": _csv(ROWS, ","),
    "a.tsv": _csv(ROWS, "\t"),
    "a.parquet": _table(ROWS),
    "a.jsonl.gz": gzip.compress(LINES, mtime=0),
    "a.jsonl.zst": zstandard.compress(LINES[:300]) + zstandard.compress(LINES[300:]),
}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of a sound file with a few places overwritten, cut out, doubled, or the end missing."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(0, 20))
        piece = draw(st.sampled_from(_TOKENS) | st.binary(max_size=8) | st.just(bytes(data[at : at + size])))
        data[at : at + draw(st.sampled_from([0, len(piece), size]))] = piece
        if draw(st.booleans()) and draw(st.booleans()):
            del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


@pytest.mark.parametrize("name", WHOLE)
@bounded
@given(data=st.data())
def test_a_damaged_file(folder: Path, name: str, data: st.DataObject) -> None:
    path = folder / name
    path.write_bytes(data.draw(damaged(WHOLE[name])))
    outcome(path, folder / "out", batch_rows=5)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@bounded
@given(data=hostile)
def test_lines_in_are_rows_and_quarantined_lines(folder: Path, pack: Callable[[bytes], bytes], data: bytes) -> None:
    data = b'{"text": "sound"}\n' + data
    path = folder / "counted.jsonl"
    path.write_bytes(pack(data))
    result = outcome(path, folder / "out", text_column="text", batch_rows=3)
    assert result is not None
    assert result.ingested + result.quarantined == sum(bool(line.strip()) for line in data.split(b"\n"))


@bounded
@given(data=hostile, delimiter=st.sampled_from([",", "\t", ";"]))
@example(data=b'"never closed', delimiter=",")
@example(data=b"1,\xff\n\n2\r3,x\n", delimiter=",")
def test_csv_records_in_are_rows_and_quarantined_records(folder: Path, data: bytes, delimiter: str) -> None:
    sound = delimiter.join(("sound", "1")).encode() + b"\n"
    data = delimiter.join(("text", "n")).encode() + b"\n" + 40 * sound + data + b"\n" + 40 * sound
    path = folder / ("counted.tsv" if delimiter == "\t" else "counted.csv")
    path.write_bytes(data)
    result = outcome(path, folder / "out", batch_rows=16)
    assert result is not None
    # Whatever stands between them, what is sound is read; a broken quote takes at most the line behind it.
    read = pl.read_parquet(result.originals)["text"].to_list().count("sound")
    assert read >= 79
    filled = sum(bool(line.strip(b" \r")) for line in data.split(b"\n")) - 1
    assert result.ingested + result.quarantined <= filled


@pytest.mark.parametrize(
    "data", [b"te\xffxt,n\nfirst,1\n", b"text\rmore,n\nfirst,1\n", b"x" * (2 << 20) + b"\nfirst,1\nsecond,2\n"]
)
def test_no_row_passes_for_a_broken_header(folder: Path, data: bytes) -> None:
    (folder / "header.csv").write_bytes(data)
    with pytest.raises(InputError, match="no sound header: line 1"):
        load(str(folder / "header.csv"), LoadParams(max_line_mb=1), folder / "out")


numbers = st.sampled_from([0, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40, 1e19, "18446744073709551616"])


@bounded
@given(rows=st.lists(numbers | st.lists(numbers, max_size=2), min_size=1, max_size=6))
def test_no_number_is_changed(folder: Path, rows: list[Any]) -> None:
    rows = [{"text": "words", "n": {"deep": value}} for value in rows]
    for name, text in (
        ("numbers.json", json.dumps(rows)),
        ("numbers.jsonl", "\n".join(map(json.dumps, rows))),
    ):
        (folder / name).write_text(text)
        result = outcome(folder / name, folder / "out")
        fit = [
            row for row in rows if not any(_is_long(value) for value in np.ravel(np.array(row["n"]["deep"], object)))
        ]
        assert (result is None) == (not fit)
        if result is not None:
            kept = [row for batch in pq.ParquetFile(result.originals).iter_batches() for row in plain_rows(batch)]
            assert [row["n"] for row in kept] == [row["n"] for row in fit]


def _is_long(value: Any) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**64


_AWKWARD = [
    "\x00",
    "\u200b",
    "\u202e",
    "\ufdfa",
    "\ufffd",
    "e\u0301",
    "\u1100\u1161",
    "\U0001f468\u200d",
    "\r",
    "\u2028",
    "…",
    "•",
]
texts = st.lists(st.text() | st.sampled_from(_AWKWARD) | st.sampled_from([" ", "\n", "a" * 300, "., " * 90, "#" * 99]))
columns = st.lists(st.none() | texts.map("".join), max_size=8)


@bounded
@given(values=columns, form=st.sampled_from(["NFC", "NFKC", "none"]))
def test_clean_takes_any_text(values: list[str | None], form: Any) -> None:
    text, params = pl.Series("text", values, dtype=pl.String), CleanParams(unicode_form=form)
    once = normalise(text, params)
    assert normalise(once, params).to_list() == once.to_list()
    assert once.is_null().to_list() == text.is_null().to_list()


@bounded
@given(values=columns)
def test_the_rules_take_any_text(values: list[str | None]) -> None:
    rows, found = framed(values), TOOL
    params = FilterParams(profile="web")
    annotation = found.annotate(rows, params)
    assert annotation.height == len(values)
    removals = found.removals(rows, params, silent)
    gone = [row for removal in removals for row in removal.rows.tolist()]
    assert len(set(gone)) == len(gone)
    assert all(row < len(values) for row in gone)


@pytest.mark.parametrize("piece", ["a", "a ", "\n", "\u200b", "-\n", "é", ". ", "{", "\r\n", "e\u0301"])
def test_a_huge_line_costs_time_in_proportion(piece: str) -> None:
    taken = []
    for size in (1 << 17, 1 << 20):
        rows = framed([piece * (size // len(piece))])
        begun = time.perf_counter()
        normalise(rows["text"], CleanParams())
        TOOL.annotate(rows, FilterParams(profile="web"))
        taken.append(time.perf_counter() - begun)
    assert taken[1] < 32 * max(taken[0], 0.02), "eight times the text"
