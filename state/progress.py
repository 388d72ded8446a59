"""How a tool says how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Advance = Callable[[int], None]


def silent(done: int) -> None:
    """The listener of whoever does not want to know; ``done`` is the number of items finished since the last call."""
