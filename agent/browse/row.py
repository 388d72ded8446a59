"""One row in full: what it says, where it stands, its way through the run, and the rows nearest to it."""

from __future__ import annotations

import numpy as np

from ...state.canonical import Json
from ...state.errors import UsageError
from ...state.events import OpenSealed
from ...tools.write.reasons import in_words
from ..account.explain import explain, told
from ..view import View

_NEIGHBOURS = 8
_TEXT = 300  # characters of a neighbour
_LONGEST = 100_000  # characters of a text that are sent


def row(view: View, position: int) -> Json:
    """A row by its position.

    Raises:
        UsageError: there is no such row, or it is sealed still: nothing looks at those before the rounds are over.
    """
    _check(view, position)
    found = explain(view, str(view.ledger()["id"][position]))
    plain, lines = found.plain(), told(found)
    steps = [line.strip() for line in lines if line.startswith("  event ")]
    about = plain["row"]
    text = about["text"] or ""
    about |= {"text": text[:_LONGEST], "characters": len(text)}
    about["standing"] = _standing(view, position)
    if about["status"] == "removed":
        about["why"] = in_words(about["reason"])
    return {
        "row": about,
        "steps": [{"event": step["event"], "said": said} for step, said in zip(plain["steps"], steps, strict=True)],
        "twin": _beside(view, about.get("duplicate_of") or about.get("twin")),
        "neighbours": neighbours(view, position),
    }


def _check(view: View, position: int) -> None:
    opened = any(isinstance(event, OpenSealed) for event in view.events)
    if not view.has("ledger") or not 0 <= position < view.ledger().height:
        raise UsageError(f"there is no row at position {position}")
    if _standing(view, position) == "sealed" and not opened:
        raise UsageError("that row is sealed until the rounds are over")


def _standing(view: View, position: int) -> str:
    """Where it stands, in the words of the rows' table."""
    status, split = view.ledger()["status"][position], view.ledger()["split"][position]
    if status != "kept" or split == "train":
        return str(status)
    return "held out" if split == "anchor" else str(split)


def _beside(view: View, id: str | None) -> Json | None:
    """The row that another repeats; None where it has none or that stands in another file."""
    at = None if id is None else view.ledger()["id"].index_of(id)
    return None if at is None else brief(view, at)


def brief(view: View, at: int) -> Json:
    """The beginning of a row, by its position.

    Raises:
        UsageError: as ``row``.
    """
    _check(view, at)
    text = (view.frame("rows", "text")["text"][at] or "")[:_TEXT]
    return {"row": at, "id": view.ledger()["id"][at], "text": text, "label": view.labels()[at]}


def neighbours(view: View, position: int) -> list[Json]:
    """The rows nearest to one by the cosine of their vectors, the nearest first; none where it is not embedded."""
    if not view.has("pool", "neighbor_indices", "neighbor_similarities"):
        return []
    pool = np.asarray(view.array("pool"))
    place = int(np.searchsorted(pool, position))
    if place == len(pool) or pool[place] != position:
        return []
    indices = np.asarray(view.array("neighbor_indices")[place])
    cosines = np.asarray(view.array("neighbor_similarities")[place])
    near = [(int(pool[at]), float(cosine)) for at, cosine in zip(indices, cosines, strict=True) if 0 <= at < len(pool)]
    return [
        {**brief(view, at), "cosine": round(cosine, 4), "standing": _standing(view, at)}
        for at, cosine in near
        if at != position
    ][:_NEIGHBOURS]
