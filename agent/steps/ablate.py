"""What each stage of the first separation was worth: the probe with and without it, once, after the baseline."""

from __future__ import annotations

import numpy as np

from ...state.phrases import number
from ...state.progress import silent
from ..session import Session
from .ablation import MOST_ROWS, PutBack, entry, put_back
from .measured import View, probe_rows, row_vectors, view


def ablate(session: Session) -> None:
    """Train the probe again on the rows in force and those that a stage had removed, for each stage that removed any.

    Kind, budget, seeds and anchor are the baseline's, so that the scores are paired with its own. Rows removed as
    copies of a held-out row stay out, because the probe would learn the anchor by heart; see ``agent/steps/ablation.py``.
    Vectors of removed rows go into the cache, not into the pool.
    """
    values = session.state.values
    if not session.config.ablate or "ablated" in values:
        return
    kind, budget = values["probe_kind"], values["probe_budget"]
    labels = session.frame("rows", "label")["label"] if kind == "macro_f1" else None
    chosen = put_back(session.ledger(), labels, session.config)
    seen, table, embedded = view(session), [], {"embedded": 0, "cached": 0}
    with session.step("ablate", session.config.probe.seeds * len(chosen), "trainings") as advance:
        for put in chosen:
            scores = list[float]()
            if len(put.rows):
                rows, vectors, counts = _with(session, seen, put, kind)
                embedded = {name: embedded[name] + counts[name] for name in embedded}
                scores = probe_rows(session, rows, vectors, kind, budget, advance).scores.tolist()
            table.append(entry(put, kind, values["probe_scores"], scores, session.config))
    session.record(
        "ablate",
        values={"ablated": True},
        inputs=["ledger", "text", "vectors", "anchor_vectors"],
        params={"probe": kind, "budget": budget, "most_rows": MOST_ROWS},
        metrics={"stages": table, **embedded},
    )
    for one in table:
        if one["gain"] is not None:
            session.reporter.say(f"{one['stage']}: gain {number(one['gain'])} ({one['verdict']})")


def _with(session: Session, seen: View, put: PutBack, kind: str) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """The rows in force and those put back, ascending (uint32 [n]), their vectors (float32 [n, d]; of no row where the
    probe reads text), and how many were embedded."""
    rows = np.concatenate([seen.rows, put.rows])
    order = np.argsort(rows, kind="stable")
    if kind != "macro_f1":
        return rows[order], seen.vectors[:0], {"embedded": 0, "cached": 0}
    added, counts = row_vectors(session, put.rows, silent)
    return rows[order], np.concatenate([seen.vectors, added])[order], counts
