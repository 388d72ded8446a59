"""Other runs of the same folder, each on a page of its own at an address of its own: to look at, or begun anew."""

from __future__ import annotations

import threading
from pathlib import Path

from pydantic import Field

from ...state.canonical import Json
from ...state.errors import UsageError
from ...state.run import RunDirectory
from ..browse import folder
from ..cli.claim import begin, located, name_of
from ..cli.options import ready
from ..decide.proposals import Arguments
from .owned import OwnedRuns

_MOST = 8  # pages that one process serves beside the first


class Other(Arguments):
    name: str


class NewRun(Arguments):
    """A run of other rows, or of the same ones, with the settings of the one that is shown."""

    source: str = ""  # a file, a folder or hf:NAME; empty: the same rows
    seed: int | None = Field(None, ge=0)
    name: str = ""  # of its folder; empty: that of the source, with a number where that is taken


class Beside:
    """The runs beside the one in ``root``. A page lives as long as this process; ``owned``: the runs that it works on,
    None: it begins none."""

    def __init__(self, root: Path, owned: OwnedRuns | None = None) -> None:
        self._root = root.resolve()
        self._served: dict[str, str] = {}  # name → address
        self._owned = owned
        self._lock = threading.Lock()

    def listed(self) -> Json:
        """The names of the other runs."""
        return {"runs": [name for name in folder.names(self._root.parent) if name != self._root.name]}

    def open(self, other: Other) -> str:
        """The address of the page of another run, with its token.

        Raises:
            UsageError: there is no such run beside this one, or too many are open.
        """
        folder.root(self._root.parent, other.name)
        if other.name not in self.listed()["runs"]:
            raise UsageError(f"there is no other run {other.name!r} in this folder")
        with self._lock:
            return self._serve(other.name)

    def begin(self, new: NewRun) -> str:
        """Begin a run in this process, in which a person approves as in the one that is shown; its page's address.

        Raises:
            UsageError: this page only looks, there is another run of that name, or too many are open.
            RecrystError: as ``recryst chat`` ends.
        """
        if self._owned is None:
            raise UsageError("this page only looks; `recryst chat SOURCE --page` begins a run")
        source, config = RunDirectory.open(self._root).read_settings()
        source = located(new.source.strip() or source)
        if source == "-":
            raise UsageError("the rows of a new run are a file, a folder or hf:NAME")
        config = config.model_copy(update={"approve": True, "seed": config.seed if new.seed is None else new.seed})
        ready(config)
        with self._lock:
            self._room(new.name)
            name = new.name or self._free(name_of(source))
            at = folder.root(self._root.parent, name)
            if at.exists():
                raise UsageError(f"there is {at} already: name the new run otherwise")
            self._owned.own(name, lambda: begin(source, config, at, lambda said: None))
            return self._serve(name)

    def _serve(self, name: str) -> str:
        from .serve import server  # which makes pages, and this is a part of one

        if name not in self._served:
            self._room(name)
            desk = None if self._owned is None else self._owned.desk(name)
            served, listening, address = server(self._root.parent / name, desk, self._owned)
            run = {"sockets": [listening]}
            threading.Thread(target=served.run, kwargs=run, name=f"page-{name}", daemon=True).start()
            self._served[name] = address
        return self._served[name]

    def _room(self, name: str) -> None:
        if len(self._served) >= _MOST:
            raise UsageError(f"{_MOST} runs are open beside this one; `recryst open` opens another {name}".rstrip())

    def _free(self, name: str) -> str:
        """The first of NAME, NAME-2, … that no folder has."""
        number, found = 1, name
        while (self._root.parent / found).exists():
            number += 1
            found = f"{name}-{number}"
        return found
