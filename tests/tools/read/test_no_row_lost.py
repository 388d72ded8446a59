"""No good row is lost at the door: random tables, read and cleaned, counted by readers that are not ours."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frames import framed
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.preparation import CleanParams, LoadParams
from recryst.state.phrases import silent
from recryst.tools.read.columns import plain_rows
from recryst.tools.read.load import LoadResult, load
from recryst.tools.text.clean import TOOL, normalise

# Few values, so that columns agree by chance; among them all that stands between columns, turns and nothing.
words = st.sampled_from(
    [
        "a",
        "b",
        "a ",
        "",
        "\u241e",
        "\n\u241e\n",
        "\n\u241f\n",
        "\u2400",
        "\u2400 1",
        "1",
        "true",
        "[]",
        "user\na",
        "e\u0301",
    ]
)
turns = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "a"]), "content": words}), max_size=2)
scalars = st.none() | words | st.integers(-1, 2) | st.booleans() | st.sampled_from([0.5, 1.5])
values = scalars | turns | st.lists(scalars, max_size=2) | st.dictionaries(st.sampled_from("kl"), scalars, max_size=2)
columns = st.sampled_from(["prompt", "completion", "chosen", "messages", "note", "grade", "parts", "flag"])
tables = st.lists(columns, min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, values)), min_size=1, max_size=24)
)
often = settings(max_examples=25, deadline=None)


def told(value: Any) -> Any:
    """A value of which everything but what normalising takes away is left; a turn is who speaks and what is said."""
    if isinstance(value, str):
        return ("text", normalise(pl.Series("text", [value]), CleanParams())[0])
    if isinstance(value, list | tuple):
        return ("list", *map(told, value))
    if isinstance(value, dict):
        return ("object", *((key, told(one)) for key, one in sorted(value.items())))
    return (type(value).__name__, value)


def loaded(data: bytes, name: str, folder: str, **params: Any) -> LoadResult:
    path = Path(folder, name)
    path.write_bytes(data)
    return load(str(path), LoadParams(text_column=params.pop("text_column", None), **params), Path(folder, "out"))


def removed(result: LoadResult) -> list[tuple[int, int]]:
    """The rows that ``clean`` takes out, and for which."""
    rows = pl.read_parquet(result.rows)
    content = framed(rows["text"], rows["content"].fill_null(rows["text"]))
    found = [zip(one.rows, one.duplicate_of, strict=True) for one in TOOL.removals(content, CleanParams(), silent)]
    return sorted((int(row), int(of)) for part in found for row, of in part)


def originals(result: LoadResult) -> list[dict[str, Any]]:
    read = [row for batch in pq.ParquetFile(result.originals).iter_batches() for row in plain_rows(batch)]
    return [{name: value for name, value in row.items() if name != "row"} for row in read]


@often
@given(tables)
def test_what_differs_in_any_column_is_never_merged_and_what_is_the_same_is(rows: list[dict[str, Any]]) -> None:
    names = tuple(rows[0])
    with TemporaryDirectory() as folder:
        said = [{"said": "one text for all", **row} for row in rows]
        lines = b"".join(orjson.dumps(row) + b"\n" for row in said)
        result = loaded(lines, "rows.jsonl", folder, text_column="said", content_columns=("said", *names))
        gone = removed(result)
        assert originals(result) == said
    for row, kept in gone:
        assert told(rows[row]) == told(rows[kept]), "different rows are merged"
    alone = {repr(list(row.items())) for row in rows}
    assert len(rows) - len(gone) <= len(alone), "what is the same to the byte is one row"


@often
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["C"]), max_size=8), st.booleans()), min_size=1))
def test_every_record_of_a_file_is_kept_removed_or_quarantined(drawn: list[tuple[str, bool]]) -> None:
    good = [orjson.dumps({"text": "words", "n": at % 2}) for at in range(len(drawn))]
    data = b"\n".join(
        [
            b'{"text": "first"}',
            *(one if sound else line.encode() for one, (line, sound) in zip(good, drawn, strict=True)),
        ]
    )
    with TemporaryDirectory() as folder:
        result = loaded(data, "rows.jsonl", folder)
        gone = len(removed(result))
        kept = pl.read_parquet(result.rows).height - gone
    lines = [line.removeprefix(b"\xef\xbb\xbf") for line in data.split(b"\n")]
    records = sum(1 for line in lines if line.strip(b" \t\r"))  # blank lines are none
    assert kept + gone + result.quarantined == records


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*rows[0]], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


strings = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)
kinds: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**63), 2**63 - 1), "real": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(), "word": strings, "list": st.lists(st.integers(0, 9) | st.none(), max_size=3),
    "object": st.fixed_dictionaries({"k": strings, "n": st.integers(0, 9)}),
}  # fmt: skip
typed = st.lists(st.fixed_dictionaries({"text": st.just("words"), **kinds}), min_size=1, max_size=16)
spelled = st.lists(
    st.fixed_dictionaries({"text": st.just("words"), "a": strings, "b": strings}), min_size=1, max_size=4
)


@pytest.mark.parametrize(
    ("name", "write", "rows"),
    [("a.jsonl", as_lines, typed), ("a.parquet", as_parquet, typed), ("a.csv", as_csv, spelled)],
)
def test_every_value_comes_out_as_it_went_in(
    name: str, write: Callable[[list[dict[str, Any]]], bytes], rows: st.SearchStrategy[list[dict[str, Any]]]
) -> None:
    @settings(max_examples=12, deadline=None)
    @given(rows)
    def holds(table: list[dict[str, Any]]) -> None:
        with TemporaryDirectory() as folder:
            read = originals(loaded(write(table), name, folder, text_column="text"))
        assert read == table
        kinds_read, kinds_told = ([{k: type(v) for k, v in row.items()} for row in one] for one in (read, table))
        assert kinds_read == kinds_told

    holds()
