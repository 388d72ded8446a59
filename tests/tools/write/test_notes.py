"""Notes as Markdown: names that lead nowhere else, front matter that is what it says, and text that does not act."""

import re
from urllib.parse import unquote

import polars as pl
import pytest
import yaml
from markdown_it import MarkdownIt

from recryst.tools.write.notes import NOTES, inert, safe_name, write_notes

HOSTILE = [
    "../../etc/passwd", "..", "", "   ", "con", "COM1", "NUL", "a/b\\c:d*e?f", "x" * 500, "née Ångström 東京",
    "\u202egnp.exe", "a\nb", "---", "naïve.md", "LPT¹", "\u0301", "title: [evil](javascript:alert(1))",
    "<script>alert(1)</script>",
]  # fmt: skip


def notes(titles, topic="one topic"):
    rows = [
        {"id": f"{at}.md", "title": title, "text": f"text {at}", "topic": topic, "sources": [f"{at}.md"], "origins": [],
         "tags": [], "date": None}
        for at, title in enumerate(titles)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=NOTES)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("title", HOSTILE)
def test_a_name_is_one_part_that_every_system_takes(title):
    taken = {}
    first, second = safe_name(title, "untitled", taken), safe_name(title.upper(), "untitled", taken)
    for name in (first, second):
        assert re.fullmatch(r"[\w-]+", name.replace("\u0301", "")), name
        assert 0 < len(name.encode()) <= 90
        assert not re.fullmatch(r"(?i)con|prn|aux|nul|(com|lpt)\d", name)
    assert first.casefold() != second.casefold(), "two names that some systems take for one"


def test_hostile_titles_and_topics_stay_in_the_folder_and_are_found_by_the_index(tmp_path):
    many = pl.concat(
        [notes([*HOSTILE, "same", "Same"]), notes(["x"], "../.."), notes(["y"], None), notes(["z"], "con")]
    )
    write_notes(many, tmp_path / "in" / "notes")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    written = files(tmp_path / "in" / "notes")
    index = written.pop("index.md").decode()
    assert len(written) == many.height
    linked = {unquote(one) for one in re.findall(r"^- \[.*\]\(([^()\s]+)\)$", index, re.MULTILINE)}
    assert linked == {*written}
    assert "<script" not in index.replace(r"\<script", "")
    assert "](javascript:alert" not in re.sub(r"\\[\[\]]", "", index)
    assert index.rindex("## unsorted (1)") > index.rindex("## con")
    told = [yaml.safe_load(text.decode().split("---\n")[1]) for text in written.values()]
    assert {one.get("title") for one in told if one.get("topic") == "one topic"} >= {"..", "---", "same", "Same"}


def test_the_same_notes_give_the_same_bytes(tmp_path):
    write_notes(notes(HOSTILE), tmp_path / "one")
    write_notes(notes(HOSTILE).reverse(), tmp_path / "other")
    write_notes(notes(HOSTILE), tmp_path / "one")  # again, as after a run that was killed
    assert files(tmp_path / "one") == files(tmp_path / "other")


def test_what_is_known_stands_before_the_text(tmp_path):
    row = {"id": "a/b.html", "title": "Tides: a note", "text": "# Tides\n\nThey come.", "topic": "sea",
           "date": "2024-05-01", "sources": ["a/b.html", "c.md"], "origins": ["https://x.example/1"],
           "tags": ["sea", "yes"]}  # fmt: skip
    write_notes(pl.DataFrame([row], schema=NOTES), tmp_path)
    _, front, text = (tmp_path / "sea" / "Tides-a-note.md").read_text().split("---\n")
    assert yaml.safe_load(front) == {name: value for name, value in row.items() if name != "text"}
    assert text == "\n# Tides\n\nThey come.\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a <b>c</b> ![x](http://x.example/pixel) 1 < 2", "a &lt;b>c&lt;/b> &#33;[x](http://x.example/pixel) 1 < 2"),
        ("```html\n<b>\n```\n<i>", "```html\n<b>\n```\n&lt;i>"),
        ("````\n```\n<b>\n````\n<i>", "````\n```\n<b>\n````\n&lt;i>"),
        ("``` `x` ```\n<i>", "``` `x` ```\n&lt;i>"),  # no fence
        ("```\n<b>\n   ```\n<i>", "```\n<b>\n   ```\n&lt;i>"),
    ],
)
def test_tags_and_images_are_inert_outside_of_code(text, wanted):
    assert inert(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>", "\\<img src=x>", "\\\\<img src=x>", "![x](http://e/p)", "\\![x](http://e/p)",
        "\\\\![x](http://e/p)", "- a\n\n  ```\n<img src=x>", "1. a\n   ~~~\n\n![x](http://e/p)", "> ```\n<img src=x>",
        "```\n```\n<img src=x>", "~~~ a\n```\n~~~\n![x](http://e/p)", "![x][y]\n\n[y]: http://e/p",
    ],
)  # fmt: skip
def test_nothing_acts_in_what_a_reader_of_markdown_makes_of_it(text):
    rendered = MarkdownIt("commonmark").render(inert(text))
    assert "<img" not in rendered, rendered


def test_many_notes_of_one_title_get_a_name_each():
    taken = {}
    names = [safe_name(title, "untitled", taken) for title in ["Home", "home-2", *["HOME"] * 3000]]
    assert names[:4] == ["Home", "home-2", "HOME-3", "HOME-4"]
    assert len({name.casefold() for name in names}) == len(names)
