"""Kernels on the word shingles of texts: their MinHash signature, and their set as sorted 64-bit hashes.

A shingle is a run of ``size`` words of a text, joined by one blank; all its words where it has fewer. ASCII is
lower-cased here, and words stand between its blanks; what is not ASCII was seen to before.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from ..text.compiled import kernel

# SHA-1 (FIPS 180-4, section 6.1) of sixteen messages at once, one in each lane of a vector. A loop over lanes that a
# compiler is left to vectorise is ten times slower, so the rounds are written as vector instructions; LLVM splits them
# into what the processor has.
LANES = 16
INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_CONSTANTS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)
_INDEX, _VECTOR = ir.IntType(64), ir.VectorType(ir.IntType(32), LANES)

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
OFFSETS = types.Array(types.int64, 1, "C", readonly=True)
NUMBERS = types.Array(types.uint32, 1, "C", readonly=True)
HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_BLANK = ord(" ")
_ONE_BLOCK = 55  # the most bytes that SHA-1 takes in one block
# Bytes with ASCII in lower case, and one character for what of it is blank.
_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[:128] = [_BLANK if chr(code).isspace() else ord(chr(code).lower()) for code in range(128)]
# By the bytes of a message from a word of its block on (below 0, 0 … 4): what of the word is kept, what marks its end.
_KEPT = np.array([0, 0, 0xFF000000, 0xFFFF0000, 0xFFFFFF00, 0xFFFFFFFF], dtype=np.uint32)
_MARK = np.array([0, 0x80000000, 0x800000, 0x8000, 0x80, 0], dtype=np.uint32)


def _add_block(typing_context: Any, state: Any, block: Any) -> Any:
    """In a kernel: take one block of every message into ``state``, in place.

    ``state``: uint32 [5, LANES]; ``block``: uint32 [16, LANES], the words of the block.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        state_at, block_at = (
            builder.bitcast(context.make_array(kind)(context, builder, value).data, _VECTOR.as_pointer())
            for kind, value in zip(signature.args, arguments, strict=True)
        )
        places = [
            [builder.gep(array, [_INDEX(at)]) for at in range(size)] for array, size in ((state_at, 5), (block_at, 16))
        ]
        before, words = ([builder.load(place, align=4) for place in array] for array in places)
        for place, old, new in zip(places[0], before, _rounds(builder, before, words), strict=True):
            builder.store(builder.add(old, new), place, align=4)
        return context.get_dummy_value()

    return types.void(state, block), generate


add_block: Any = intrinsic(_add_block)


def _rounds(builder: Any, state: list[Any], words: list[Any]) -> tuple[Any, ...]:
    """Emit the eighty rounds over the 16 ``words`` of a block; returns the five words they leave."""
    xor, both, either, add = builder.xor, builder.and_, builder.or_, builder.add

    def every(value: int) -> Any:
        return ir.Constant(_VECTOR, [value] * LANES)

    def rotated(value: Any, bits: int) -> Any:
        return either(builder.shl(value, every(bits)), builder.lshr(value, every(32 - bits)))

    a, b, c, d, e = state
    for t in range(80):
        if t >= 16:
            words.append(rotated(xor(xor(words[t - 3], words[t - 8]), xor(words[t - 14], words[t - 16])), 1))
        if t < 20:
            mixed = xor(d, both(b, xor(c, d)))
        elif 40 <= t < 60:
            mixed = either(both(b, c), both(d, either(b, c)))
        else:
            mixed = xor(b, xor(c, d))
        constant = add(words[t], every(_CONSTANTS[t // 20]))
        a, b, c, d, e = add(add(rotated(a, 5), mixed), add(e, constant)), a, rotated(b, 30), c, d
    return a, b, c, d, e


@kernel()
def _joined(data, begin, end, text, starts):  # type: ignore[no-untyped-def]
    """Write the words of ``data[begin:end]`` into ``text``, a blank after each; returned is how many there are.

    ``starts`` takes where each word starts, and after the last where one more would. Where words end cannot be
    predicted, so nothing branches on it: what is written too early is written over.
    """
    used, words, was_blank = np.uint64(0), np.uint64(0), np.uint64(1)
    for at in range(np.uint64(begin), np.uint64(end)):
        text[used] = _LOWER[np.uint64(data[at])]
        blank = np.uint64(text[used] == _BLANK)
        starts[words] = used
        words += was_blank & ~blank
        used += np.uint64(1) - (was_blank & blank)
        was_blank = blank
    if not words:  # one that is empty
        starts[0], starts[1] = 0, 1
    else:
        starts[words] = used + np.uint64(1) - was_blank
    return np.int64(words)


@kernel()
def _set_block(block, lane, text, begin, length, offset):  # type: ignore[no-untyped-def]
    """Write into a lane the block at ``offset`` of the message ``text[begin:begin + length]``, with its padding.

    ``text`` can be read for 64 bytes behind the message. Nothing branches on the length, which cannot be predicted.
    """
    for word in range(16):
        at, left = np.uint64(begin + offset + 4 * word), length - offset - 4 * word
        # Unsigned places, so that the compiler makes one load of the four.
        one, two, three, four = text[at], text[at + np.uint64(1)], text[at + np.uint64(2)], text[at + np.uint64(3)]
        high = (np.uint32(one) << np.uint32(24)) | (np.uint32(two) << np.uint32(16))
        value = np.uint32(high | (np.uint32(three) << np.uint32(8)) | np.uint32(four))
        kind = np.uint64(min(max(left, -1), 4) + 1)
        block[word, lane] = (value & _KEPT[kind]) | _MARK[kind]
    if offset < length + 9 <= offset + 64:
        block[14, lane] = np.uint32(length >> 29)
        block[15, lane] = np.uint32((length << 3) & 0xFFFFFFFF)


@kernel()
def _hash(text, begins, ends, chosen, state, block, digests):  # type: ignore[no-untyped-def]
    """Write the digests of the ``chosen`` runs ``text[begins[i]:ends[i]]``, at most LANES."""
    most = np.int64(0)
    for run in chosen:
        most = max(most, (ends[run] - begins[run] + 8) >> 6)
    for word in range(5):
        state[word] = INITIAL[word]
    for number in range(most + 1):
        for lane in range(len(chosen)):
            run = chosen[lane]
            if number * 64 <= ends[run] - begins[run] + 8:
                _set_block(block, lane, text, begins[run], ends[run] - begins[run], number * 64)
        add_block(state, block)
        for lane in range(len(chosen)):
            run = chosen[lane]
            if number == (ends[run] - begins[run] + 8) >> 6:
                digests[run] = (np.uint64(state[0, lane]) << np.uint64(32)) | np.uint64(state[1, lane])


@kernel(types.int64(BYTES, OFFSETS, types.int64, types.uint64[::1], types.int64[::1]))
def digest(data, offsets, size, digests, last):  # type: ignore[no-untyped-def]
    """Write the first eight bytes of the SHA-1 of every shingle of every text, in the order of the text.

    Args:
        data: uint8, the texts in UTF-8, one after the other.
        offsets: int64 [n + 1]; text i is ``data[offsets[i]:offsets[i + 1]]``.
        size: words in a shingle.
        digests: uint64, room for the result: half as many as bytes, and two a text.
        last: int64 [n]; those of text i end before ``last[i]``, where those of the next begin.

    Returns:
        How many were written.
    """
    length = offsets[-1] - offsets[0]
    # 64 bytes behind the last are read with its block; of room that is not written to no memory is taken.
    text, starts = np.empty(length + len(offsets) + 72, dtype=np.uint8), np.empty(length // 2 + 3, dtype=np.int64)
    begins, ends = np.empty(len(digests), dtype=np.int64), np.empty(len(digests), dtype=np.int64)
    total = used = 0
    for row in range(len(last)):
        words = _joined(data, offsets[row], offsets[row + 1], text[used:], starts)
        run = max(min(size, words), 1)
        for first in range(max(words - size + 1, 1)):
            begins[total], ends[total] = used + starts[first], used + starts[first + run] - 1
            total += 1
        used += starts[max(words, 1)]
        last[row] = total
    state, block = np.empty((5, LANES), dtype=np.uint32), np.empty((16, LANES), dtype=np.uint32)
    # Runs of one block and longer ones go apart: a single long one would make the others of its lanes wait.
    waiting, held = np.empty((2, LANES), dtype=np.int64), np.zeros(2, dtype=np.int64)
    for run in range(total):
        kind = np.int64(ends[run] - begins[run] > _ONE_BLOCK)
        waiting[kind, held[kind]] = run
        held[kind] += 1
        if held[kind] == LANES:
            _hash(text, begins, ends, waiting[kind], state, block, digests)
            held[kind] = 0
    for rest in range(2):
        _hash(text, begins, ends, waiting[rest, : held[rest]], state, block, digests)
    return total


@kernel(types.void(HASHES, OFFSETS, NUMBERS, NUMBERS, types.uint32[:, ::1]))
def sign(digests, ends, multiply, shift, signed):  # type: ignore[no-untyped-def]
    """Write the signatures of texts: for every permutation the least of ``multiply · h + shift`` over the shingles.

    h is the first four bytes of a digest as a little-endian number, through MurmurHash3's finaliser.

    ``digests`` and ``ends``: as ``digest`` writes them; ``multiply`` and ``shift``: uint32 [p]; ``signed``: uint32
    [n, p], the result.
    """
    first = 0
    for row in range(len(ends)):
        own = signed[row]
        own[:] = 0xFFFFFFFF
        for at in range(first, ends[row]):
            value = np.uint32(digests[at] >> np.uint64(32))
            value = np.uint32((value >> np.uint32(24)) | ((value >> np.uint32(8)) & np.uint32(0xFF00))) | np.uint32(
                ((value << np.uint32(8)) & np.uint32(0xFF0000)) | (value << np.uint32(24))
            )
            value = np.uint32((value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B))
            value = np.uint32((value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35))
            value = np.uint32(value ^ (value >> np.uint32(16)))
            for place in range(len(own)):
                own[place] = min(own[place], np.uint32(multiply[place] * value + shift[place]))
        first = ends[row]


@kernel(types.int64(HASHES, HASHES))
def overlap(one, other):  # type: ignore[no-untyped-def]
    """How many hashes two ascending sets share."""
    left = right = shared = np.uint64(0)
    while left < np.uint64(len(one)) and right < np.uint64(len(other)):
        a, b = one[left], other[right]
        left += np.uint64(a <= b)
        right += np.uint64(b <= a)
        shared += np.uint64(a == b)
    return np.int64(shared)
