"""Loading: every format gives its rows back untouched, and nothing is lost without a word."""

from __future__ import annotations

import csv
import gzip
import io
import random
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from loaded_rows import ROWS, ids, json_lines, loaded, originals, quarantined, texts, write

from recryst.state.canonical import canonical_json
from recryst.tools.read.columns import json_bytes
from recryst.tools.read.load import distinct_ids


def write_all_formats(folder: Path) -> dict[str, Path]:
    """ROWS in every format that can hold them; names to paths."""
    lines, array = json_lines(ROWS), orjson.dumps(ROWS, option=orjson.OPT_INDENT_2)
    contents = {
        "rows.jsonl": lines,
        "bom.ndjson": b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"),
        "rows.jsonl.gz": gzip.compress(lines),
        "rows.jsonl.zst": zstandard.compress(lines[:50]) + zstandard.compress(lines[50:]),
        "array.json": array,
        "inside.json": b'{"version": 2, "names": ["a"], "data": ' + array + b"}",
        "lines.json": lines,
        "no_suffix": lines,
        "array_unknown.data": array,
    }
    paths = {name: folder / name for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    paths["rows.parquet"] = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), paths["rows.parquet"])
    for kind, suffix in (("parquet", ".parquet"), ("lines", ".jsonl")):
        (folder / kind / "data").mkdir(parents=True)
        for part, rows in enumerate((ROWS[:2], ROWS[2:])):
            path = folder / kind / "data" / f"part-{part}{suffix}"
            if kind == "lines":
                path.write_bytes(json_lines(rows))
            else:
                pq.write_table(pa.Table.from_pylist(rows, schema=pa.Table.from_pylist(ROWS).schema), path)
        (folder / kind / "README.md").write_text("not a row")
        paths[kind] = folder / kind
    return paths


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_every_format_gives_the_rows_back_untouched(tmp_path: Path, batch_rows: int) -> None:
    found = {}
    for name, path in write_all_formats(tmp_path).items():
        result = loaded(path, tmp_path / f"out-{name}", batch_rows=batch_rows)
        assert originals(result) == ROWS, name
        assert texts(result) == [row["text"] for row in ROWS]
        assert (result.shape, result.text_column, result.quarantined) == ("text", "text", 0)
        assert pq.ParquetFile(result.rows).metadata.row_group(0).column(2).compression == "ZSTD"
        found[name] = ids(result)
    assert all(own == found["rows.jsonl"] for own in found.values()), "an id depends on the content alone"
    assert not list(tmp_path.glob("out-*/spool*"))


def test_csv_and_tsv_round_trip_as_text(tmp_path: Path) -> None:
    rows = [{"text": row["text"], "n": str(row["n"] or ""), "": "007"} for row in ROWS]
    for name, delimiter in (("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t"), ("d.csv.gz", ",")):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["text", "n", ""], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
        data = text.getvalue().encode("utf-8-sig")
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        result = loaded(tmp_path / name, tmp_path / "out")
        assert originals(result) == rows
        assert result.quarantined == 0


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    result = loaded(write(tmp_path / "a.csv", b"text,a,a,a_2\nwords,1,2,3\n"), tmp_path / "out")
    assert originals(result) == [{"text": "words", "a": "1", "a_2": "2", "a_2_2": "3"}]
    assert len(result.notes) == 2


def test_a_bad_csv_record_is_quarantined_and_no_other(tmp_path: Path) -> None:
    long = b'8,"' + b"x" * (1 << 20) + b'",tail\n'
    spilled = b'9,"' + b"x" * (1 << 20) + b"\nstill quoted\n"
    (tmp_path / "a.csv").write_bytes(
        b'n,text\n1,good\n2,too,many\n3,"two\nlines"\n4,\xff\n\n5\n6,"say ""hi"""\n' + long + b"7,good\n" + spilled
        + b'end"\n10,good\n11,"never closed\n12,not swallowed\n'
    )  # fmt: skip
    result = loaded(tmp_path / "a.csv", tmp_path / "out", max_line_mb=1)
    assert [row["n"] for row in originals(result)] == ["1", "3", "6", "7", "10", "12"]
    entries = quarantined(result)
    assert [entry["line"] for entry in entries] == [3, 6, 8, 10, 12, 16]
    reasons = [
        "3 fields",
        "invalid UTF-8 at byte 2",
        "1 fields",
        "longer than 1 MB",
        "longer than 1 MB",
        "never closed",
    ]
    assert all(part in entry["reason"] for part, entry in zip(reasons, entries, strict=True))


def test_a_bad_json_line_is_quarantined_with_its_reason(tmp_path: Path) -> None:
    bad = {
        b'{"text": "cut': "not valid JSON",
        b'["text"]': "an array",
        b"7": "a number",
        b'{"text": "\xff"}': "invalid UTF-8 at byte 10",
        b'{"text": nan}': "not valid JSON at column 10",
        b'{"text": "\\ud800"}': "not valid JSON",
        b'{"text": "a", "deep": ' + b"[" * 300 + b"]" * 300 + b"}": "254 levels",
        b'{"text": "a", "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}": "depth",
        b'{"text": "a", "n": 18446744073709551616}': "64 bits",
        b'{"text": "a", "n": [-9223372036854775809]}': "64 bits",
    }
    good = [
        b'{"text": "18446744073709551616", "n": 18446744073709551615}',
        b'{"text": "b", "n": 0.12345678901234567890}',
    ]
    content = good[0] + b"\n" + b"\n".join(bad) + b"\n \n" + good[1]
    (tmp_path / "a.jsonl").write_bytes(content)
    result = loaded(tmp_path / "a.jsonl", tmp_path / "out")
    assert texts(result) == ["18446744073709551616", "b"]
    assert originals(result)[0]["n"] == 18446744073709551615
    entries = quarantined(result)
    assert [entry["line"] for entry in entries] == list(range(2, 2 + len(bad)))
    for entry, (line, reason) in zip(entries, bad.items(), strict=True):
        assert reason in entry["reason"]
        assert entry["excerpt"] == line.decode("utf-8", "replace")[:200]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
json_lines_without_text = (json_values | st.dictionaries(st.sampled_from(["id", "b"]), json_values)).map(orjson.dumps)
json_rows = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "row", "", "line"]), json_values, max_size=4), min_size=1
)


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line) | json_lines_without_text), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_every_line_is_ingested_or_quarantined(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    lines = [b'{"text": "one good row", "id": 5}', *lines]  # first: a beginning like UTF-16's is refused as such
    (folder / "a.jsonl").write_bytes(b"\n".join(lines))
    result = loaded(folder / "a.jsonl", folder / "out", batch_rows=batch, text_column="text")
    blank = sum(not line.strip() for line in lines)
    assert result.ingested + result.quarantined == len(lines) - blank
    assert len(set(ids(result))) == result.ingested
    quarantined(result)


@given(json_rows, st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_any_json_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], batch: int
) -> None:
    folder = tmp_path_factory.mktemp("json")
    (folder / "a.jsonl").write_bytes(json_lines([{**row, "text": "words"} for row in rows]))
    result = loaded(folder / "a.jsonl", folder / "out", batch_rows=batch)
    read = [{"row" if key == "row_original" else key: row[key] for key in row} for row in originals(result)]
    names = {name for row in rows for name in row} | {"text"}
    assert read == [{name: row.get(name) for name in names} | {"text": "words"} for row in rows]
    assert pl.read_parquet(result.originals).height == len(rows)


def test_types_that_differ_between_batches_are_unified_or_kept_as_json(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "n": 1, "wide": 2**53 + 1, "mixed": 1, "late": None, "keys": {"a": 1}, "list": []},
        {"text": "b", "n": 2.5, "wide": 0.5, "mixed": "x", "keys": {"b": 1}, "list": [{"k": 1}]},
        {"text": "c", "n": None, "wide": 1, "mixed": {"y": [1]}, "late": "now", "keys": None, "list": [{"k": 0.5}]},
    ]
    (tmp_path / "a.jsonl").write_bytes(json_lines(rows))
    for batch_rows in (1, 3):
        result = loaded(tmp_path / "a.jsonl", tmp_path / "out", batch_rows=batch_rows)
        assert originals(result) == [{"late": None, **row} for row in rows]
        schema = pq.read_schema(result.originals)
        assert (schema.field("n").type, schema.field("late").type) == (pa.float64(), pa.string())
        stored_as_json = [field.name for field in schema if field.metadata]
        assert stored_as_json == ["wide", "mixed", "keys"]
        assert [any(repr(name) in note for note in result.notes) for name in stored_as_json] == [True] * 3


def test_ids_are_stable_wherever_a_row_stands(tmp_path: Path) -> None:
    rows = [{"text": f"row {at % 30}", "n": at % 30} for at in range(40)]
    shuffled = random.Random(0).sample(rows, len(rows))
    found = []
    for name, order in (("a", rows), ("b", shuffled)):
        (tmp_path / f"{name}.jsonl").write_bytes(json_lines(order))
        result = loaded(tmp_path / f"{name}.jsonl", tmp_path / name, batch_rows=7)
        assert result.duplicate_ids == 10
        found.append(dict(zip(ids(result), texts(result), strict=True)))
    assert found[0] == found[1]
    assert {"".join(own.split("#")[1:]) for own in found[0]} == {"", "2"}


@given(st.lists(st.sampled_from(["a", "b", "a#2", "a#3", "b#2", "a#2#2", ""])))
def test_ids_are_made_distinct(values: list[str]) -> None:
    result, changed = distinct_ids(pl.Series("id", values, dtype=pl.String))
    assert result.n_unique() == len(values)
    assert changed == len(values) - len(set(values))
    firsts = {value: values.index(value) for value in values}
    assert all(result[at] == value for value, at in firsts.items())
    assert all(own.startswith(value) for own, value in zip(result, values, strict=True))


@given(json_values)
def test_the_fast_canonical_json_is_the_canonical_json(value: Any) -> None:
    assert json_bytes(value) == canonical_json(value)


def test_a_huge_line_is_passed_over_in_little_memory(tmp_path: Path) -> None:
    good = b'{"text": "good"}\n'
    huge = good + b'{"text": "' + b"x" * (50 << 20) + b'"}\n' + good
    for name, content in (
        ("a.jsonl", huge),
        ("a.jsonl.gz", gzip.compress(huge, 1)),
        ("a.jsonl.zst", zstandard.compress(huge)),
    ):
        (tmp_path / name).write_bytes(content)
        tracemalloc.start()
        result = loaded(tmp_path / name, tmp_path / "out", max_line_mb=2)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 24 << 20, name
        assert (result.ingested, result.quarantined) == (2, 1)
        (entry,) = quarantined(result)
        assert entry["line"] == 2
        assert len(entry["excerpt"]) == 200


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_archive_keeps_what_was_read(tmp_path: Path, suffix: str) -> None:
    rows = [{"text": random.Random(at).randbytes(200).hex()} for at in range(2000)]
    data = json_lines(rows)
    whole = gzip.compress(data) if suffix == ".gz" else zstandard.compress(data)
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    result = loaded(path, tmp_path / "out")
    (entry,) = quarantined(result)
    assert "breaks off" in entry["reason"]
    assert entry["line"] == result.ingested + 1
    assert 600 < result.ingested < 1400
    assert originals(result) == rows[: result.ingested]


def test_a_folder_of_text_files(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("hidden words")
    (folder / "b.txt").write_text("second")
    (folder / "sub" / "a.md").write_text("third\n")
    (folder / "a.txt").write_bytes(b"\xef\xbb\xbffirst")
    (folder / "c.txt").write_bytes(b"bad \xff")
    (folder / "big.txt").write_bytes("ü".encode() * (1 << 20))
    (folder / "damaged.pdf").write_bytes(b"%PDF")
    (folder / "ignored.docx").write_bytes(b"PK")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "loop").symlink_to(folder)
    (folder / "zz.txt").symlink_to(folder / "b.txt")
    result = loaded(folder, tmp_path / "out", max_line_mb=1)
    assert ids(result) == ["a.txt", "b.txt", "sub/a.md", "zz.txt"]
    assert texts(result) == ["first", "second", "third", "second"]
    assert [(row["title"], row["format"]) for row in originals(result)] == [
        (None, "text"), (None, "text"), (None, "markdown"), (None, "text")
    ]  # fmt: skip
    refused = ["big.txt", "c.txt", "damaged.pdf", "link.txt"]
    assert [entry["reason"].split(":")[0] for entry in quarantined(result)] == refused
    assert b"hidden words" not in result.quarantine.read_bytes() + result.rows.read_bytes()


def test_parquet_types_stay_and_text_that_is_no_utf8_is_quarantined(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", "b", "a"]).dictionary_encode(),
            "when": pa.array([1, 2, 3], pa.timestamp("ns", "UTC")),
            "small": pa.array([1, None, 3], pa.int8()),
            "blob": pa.array([b"\x00\xff", b"", None]),
            "pairs": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "row": pa.array(["x", "y", "z"], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    result = loaded(tmp_path / "a.parquet", tmp_path / "out", batch_rows=2)
    read = pq.read_table(result.originals)
    assert read.schema.names == ["row", "text", "when", "small", "blob", "pairs", "row_original"]
    assert read.drop(["row"]).rename_columns(table.schema.names).to_pylist() == table.to_pylist()
    assert [read.schema.field(name).type for name in ("when", "small", "blob", "pairs")] == table.schema.types[1:5]
    assert result.row_column == "row_original"
    assert any("row_original" in note for note in result.notes)

    buffers = pa.array(["good", "baad", "fine"]).buffers()
    data = buffers[2].to_pybytes().replace(b"baad", b"ba\xffd")
    bad = pa.StringArray.from_buffers(3, buffers[1], pa.py_buffer(data))
    pq.write_table(pa.table({"text": bad}), tmp_path / "b.parquet")
    result = loaded(tmp_path / "b.parquet", tmp_path / "out")
    assert texts(result) == ["good", "fine"]
    assert quarantined(result)[0]["line"] == 2


def test_loading_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json_lines([{"text": f"row {at}", "m": [at, None]} for at in range(500)]))
    one, two = (loaded(path, tmp_path / name, batch_rows=64) for name in ("one", "two"))
    for name in ("rows", "originals", "quarantine"):
        assert getattr(one, name).read_bytes() == getattr(two, name).read_bytes()


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "rows", "shape"),
    [("alpaca/alpaca.jsonl.gz", 22_663, "alpaca"), ("newsgroups20/newsgroups20.jsonl.gz", 19_997, "text")],
)
def test_real_data(shared_data: Path, tmp_path: Path, name: str, rows: int, shape: str) -> None:
    result = loaded(shared_data / name, tmp_path)
    assert (result.ingested, result.quarantined, result.missing_text, result.shape) == (rows, 0, 0, shape)
    assert result.source_column == ("source" if shape == "alpaca" else None)
    with gzip.open(shared_data / name) as file:
        assert originals(result) == [orjson.loads(line) for line in file]
