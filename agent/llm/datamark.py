"""How text from the data is shown to a language model: cut, stripped of what cannot be seen, and marked as data.

Marking words apart (datamarking: Hines et al. 2024, "Spotlighting", section 3.2) makes instructions in the data look
unlike the question; it lowers the success of injected instructions and does not end it. What bounds the damage is that
the reader has no tools, and that code limits what its answer can do.
"""

import re
import unicodedata

from ...state.canonical import sha256_json

MARK = "▁"
LIMIT = 600  # characters of a row that are shown

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn"}  # controls, format characters (bidi, zero width, tags), private, unassigned


def marked(text: str, limit: int = LIMIT) -> str:
    """``text`` as a model sees it: at most ``limit`` characters, no invisible ones, words joined by ``▁``."""
    seen = "".join(" " if c in "\n\t\r" else c for c in text[: 4 * limit])
    seen = "".join(c for c in seen if unicodedata.category(c) not in _HIDDEN)
    words = re.split(r"\s+", seen.replace(MARK, " ").strip())
    return MARK.join(words)[:limit]


def opaque(*parts: object) -> str:
    """An id for one question, six hexadecimal digits: nothing can be learned from it, and nobody can foresee it.

    Text that knew its id could speak about other rows by theirs. The id hangs on the whole question's content, so
    that a row would have to contain the hash of itself.
    """
    return sha256_json([str(part) for part in parts])[:6]
