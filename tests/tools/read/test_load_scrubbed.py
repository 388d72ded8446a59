"""Loading with scrubbing: what is to be scrubbed stands in no file afterwards, whatever column it came in."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import UsageError
from recryst.state.params.preparation import LoadParams, ScrubParams
from recryst.tools.read.columns import content_id, json_bytes, plain_rows
from recryst.tools.read.load import LoadResult, load
from recryst.tools.read.records import Records
from recryst.tools.text.scrubbed import Scrubber

ALL = ScrubParams(kinds=("email", "phone", "secret"))
EMAIL, PHONE, KEY = "kanari@example.com", "650-253-0000", "ghp_" + "Kanari" * 6
PLANTED = f"write to {EMAIL} or call {PHONE} with {KEY}!"
LEFT = "write to [EMAIL] or call [PHONE] with [SECRET]!"
ONE = {"email": 1, "phone": 1, "secret": 1}


def loaded(source: Path, out: Path, scrub: ScrubParams = ALL, **params: Any) -> LoadResult:
    return load(str(source), LoadParams(**params), out, scrub=scrub)


def written(result: LoadResult) -> str:
    """All that a load leaves behind, in the clear: every file, Parquet decoded, and the result itself."""
    files = [path for path in result.rows.parent.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".parquet", ".jsonl", ".npy"}
    tables = [pq.read_table(path) for path in files if path.suffix == ".parquet"]
    shown = [str(table.schema) + json_bytes(table.to_pylist()).decode() for table in tables]
    raw = [path.read_bytes().decode("utf-8", "replace") for path in files]
    return "\n".join([*shown, *raw, str(asdict(result))])


def assert_nothing_left(result: LoadResult) -> None:
    found = written(result)
    assert "[EMAIL]" in found
    for part in (EMAIL, "kanari", "example.com", PHONE, "253-0000", KEY, "Kanari"):
        assert part not in found


def originals(result: LoadResult) -> list[dict[str, Any]]:
    rows = [row for batch in pq.ParquetFile(result.originals).iter_batches() for row in plain_rows(batch)]
    return [{name: value for name, value in row.items() if name != "row"} for row in rows]


def json_lines(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


# One value of every kind a JSON column can hold; the second row gives uneven columns their second type.
ROWS: list[dict[str, Any]] = [
    {
        "id": EMAIL, "text": PLANTED, "label": PHONE, "source": KEY, "list": ["x", PLANTED], "object": {"in": PLANTED},
        "deep": [{"a": [[PLANTED], None]}, None], "uneven": PLANTED, "nested_uneven": [1, {"k": [PLANTED]}],
        "keys": {EMAIL: 1, "same": {EMAIL: 2}}, EMAIL: PLANTED, "n": 1, "none": None,
    },
    {"id": "b", "text": f"only {EMAIL}", "label": "x", "source": "s", "list": [], "object": {"in": None}, "deep": None,
     "uneven": 7, "nested_uneven": {"k": EMAIL}, "keys": {f"b{EMAIL}": 1}, "n": 2},
    {"id": EMAIL, "text": "clean", "label": "x", "source": "s", "n": 3},
]  # fmt: skip


@pytest.mark.parametrize("batch_rows", [1, 2, 100])
def test_no_canary_is_left_of_any_column_of_json(tmp_path: Path, batch_rows: int) -> None:
    path = json_lines(tmp_path / "rows.jsonl", ROWS)
    result = loaded(path, tmp_path / "out", label_column="label", source_column="source", batch_rows=batch_rows)
    assert_nothing_left(result)
    first, second, third = originals(result)
    assert first["list"] == ["x", LEFT]
    assert first["deep"] == [{"a": [[LEFT], None]}, None]
    assert first["nested_uneven"] == [1, {"k": [LEFT]}]
    assert first["keys"] == {"[EMAIL]": 1, "same": {"[EMAIL]": 2}}
    assert (first["[EMAIL]"], first["n"], third["n"]) == (LEFT, 1, 3)
    assert (first["uneven"], second["uneven"], second["object"]) == (LEFT, 7, {"in": None})
    rows = pl.read_parquet(result.rows)
    assert rows["text"].to_list() == [LEFT, "only [EMAIL]", "clean"]
    assert rows["id"].to_list() == ["[EMAIL]", "b", "[EMAIL]#2"]
    assert rows["label"].to_list() == ["[PHONE]", "x", "x"]
    assert list(result.scrubbed) == ["email", "phone", "secret"]
    # Columns' names are scrubbed, and counted, once a batch.
    assert result.scrubbed["phone"] == 8
    assert result.scrubbed["secret"] == 8


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_no_canary_is_left_of_csv_even_where_its_header_is_a_row(tmp_path: Path, delimiter: str) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as file:
        rows = [["text", EMAIL, "n", f"b.{EMAIL}"], [PLANTED, KEY, PHONE, ""], ["two\nlines", "", EMAIL, PLANTED]]
        csv.writer(file, delimiter=delimiter).writerows(rows)
    result = loaded(tmp_path / "a.csv", tmp_path / "out")
    assert_nothing_left(result)
    assert originals(result)[0] == {"text": LEFT, "[EMAIL]": "[SECRET]", "n": "[PHONE]", "[EMAIL]_2": ""}


@pytest.mark.parametrize("uneven", [False, True])
def test_no_canary_is_left_of_chats(tmp_path: Path, uneven: bool) -> None:
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": PLANTED},
        {"role": "assistant", "content": f"ok {EMAIL}"},
    ]
    if uneven:
        turns.append({"role": "tool", "content": KEY, "name": PHONE})
    result = loaded(json_lines(tmp_path / "chat.jsonl", [{"messages": turns}] * 3), tmp_path / "out")
    assert_nothing_left(result)
    assert result.shape == "messages"
    assert LEFT in pl.read_parquet(result.rows)["text"][0]


def test_no_canary_is_left_of_a_folder_of_texts_named_after_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / f"{EMAIL}.txt").write_text(PLANTED)
    (tmp_path / "in" / f"broken {EMAIL}.txt").write_bytes(b"\xff" + PLANTED.encode())
    result = loaded(tmp_path / "in", tmp_path / "out")
    assert_nothing_left(result)
    assert result.quarantined == 1


def test_no_canary_is_left_of_arrow_columns_and_their_types_stay(tmp_path: Path) -> None:
    class Tagged(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(pa.string(), "recryst.test")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

    struct = pa.struct([pa.field("a", pa.string()), pa.field("b", pa.list_(pa.string()))])
    held = {"a": PLANTED, "b": [EMAIL, None, "x"]}
    columns = {
        "text": pa.array([PLANTED, "clean", None]),
        "large": pa.array([None, PLANTED, "x"], pa.large_string()),
        "dictionary": pa.array([EMAIL, EMAIL, "x"]).dictionary_encode(),
        "binary": pa.array([PLANTED.encode(), b"\xff\xfe" * 3, None], pa.binary()),
        "list": pa.array([None, [PLANTED], ["x", None, EMAIL]], pa.list_(pa.string())),
        "large_list": pa.array([[struct_row := held], None, [None, struct_row]], pa.large_list(struct)),
        "fixed": pa.array([["a", EMAIL], None, ["b", "c"]], pa.list_(pa.string(), 2)),
        "struct": pa.array([None, held, held], struct),
        "map": pa.array([[(EMAIL, PLANTED)], None, []], pa.map_(pa.string(), pa.string())),
        "vector": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32(), 2)),
        "when": pa.array([1, 2, None], pa.timestamp("ns")),
    }
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet")
    result = loaded(tmp_path / "a.parquet", tmp_path / "out", batch_rows=2)
    assert_nothing_left(result)
    clean = loaded(tmp_path / "a.parquet", tmp_path / "plain", scrub=ScrubParams())
    assert pq.read_schema(result.originals).types == pq.read_schema(clean.originals).types
    swap = {EMAIL: "[EMAIL]", PHONE: "[PHONE]", KEY: "[SECRET]"}
    assert originals(result) == [_swapped(row, swap) for row in originals(clean)]

    # Slices with an offset, of which the rows outside must not come back; and extension types.
    storage = pa.ExtensionArray.from_storage(Tagged(), columns["text"])
    whole = pa.RecordBatch.from_arrays([*columns.values(), storage], [*columns, "tagged"])
    for start, length in ((0, 3), (1, 1), (1, 2), (2, 1), (0, 0)):
        part = whole.slice(start, length)
        done = Scrubber(ALL).batch(Records("x", part, list(range(length)))).table
        done.validate(full=True)
        assert done.schema == part.schema
        assert done.to_pylist() == [_swapped(row, swap) for row in part.to_pylist()]


def _swapped(value: Any, swap: dict[str, str]) -> Any:
    if isinstance(value, str):
        for one, other in swap.items():
            value = value.replace(one, other)
        return value
    if isinstance(value, bytes):
        return _swapped(value.decode(), swap).encode() if value.isascii() else value
    if isinstance(value, dict):
        return {_swapped(key, swap): _swapped(inner, swap) for key, inner in value.items()}
    return type(value)(_swapped(inner, swap) for inner in value) if isinstance(value, list | tuple) else value


def test_the_quarantine_holds_no_excerpt(tmp_path: Path) -> None:
    lines = [
        b'{"text": "good"}', PLANTED.encode(), b'{"text": "kanari\\u0040example.com', b'{"text": "' + KEY[:20].encode(),
        b'"kanari\xff@example.com"', b"k\0a\0n\0a\0r\0i\0@\0", b'{"text": "x", "v": "' + EMAIL.encode() + b'"}',
        b'{"text": "[EMAIL]", "v": [1, 2]}',
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    result = loaded(tmp_path / "a.jsonl", tmp_path / "out", vector_column="v", text_column="text")
    assert_nothing_left(result)
    assert result.quarantined == 7
    assert "k\\u0000a" not in written(result)
    for entry in map(orjson.loads, result.quarantine.read_bytes().splitlines()):
        assert entry["line"]
        assert entry["excerpt"] == "(not shown, because personal data are scrubbed)"


def test_content_ids_are_those_of_the_scrubbed_rows(tmp_path: Path) -> None:
    rows = [{"text": PLANTED, "m": 1}, {"text": "clean", "x": None}, {"text": f"{PLANTED} again"}]
    ids = []
    for batch_rows in (1, 3):
        result = loaded(json_lines(tmp_path / "a.jsonl", rows), tmp_path / "out", batch_rows=batch_rows)
        ids.append(pl.read_parquet(result.rows)["id"].to_list())
    left = [{"text": LEFT, "m": 1}, rows[1], {"text": f"{LEFT} again"}]
    assert ids == [[content_id(row) for row in left]] * 2
    once = loaded(json_lines(tmp_path / "b.jsonl", left), tmp_path / "out")
    assert pl.read_parquet(once.rows)["id"].to_list() == ids[0]
    assert once.scrubbed == dict.fromkeys(ONE, 0)


def test_what_is_off_changes_nothing(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "rows.jsonl", ROWS)
    result = load(str(path), LoadParams(), tmp_path / "out")
    assert result.scrubbed == {}
    assert [{k: v for k, v in row.items() if v is not None} for row in originals(result)] == [
        {k: v for k, v in row.items() if v is not None} for row in ROWS
    ]
    with pytest.raises(UsageError, match=r"scrub\.phone_region"):
        loaded(tmp_path / "absent", tmp_path / "none", ScrubParams(kinds=("phone",), phone_region="XX"))
    assert not (tmp_path / "none").exists()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([EMAIL, PLANTED, "x", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([EMAIL, "a", PHONE]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(st.dictionaries(st.sampled_from(["a", "b", EMAIL]), values, max_size=3), min_size=1, max_size=4))
def test_whatever_the_rows_nothing_else_is_changed(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("any")
    rows = [{"text": EMAIL, **row} for row in rows]
    result = loaded(json_lines(folder / "a.jsonl", rows), folder / "out", batch_rows=2, text_column="text")
    assert_nothing_left(result)
    swap = {PLANTED: LEFT, EMAIL: "[EMAIL]", PHONE: "[PHONE]"}
    expected = [_swapped(row, swap) for row in rows]
    assert [{k: v for k, v in row.items() if v is not None} for row in originals(result)] == [
        {k: v for k, v in row.items() if v is not None} for row in expected
    ]
