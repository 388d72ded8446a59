"""Other runs of the same folder, each on a page of its own at an address of its own, to look at."""

from __future__ import annotations

import threading
from pathlib import Path

from ...state.canonical import Json
from ...state.errors import UsageError
from ..browse import folder
from ..decide.proposals import Arguments

_MOST = 8  # pages that one process serves beside the first


class Other(Arguments):
    name: str


class Beside:
    """The runs beside the one in ``root``. A page lives as long as this process."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._served: dict[str, str] = {}  # name → address
        self._lock = threading.Lock()

    def listed(self) -> Json:
        """The names of the other runs."""
        return {"runs": [name for name in folder.names(self._root.parent) if name != self._root.name]}

    def open(self, other: Other) -> str:
        """The address of the page of another run, with its token.

        Raises:
            UsageError: there is no such run beside this one, or too many are open.
        """
        from .serve import server  # which makes pages, and this is a part of one

        root = folder.root(self._root.parent, other.name)
        if other.name not in self.listed()["runs"]:
            raise UsageError(f"there is no other run {other.name!r} in this folder")
        with self._lock:
            if other.name not in self._served:
                if len(self._served) >= _MOST:
                    raise UsageError(f"{_MOST} runs are open beside this one; `recryst open {root}` opens another")
                served, listening, address = server(root)
                run = {"sockets": [listening]}
                threading.Thread(target=served.run, kwargs=run, name=f"page-{other.name}", daemon=True).start()
                self._served[other.name] = address
            return self._served[other.name]
