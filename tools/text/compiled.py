"""Compiling kernels: Python functions over arrays that Numba turns into machine code.

``kernel`` loads Numba, so a module that uses it is itself imported inside the functions that need it.
"""

from collections.abc import Callable
from functools import cache, partial, wraps
from typing import Any

from ..folders import numba_cache
from ..program import without


def kernel(*signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function, for the types of one signature where it is given, else when it is first called.

    A kernel runs without the interpreter's lock, so threads run it side by side. Its machine code is kept on disk for
    the next process, where Numba finds a folder that it may write to. ``options`` are Numba's own.
    """
    numba_cache()
    from numba import njit

    # It loads SciPy's linear algebra to see whether there is a BLAS, for a convolution that no kernel asks for.
    with without("scipy.linalg"):
        import numba.np.arraymath  # noqa: F401

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        compiler: Callable[..., Callable[..., Callable[..., Any]]] = partial(njit, *signature, nogil=True, **options)
        try:
            return compiler(cache=True)(function)
        except (RuntimeError, OSError):  # no folder for the machine code, or no room in it
            return compiler()(function)

    return compiled


def kernel_later(function: Callable[..., Any]) -> Callable[..., Any]:
    """As ``kernel``, but compiled when it is first called: its module loads without Numba."""
    made = cache(lambda: kernel()(function))
    return wraps(function)(lambda *arguments: made()(*arguments))
