"""Documents read as somebody's notes: front matter is told and no text, and no file is left out for its name."""

from __future__ import annotations

from pathlib import Path

import orjson
import polars as pl
import pytest

from recryst.state.params.preparation import LoadParams
from recryst.tools.read.load import LoadResult, load
from recryst.tools.read.pages.about import of_front_matter

NOTE = """---
title: "Tides: a note"
tags: [sea, "#moon"]
source: https://x.example/tides
date: 2024-05-01
---
# Tides

They come *twice* a day.

```python
# not a heading
print("<b>")
```
"""
SENTENCE = "The old lighthouse keeper counted every ship that passed the northern reef before the winter storms came. "
PAGE = f"""<html><head><title>Reef</title><link rel="canonical" href="https://x.example/reef">
<meta property="article:published_time" content="2023-02-01T10:00:00Z"></head>
<body><nav><a href=/>Home</a></nav><article><p>{SENTENCE * 4}</p></article></body></html>"""


def loaded(folder: Path, **files: str | bytes) -> LoadResult:
    for name, content in files.items():
        path = folder / "notes" / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(str(folder / "notes"), LoadParams(), folder / "out", as_notes=True)


def test_a_note_and_a_page_say_what_they_are(tmp_path: Path) -> None:
    result = loaded(tmp_path, sea__tides_md=NOTE, reef_html=PAGE)
    reef, tides = pl.read_parquet(result.originals).drop("row").sort("id").to_dicts()
    assert tides == {
        "id": "sea/tides.md",
        "text": '# Tides\n\nThey come twice a day.\n\n```python\n# not a heading\nprint("<b>")\n```',
        "title": "Tides: a note",
        "format": "markdown",
        "origin": "https://x.example/tides",
        "date": "2024-05-01",
        "tags": ["sea", "moon"],
    }
    assert (reef["title"], reef["origin"], reef["date"], reef["tags"]) == (
        "Reef",
        "https://x.example/reef",
        "2023-02-01T10:00:00Z",
        None,
    )
    assert {result.meanings[name] for name in ("origin", "date")} == {"provenance", "time"}
    assert result.source_column is None  # else a cap would keep what is merged of a source


def test_without_the_profile_a_folder_is_read_as_it_was(tmp_path: Path) -> None:
    loaded(tmp_path, a_md=NOTE)
    plain = load(str(tmp_path / "notes"), LoadParams(), tmp_path / "plain")
    [row] = pl.read_parquet(plain.originals).to_dicts()
    assert {*row} == {"row", "id", "text", "title", "format"}
    assert row["text"].startswith("Tides\n\nThey")
    assert "```" not in row["text"]


def test_every_note_is_read_and_what_cannot_be_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    result = loaded(
        tmp_path, test_md="A note on tests.", README_md="About.", dev__x_txt="A note.", table_csv="a,b\n1,2\n",
        empty_md="", latin_md="caf\xe9".encode("latin-1"), only_md="---\ntitle: x\n---\n",
        broken_md="---\ntitle: a: b\n---\nText.",
    )  # fmt: skip
    assert {*pl.read_parquet(result.rows)["id"]} == {"README.md", "broken.md", "dev/x.txt", "test.md"}
    aside = [orjson.loads(line)["reason"] for line in result.quarantine.read_bytes().splitlines()]
    assert aside == [
        "empty.md: it holds no text",
        "latin.md: invalid UTF-8 at byte 3",
        "only.md: it holds no text",
    ]
    assert any("1 of the files" in note for note in result.notes)
    assert any(
        "front matter is not YAML, and stays part of the text (1 in all, the first: broken.md)" in note
        for note in result.notes
    )


def test_prose_between_two_rules_is_not_lost(tmp_path: Path) -> None:
    result = loaded(tmp_path, a_md="---\nRemember: x\n\nWe met the mayor: she agreed.\n\n---\n\nSecond part.")
    [text] = pl.read_parquet(result.rows)["text"]
    assert "We met the mayor" in text
    assert "Second part." in text


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        ("Tags: 'a, #b c'\nURL: [http://x]", {"tags": ["a", "b c"], "origin": "http://x"}),
        ("tag: one #two", {"tags": ["one"]}),  # YAML takes what follows for a comment
        ("created: 2024-01-02 10:00:00\nsource: Kindle", {"date": "2024-01-02 10:00:00", "origin": "Kindle"}),
        ("title: 2024\ntags: {a: b}\ndate: {x: y}", {"title": "2024"}),
        ("date: 2024-13-45", {"date": "2024-13-45"}),
        ("title: 12:30\ntags: [010, 1.10, no]", {"title": "12:30", "tags": ["010", "1.10", "no"]}),
        ("title: null\ndate: ~", {}),
        ("title: [a, b]", {}),
        ("- a list", {"broken": True}),
        ("title: !!python/object/apply:os.system [ls]", {"title": "ls"}),
        ("title: " + "x" * 3000, {}),
        ("x: " + "[" * 5000, {"broken": True}),
    ],
)  # fmt: skip
def test_front_matter_is_words_and_nothing_else(block: str, wanted: dict[str, object]) -> None:
    assert of_front_matter(block) == wanted
