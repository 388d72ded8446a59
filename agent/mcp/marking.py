"""What a tool returns, as an agent sees it: text of the data is marked as data, cut, and rid of what cannot be seen.

Everything is taken for text of the data but the sentences that code makes, which are named by their key.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from ...state.canonical import Json, plain
from ...state.errors import UsageError
from ..llm.datamark import MARK, marked

#: Keys whose sentences are code's own, made of figures and enumerations.
_OURS = frozenset(("words", "why", "why_not", "reasons", "next", "done", "runs_on"))
_MOST = 200_000  # bytes of an answer


def answer(found: Json) -> str:
    """The JSON that a tool returns.

    Raises:
        UsageError: it is too long.
    """
    told = orjson.dumps(_as_data(plain(found)))
    if len(told) > _MOST:
        raise UsageError("that is too much at once: ask for less, by limit or filters")
    return told.decode()


def _as_data(value: Any, ours: bool = False) -> Any:
    """A JSON value with every text in it marked, keys too, but for those that are ``ours``."""
    if isinstance(value, str):
        return value if ours else marked(value)
    if isinstance(value, dict):
        return {marked(key): _as_data(item, ours or key in _OURS) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_data(item, ours) for item in value]
    return value


def unmarked(text: str) -> str:
    """Words that an agent gives back as it was shown them."""
    return text.replace(MARK, " ")


def shown_rows(found: Any) -> Iterator[int]:
    """The positions of the rows that an answer tells of."""
    if isinstance(found, dict):
        if isinstance(found.get("row"), int) and "text" in found:
            yield found["row"]
        found = list(found.values())
    if isinstance(found, list):
        for item in found:
            yield from shown_rows(item)
