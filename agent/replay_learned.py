"""What follows from the evidence about quality scores and labels, derived again for the audit.

What a model of embeddings or of natural language inference says is taken as logged; what follows from it is not, nor is
what the language model is recorded to have answered.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..state.config import Config
from ..state.events import Event
from ..state.rows import kept_rows
from ..state.run import RunState
from ..state.store import Store
from ..tools.quality import better_than_chance
from ..tools.taxonomy import taxonomy_of
from .facts import doubtful
from .labelling import label_rows, tally, with_rows
from .llm.client import Model
from .steps.quality import lowest, pool_scores
from .teacher import taught

Claim = tuple[str, Any, Any]  # what, as derived, as logged

_LAST_BITS = 2e-3  # of a score of 5, for sums on another machine


def quality_claims(store: Store, config: Config, state: RunState, event: Event, model: Model | None) -> list[Claim]:
    """The teacher's scores, which classifiers count, what they predict, and the score that counts as low."""
    assert event.state is not None
    now = {**state.artefacts, **event.state.artefacts}
    claims: list[Claim] = []
    if (ref := event.state.artefacts.get("taught")) and model is not None:
        text = store.frame(state.artefacts["text"], ["text"])["text"]
        scored = taught(model, config, kept_rows(store.frame(state.artefacts["ledger"])), text)
        claims.append(("teacher's scores", scored.to_dict(as_series=False), store.frame(ref).to_dict(as_series=False)))
    if (learned := event.metrics.get("learned")) is not None:
        used = [name for name, figures in sorted(learned.items()) if better_than_chance(figures)]
        claims.append(("classifiers in use", used, event.state.values["quality"]["used"]))
    if (ref := event.state.artefacts.get("quality")) is not None:
        stored = store.frame(ref)
        again = pool_scores(
            store.array(now["quality_model"] or ""), *(store.array(now[r] or "") for r in ("pool", "vectors"))
        )
        alike = again["row"].equals(stored["row"]) and bool(
            np.allclose(again["score"].to_numpy(), stored["score"].to_numpy(), rtol=0, atol=_LAST_BITS)
        )
        claims.append(("predicted quality", True, alike))
        if learned is not None:
            claims.append(("lowest tenth", lowest(stored), event.state.values["quality"]["below"]))
    return claims


def doubtful_rows(store: Store, state: RunState, below: float | None) -> list[int]:
    """The kept rows that the quality rules suspect and that score below ``below``: positions, ascending."""
    if "quality" not in state.artefacts:
        return []
    kept = kept_rows(store.frame(state.artefacts["ledger"]))
    annotations, scores = store.frame(state.artefacts["annotations"]), store.frame(state.artefacts["quality"])
    found: list[int] = doubtful(state.values, annotations, scores, kept, below).rows.tolist()
    return found


def label_claims(store: Store, config: Config, state: RunState, event: Event, model: Model | None) -> list[Claim]:
    """The labels, from the rules, what the zero-shot model said, and the recorded answers of the language model."""
    assert event.state is not None
    taxonomy = taxonomy_of(store.json(state.artefacts["taxonomy"]))
    ledger = store.frame(state.artefacts["ledger"])
    rows = np.sort(np.concatenate([kept_rows(ledger), kept_rows(ledger, "anchor")]))
    text = store.frame(state.artefacts["text"], ["text"])["text"].gather(rows).fill_null("")
    said = event.state.artefacts.get("zero_shot")
    zero_shot = None if said is None else store.frame(said)
    again, _ = label_rows(text, taxonomy, config, None if zero_shot is None else lambda text: zero_shot, model)
    stored = store.frame(event.state.artefacts["row_labels"] or "")
    return [
        ("labels", with_rows(again, rows).to_dict(as_series=False), stored.to_dict(as_series=False)),
        ("figures of the labels", tally(again, taxonomy), event.state.values["labelled"]),
    ]
