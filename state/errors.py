"""The errors a user meets, each one sentence and one exit code; ``RecrystError`` itself is never raised.

The command line prints ``str(error)`` without a traceback and exits with ``exit_code``. Anything else
that escapes is a defect of Recryst and keeps its traceback.
"""

import errno
import resource
from pathlib import Path

_LEAST_ADDRESSES = 4 << 30  # bytes that a run's libraries reserve, most of which they never touch
_NO_MEMORY = ("cannot allocate", "can't allocate", "can't start new thread", "failed to map segment", "out of memory")


class RecrystError(Exception):
    """A failure with one clear sentence for the user and a typed exit code."""

    exit_code = 1


class UsageError(RecrystError):
    """The command line or the configuration is wrong; names the key and the remedy."""

    exit_code = 2


class InputError(RecrystError):
    """The data cannot be used; names the file and, where there is one, the line or column."""

    exit_code = 3


class StorageError(RecrystError):
    """Reading or writing failed on disk; names the path. What was written before is intact."""

    exit_code = 4


class LockedError(RecrystError):
    """Another process owns the run directory; names its process id."""

    exit_code = 5


class IntegrityError(RecrystError):
    """A hash, the event chain or the row ledger does not add up; names the place."""

    exit_code = 6


class MissingExtraError(RecrystError):
    """An optional package is not installed; names the pip command that installs it."""

    exit_code = 7


class ModelError(RecrystError):
    """A model's server refused or could not be reached; names the provider. ``recryst resume`` goes on later."""

    exit_code = 8


class LowMemoryError(RecrystError):
    """More memory is needed than there is. What was written before is intact, and ``recryst resume`` goes on."""

    exit_code = 9


class HubError(RecrystError):
    """A hub refused what was pushed, or could not be reached; names it. The same push can be called again."""

    exit_code = 10


def low_memory(error: BaseException) -> LowMemoryError | None:
    """The sentence for an error that tells, in some library's words, that memory ran out; None for any other."""
    said = f"{type(error).__name__}: {error}".lower()
    if not isinstance(error, MemoryError) and not any(words in said for words in _NO_MEMORY):
        return None
    return LowMemoryError(
        "memory ran out: give the process more (`ulimit -v`, `docker --memory`), or read fewer rows (--limit)"
    )


def check_address_space() -> None:
    """Refuse a limit of the process that a run cannot keep to: libraries that meet it end without a word.

    Raises:
        LowMemoryError: `ulimit -v` is too low.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESSES:
        raise LowMemoryError(
            f"this process may use {limit >> 20:,} MB of addresses (`ulimit -v`), and a run reserves at least "
            f"{_LEAST_ADDRESSES >> 20:,} MB: raise the limit, or limit memory by other means (`docker --memory`)"
        )


def storage_error(error: OSError, path: Path | str, doing: str) -> StorageError:
    """The sentence for an ``OSError`` met while ``doing`` something to ``path``."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"disk full while {doing} {path}: free some space, then run `recryst resume` to go on")
    return StorageError(f"cannot finish {doing} {path}: {error.strerror or error}")
