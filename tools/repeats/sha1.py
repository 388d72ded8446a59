"""SHA-1 (FIPS 180-4, section 6.1) of sixteen messages at once, one in each lane of a vector.

A loop over lanes that a compiler is left to vectorise is ten times slower, so the rounds are written as vector
instructions; LLVM splits them into what the processor has.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LANES = 16
INITIAL = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
_CONSTANTS = (0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)
_WORD = ir.IntType(32)
_VECTOR = ir.VectorType(_WORD, LANES)


def _add_block(typing_context: Any, state: Any, block: Any) -> Any:
    """In a kernel: take one block of every message into ``state``, in place.

    ``state``: uint32 [5, LANES]; ``block``: uint32 [16, LANES], the words of the block.
    """
    return types.void(state, block), _generate


add_block: Any = intrinsic(_add_block)


def _generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Emit ``add_block``."""
    state, block = (
        builder.bitcast(context.make_array(kind)(context, builder, value).data, _VECTOR.as_pointer())
        for kind, value in zip(signature.args, arguments, strict=True)
    )

    def place(array: Any, index: int) -> Any:
        return builder.gep(array, [ir.Constant(ir.IntType(64), index)])

    before = [builder.load(place(state, index), align=4) for index in range(5)]
    words = [builder.load(place(block, index), align=4) for index in range(16)]
    for after, word in enumerate(_rounds(builder, before, words)):
        builder.store(builder.add(before[after], word), place(state, after), align=4)
    return context.get_dummy_value()


def _rounds(builder: Any, state: list[Any], words: list[Any]) -> tuple[Any, ...]:
    """Emit the eighty rounds over the 16 ``words`` of a block; returns the five words they leave."""
    xor, both, either, add = builder.xor, builder.and_, builder.or_, builder.add
    words = list(words)
    a, b, c, d, e = state
    for t in range(80):
        if t >= 16:
            words.append(_rotated(builder, xor(xor(words[t - 3], words[t - 8]), xor(words[t - 14], words[t - 16])), 1))
        if t < 20:
            mixed = xor(d, both(b, xor(c, d)))
        elif 40 <= t < 60:
            mixed = either(both(b, c), both(d, either(b, c)))
        else:
            mixed = xor(b, xor(c, d))
        constant = add(words[t], _splat(_CONSTANTS[t // 20]))
        a, b, c, d, e = add(add(_rotated(builder, a, 5), mixed), add(e, constant)), a, _rotated(builder, b, 30), c, d
    return a, b, c, d, e


def _rotated(builder: Any, value: Any, bits: int) -> Any:
    return builder.or_(builder.shl(value, _splat(bits)), builder.lshr(value, _splat(32 - bits)))


def _splat(value: int) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)
