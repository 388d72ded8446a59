"""Extraction: the text of a file without what is not its text, and one clear reason where there is none."""

from __future__ import annotations

import io
import random
import time
import zlib
from pathlib import Path

import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recryst.state.errors import MissingExtraError
from recryst.tools.read.pages.extract import FORMATS, Document, Unreadable, extract, format_of
from recryst.tools.read.pages.isolation import Extraction

MEGABYTE = 1 << 20
SENTENCE = "The old lighthouse keeper counted every ship that passed the northern reef before the winter storms came. "


def page(body: str, head: str = "") -> bytes:
    return f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode()


def article(text: str = SENTENCE * 4) -> str:
    return f"<nav><a href=/>Home page</a> <a href=/2>About us</a></nav><article><p>{text}</p></article>"


def pdf(*pages: str, title: str = "", stream_of: bytes | None = None) -> bytes:
    """A PDF whose pages hold one line of text each."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    objects.append(b"<</Title(" + title.encode() + b")>>")
    kids = []
    for text in pages:
        packed = zlib.compress(stream_of or f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode(), 9)
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R>>>>"
            f"/Contents {len(objects) + 2} 0 R>>".encode()
        )
        objects.append(b"<</Filter/FlateDecode/Length %d>>stream\n" % len(packed) + packed + b"\nendstream")
    objects[1] = f"<</Type/Pages/Count {len(kids)}/Kids[{' '.join(kids)}]>>".encode()
    out, offsets = io.BytesIO(), []
    out.write(b"%PDF-1.5\n")
    for number, content in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj" % number + content + b"endobj\n")
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    out.write(b"trailer<</Size %d/Root 1 0 R/Info 4 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def encrypted_pdf() -> bytes:
    writer = pypdf.PdfWriter(io.BytesIO(pdf("hidden words")))
    writer.encrypt("secret", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def refusal(data: bytes, kind: str, max_bytes: int = MEGABYTE) -> str:
    with pytest.raises(Unreadable) as error:
        extract(data, kind, max_bytes)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_format_is_known_by_the_name() -> None:
    names = ["a.TXT", "b/c.html.gz", "d.xhtml", "e.PDF", ".txt", "f.tar.gz", "g.docx", "h"]
    assert [format_of(name) for name in names] == ["text", "html", "html", "pdf", None, None, None, None]


def test_html_gives_the_article_and_its_title() -> None:
    head = "<title>Ships | The Daily Reef</title>"
    found = extract(page(article() + "<footer>All rights reserved</footer>", head), "html", MEGABYTE)
    assert found == Document((SENTENCE * 4).strip(), "Ships | The Daily Reef")
    shared = head + '<meta property="og:title" content="Ships  &amp;\n storms">'
    assert extract(page(article(), shared), "html", MEGABYTE).title == "Ships & storms"
    assert extract(page("<h1>Ships</h1>" + article()), "html", MEGABYTE).title == "Ships"
    assert extract(page(article()), "html", MEGABYTE).title is None
    assert extract(f"<p>{SENTENCE * 4}</p>".encode(), "html", MEGABYTE).text == (SENTENCE * 4).strip()


@pytest.mark.parametrize(
    ("encoding", "declared", "word"),
    [
        ("utf-8", None, "Größe"),
        ("utf-8", "iso-8859-1", "Größe"),  # saved again by a scraper, the declaration left
        ("cp1252", "iso-8859-1", "Größe – “groß”"),
        ("cp1252", None, "Größe"),
        ("cp1251", "windows-1251", "Размер"),
        ("cp1252", "punycode", "Größe"),
        ("cp1252", "zip", "Größe"),
        ("cp932", "Shift_JIS", "大きさ①"),
        ("iso2022_jp", "iso-2022-jp", "大きさ"),
        ("gb18030", "gb2312", "大小€"),
        ("utf-16", None, "Größe"),
    ],
)
def test_html_is_decoded_as_a_browser_would(encoding: str, declared: str | None, word: str) -> None:
    head = f'<meta http-equiv="content-type" content="text/html; charset={declared}">' if declared else ""
    data = page(article(f"{word} {SENTENCE * 4}"), head).decode().encode(encoding)
    assert extract(data, "html", MEGABYTE).text.startswith(f"{word} The old")


def test_a_page_opens_no_file_and_no_connection() -> None:
    entities = '<!DOCTYPE html [<!ENTITY f SYSTEM "file:///etc/passwd"><!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    link = '<link rel=stylesheet href="http://192.0.2.1/x"><base href="http://192.0.2.1">'
    body = f"<html><head>{link}</head><body>{article('&f;&b; ' + SENTENCE * 4)}</body></html>"
    text = extract((entities + body).encode(), "html", MEGABYTE).text
    assert "root:" not in text
    assert "aaaa" not in text
    assert SENTENCE.strip() in text


def test_pdf_gives_its_pages_in_order_and_its_title() -> None:
    found = extract(pdf("First page.", "Second page.", title="A book"), "pdf", MEGABYTE)
    assert found == Document("First page.\nSecond page.", "A book")
    assert extract(pdf("Alone."), "pdf", MEGABYTE).title is None


MARKDOWN = """---
title: 'Notes of a keeper'
tags: [sea]
---
# Head *one*

A [link](http://a.example "t") and `code`,
wrapped. \\* &amp; ![a picture](p.png) <b>bold</b>

<div>dropped</div>

- one
- two
  - deeper

3. third

```sh
ls  -l
```

| a | b |
|---|---|
| 1 | 2 |

> quoted
"""


def test_markdown_reads_as_plain_text() -> None:
    document = extract(MARKDOWN.encode(), "markdown", MEGABYTE)
    assert document.title == "Notes of a keeper"
    assert document.text == (
        "Head one\n\nA link and code, wrapped. * & a picture bold\n\n- one\n- two\n  - deeper\n\n3. third\n\n"
        "ls  -l\n\na | b\n1 | 2\n\nquoted"
    )
    rule = extract(b"---\n\nA rule: no matter\n\n---\n# T\n", "markdown", MEGABYTE)
    assert rule == Document("A rule: no matter\n\nT", "T")
    assert extract(b"just words", "markdown", MEGABYTE) == Document("just words", None)


def test_what_holds_no_text_says_why() -> None:
    navigation = page(f"<nav><ul>{''.join(f'<li><a href=/{at}>Topic {at}</a></li>' for at in range(40))}</ul></nav>")
    noise = random.Random(0).randbytes(20_000)
    assert "nothing but navigation" in refusal(navigation, "html")
    assert "nothing but navigation" in refusal(page(""), "html")
    assert "it is empty" in refusal(b"", "html")
    assert "binary" in refusal(noise, "html")
    assert "damaged, or no PDF file" in refusal(noise, "pdf")
    assert "damaged, or no PDF file" in refusal(b"", "pdf")
    assert "character recognition" in refusal(pdf(""), "pdf")
    assert "encrypted" in refusal(encrypted_pdf(), "pdf")
    assert "unpacks to more" in refusal(pdf("", stream_of=b"x" * (90 * MEGABYTE)), "pdf")
    assert "invalid UTF-8" in refusal(noise, "markdown")
    assert "holds no text" in refusal(b"<!-- nothing -->", "markdown")
    assert "its text is larger than 1 MB" in refusal(page(article("word " * 300_000)), "html")
    assert "its text is larger than 1 MB" in refusal(pdf(*["x" * 60_000] * 20), "pdf")


def test_half_characters_of_a_pdf_are_replaced() -> None:
    """A font may map its glyphs to halves of surrogate pairs, which no file can hold."""
    mapped = pdf("AB").replace(b"/BaseFont/Helvetica", b"/BaseFont/Helvetica/ToUnicode 99 0 R")
    cmap = b"1 begincodespacerange <00> <ff> endcodespacerange 2 beginbfchar <41> <D83D> <42> <0042> endbfchar"
    stream = b"99 0 obj<</Length %d>>stream\n" % len(cmap) + cmap + b"\nendstream endobj\n"
    text = extract(mapped.replace(b"xref\n", stream + b"xref\n", 1), "pdf", MEGABYTE).text
    assert text.encode().decode() == text
    assert text.endswith("B")


@given(st.sampled_from(sorted(set(FORMATS.values()))), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_files_are_refused_or_read_and_nothing_else(kind: str, data: st.DataObject) -> None:
    whole = {"html": page(article()), "pdf": pdf("One.", "Two."), "markdown": MARKDOWN.encode(), "text": b"words"}[kind]
    at = data.draw(st.integers(0, len(whole)))
    damaged = whole[:at] + data.draw(st.binary(max_size=30)) + whole[at + data.draw(st.integers(0, 50)) :]
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))]
    try:
        found = extract(damaged, kind, MEGABYTE)
    except Unreadable:
        return
    assert found.text.encode().decode() == found.text
    assert found == extract(damaged, kind, MEGABYTE)


def test_hostile_files_end_their_process_and_no_other() -> None:
    slow = page("<article>" + "x<br>" * 300_000 + "</article>")  # trafilatura takes quadratic time
    bomb = pdf("", stream_of=b"BT /F1 12 Tf (" + b"x" * (60 * MEGABYTE) + b") Tj ET")  # 60 KB
    deep = page("<div>" * 200_000 + SENTENCE)
    good = page(article())
    with Extraction(processes=2, seconds=3) as extraction:
        files = [(good, "html"), (slow, "html"), (bomb, "pdf"), (deep, "html"), (good, "html"), (good, "html")]
        futures = [extraction.submit(data, kind, MEGABYTE) for data, kind in files]
        errors = [future.exception() for future in futures]
    assert [type(error) for error in errors] == [type(None), Unreadable, Unreadable, Unreadable, type(None), type(None)]
    assert "takes more than 3 s" in str(errors[1])
    assert futures[0].result() == futures[-1].result() == extract(good, "html", MEGABYTE)


def test_a_process_is_not_waited_for_when_nobody_needs_it() -> None:
    slow = page("<article>" + "x<br>" * 900_000 + "</article>")
    begun = time.monotonic()
    with Extraction(processes=1) as extraction:
        futures = [extraction.submit(slow, "html", MEGABYTE) for _ in range(3)]
        extraction.submit(b"words", "text", MEGABYTE).cancel()
        time.sleep(1)
    assert time.monotonic() - begun < 12
    assert all(future.done() for future in futures)


def test_without_trafilatura_the_remedy_is_named(tmp_path: Path) -> None:
    """The process imports what this one could, and nothing that lies in the working directory."""
    (tmp_path / "trafilatura.py").write_text("raise ImportError('not here')")
    (tmp_path / "pypdf.py").write_text("raise ImportError('not here')")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with Extraction(processes=1) as extraction:
            assert extraction.submit(pdf("Words."), "pdf", MEGABYTE).result().text == "Words."
        patch.syspath_prepend(str(tmp_path))
        with Extraction(processes=1) as extraction:
            for kind in ("html", "pdf"):
                with pytest.raises(MissingExtraError, match=r'pip install "recryst\[extract\]"'):
                    extraction.submit(page(article()), kind, MEGABYTE).result()


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("<ul><li>10:00 - 12:30</li><li>14:00 - 18:00</li></ul>", "10:00 - 12:30 14:00 - 18:00"),
        ("<ul>\n<li>closed</li>\n</ul>", "closed"),
        ("09:15<br>to<br>11:45", "09:15 to 11:45"),
        ("daily <ol><li><a href=/x>10:00</a></li></ol> or so", "daily 10:00 or so"),
        (
            "<ul><li>10:00<ul><li>14:00</li><li><p>15:00</p></li></ul></li><li>16:00</li></ul>",
            "10:00 14:00 15:00 16:00",
        ),
        ("<dl><dt>from</dt><dd>10:00</dd></dl>", "from 10:00"),
        ("<div><menu><li>10:00 sharp</li></menu></div>", "10:00 sharp"),
        ("<blockquote>closed</blockquote>for good", "closed for good"),
        ("at <time>10:00</time>, <label>noon</label>", "at 10:00, noon"),
    ],
)
def test_a_cell_of_a_table_keeps_what_it_holds(cell: str, line: str) -> None:
    rows = f"<tr><th>Day</th><th>Open</th></tr><tr><td>Mon</td><td>{cell}</td></tr><tr><th>Tue</th><td>never</td></tr>"
    text = extract(page(f"<article><p>{SENTENCE * 4}</p><table>{rows}</table></article>"), "html", MEGABYTE).text
    assert f"| Mon | {line} |" in text
    assert "| Tue | never |" in text


CODE = "def f(x):\n    if x:\n        return 1\n    return 2"


@pytest.mark.parametrize(
    "block",
    [
        f"<pre>{CODE}</pre>",
        f'<div class="highlight"><pre><code>{CODE}</code></pre></div>',
        f"<table><tr><td><pre>1\n2\n3\n4</pre></td><td><div><pre><span>{CODE}</span></pre></div></td></tr></table>",
    ],
)
def test_code_keeps_its_indentation(block: str) -> None:
    body = f"<article><h1>Code</h1><p>{SENTENCE * 2}</p>{block}<p>{SENTENCE * 3}</p></article>"
    assert CODE in extract(page(body), "html", MEGABYTE).text
