"""The maps that people look at: PCA at once, the others beside the loop, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state import events
from ...state.params.vectors import ReduceParams
from ...state.phrases import Advance, silent
from ...state.values import Values
from ...tools.vectors.reduce import DIMENSIONS, place, reduce
from ..session import Session
from ..view import View
from .base import Draft, Step
from .clean import logged_frame


@dataclass(frozen=True)
class _Maps:
    """Coordinates of embedded rows, such as ``umap_2d_x`` (float32), and how faithful they are."""

    columns: pl.DataFrame
    trustworthiness: dict[str, float]
    landmarks: int


class Reduce(Step[_Maps | None]):
    """Project every embedded row by PCA once; rows embedded later are placed among them. None: all are there.

    The other maps, which take longer, are begun here and go on beside the loop.
    """

    name = "reduce"
    unit = "maps"
    takes = "the PCA map and its trustworthiness"

    def total(self, view: View) -> int | None:
        return 2

    def measure(self, session: Session, view: View, advance: Advance) -> _Maps | None:
        if session.drawing is not None:
            vectors = view.store.verified_path(_first(view)["vectors"])
            folder = view.run.artifacts / "tmp" / "maps"
            session.drawing.begin(vectors, _others(view), view.config.seed, folder)
        if _projected(view):
            return None
        rows = np.asarray(view.array("vectors"))
        if view.has("maps"):
            return _Maps(_placed(view.frame("maps"), view, rows), {}, 0)
        maps = reduce(rows, ReduceParams(methods=("pca",)), view.config.seed, advance)
        return _Maps(pl.DataFrame(maps.columns()), maps.trustworthiness, maps.landmarks)

    def logged(self, view: View, event: events.Reduce) -> _Maps | None:
        if _projected(view):
            return None
        columns = logged_frame(view, event, "maps").drop("row")
        return _Maps(columns, event.trustworthiness, event.landmarks)

    def derive(self, view: View, measured: _Maps | None, advance: Advance = silent) -> Draft:
        if measured is None:
            return Draft(inputs=("vectors",), fields={"reused": True})
        before = len(view.frame("maps")) if view.has("maps") else None
        pool = pl.Series("row", view.array("pool"))
        placed = 0 if before is None else len(pool) - before
        return Draft(
            artefacts={"maps": measured.columns.select(pool, pl.all())},
            values=Values(maps_of=view.ref("vectors")),
            inputs=("vectors",),
            fields={"placed": placed, "landmarks": measured.landmarks, "trustworthiness": measured.trustworthiness},
        )


class Draw(Step[_Maps]):
    """Draw the maps beside PCA's that are wanted, of the rows that the first round embedded; others are placed."""

    name = "draw"
    unit = "maps"
    takes = "the maps beside PCA's, and their trustworthiness"

    def due(self, view: View) -> bool:
        return bool(_others(view).methods)

    def total(self, view: View) -> int | None:
        return sum(len(DIMENSIONS[method]) for method in _others(view).methods)

    def measure(self, session: Session, view: View, advance: Advance) -> _Maps:
        maps = None if session.drawing is None else session.drawing.maps()
        if maps is None:
            if session.drawing is not None:
                session.reporter.say("the process that was to draw the maps has failed: they are drawn now", "yellow")
            first = np.asarray(view.store.array(_first(view)["vectors"]))
            maps = reduce(first, _others(view), view.config.seed, advance)
        session.drawing = None
        columns = pl.DataFrame(maps.columns())
        pool = np.asarray(view.store.array(_first(view)["pool"]))
        if len(pool) < len(view.array("pool")):
            drawn = columns.select(pl.Series("row", pool), pl.all())
            columns = _placed(drawn, view, np.asarray(view.array("vectors")))
        return _Maps(columns, maps.trustworthiness, maps.landmarks)

    def logged(self, view: View, event: events.Draw) -> _Maps:
        frame = logged_frame(view, event, "maps")
        return _Maps(frame.drop(view.frame("maps").columns), event.trustworthiness, event.landmarks)

    def derive(self, view: View, measured: _Maps, advance: Advance = silent) -> Draft:
        return Draft(
            artefacts={"maps": view.frame("maps").hstack(measured.columns)},
            inputs=("vectors", "maps"),
            fields={"landmarks": measured.landmarks, "trustworthiness": measured.trustworthiness},
        )


def _others(view: View) -> ReduceParams:
    """The maps that are wanted beside PCA's."""
    params = view.config.reduce
    return params.model_copy(update={"methods": tuple(one for one in params.methods if one != "pca")})


def _first(view: View) -> Mapping[str, str]:
    """The references of the rows that the first round embedded, and of their vectors."""
    event = next(event for event in view.events if isinstance(event, events.Embed))
    return {role: str(event.state.artefacts[role]) for role in ("pool", "vectors")}


def _placed(drawn: pl.DataFrame, view: View, vectors: np.ndarray) -> pl.DataFrame:
    """The columns of maps for all embedded rows: those that are not ``drawn`` are placed among those that are."""
    pool, columns = view.array("pool"), drawn.drop("row")
    known = np.isin(pool, drawn["row"].to_numpy())
    whole = np.empty((len(pool), columns.width), dtype=np.float32)
    whole[known] = columns.to_numpy()
    whole[~known] = place(columns.to_numpy(), vectors[known], vectors[~known])
    return pl.DataFrame(whole, schema=columns.schema)


def _projected(view: View) -> bool:
    return view.values.maps_of == view.ref("vectors")
