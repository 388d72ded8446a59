"""The runs that lie in one folder. Whatever a client names stays in it."""

import re
from pathlib import Path

from ...state.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LISTED = 200  # runs


def names(folder: Path) -> list[str]:
    """The runs there are, by the names of their folders."""
    found = sorted(path.parent.name for path in folder.glob("*/run.yaml"))
    return [name for name in found if _NAME.fullmatch(name)][:_LISTED]


def root(folder: Path, run: str) -> Path:
    """The folder of a run, whether there is one or not.

    Raises:
        UsageError: that is no name, or it leads out of the folder of the runs.
    """
    found = folder / run
    if not _NAME.fullmatch(run) or found.resolve().parent != folder.resolve():
        raise UsageError("a run is named by letters, digits, '.', '_' and '-', and lies in the folder of the runs")
    return found
