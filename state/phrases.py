"""Words for people, the same on the terminal, in a conversation, in the report and on the card; text made safe to
show; and how a tool says how far it is (rows, unless it says otherwise).

Text from the data or from a model, once made safe, steers no terminal and turns no line around.
"""

import re
from collections.abc import Callable

Advance = Callable[[int], None]

# Control characters but tab and newline; line separators; marks that change the direction of what follows; surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def counted(number: int, noun: str) -> str:
    """``1 cluster``, ``2 clusters``: a number and its noun, whose plural ends in s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def number(value: float | None, digits: int = 4) -> str:
    """A figure with a fixed number of decimals and a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def printable(text: str) -> str:
    """``text`` for a terminal, on one line: whatever is not printable becomes a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def without_controls(text: str) -> str:
    """``text`` for a page: control and bidirectional characters become spaces; line breaks and joiners stay."""
    return _CONTROLS.sub(" ", text)


def silent(done: int) -> None:
    """The listener of whoever does not want to know; ``done`` is the number of items finished since the last call."""
