"""Text from the data or from a model, made safe to show: it steers no terminal and turns no line around."""

from __future__ import annotations

import re

# Control characters but tab and newline; line separators; marks that change the direction of what follows; surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """``text`` for a terminal, on one line: whatever is not printable becomes a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def without_controls(text: str) -> str:
    """``text`` for a page: control and bidirectional characters become spaces; line breaks and joiners stay."""
    return _CONTROLS.sub(" ", text)
