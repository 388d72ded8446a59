"""Markdown as plain text: what a reader reads, with or without the marks of headings and code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

# A block of YAML between two lines of dashes; a rule above prose begins with the same line, so a key must follow.
_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(?=[\w\"'-]+[ \t]*:)(.*?)^(?:---|\.\.\.)[ \t]*$", re.DOTALL | re.MULTILINE)
_TITLE = re.compile(r"^title[ \t]*:[ \t]*(.*?)[ \t\r]*$", re.MULTILINE)
_BREAKS = {"softbreak": " ", "hardbreak": "\n"}


def parted(source: str) -> tuple[str, str | None, str]:
    """The front matter of a document, empty where it has none, the title in it, and the rest."""
    front = _FRONT_MATTER.match(source)
    if front is None:
        return "", None, source
    named = _TITLE.search(front[1])
    return front[1], named[1].strip("\"'") if named else None, source[front.end() :]


def rendered(source: str, marked: bool = False) -> tuple[str, str | None]:
    """The plain text of a CommonMark document with tables, and its first heading of the first level.

    Headings, paragraphs, list items, table rows and code stay; a link gives its text, an image its description. Raw
    HTML is dropped. ``marked``: headings and code keep the marks of Markdown.
    """
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(source)
    headings = (
        _inline(tokens[at + 1]) for at, one in enumerate(tokens) if (one.type, one.tag) == ("heading_open", "h1")
    )
    return _Plain(marked).render(tokens), next(headings, None)


def _inline(token: Token) -> str:
    """The text of a paragraph or a heading."""
    parts = (child for child in token.children or () if child.type != "html_inline")
    return "".join(_BREAKS.get(child.type, child.content) for child in parts).strip()


class _Plain:
    """A document on its way to plain text; ``marked``: headings and code keep the marks of Markdown."""

    def __init__(self, marked: bool = False) -> None:
        self._marked = marked
        self._parts: list[str] = []
        self._marker = ""  # what stands before the next block: a list item's bullet or number
        self._depth = 0  # lists around the present block
        self._cells: list[str] | None = None  # of the present table row
        self._tight = False  # the next block follows the last one without an empty line

    def render(self, tokens: list[Token]) -> str:
        for token in tokens:
            kind = token.type
            if kind in ("bullet_list_open", "ordered_list_open"):
                self._depth += 1
            elif kind in ("bullet_list_close", "ordered_list_close"):
                self._depth -= 1
                self._tight = self._depth > 0
            elif kind == "list_item_open":
                number = f"{token.info}{token.markup}" if token.info else "-"
                self._marker = f"{'  ' * (self._depth - 1)}{number} "
            elif kind == "paragraph_open":
                self._tight = token.hidden and self._tight
            elif kind == "heading_open" and self._marked:
                self._marker += f"{'#' * int(token.tag[1:])} "
            elif kind == "tr_open":
                self._cells = []
            elif kind == "tr_close":
                row, self._cells = self._cells or [], None
                self._block(" | ".join(row))
                self._tight = True
            elif kind == "table_close":
                self._tight = False
            elif kind == "inline" and self._cells is not None:
                self._cells.append(_inline(token))
            elif kind == "inline":
                self._block(_inline(token))
                self._tight = self._depth > 0
            elif kind in ("fence", "code_block"):
                self._tight = False
                if self._marked:  # a fence behind the mark of a list item would end with the item
                    self._block(self._marker.rstrip(), marked=False)
                    self._marker = ""
                self._block(self._code(token))
        return "".join(self._parts).strip("\n")

    def _code(self, token: Token) -> str:
        code = token.content.rstrip("\n")
        if not (self._marked and code):
            return code
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        language = re.match(r"[\w+#.-]*", token.info.strip())
        return f"{fence}{language[0] if language else ''}\n{code}\n{fence}"

    def _block(self, text: str, marked: bool = True) -> None:
        if text:
            self._parts += ("\n" if self._tight else "\n\n", self._marker if marked else "", text)
            self._marker = ""
