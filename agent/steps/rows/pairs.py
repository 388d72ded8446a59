"""Questions and their answers, embedded apart: without labels, they tell whether an answer fits its question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.values import Role
from ....tools.read.shapes import asked_and_answered
from ...session import Session
from ...synthesis.evidence import shape_of
from ...view import View
from ..base import Draft, Step
from ..measured import text_vectors
from ..probed import learns_labels

PAIR_ROLES: tuple[Role, ...] = ("pair_rows", "question_vectors", "answer_vectors")


class Pairs(NamedTuple):
    """Rows that ask and answer: positions uint32 [n], ascending; the vectors of both, float32 [n, d]."""

    rows: np.ndarray
    questions: np.ndarray
    answers: np.ndarray

    def of(self, rows: np.ndarray) -> Pairs:
        """Those of positions (uint32 [m], ascending) that are among them."""
        at = np.flatnonzero(np.isin(self.rows, rows))
        return Pairs(self.rows[at], np.asarray(self.questions)[at], np.asarray(self.answers)[at])


def pairs_of(view: View) -> Pairs:
    """All rows that have been embedded as pairs."""
    return Pairs(*(view.array(role) for role in PAIR_ROLES))


def said(view: View, rows: np.ndarray) -> tuple[pl.Series, pl.Series] | None:
    """What positions (uint32 [n], ascending, of the input) ask and answer, strings [n] each; None where none does."""
    shape = shape_of(view)
    if not shape.kind or shape.kind == "text" or not shape.columns:
        return None
    found = list[tuple[pl.Series, pl.Series]]()
    names = ["row", *(name for name in shape.columns if name)]
    for batch in pq.ParquetFile(view.path("originals")).iter_batches(columns=names):
        here = np.isin(batch.column("row").to_numpy(zero_copy_only=False), rows)
        pair = asked_and_answered(shape, batch.filter(pl.Series(here).to_arrow()))
        if pair is None:
            return None
        found.append(pair)
    if not found:
        return None
    asked, answered = (pl.concat(parts) for parts in zip(*found, strict=True))
    return asked, answered


@dataclass(frozen=True)
class _Embedded:
    questions: np.ndarray
    answers: np.ndarray
    embedded: int
    cached: int


class EmbedPairs(Step[_Embedded]):
    """Once, where rows ask and answer and most have no label: embed questions and answers apart."""

    name = "embed_pairs"
    takes = "the vectors of questions and of answers"

    def due(self, view: View) -> bool:
        if view.has("pair_rows") or view.has("given_vectors") or learns_labels(view, view.kept()):
            return False
        return view.config.probe.kind in ("auto", "pairs") and said(view, view.kept()[:1]) is not None

    def total(self, view: View) -> int | None:
        return 2 * len(_rows(view))

    def measure(self, session: Session, view: View, advance: Advance) -> _Embedded:
        pair = said(view, _rows(view))
        assert pair is not None
        (questions, one), (answers, other) = (text_vectors(session, text, advance) for text in pair)
        return _Embedded(questions, answers, one[0] + other[0], one[1] + other[1])

    def logged(self, view: View, event: events.EmbedPairs) -> _Embedded:
        questions, answers = (view.store.array(event.state.artefacts[role] or "") for role in PAIR_ROLES[1:])
        return _Embedded(np.asarray(questions), np.asarray(answers), event.embedded, event.cached)

    def derive(self, view: View, measured: _Embedded, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: there are vectors of other rows.
        """
        rows = _rows(view)
        if not len(measured.questions) == len(measured.answers) == len(rows):
            raise IntegrityError("the vectors of questions and answers are of other rows than are kept")
        if measured.embedded + measured.cached > 2 * len(rows):
            raise IntegrityError(f"{measured.embedded} embedded and {measured.cached} cached, of {2 * len(rows)} texts")
        vectors = {"question_vectors": measured.questions, "answer_vectors": measured.answers}
        return Draft(
            artefacts={"pair_rows": rows, **vectors},  # type: ignore[dict-item]
            inputs=("originals", "ledger"),
            fields={"rows": len(rows), "embedded": measured.embedded, "cached": measured.cached},
        )


def _rows(view: View) -> np.ndarray:
    """The rows of the input in force but for the sealed ones: uint32 [n], ascending."""
    rows = np.concatenate([view.kept(), view.anchor()])
    return np.sort(rows[rows < view.values.ingested])
