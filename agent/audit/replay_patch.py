"""What an event may change at all: a table of the roles and values that each step sets, and the order of the steps."""

from __future__ import annotations

from ...state.config import Config
from ...state.events import Event
from ...state.run import RunState
from ..order import following
from .logged import Claim

NOTES = ("start", "resume", "error", "chat")  # events that are no step and change nothing

_LOADED = "rows originals quarantine given_vectors ledger liked liked_vectors taxonomy seeds benchmarks"
_COLUMNS = "shape text_column text_columns label_column id_column source_column"
POOL = frozenset(("pool", "vectors", "neighbor_indices", "neighbor_similarities", "density"))
_TABLES = "synthesis rows text annotations synthetic synthetic_originals"

#: Step → roles and values. ``keep`` and ``undo`` put back what stood before; that is derived exactly elsewhere.
_MAY_SET: dict[str, tuple[str, str]] = {
    "load": (_LOADED, f"ingested quarantined notes {_COLUMNS}"),
    "clean": ("text ledger", ""),
    "language": ("languages ledger", ""),
    "filter": ("annotations verdicts ledger", "profile thresholds"),
    "dedup": ("in_corpus ledger", ""),
    "decontaminate": ("matches ledger", ""),
    "hold_out": ("ledger", "cleaned_rows"),
    "embed": (" ".join([*POOL, "anchor_vectors anchor_radii"]), ""),
    "quality": ("taught endorsed_vectors quality_model quality", "quality quality_of notes"),
    "cluster": ("labels centroids space scores", "clustering state_key"),
    "reduce": ("maps", "maps_of"),
    "score": ("scores report", "doubtful alike"),
    "baseline": ("", "probe_kind probe_budget probe_scores objective"),
    "ablate": ("", "ablated"),
    "critique": ("critiques", "critiqued granularity"),
    "decide": ("", "decision decision_key stop_reason converged"),
    "approve": ("", "answer rejected auto_rounds decision decision_key stop_reason converged"),
    "act": (" ".join([*POOL, _TABLES, "trial_ledger"]), "trial"),
    "measure": (
        " ".join([*POOL, _TABLES, "trial_ledger ledger labels centroids space scores"]),
        "trial offer clustering state_key objective probe_scores thresholds",
    ),
    "train": ("", "models"),
    "quantise": ("", "models"),
    "label": ("row_labels zero_shot", "labelled"),
    "export": ("", "curated_sha256"),
    "publish": ("", ""),
}


def patch_claims(config: Config, state: RunState, event: Event) -> list[Claim]:
    """The event is the one that comes next, and sets nothing but what its step may set."""
    if event.state is None:
        started = event.type == "start"
        return [("kind of event", True, event.type in NOTES), ("beginning", event.seq == 0, started)]
    patch = event.state
    claims: list[Claim] = [
        ("order of the steps", following(config, state), event.type),
        ("number of the round", state.round + 1 if event.type == "embed" else None, patch.round),
    ]
    if event.type in ("keep", "undo"):
        return claims
    roles, values = (set(names.split()) for names in _MAY_SET.get(event.type, ("", "")))
    if event.type == "embed" and "anchor_vectors" in state.artefacts:
        roles -= {"anchor_vectors", "anchor_radii"}
    return [
        *claims,
        ("artefacts it may set", set(), set(patch.artefacts) - roles),
        ("values it may set", set(), set(patch.values) - values),
    ]
