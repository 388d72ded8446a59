"""Recryst: an agent that refines a training set, measures whether each action paid, and keeps the record.

``run = recryst.refine(table, label_column="intent")`` refines a table or file; ``recryst.open("runs/x")`` reads a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agent.start import Run, open, refine

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "open", "refine"]


def __getattr__(name: str) -> Any:
    """What is imported when it is first used: importing the package alone takes no time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .agent import start

    return getattr(start, name)


def __dir__() -> list[str]:
    """The names a notebook completes."""
    return [*globals(), *__all__]
