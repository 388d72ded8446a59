"""What a terminal does for whoever types: commands and names are completed, and what was typed is remembered.

It works where Python has ``readline``; elsewhere lines are read as they come.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType

import polars as pl

from ...tools.folders import user_cache
from .commands import COMMANDS
from .conversation import Conversation

_REMEMBERED = 1000  # lines
_OFFERED = 50  # names at once
_ROWS = {"/restore": "removed", "/drop": "kept", "/protect": "kept", "/why": ""}
_WORDS = {"/answer": ("keep", "remove", "label"), "/try": (), "/help": ()}
_CLUSTERS = ("/show", "/describe", "/prune")


@contextlib.contextmanager
def keyboard(talk: Conversation) -> Iterator[None]:
    """Lines are edited, completed and remembered while the block runs, by a file of the user's own cache folder."""
    try:
        import readline
    except ImportError:  # there is no such thing on Windows
        yield
        return
    cache = user_cache()
    history = None if cache is None else cache / "chat_history"
    if history is not None:
        with contextlib.suppress(OSError):
            readline.read_history_file(history)
    readline.set_history_length(_REMEMBERED)
    before = readline.get_completer(), readline.get_completer_delims()
    readline.set_completer_delims(" \t\n")
    readline.set_completer(_Completer(talk, readline))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        if history is not None:
            with contextlib.suppress(OSError):
                history.touch(mode=0o600)
                readline.write_history_file(history)
        readline.set_completer(before[0])
        readline.set_completer_delims(before[1])


class _Completer:
    """Gives readline what may stand where the person types: the first answer, then the second, and so on."""

    def __init__(self, talk: Conversation, readline: ModuleType) -> None:
        self._talk, self._readline = talk, readline
        self._found: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        if state == 0:
            line = self._readline.get_line_buffer()[: self._readline.get_begidx()]
            self._found = [one for one in completions(self._talk, line) if one.startswith(text)][:_OFFERED]
        return self._found[state] if state < len(self._found) else None


def completions(talk: Conversation, before: str) -> list[str]:
    """What may come after the words ``before``: commands, or what the command there takes. Ids with spaces are left
    out, because only a whole word is completed."""
    command, *words = before.split() or [""]
    if not command:
        return [*COMMANDS, "/help", "/quit"]
    view = talk.session.view
    if command in _ROWS and view.has("ledger"):
        ledger = view.ledger().filter(pl.col("split") == "train")
        wanted = ledger if not _ROWS[command] else ledger.filter(pl.col("status") == _ROWS[command])
        return [id for id in wanted["id"].to_list() if " " not in id]
    if command == "/relabel" and not words:
        return sorted(f'"{label}"' if " " in label else label for label in view.labels().drop_nulls().unique())
    if command in _CLUSTERS and not words and view.has("report"):
        return [str(cluster.cluster) for cluster in view.report().clusters]
    if command == "/try" and talk.proposal is not None:
        return [str(number) for number, _ in enumerate(talk.proposal.alternatives, start=1)]
    return list(_WORDS.get(command, ()))
