"""The standard library's docstrings: enough of them, real ones, and the same every time."""

from __future__ import annotations

import json

import orjson
import pytest

from recryst.tools.docstrings import write_docstrings


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    path = tmp_path_factory.mktemp("docstrings") / "all.jsonl"
    written = write_docstrings(path)
    read = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert len(read) == written
    return read


def test_the_library_gives_thousands_of_rows_with_distinct_ids_in_order(rows: list[dict[str, str]]) -> None:
    assert len(rows) > 7000
    ids = [row["id"] for row in rows]
    assert ids == sorted(set(ids))
    assert all(row["text"].strip() and row["kind"] in ("module", "class", "function") for row in rows)
    modules = {row["module"] for row in rows}
    assert {"json", "asyncio", "argparse"} <= modules
    assert not {"test", "site-packages", "pip", "numpy"} & modules
    assert not any(".tests." in row["id"] or ".test." in row["id"] or "idle_test" in row["id"] for row in rows)


def test_known_docstrings_are_cleaned_and_named(rows: list[dict[str, str]]) -> None:
    by_id = {row["id"]: row for row in rows}
    assert (
        by_id["json.decoder:JSONDecoder.decode"]["text"]
        == json.JSONDecoder.decode.__doc__.replace("\n        ", "\n").strip()
    )  # type: ignore[union-attr]
    assert by_id["json.decoder:JSONDecoder"]["kind"] == "class"
    assert by_id["json:<module>"] == {
        "id": "json:<module>",
        "text": json.__doc__.strip(),
        "module": "json",
        "kind": "module",
    }
