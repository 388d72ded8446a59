"""Work that is done side by side."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from .cores import cores

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
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
