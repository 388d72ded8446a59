"""When the rounds are over, the held-out rows are judged like the rest: they came from the same crude set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ....state import events
from ....state.actions import Relabel, RemoveMarked, RemoveSuspects
from ....state.errors import IntegrityError
from ....state.phrases import Advance, counted, silent
from ....state.rows import Removal, counts, remove_rows
from ....state.values import Role
from ....tools.vectors.neighbors import neighbor_graph
from ...decide.person import pinned
from ...decide.suspects import by_fault, marked_among, past_limit
from ...decide.undo import standing_actions
from ...session import Session
from ...view import View
from ..base import Content, Draft, Step
from ..clean import logged_frame
from ..measured import KeptRows
from .evidence import evidence_on
from .removals import changed_labels


@dataclass(frozen=True)
class _Found:
    """``row`` and one column per kind of evidence, of the held-out rows."""

    frame: pl.DataFrame


class JudgeHeldOut(Step[_Found | None]):
    """Take out of the held-out rows what the actions that stand took out of the others, by the same limits.

    They have measured what they had to measure; left as they are, a fifth of the faults would stay in the curated set,
    or with the sealed rows, whose score was taken before, nearly a third. None: only marks were gone by.
    """

    name = "judge_held_out"
    takes = "the evidence on the held-out rows"

    def due(self, view: View) -> bool:
        return bool(_actions(view) or _marks(view)) and len(view.held_out()) > 0

    def measure(self, session: Session, view: View, advance: Advance) -> _Found | None:
        if not _actions(view):
            return None
        kept, sealed = KeptRows.of(view), view.sealed()
        rows = np.concatenate([kept.rows, view.anchor(), sealed])
        order = np.argsort(rows, kind="stable")
        roles: tuple[Role, ...] = ("anchor_vectors", "sealed_vectors") if len(sealed) else ("anchor_vectors",)
        vectors = np.concatenate([kept.vectors, *(np.asarray(view.array(role)) for role in roles)])[order]
        graph = neighbor_graph(vectors, view.config.neighbors, view.config.seed)
        found = evidence_on(view, rows[order], vectors, graph)
        return _Found(found.filter(pl.col("row").is_in(view.held_out())))

    def logged(self, view: View, event: events.JudgeHeldOut) -> _Found | None:
        return _Found(logged_frame(view, event, "anchor_evidence")) if _actions(view) else None

    def derive(self, view: View, measured: _Found | None, advance: Advance = silent) -> Draft:
        """As for every step.

        Raises:
            IntegrityError: the evidence is of other rows.
        """
        held_out = view.held_out()
        evidence = pl.DataFrame({"row": held_out}) if measured is None else measured.frame
        if not np.array_equal(evidence["row"].to_numpy(), held_out):
            raise IntegrityError("the evidence is of other rows than are held out")
        ledger, labels, gone = view.ledger(), changed_labels(view), held_out[:0]
        before, told = labels.height, pinned(view)
        for action in _actions(view):
            left = evidence.filter(~pl.col("row").is_in(gone) & ~pl.col("row").is_in(labels["row"].implode()))
            left = left.filter(~pl.col("row").is_in(told))
            removal = past_limit(left, action)
            if isinstance(action, Relabel):
                named = left.filter(pl.col("row").is_in(removal.rows) & pl.col("other_label").is_not_null())
                labels = pl.concat([labels, named.select("row", label="other_label")]).sort("row")
                stays = np.isin(removal.rows, named["row"].to_numpy())
                score = None if removal.score is None else removal.score[~stays]
                removal = Removal(removal.reason, removal.rows[~stays], score, removal.threshold)
            for part in by_fault(left, removal):
                ledger = remove_rows(ledger, part, self.name, view.seq)
            gone = np.concatenate([gone, removal.rows])
        for mark in _marks(view):
            stay = np.concatenate([view.kept(), np.setdiff1d(held_out, gone)])
            open_rows = np.setdiff1d(held_out, np.concatenate([gone, labels["row"].to_numpy()]))
            removal = marked_among(view, mark, open_rows, stay)
            ledger = remove_rows(ledger, removal, self.name, view.seq)
            gone = np.concatenate([gone, removal.rows])
        tables: dict[Role, Content] = {"ledger": ledger}
        if measured is not None:
            tables["anchor_evidence"] = evidence
        if labels.height > before:
            tables["relabelled"] = labels
        line = f"{counted(len(gone), 'held-out row')} of {len(held_out):,} removed"
        if labels.height > before:
            line += f" and {labels.height - before:,} relabelled"
        return Draft(
            artefacts=tables,
            inputs=("ledger", "anchor_vectors"),
            fields={"counts": counts(ledger), "removed": len(gone), "relabelled": labels.height - before},
            changed=len(gone),
            lines=((f"{line}, by the limits of the actions that stand", ""),),
        )


def _actions(view: View) -> list[RemoveSuspects | Relabel]:
    """The actions in force that went by evidence on single rows, in order."""
    return [action for action in standing_actions(view) if isinstance(action, RemoveSuspects | Relabel)]


def _marks(view: View) -> list[RemoveMarked]:
    """The marks that actions in force went by, in order; but for those that took as many rows as were asked for."""
    return [
        action for action in standing_actions(view) if isinstance(action, RemoveMarked) and action.target_rows is None
    ]
