"""Where texts that are to become rows land among the rows: measured by the loop, read from the log by the audit."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from ...state.errors import IntegrityError
from ...state.events import Act
from ...state.phrases import Advance
from ...state.values import Role
from ..session import Session
from ..steps.measured import text_vectors
from ..view import View

_DECIMALS = 6  # of a logged cosine, and of the one that decides
_SAME = 3e-6  # a cosine depends a little on how many are taken at a time: what lies so close is the same
_CHUNK = 8192


class Placed(NamedTuple):
    """Where a text landed: its nearest centroid, the cosine to it, and the highest cosine to any row."""

    cluster: int
    cosine: float
    nearest: float


Place = Callable[[list[str]], list[Placed]]
_LOGGED = TypeAdapter(dict[str, Placed])


class Placer:
    """Says where texts land; keeps placements and vectors (unit, float32 [d]) by text.

    ``embedded``: texts that were embedded anew.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self.placed: dict[str, Placed] = {}
        self.vectors: dict[str, np.ndarray] = {}
        self.embedded = 0

    def __call__(self, texts: list[str]) -> list[Placed]:
        """Where texts land, one entry per text."""
        fresh = list(dict.fromkeys(text for text in texts if text not in self.placed))
        if fresh:
            self.placed |= dict(zip(fresh, self._placements(fresh), strict=True))
        return [self.placed[text] for text in texts]

    def logged(self) -> dict[str, list[float]]:
        """The placements as they are logged, sorted by text."""
        return {text: list(one) for text, one in sorted(self.placed.items())}

    def _placements(self, texts: list[str]) -> list[Placed]:
        raise NotImplementedError


class LivePlacer(Placer):
    """Embeds the texts by the run's encoder; ``advance`` is told the texts embedded."""

    def __init__(self, session: Session, advance: Advance) -> None:
        super().__init__(session.view)
        self._session, self._advance = session, advance

    def _placements(self, texts: list[str]) -> list[Placed]:
        vectors, (embedded, _) = text_vectors(self._session, pl.Series("text", texts), self._advance)
        self.embedded += embedded
        self.vectors |= dict(zip(texts, vectors, strict=True))
        return _nearest(self._view, np.asarray(vectors))


class _LoggedPlacer(Placer):
    """Takes placements from the log, but for those of texts whose vector is known: they are derived again."""

    def __init__(self, view: View, placed: Mapping[str, Placed], vectors: dict[str, np.ndarray], embedded: int) -> None:
        super().__init__(view)
        self._logged = placed
        self.vectors, self.embedded = vectors, embedded

    def _placements(self, texts: list[str]) -> list[Placed]:
        found = {text: self._logged[text] for text in texts if text in self._logged}
        known = [text for text in texts if text in self.vectors]
        if known:
            again = _nearest(self._view, np.stack([self.vectors[text] for text in known]))
            found |= {
                text: placed
                for text, placed in zip(known, again, strict=True)
                if text not in found or not _same(placed, found[text])
            }
        if len(found) < len(texts):
            raise IntegrityError("the log does not say where a text landed that the model wrote")
        return [found[text] for text in texts]


def logged_placer(view: View, event: Act) -> Placer:
    """A placer that says what the one of a logged synthesis said; it knows the vectors of the rows that were added.

    Raises:
        IntegrityError: what the event names cannot be read as a synthesis.
    """
    refs = event.state.artefacts
    if refs.get("synthesis") is None:
        return _LoggedPlacer(view, {}, {}, event.embedded)
    try:
        placed = _LOGGED.validate_python(view.store.json(refs["synthesis"] or "")["placed"])
    except (ValidationError, KeyError, TypeError) as error:
        raise IntegrityError("the log does not say where texts landed that the model wrote") from error
    return _LoggedPlacer(view, placed, _added_vectors(view, event), event.embedded)


def _added_vectors(view: View, event: Act) -> dict[str, np.ndarray]:
    """The vectors of the rows that an event added to the pool, by their texts."""
    refs = event.state.artefacts
    roles: tuple[Role, ...] = ("pool", "vectors", "text")
    if not all(refs.get(role) for role in roles):
        return {}
    pool, vectors = (view.store.array(refs[role] or "") for role in roles[:2])
    texts = view.store.frame(refs["text"] or "", ["text"])["text"]
    if vectors.ndim != 2 or pool.shape != vectors.shape[:1]:
        raise IntegrityError("the pool does not have one vector for each of its rows")
    added = np.flatnonzero((pool >= view.ledger().height) & (pool < len(texts)))
    return dict(zip(texts.gather(pool[added]).to_list(), np.asarray(vectors[added]), strict=True))


def _nearest(view: View, vectors: np.ndarray) -> list[Placed]:
    """Nearest centroid and nearest row of unit vectors, float32 [m, d]; the held-out rows count, too.

    A row on top of a held-out one would flatter the measurement that the row is to be judged by.
    """
    cosines = vectors @ np.asarray(view.array("centroids")).T
    own = cosines.argmax(axis=1)
    nearest = np.full(len(vectors), -1.0)
    for rows in (view.array("vectors"), view.array("anchor_vectors")):
        for start in range(0, len(rows), _CHUNK):
            nearest = np.maximum(nearest, (vectors @ np.asarray(rows[start : start + _CHUNK]).T).max(axis=1))
    return [
        Placed(cluster=int(at), cosine=round(float(line[at]), _DECIMALS), nearest=round(float(close), _DECIMALS))
        for at, line, close in zip(own, cosines, nearest, strict=True)
    ]


def _same(one: Placed, other: Placed) -> bool:
    apart = max(abs(one.cosine - other.cosine), abs(one.nearest - other.nearest))
    return one.cluster == other.cluster and apart <= _SAME
