"""The words of texts (lower-cased runs of letters, marks and digits) and the 64-bit hashes of runs of them.

The loops are compiled; the module needs Numba, so it is imported by the functions that use it.
"""

import functools
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from .compiled import kernel
from .kinds import UNSPACED

_LETTER = r"[\p{L}\p{M}\p{N}]"
#: Marks a character that is a word by itself, as in scripts without blank space; beyond every code point.
ALONE = 1 << 21
_LINE_ENDS = "\n\r\x0b\x0c\x85\u2028\u2029"
BASE = np.uint64(0x9E3779B97F4A7C15)


@functools.cache
def alphabet_table() -> np.ndarray:
    """What each code point is, int32 [0x110000]: 0 parts words, −1 ends a line as well.

    Anything else is the character in lower case, with ``ALONE`` where it is a word by itself.
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


class Words(NamedTuple):
    """The words of n texts, m in all; those of text i are ``first[i]`` to ``first[i + 1]``.

    ``data`` uint8: the texts in UTF-8, one after the other, the first byte of each in ``offsets`` (int64 [n + 1]).
    ``hashes`` uint64 [m]; ``start`` and ``end`` int64 [m], in bytes of ``data``; ``opens`` bool [m]: the word is the
    first of its line; ``first`` int64 [n + 1].
    """

    data: np.ndarray
    offsets: np.ndarray
    hashes: np.ndarray
    start: np.ndarray
    end: np.ndarray
    opens: np.ndarray
    first: np.ndarray


def words_of(text: pl.Series) -> Words:
    """The words of texts (strings, [n]; a null has none): lower-cased runs of letters, marks and digits."""
    array = text.fill_null("").rechunk().to_arrow().cast(pa.large_string())
    _, ends, held = array.buffers()
    offsets, data = np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    if len(array):
        offsets = np.frombuffer(ends, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    if held:
        data = np.frombuffer(held, dtype=np.uint8)
    # Arrow's memory is read-only, and for Numba an array that is not is of another type: it would compile again.
    data.setflags(write=False)
    offsets.setflags(write=False)
    return Words(data, offsets, *_words_of(data, offsets, alphabet_table()))


@kernel()
def character(data: np.ndarray, at: int) -> tuple[int, int]:
    """The code point of sound UTF-8 (``data``, uint8 [b]) at a byte, and the byte after it."""
    byte = int(data[at])
    if byte < 0x80:
        return byte, at + 1
    if byte < 0xE0:
        return (byte & 0x1F) << 6 | data[at + 1] & 0x3F, at + 2
    if byte < 0xF0:
        return (byte & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | data[at + 2] & 0x3F, at + 3
    return (
        (byte & 0x07) << 18 | (data[at + 1] & 0x3F) << 12 | (data[at + 2] & 0x3F) << 6 | data[at + 3] & 0x3F,
        at + 4,
    )


@kernel()
def _words_of(
    data: np.ndarray, offsets: np.ndarray, alphabet: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    size = (offsets[-1] - offsets[0] + len(offsets)) // 2 + 1  # a word takes a byte, and one parts it from the next
    hashes, opens = np.empty(size, np.uint64), np.empty(size, np.bool_)
    start, end = np.empty(size, np.int64), np.empty(size, np.int64)
    first = np.zeros(len(offsets), np.int64)
    count = 0
    for text in range(len(offsets) - 1):
        at, line_begins, inside = offsets[text], True, False
        while at < offsets[text + 1]:
            code, after = character(data, at)
            value = alphabet[code]
            if value <= 0 or value >= ALONE:
                inside = False
                line_begins = line_begins or value < 0
            if value > 0:
                if not inside:
                    hashes[count], start[count], opens[count] = np.uint64(14695981039346656037), at, line_begins
                    count += 1
                    line_begins, inside = False, value < ALONE
                hashes[count - 1] = (hashes[count - 1] ^ np.uint64(value)) * np.uint64(1099511628211)  # FNV-1a
                end[count - 1] = after
            at = after
        first[text + 1] = count
    for word in range(count):
        hashes[word] ^= hashes[word] >> np.uint64(32)
        hashes[word] *= np.uint64(0xD6E8FEB86659FD93)
        hashes[word] ^= hashes[word] >> np.uint64(32)
    return hashes[:count].copy(), start[:count].copy(), end[:count].copy(), opens[:count].copy(), first


@kernel()
def gram_hashes(hashes: np.ndarray, first: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The hash of every run of ``size`` words within a text, and the word it begins at (uint64 and int64 [w])."""
    found, at = np.empty(len(hashes), np.uint64), np.empty(len(hashes), np.int64)
    leaving, count = BASE ** np.uint64(size), 0
    for text in range(len(first) - 1):
        rolling = np.uint64(0)
        for word in range(first[text], first[text + 1]):
            rolling = rolling * BASE + hashes[word]
            if word - first[text] >= size:
                rolling -= leaving * hashes[word - size]
            if word - first[text] >= size - 1:
                found[count], at[count] = rolling, word - size + 1
                count += 1
    return found[:count].copy(), at[:count].copy()


@kernel()
def run_hashes(hashes: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The hash of each run of words ``start`` to ``end`` (int64 [r]), as uint64 [r]."""
    found = np.zeros(len(start), np.uint64)
    for run in range(len(start)):
        for word in range(start[run], end[run]):
            found[run] = found[run] * BASE + hashes[word]
    return found
