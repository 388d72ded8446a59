"""What a word is made of: lower-cased runs of letters, marks and digits, and what parts them."""

from __future__ import annotations

import functools

import numpy as np
import polars as pl

_LETTER = r"[\p{L}\p{M}\p{N}]"
#: Scripts that put no blank space between words: there every character is a word.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
#: Marks a character that is a word by itself; beyond every code point.
ALONE = 1 << 21
_LINE_ENDS = "\n\r\x0b\x0c\x85\u2028\u2029"


@functools.cache
def alphabet_table() -> np.ndarray:
    """What each code point is, int32 [0x110000].

    0 parts words, −1 ends a line as well; anything else is the character in lower case, with ``ALONE`` where it is a
    word by itself.
    """
    codes = np.concatenate([np.arange(0xD800), np.arange(0xE000, 0x110000)]).astype("<u4")
    characters = pl.Series(list(codes.tobytes().decode("utf-32-le")))
    lowered = "".join(characters.str.to_lowercase().str.slice(0, 1)).encode("utf-32-le")
    values = np.frombuffer(lowered, dtype="<u4").astype(np.int32)
    letters = characters.str.contains(_LETTER).to_numpy()
    values[~letters] = 0
    values[letters & characters.str.contains(UNSPACED).to_numpy()] |= ALONE
    table = np.zeros(0x110000, dtype=np.int32)
    table[codes] = values
    table[[ord(mark) for mark in _LINE_ENDS]] = -1
    return table
