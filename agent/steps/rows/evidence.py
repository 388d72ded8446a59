"""The evidence on single rows: what speaks against a row's label, its answer or its text. A round refreshes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ....state import events
from ....state.errors import IntegrityError
from ....state.phrases import Advance, silent
from ....state.values import Values
from ....tools.judge.evidence.discriminant import Labelled
from ....tools.judge.evidence.mislabelled import held_out_support, isolation, label_evidence, like_groups
from ....tools.judge.evidence.pairs import LIMITS, above_median, pair_evidence, suspects
from ....tools.judge.evidence.surprise import surprise
from ....tools.vectors.neighbors import NeighborGraph
from ...decide.facts import rows_key
from ...session import Session
from ...view import View
from ..base import Draft, Step
from ..clean import logged_frame
from ..measured import KeptRows
from ..probed import KnownRows, codes_of, labelled, learns_labels, row_groups
from .pairs import pairs_of, said

LIKE = 0.95  # cosine from which rows are in one fold
CONFIRMED = 0.1  # support of a held-out row's label from which it counts as what it seems


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
    return evidence_on(view, kept.rows, kept.vectors, kept.graph)


def evidence_on(view: View, rows: np.ndarray, vectors: np.ndarray, graph: NeighborGraph) -> pl.DataFrame:
    """What rows say of one another: ``row`` uint32, and for each kind of evidence its figures [n].

    Args:
        rows: positions, uint32 [n], ascending.
        vectors: theirs, float32 [n, d]; ``graph``: the neighbours among them.
    """
    frame = pl.DataFrame({"row": rows})
    groups = like_groups(graph, row_groups(view, rows), LIKE)
    labels = view.labels().gather(rows)
    if labels.null_count() < len(labels) and labels.drop_nulls().n_unique() > 1:
        frame = frame.hstack(label_evidence(vectors, labels, groups, graph, view.seed(8)))
    if view.has("pair_rows"):
        doubt = _pair_doubt(view, rows, groups, isolation(graph, groups))
        frame = frame.join(doubt, on="row", how="left", maintain_order="left")
    elif not learns_labels(view, rows) and not view.has("given_vectors"):
        bits = surprise(view.text(rows), groups, view.seed(8))
        frame = frame.with_columns(surprise=pl.Series(above_median(bits), dtype=pl.Float32))
    return frame


def _pair_doubt(view: View, rows: np.ndarray, groups: np.ndarray, alone: np.ndarray) -> pl.DataFrame:
    """What speaks against pairs: ``row`` uint32, the figures, ``pair_doubt`` (0: nothing, to 3: much) and ``fault``.

    ``rows``: positions, uint32 [n]; ``groups``: of each, integers [n]; ``alone``: how isolated each is, float64 [n].
    """
    pairs = pairs_of(view).of(rows)
    pair = said(view, pairs.rows)
    assert pair is not None
    at = np.searchsorted(rows, pairs.rows)
    found = pair_evidence(*pair, pairs.questions, pairs.answers, groups[at].astype(np.uint32), view.seed(8))
    found = found.with_columns(isolation=pl.Series(alone[at]))
    doubt, fault = np.zeros(found.height, dtype=np.float32), np.full(found.height, None, dtype=object)
    for strength, (name, limit) in enumerate(zip(("keen", "middle", "firm"), _ISOLATED, strict=True), start=1):
        accused = suspects(found, LIMITS[name]).with_columns(off_topic=found["isolation"] > limit)
        for kind in reversed(accused.columns):
            fault[accused[kind].to_numpy()] = kind
        doubt[accused.select(pl.any_horizontal(pl.all())).to_series().to_numpy()] = strength
    figures = found.select("pairing_rank", "broken_off", "boilerplate", "surprise", "isolation").cast(pl.Float32)
    faults = pl.Series("fault", fault.tolist(), dtype=pl.String)
    return figures.with_columns(pl.Series("row", pairs.rows), pl.Series("pair_doubt", doubt), faults)


_ISOLATED = (3.0, 4.0, 5.0)  # robust deviations of the isolation from which a pair is off topic, by strength


def held_out_evidence(view: View, kept: KeptRows) -> pl.DataFrame:
    """The same evidence on the held-out rows, from all kept rows: ``row`` uint32 and ``label_support`` [m], if any."""
    known = KnownRows(kept.rows, kept.vectors)
    return evidence_from(view, known, view.anchor(), np.asarray(view.array("anchor_vectors")))


def evidence_from(view: View, known: KnownRows, rows: np.ndarray, vectors: np.ndarray) -> pl.DataFrame:
    """The same on other held-out positions (uint32 [m], with vectors float32 [m, d])."""
    frame = pl.DataFrame({"row": rows})
    learned = labelled(view, known.rows, known.vectors)
    codes = codes_of(view, rows)
    if not len(np.unique(learned.labels)) > 1:
        return frame
    there, support = codes >= 0, np.full(len(rows), np.nan, dtype=np.float32)
    support[there] = held_out_support(learned, Labelled(vectors[there], codes[there]))
    return frame.with_columns(label_support=pl.Series(support).fill_nan(None))
