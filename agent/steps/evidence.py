"""The evidence on single rows: what speaks against a row's label, its answer or its text. A round refreshes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state import events
from ...state.errors import IntegrityError
from ...state.phrases import Advance, silent
from ...state.values import Values
from ...tools.judge.evidence.discriminant import Labelled
from ...tools.judge.evidence.mislabelled import held_out_support, label_evidence, like_groups
from ..decide.facts import rows_key
from ..session import Session
from ..view import View
from .base import Draft, Step
from .clean import logged_frame
from .measured import KeptRows, codes_of, labelled

_LIKE = 0.95  # cosine from which rows are in one fold


@dataclass(frozen=True)
class _Found:
    """``row`` and one column per kind of evidence."""

    frame: pl.DataFrame


class Evidence(Step[_Found | None]):
    """Gather the evidence on every kept row, from rows that are no copies of it. None: it stands as it was."""

    name = "evidence"
    takes = "the evidence on single rows: how well labels, answers and texts are borne out by the others"

    def measure(self, session: Session, view: View, advance: Advance) -> _Found | None:
        return None if _standing(view) else _Found(gathered(view))

    def logged(self, view: View, event: events.Evidence) -> _Found | None:
        return None if _standing(view) else _Found(logged_frame(view, event, "evidence"))

    def derive(self, view: View, measured: _Found | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the evidence is of other rows.
        """
        if measured is None:
            return Draft(inputs=("ledger", "vectors"), fields={"reused": True})
        rows = view.kept()
        if not np.array_equal(measured.frame["row"].to_numpy(), rows):
            raise IntegrityError("the evidence is of other rows than are kept")
        kinds = tuple(name for name in measured.frame.columns if name != "row")
        return Draft(
            artefacts={"evidence": measured.frame},
            values=Values(evidence_of=rows_key(view, rows)),
            inputs=("ledger", "vectors", "groups"),
            fields={"rows": len(rows), "kinds": kinds},
        )


def _standing(view: View) -> bool:
    return view.values.evidence_of == rows_key(view, view.kept())


def gathered(view: View) -> pl.DataFrame:
    """The evidence on the kept rows: ``row`` uint32, and for each kind its figures [n]."""
    kept = KeptRows.of(view)
    frame = pl.DataFrame({"row": kept.rows})
    groups = like_groups(kept.graph, row_groups(view, kept.rows), _LIKE)
    labels = view.labels().gather(kept.rows)
    if labels.null_count() < len(labels) and labels.drop_nulls().n_unique() > 1:
        found = label_evidence(kept.vectors, labels, groups, kept.graph, view.seed(8))
        frame = frame.hstack(found)
    return frame


def held_out_evidence(view: View, kept: KeptRows) -> pl.DataFrame:
    """The same evidence on the held-out rows, from all kept rows: ``row`` uint32 and ``label_support`` [m], if any."""
    anchor = view.anchor()
    frame = pl.DataFrame({"row": anchor})
    known = labelled(view, kept.rows, kept.vectors)
    codes = codes_of(view, anchor)
    if not len(np.unique(known.labels)) > 1:
        return frame
    there, support = codes >= 0, np.full(len(anchor), np.nan, dtype=np.float32)
    vectors = np.asarray(view.array("anchor_vectors"))
    support[there] = held_out_support(known, Labelled(vectors[there], codes[there]))
    return frame.with_columns(label_support=pl.Series(support).fill_nan(None))


def row_groups(view: View, rows: np.ndarray) -> np.ndarray:
    """The group of each position (uint32 [n]), uint32 [n]; a synthetic row is a group of its own."""
    groups = np.asarray(view.array("groups"))
    own = rows >= len(groups)
    return np.where(own, rows, groups[np.where(own, 0, rows)])
