"""The page on forms of rows says what the program does: each line of its tables is run."""

import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from recryst.state.params.preparation import LoadParams
from recryst.tools.read.forms import CHATS, FORMS, KINDS, recognise
from recryst.tools.read.load import LoadResult, load

PAGE = (Path(__file__).parents[3] / "docs" / "formats.md").read_text("utf-8")


def cells(heading: str) -> list[list[str]]:
    """The lines of the table of the page whose heading begins so, cell by cell."""
    _, _, table = PAGE.partition(f"| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


LINES = cells("shape")
CHAT = dict.fromkeys(CHATS, "chat")


def loaded(row: dict[str, Any], folder: Path) -> LoadResult:
    (folder / "rows.jsonl").write_bytes(orjson.dumps(row))
    return load(str(folder / "rows.jsonl"), LoadParams(), folder / "out")


@pytest.mark.parametrize(
    ("kind", "parts", "how", "read", "content", "row"), LINES, ids=[quoted(one[0])[0] for one in LINES]
)
def test_a_row_of_each_shape_is_recognised_and_read_as_the_page_says(
    kind: str, parts: str, how: str, read: str, content: str, row: str, tmp_path: Path
) -> None:
    example = orjson.loads(row.strip("`"))
    result = loaded(example, tmp_path)
    assert result.shape == kind.strip("`")
    text = pq.read_table(result.rows, columns=["text"])["text"].to_pylist()
    assert text == [orjson.loads(read[read.index('`"') :].strip("`"))]
    counted, _, beside = content.partition("; beside it ")
    assert [name for name, meaning in result.meanings.items() if meaning == "content"] == quoted(counted)
    others = dict(re.findall(r"`([^`]+)` (\w+)", beside))
    assert {name: meaning for name, meaning in result.meanings.items() if meaning != "content"} == others


def test_the_page_has_every_shape_and_every_name() -> None:
    assert sorted(quoted(one[0])[0] for one in LINES) == sorted(KINDS)
    names: dict[str, dict[str, None]] = {}
    for form in FORMS.values():
        for part in form.columns:
            if part.names:
                names.setdefault(part.heading, {}).update(dict.fromkeys(part.names))
    assert {part: quoted(told) for part, told in cells("part")} == {part: [*told] for part, told in names.items()}
    assert [tuple(quoted(one[0])) for one in cells("names")] == [*FORMS["together"].series]


@pytest.mark.parametrize("line", LINES, ids=[quoted(one[0])[0] for one in LINES])
def test_every_other_name_of_a_part_is_read_too(line: list[str]) -> None:
    """Under another name a row may be of a shape that says more, but no column of its shape goes unread."""
    kind, example = quoted(line[0])[0], orjson.loads(line[-1].strip("`"))
    form = FORMS.get(CHAT.get(kind, kind))
    shape = recognise(example, None, {"id", "source"} & {*example}, (), has_vectors=False)
    for column, part in zip(shape.columns, form.columns if form is not None else (), strict=False):
        for name in part.names if column else ():
            renamed = {name if key == column else key: value for key, value in example.items()}
            if len(renamed) == len(example):  # and it is no other column's
                found = recognise(renamed, None, {"id", "source"} & {*renamed}, (), has_vectors=False)
                read = {name if one == column else one for one in shape.columns if one}
                assert read <= {*found.columns}, f"{name} in place of {column}: {found}"
