"""The prompt texts, one Markdown file each, and a strict loader.

A file begins with a front matter of ``version: N`` between two lines of ``---``. ``{{name}}`` marks a slot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FRONT = re.compile(r"---\nversion: (\d+)\n---\n(.*)", re.DOTALL)
_SLOT = re.compile(r"\{\{([a-z_]+)\}\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt text. ``reference`` is what the log names it by: ``name@version``."""

    name: str
    version: int
    text: str

    @property
    def reference(self) -> str:
        """The name and the version."""
        return f"{self.name}@{self.version}"

    def render(self, values: Mapping[str, str] | None = None) -> str:
        """The text with every slot filled; what is filled in is not searched for slots again.

        Raises:
            ValueError: a slot has no value, or a value no slot.
        """
        given = dict(values or {})
        slots = set(_SLOT.findall(self.text))
        if slots != set(given):
            raise ValueError(f"prompt {self.name}: the slots are {sorted(slots)}, the values {sorted(given)}")
        return _SLOT.sub(lambda slot: given[slot[1]], self.text)


@cache
def prompt(name: str) -> Prompt:
    """The prompt of that name.

    Raises:
        ValueError: there is none, or its front matter is not as it should be.
    """
    file = files(__name__) / f"{name}.md"
    found = _FRONT.fullmatch(file.read_text(encoding="utf-8")) if file.is_file() else None
    if found is None:
        raise ValueError(f"there is no prompt {name}.md with a front matter of `version: N`")
    return Prompt(name, int(found[1]), found[2].strip())
