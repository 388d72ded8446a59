"""Folders for what can be made again: the user's cache, and where Numba keeps the machine code of its kernels; and what
libraries are told before they are loaded.

Such a folder belongs to the user alone. What lies in it may tell of the data, and Numba runs what it finds: a folder
that somebody else owns or may write to is not used.
"""

import contextlib
import gc
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

from .cores import cores

CACHE_VARIABLE = "RECRYST_CACHE_DIR"
_NUMBA_VARIABLE, _NUMBA_THREADS = "NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS"
_MODULES: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: a module that cannot be imported
_OBJECTS = 50_000  # made since garbage was last looked for
_PROGRAM = list[bool]()  # not empty: nobody else's code runs in this process


def user_cache() -> Path | None:
    """Where runs of this user find what others of them made; None where there is no such folder to be had.

    The folder that ``RECRYST_CACHE_DIR`` names, or ``recryst`` in the user's cache (``XDG_CACHE_HOME``, ``~/.cache``).
    """
    named = os.environ.get(CACHE_VARIABLE)
    return private(Path(named)) if named else private(_caches() / "recryst")


def private(folder: Path) -> Path | None:
    """``folder``, made where it is missing, if it is this user's alone and can be written to; else None."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return None
        if found.st_mode & 0o077:
            folder.chmod(0o700)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # the second: there is no home
        return None


def numba_cache() -> None:
    """Give Numba a folder of this user's where it would find none; to be called before a kernel is kept on disk.

    Packages that keep kernels (umap-learn, pynndescent) cannot be imported otherwise where neither they nor the home
    can be written to, as in a container run under another user. A run's own folder is not taken for it: a run may be
    somebody else's, and what lies there would be executed.
    """
    if os.environ.get(_NUMBA_VARIABLE):
        return
    with contextlib.suppress(OSError, RuntimeError):
        if _writable(_caches() / "numba"):
            return
    temporary = Path(tempfile.gettempdir()) / f"recryst-numba-{os.geteuid()}"
    os.environ[_NUMBA_VARIABLE] = str(private(temporary) or tempfile.mkdtemp(prefix="recryst-numba-"))
    if "numba" in sys.modules:  # it read the environment when it was imported
        sys.modules["numba"].config.reload_config()


def _writable(folder: Path) -> bool:
    """Whether a folder is there and can be written to, or could be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _caches() -> Path:
    """The user's folder of caches.

    Raises:
        RuntimeError: the user has no home.
    """
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = os.environ.get("XDG_CACHE_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".cache"


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
    time that they take goes there. Numba imports Coverage where it finds it, in case it is being measured.
    """
    settle_libraries()
    gc.set_threshold(_OBJECTS)
    _MODULES.setdefault("coverage", None)
    _PROGRAM.append(True)


class _Missing(MetaPathFinder):
    """Says that there is no such module. An entry None among those that are loaded is one to compiled modules."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == self._name:
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
