"""Rows that are near in meaning to some words or to another row, by the vectors that the run itself works with."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import numpy as np
import polars as pl
from pydantic import Field

from ...state.canonical import Json, sha256_bytes
from ...state.errors import UsageError
from ...tools.vectors.embed import Encoder, open_encoder
from ...tools.vectors.encoders.remote import sent_to
from ...tools.vectors.neighbors import unit
from ..decide.proposals import Arguments
from ..steps.measured import embedded_parts, shortened
from ..view import View
from .reader import Reader

_REMEMBERED = 32  # searches
_READ_ROWS = 65_536  # vectors that are looked at together
_SCHEMA = {"row": pl.UInt32, "closeness": pl.Float32}


class Near(Arguments):
    """What rows are to be near to: some words, or a row by its position."""

    text: str = Field("", max_length=2000)
    row: int | None = Field(None, ge=0)


class _Place(NamedTuple):
    vector: np.ndarray  # float32 [d], unit length
    row: int | None  # the row that it is of


class Meaning:
    """Searches by meaning in one run. The run's embedding model is loaded when words are first placed, and once."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._places: OrderedDict[str, _Place] = OrderedDict()
        self._encoder: Encoder | None = None
        self._loading = Lock()

    def about(self, view: View) -> Json:
        """Why words cannot be searched by meaning, and the server they are sent to; None: they can, and to none."""
        given = view.config.load.vector_column
        if given is not None:
            why = f"the vectors are those of the column {given}: no model places words among them"
            return {"why_not": f"{why}; rows like a row are found", "sends": None}
        why_not = None if view.has("pool", "vectors") else "the rows are not embedded yet"
        return {"why_not": why_not, "sends": sent_to(view.config.embed)}

    def place(self, near: Near) -> str:
        """Remember what rows are to be near to; returns the name by which a query asks for them.

        Raises:
            UsageError: the words or the row have no place among the rows.
            RecrystError: the model cannot be loaded, or its server does not answer.
        """
        with self._reader.lock:
            view = self._reader.view()
            why_not = self.about(view)["why_not"]
            if near.row is not None:
                return self._remember(_Place(_vector(view, near.row), near.row))
        if why_not is not None or not near.text.strip():
            raise UsageError(why_not or "say what the rows are to be about")
        with self._loading:  # and not the lock of the reader: the page goes on while the model is loaded
            if self._encoder is None:
                self._encoder = open_encoder(view.config.embed)
            vector = shortened(view, unit(np.asarray(self._encoder.encode([near.text]), dtype=np.float32)))[0]
        return self._remember(_Place(vector, None))

    def _remember(self, place: _Place) -> str:
        name = sha256_bytes(place.vector.tobytes())[:16]
        self._places[name] = place
        self._places.move_to_end(name)
        while len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)
        return name

    def closeness(self, view: View, name: str) -> pl.DataFrame:
        """The cosine of every embedded row to what was remembered: ``row`` uint32, ``closeness`` float32.

        Raises:
            UsageError: it is forgotten.
        """
        if name not in self._places:
            raise UsageError("that search by meaning is forgotten: search again")
        if not view.has("pool", "vectors"):
            return pl.DataFrame(schema=_SCHEMA)
        key = ("closeness", name, view.ref("vectors"), view.ledger().height)
        return self._reader.made(key, lambda: _closeness(view, self._places[name]))


def _vector(view: View, row: int) -> np.ndarray:
    for rows, vectors in embedded_parts(view) if view.has("pool", "vectors") else []:
        at = np.flatnonzero(rows == row)
        if len(at):
            return np.array(vectors[at[0]], dtype=np.float32)
    raise UsageError("that row is not embedded: it went before the rows were, or the run has not come so far")


def _closeness(view: View, place: _Place) -> pl.DataFrame:
    found = []
    for rows, vectors in embedded_parts(view):
        cosines = [vectors[at : at + _READ_ROWS] @ place.vector for at in range(0, len(rows), _READ_ROWS)]
        found.append(pl.DataFrame({"row": rows, "closeness": np.concatenate([np.zeros(0), *cosines])}, schema=_SCHEMA))
    return pl.concat(found).filter(pl.col("row") != place.row if place.row is not None else pl.lit(True))
