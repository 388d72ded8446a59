"""Compiling kernels: Python functions over arrays that Numba turns into machine code.

``kernel`` loads Numba, so a module that uses it is itself imported inside the functions that need it.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, cast


def kernel(*signature: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function, for the types of one signature where it is given, else when it is first called.

    A kernel runs without the interpreter's lock, so threads run it side by side. Its machine code is kept on disk for
    the next process, where Numba finds a folder that it may write to.
    """

    from numba import njit

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        compiler: Any = njit
        try:
            made = compiler(*signature, nogil=True, cache=True)(function)
        except (RuntimeError, OSError):  # no folder for the machine code, or no room in it
            made = compiler(*signature, nogil=True)(function)
        return cast(Callable[..., Any], made)

    return compiled


def kernel_later(function: Callable[..., Any]) -> Callable[..., Any]:
    """As ``kernel``, but compiled when it is first called: its module loads without Numba."""
    made = cache(lambda: kernel()(function))
    return wraps(function)(lambda *arguments: made()(*arguments))
