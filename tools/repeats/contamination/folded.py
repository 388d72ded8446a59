"""Texts as words are sought in them: without what hides a word or spells it otherwise, and back to where it stood."""

import re
from bisect import bisect_left, bisect_right
from html import unescape

import polars as pl

# A reference such as &nbsp; or &#160; or &#xa0;, escaped again any number of times.
_REFERENCE = r"&(?:amp;)*((?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,30});)"
# What Unicode calls default-ignorable (zero-width, soft hyphens, joiners, selectors, tags), the interlinear anchors,
# and control characters but those that part words and lines.
_HIDDEN = r"[\p{Default_Ignorable_Code_Point}\p{Cc}\x{FFF9}-\x{FFFB}--[\t\n\x0B\x0C\r\x{85}]]"


def folded(text: pl.Series) -> pl.Series:
    """Texts (strings, [n]) with their HTML references resolved, without invisible characters, in the form NFKC.

    NFKC (UAX #15) makes one of full-width and other forms of the same letter.
    """
    return _composed(_resolved(text))


def _resolved(text: pl.Series) -> pl.Series:
    escaped = text.str.contains(_REFERENCE).fill_null(False).arg_true()
    if not len(escaped):
        return text
    plain = [re.sub(_REFERENCE, _character, one) for one in text.gather(escaped)]
    return text.clone().scatter(escaped, plain)  # which works in place


def _character(found: re.Match[str]) -> str:
    return unescape(f"&{found[1]}")


def _composed(text: pl.Series) -> pl.Series:
    shown = text.str.replace_all(_HIDDEN, "")
    wide = (shown.str.len_bytes() != shown.str.len_chars()).fill_null(False).arg_true()
    return shown.clone().scatter(wide, shown.gather(wide).str.normalize("NFKC")) if len(wide) else shown


def unfolded(text: str, start: int, end: int) -> tuple[int, int]:
    """Where in ``text`` stands what is from ``start`` to ``end`` of it folded, in characters."""
    resolved, shifts, at = "", list[tuple[int, int]](), 0  # behind each reference: where it ends resolved, and here
    for found in re.finditer(_REFERENCE, text):
        resolved += text[at : found.start()] + _character(found)
        at = found.end()
        shifts.append((len(resolved), at))
    resolved += text[at:]

    def length(characters: int) -> int:
        return len(_composed(pl.Series([resolved[:characters]])).item())

    def here(place: int) -> int:
        behind = bisect_left(shifts, place + 1, key=lambda shift: shift[0])
        before, at = shifts[behind - 1] if behind else (0, 0)
        return at + place - before

    places = range(len(resolved) + 1)
    first = bisect_left(places, start + 1, key=length) - 1
    # To the last character that adds none, for a mark belongs to its letter; and half of ½ is the whole.
    whole = bisect_left(places, end, lo=first, key=length)
    return here(first), here(max(whole, bisect_right(places, end, lo=first, key=length) - 1))
