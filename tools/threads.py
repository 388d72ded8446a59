"""Work that is done side by side."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from .cores import cores
from .program import settle_sklearn

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_threads(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """``work`` of every item, in order; so many at once as there are cores to use, and few waiting."""
    threads = cores()
    with ThreadPoolExecutor(threads, "recryst") as pool:
        waiting: deque[Future[_Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread to each product and each fit of scikit-learn until the block ends: the same bits on any machine.

    Several add their partial sums in the order in which they finish. A limit holds for the libraries that are loaded
    when it is set; those of scikit-learn and SciPy therefore are loaded first, and not in the block.
    """
    settle_sklearn()
    import sklearn.cluster  # noqa: F401

    with _controller(len(sys.modules)).limit(limits=1):
        yield


@lru_cache(maxsize=1)
def _controller(modules: int) -> "ThreadpoolController":
    """The libraries that have threads, sought anew only where a module was imported since: that takes 8 ms."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
