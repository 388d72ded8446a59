"""Folders for what can be made again: the user's cache, and where Numba keeps the machine code of its kernels.

Such a folder belongs to the user alone. What lies in it may tell of the data, and Numba runs what it finds: a folder
that somebody else owns or may write to is not used.
"""

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

CACHE_VARIABLE = "RECRYST_CACHE_DIR"
_NUMBA_VARIABLE = "NUMBA_CACHE_DIR"


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
