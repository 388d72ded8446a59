"""What libraries are told before they are loaded, and how a process that is this program's alone begins and ends."""

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from threading import get_ident
from types import ModuleType
from typing import NoReturn

from .cores import cores

_NUMBA_THREADS = "NUMBA_NUM_THREADS"
_MODULES: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: a module that cannot be imported
_OBJECTS = 50_000  # made since garbage was last looked for
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
_PROGRAM = list[bool]()  # not empty: nobody else's code runs in this process
_CODE = list[int]()  # with which this process leaves, if it does


def settle_libraries() -> None:
    """Have libraries of numbers and texts behave alike in every process; to be called before they are loaded."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenisers' threads and forks do not mix
    # Or the last bits of a vector depend on where its operands happen to lie in memory.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    # Numba does not ask OMP_NUM_THREADS, and its threads, when they start, set the number of OpenMP's: torch's. Once it
    # is imported they may be running, and it compiles nothing more where the environment comes to say another number.
    if "numba" not in sys.modules:
        said = os.environ.get(_NUMBA_THREADS, "")
        os.environ[_NUMBA_THREADS] = str(min(cores(), int(said)) if said.isdecimal() and int(said) else cores())
    without_telemetry()


def settle_program() -> None:
    """The same for a process that is this program's alone, not one that somebody imported it into.

    Python looks for garbage in cycles after every 700 objects, and imports make millions that stay: an eighth of the
    time that they take goes there. Numba imports Coverage where it finds it, in case it is being measured. Glibc gives
    threads up to eight heaps a core and returns none that one row still lies in: with a heap a core a run of 200,000
    rows takes three quarters of the memory, in the same time.
    """
    settle_libraries()
    gc.set_threshold(_OBJECTS)
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library than glibc
            ctypes.CDLL(None).mallopt(_ARENA_MAX, cores())
    _MODULES.setdefault("coverage", None)
    _PROGRAM.append(True)
    atexit.register(_end)  # the first to be registered is the last to be called


def leave(code: int) -> NoReturn:
    """End this process, which ``settle_program`` began, with this exit code.

    Threads are waited for and what asked to be called at the end is called, as ever. But nothing is taken apart: after
    a run Python frees its objects one by one for two seconds.
    """
    _CODE.append(code)
    sys.exit(code)


def _end() -> None:
    if not _CODE:  # an error nobody expected: as Python ends
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or it is closed or full
            stream.flush()
    os._exit(_CODE[0])


class _Missing(MetaPathFinder):
    """Says to this thread that there is no such module. An entry None among those that are loaded is one to compiled
    modules, and in every thread."""

    def __init__(self, name: str) -> None:
        self._name, self._thread = name, get_ident()

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == self._name and get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Within the block, where the process is this program's, a library that would import ``name`` goes on without."""
    if not _PROGRAM or name in sys.modules:
        yield
        return
    missing = _Missing(name)
    sys.meta_path.insert(0, missing)
    try:
        yield
    finally:
        sys.meta_path.remove(missing)


@contextlib.contextmanager
def without_commands() -> Iterator[None]:
    """Within the block, where the process is this program's, spaCy is imported without its own command line, which
    takes nearly as long as all else of it."""
    if not _PROGRAM or "spacy" in sys.modules:
        yield
        return
    names = ("spacy.cli", "spacy.cli.info")
    for name in names:
        sys.modules[name] = ModuleType(name)
    sys.modules["spacy.cli.info"].__dict__["info"] = None
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def settle_arrow() -> None:
    """Have pyarrow make arrays of lists without importing pandas, where that is there, to ask whether they are its own.

    That takes a fifth of a second. It asks once, and imports pandas all the same where a data frame is wanted of it.
    """
    with without("pandas"):
        import pyarrow as pa

        pa.array([])


def settle_sklearn() -> None:
    """Have scikit-learn imported without pandas, which it would import to know a data frame; to be called before."""
    if "sklearn" not in sys.modules:
        with without("pandas"):
            import sklearn.utils.fixes  # noqa: F401


def without_telemetry() -> None:
    """Keep OpenVINO from what it does once its telemetry is there to be imported: report to a server, write into home.

    It goes on without, as where that package is not installed.
    """
    _MODULES.setdefault("openvino_telemetry", None)


@contextlib.contextmanager
def shipped_kernels() -> Iterator[None]:
    """Within the block bitsandbytes is imported with the kernels that it ships, and says nothing of others.

    Where the package ``kernels`` is installed and the processor has bfloat16, it would download one from the Hugging
    Face Hub and run it. PEFT imports it, and Sentence Transformers imports PEFT, where they are installed.
    """
    log, kernels = logging.getLogger("bitsandbytes"), sys.modules.get("kernels")
    level = log.level
    log.setLevel(logging.ERROR)
    _MODULES["kernels"] = None
    try:
        yield
    finally:
        log.setLevel(level)
        sys.modules.pop("kernels", None)
        if kernels is not None:
            sys.modules["kernels"] = kernels
