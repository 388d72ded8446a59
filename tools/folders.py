"""Folders for what can be made again: the user's cache, and where Numba keeps the machine code of its kernels; and what
libraries are told before they are loaded.

Such a folder belongs to the user alone. What lies in it may tell of the data, and Numba runs what it finds: a folder
that somebody else owns or may write to is not used.
"""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .cores import cores

CACHE_VARIABLE = "RECRYST_CACHE_DIR"
_NUMBA_FOLDER, _NUMBA_THREADS = "NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS"
_MODULES: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: a module that cannot be imported
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


def prepare_numba() -> None:
    """Give Numba no more threads than there are cores to use, and a folder of this user's where it would find none; to
    be called before a kernel is made.

    Numba does not ask ``OMP_NUM_THREADS``, and when its threads start it sets OpenMP's, which are torch's, to their
    number. Packages that keep kernels (umap-learn, pynndescent) cannot be imported where neither they nor the home can
    be written to, as in a container run under another user. A run's own folder is not taken for it: a run may be
    somebody else's, and what lies there would be executed.
    """
    before = {name: os.environ.get(name) for name in (_NUMBA_FOLDER, _NUMBA_THREADS)}
    said = before[_NUMBA_THREADS] or ""
    os.environ[_NUMBA_THREADS] = str(min(cores(), int(said)) if said.isdecimal() else cores())
    if not before[_NUMBA_FOLDER] and not _home_takes_kernels():
        temporary = Path(tempfile.gettempdir()) / f"recryst-numba-{os.geteuid()}"
        os.environ[_NUMBA_FOLDER] = str(private(temporary) or tempfile.mkdtemp(prefix="recryst-numba-"))
    if "numba" in sys.modules and before != {name: os.environ.get(name) for name in before}:
        sys.modules["numba"].config.reload_config()  # it read the environment when it was imported


def _home_takes_kernels() -> bool:
    try:
        return _writable(_caches() / "numba")
    except (OSError, RuntimeError):  # the second: there is no home
        return False


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
    without_telemetry()


def settle_program() -> None:
    """The same for a process that is this program's alone, not one that somebody imported it into."""
    settle_libraries()
    _PROGRAM.append(True)


@contextlib.contextmanager
def without_torch() -> Iterator[None]:
    """Within the block, where the process is this program's, a library that would import PyTorch goes on without."""
    if not _PROGRAM or "torch" in sys.modules:
        yield
        return
    _MODULES["torch"] = None
    try:
        yield
    finally:
        del sys.modules["torch"]


def without_telemetry() -> None:
    """Keep OpenVINO from what it does once its telemetry is there to be imported: report to a server, write into home.

    It goes on without, as where that package is not installed.
    """
    _MODULES.setdefault("openvino_telemetry", None)
