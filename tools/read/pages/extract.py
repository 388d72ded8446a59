"""From the bytes of one file to its text and title: HTML, PDF, Markdown and plain text.

The libraries that parse are written for honest files. What a hostile one can do to them is bounded outside, in
``isolation``, which runs this module in a process of its own.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from ....state.errors import MissingExtraError
from .about import of_front_matter, of_head
from .markdown import parted, rendered

#: The suffixes that are read, and the format each stands for.
FORMATS = {
    ".txt": "text", ".md": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html", ".pdf": "pdf",
}  # fmt: skip
#: How Markdown is read where it is somebody's notes: headings and code keep their marks, front matter is told.
NOTE = "note"
_MAX_TITLE = 1000
_CONTROLS = bytes({*range(32)} - {*b"\t\n\f\r\x1b"})  # an escape begins the other character sets of ISO 2022
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w:-]{1,40})", re.IGNORECASE)
_XML_DECLARED = re.compile(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w:-]{1,40})", re.IGNORECASE)
_PRESCAN = 4096
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
# Only encodings of web pages: others that Python knows, such as punycode, take quadratic time to decode.
_WEB_ENCODING = re.compile(
    r"cp125\d|cp874|cp866|cp932|cp949|iso8859-\d+|koi8-[ru]|mac-(roman|cyrillic)|gb18030|big5(hkscs)?|euc_(jp|kr)"
    r"|iso2022_jp|utf-8"
)
# What browsers read in place of an encoding that is declared: a superset (encoding.spec.whatwg.org, section 4.2).
_SUPERSETS = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
}  # fmt: skip

# Elements whose text trafilatura drops where they stand in the cell of a table: blocks, and marks within a line.
_MARKS_OF_TEXT = ("label", "time")
_BLOCKS = ("ul", "ol", "dl", "menu", "dir", "li", "dt", "dd", "blockquote", "center")
_IN_CELLS = "|".join(f"//{cell}//{name}" for cell in ("td", "th") for name in (*_BLOCKS, *_MARKS_OF_TEXT))


class Unreadable(ValueError):
    """A file that gives no text; the message is the reason a person reads in the quarantine."""


@dataclass(frozen=True)
class Document:
    """The text of a file, and its title where it has one.

    ``about``: what a page or a note says of itself besides, as ``about`` gives it.
    """

    text: str
    title: str | None
    about: Mapping[str, Any] = field(default_factory=dict)


def format_of(name: str) -> str | None:
    """``text``, ``markdown``, ``html`` or ``pdf`` by the suffix of a file's name; ``None`` where it is another."""
    return FORMATS.get(PurePosixPath(name.lower().removesuffix(".gz")).suffix)


def extract(data: bytes, kind: str, max_bytes: int) -> Document:
    """The text and title of one file.

    Plain text comes as it is; Markdown without its marks, front matter and raw HTML; of HTML only the main text, of
    PDF the text of its pages in order.

    Args:
        kind: ``text``, ``markdown``, ``html``, ``pdf`` or ``NOTE``.
        max_bytes: bound of the text.

    Raises:
        Unreadable: the file is damaged, encrypted or too large, or holds no text.
        MissingExtraError: the packages that read HTML and PDF are missing.
    """
    name, read = _READERS[kind]
    try:
        document = read(data, max_bytes)
    except (Unreadable, MissingExtraError):
        raise
    except MemoryError as error:
        raise Unreadable("reading it takes too much memory") from error
    except Exception as error:  # the parsers raise whatever a damaged file makes them stumble over
        # The type alone: messages hold addresses, which differ from run to run.
        raise Unreadable(f"it is damaged, or no {name} file ({type(error).__name__})") from error
    text, title = _encodable(document.text), _encodable(document.title or "")
    if len(text) > max_bytes or len(text.encode()) > max_bytes:
        raise too_large("its text", max_bytes)
    return replace(document, text=text, title=" ".join(title.split())[:_MAX_TITLE] or None)


def too_large(what: str, max_bytes: int) -> Unreadable:
    """The refusal of a file of which ``what`` is above ``max_bytes``."""
    return Unreadable(f"{what} is larger than {max_bytes >> 20} MB (load.max_line_mb)")


def _encodable(text: str) -> str:
    """``text`` with halves of surrogate pairs joined, or replaced where they stand alone: UTF-8 has none."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"invalid UTF-8 at byte {error.start}") from error


def _text(data: bytes, max_bytes: int) -> Document:
    return Document(_utf8(data), None)


def _html(data: bytes, max_bytes: int) -> Document:
    """The main text of a page by trafilatura (Barbaresi 2021), in its precise mode and without readers' comments.

    These are the settings of datatrove, with which FineWeb was extracted (Penedo et al. 2024), but for the removal of
    repeated paragraphs: rows are compared later, where it is on record.
    """
    try:
        import trafilatura
    except ImportError as error:
        cause = " ".join(str(error).split())
        raise MissingExtraError(f'reading HTML needs `pip install "recryst[extract]"` ({cause})') from error
    page = decode_html(data)
    tree = trafilatura.load_html(page)
    if tree is None:  # a fragment of a page, as feeds hold them
        tree = trafilatura.load_html(f"<html><body>{page}</body></html>")
    if tree is None:
        raise Unreadable("it holds no text")
    title, about = _html_title(tree), of_head(tree)
    _code_out_of_tables(tree)
    _keep_what_cells_hold(tree)
    text = trafilatura.extract(tree, favor_precision=True, include_comments=False)
    if not text:
        raise Unreadable("no main text was found: it is empty, or holds nothing but navigation")
    return Document(text, title, about)


def _code_out_of_tables(tree: Any) -> None:
    """Put a listing in the place of the table that sets it beside its line numbers: in a cell it loses its lines."""
    for table in tree.xpath("//table[count(.//tr) = 1 and .//pre]"):
        pres = table.xpath(".//pre")
        listings = [_unspaced(pre) for pre in pres]
        code = [pre for pre, listing in zip(pres, listings, strict=True) if listing and not listing.isdecimal()]
        if len(code) == 1 and "".join(listings) == _unspaced(table):
            code[0].tail = table.tail
            table.getparent().replace(table, code[0])


def _unspaced(element: Any) -> str:
    return "".join("".join(element.itertext()).split())


def _keep_what_cells_hold(tree: Any) -> None:
    """Make blocks and marks within the cells of tables such that trafilatura keeps their text.

    Its precise mode drops the lists, quotations and times in a cell with all that they hold; a table of opening hours
    loses its hours.
    """
    for element in tree.xpath(_IN_CELLS):
        if element.tag not in _MARKS_OF_TEXT:  # a line of its own
            element.addprevious(element.makeelement("br"))
            end = element.makeelement("br")
            end.tail, element.tail = element.tail, None
            element.addnext(end)
        element.drop_tag()


def _html_title(tree: Any) -> str | None:
    """The title a page gives itself when it is shared, or in its head, or as its first heading."""
    paths = ('string(//meta[@property="og:title"]/@content)', "string(//head/title)", "string(//h1)")
    return next((title for path in paths if (title := str(tree.xpath(path))).strip()), None)


def decode_html(data: bytes) -> str:
    """A page's characters, by its byte order mark, as UTF-8, by the charset it declares, or as Windows-1252.

    UTF-8 comes before the declaration: scrapers save pages in it and leave the declaration as it was, and text in
    another encoding is never valid UTF-8 by chance, but for those that write in seven bits.

    Raises:
        Unreadable: these are no characters, but something binary.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if 100 * (len(data) - len(data.translate(None, _CONTROLS))) > len(data):
        raise Unreadable("it is not text, but something binary")
    declared = _declared(data)
    if declared == "iso2022_jp" and b"\x1b" in data:
        return data.decode(declared, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(declared or "cp1252", "replace")


def _declared(data: bytes) -> str | None:
    """Python's name of the encoding a page declares; ``None`` where it declares none that is known."""
    found = _XML_DECLARED.match(data, 0, _PRESCAN) or _DECLARED.search(data, 0, _PRESCAN)
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii")).name
    except (LookupError, UnicodeDecodeError):
        return None
    name = _SUPERSETS.get(name, name)
    return name if _WEB_ENCODING.fullmatch(name) else None


def _pdf(data: bytes, max_bytes: int) -> Document:
    try:
        import pypdf
        from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError
    except ImportError as error:
        raise MissingExtraError('reading PDF needs `pip install "recryst[extract]"`') from error
    pages, size = [], 0
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        for page in reader.pages:
            pages.append(page.extract_text())
            size += len(pages[-1])
            if size > max_bytes:
                raise too_large("its text", max_bytes)
        title = reader.metadata.title if reader.metadata else None
    except (FileNotDecryptedError, DependencyError) as error:
        raise Unreadable("it is encrypted") from error
    except LimitReachedError as error:
        raise Unreadable("it unpacks to more than pypdf allows") from error
    text = "\n".join(pages).strip()
    if not text:
        raise Unreadable("it holds no text; scanned pages need character recognition first")
    return Document(text, title if isinstance(title, str) else None)


def _markdown(data: bytes, max_bytes: int) -> Document:
    """The plain text of a document, and its title: the front matter's, which is dropped, or the first heading."""
    _, title, source = parted(_utf8(data))
    return _rendered(source, title)


def _note(data: bytes, max_bytes: int) -> Document:
    """As ``_markdown``, with what the front matter says; headings keep their marks and code its fences.

    Between two lines of dashes may stand prose with a colon in it: what is no YAML stays part of the text.
    """
    whole = _utf8(data)
    front, title, source = parted(whole)
    about = of_front_matter(front)
    named = about.pop("title", None)
    if about.get("broken"):
        source, named = whole, title
    document = _rendered(source, named, marked=True)
    return replace(document, about=about)


def _rendered(source: str, title: str | None, marked: bool = False) -> Document:
    text, heading = rendered(source, marked)
    if not text:
        raise Unreadable("it holds no text")
    return Document(text, title or heading)


#: Each format: what a person calls it, and how it is read.
_READERS = {
    "text": ("text", _text), "markdown": ("Markdown", _markdown), NOTE: ("Markdown", _note), "html": ("HTML", _html),
    "pdf": ("PDF", _pdf),
}  # fmt: skip
