"""What follows from the evidence: each event's claims, derived again for the audit."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from ...state.decision import Critique
from ...state.report import ClusterReport
from ...state.rows import check_ledger, counts, kept_rows
from ...tools.write.export import content_sha256
from ..decide.candidates import build_candidates
from ..decide.critic import judge
from ..decide.decide import decide, ends_converged
from ..decide.facts import critique_key, gather_budget, gather_facts, state_key
from ..decide.policy import policy
from ..steps.ablation import ablation_claims
from ..steps.measured import neighbors_among
from ..steps.removals import alike
from .bills import asked_claims, recorded_model, silent_claims
from .logged import Claim, Logged
from .replay_approval import approval_claims, end_claims, override_claims
from .replay_learned import doubtful_rows, label_claims, quality_claims
from .replay_patch import patch_claims
from .replay_rows import act_claims, measure_claims
from .replay_separation import (
    clean_claims,
    contamination_claims,
    dedup_claims,
    filter_claims,
    hold_out_claims,
    language_claims,
)

ASKING = ("quality", "critique", "decide", "act", "label")  # steps whose questions follow from the evidence


def replay_event(at: Logged) -> list[Claim]:
    """The claims of one event, each derived again from what stood before it.

    Raises:
        IntegrityError: a ledger does not add up.
    """
    event = at.event
    claims: list[Claim] = [
        (f"input {item['role']}", at.state.artefacts.get(item["role"]), item["sha"]) for item in event.inputs
    ]
    claims += patch_claims(at.config, at.state, event)
    if event.type not in ASKING or event.metrics.get("reused"):
        claims += silent_claims(event)
    if event.state is None:
        return claims
    ref = at.patch.artefacts.get("trial_ledger") or at.patch.artefacts.get("ledger")
    if ref:
        ledger = at.store.frame(ref)
        check_ledger(ledger, {**at.state.values, **at.patch.values}["ingested"])
        if "kept" in event.metrics:
            total = counts(ledger)
            claims.append(("row counts", total, {name: event.metrics.get(name) for name in total}))
    derive = _DERIVE.get(event.type)
    return claims + derive(at) if derive else claims


def _clustered(at: Logged) -> list[Claim]:
    """The rows in force were clustered, anew only where rows or settings have changed."""
    patch, rows = at.patch, kept_rows(at.store.frame(at.state.artefacts["ledger"]))
    if not patch.values:
        known = state_key(rows, at.state.values["clustering"]) == at.state.values["state_key"]
        return [("reuse of the clustering", (True, {}), (known, patch.artefacts))]
    labels = at.store.frame(patch.artefacts["labels"] or "")
    return [
        ("name of the state", state_key(rows, patch.values["clustering"]), patch.values["state_key"]),
        ("rows that were clustered", rows.tolist(), labels["row"].to_list()),
        ("scores of another clustering", None, patch.artefacts["scores"]),
    ]


def _drawn(at: Logged) -> list[Claim]:
    """The maps show every embedded row, and are drawn anew only where there are more."""
    patch, vectors = at.patch, at.state.artefacts["vectors"]
    if not patch.values:
        return [("reuse of the maps", (vectors, {}), (at.state.values.get("maps_of"), patch.artefacts))]
    return [("vectors of the maps", vectors, patch.values["maps_of"])]


def _critiques(at: Logged) -> list[Claim]:
    report = ClusterReport.model_validate(at.store.json(at.state.artefacts["report"]))
    key = critique_key(report)
    if at.state.values.get("critiqued") == key:  # judged in an earlier round, and nothing has changed since
        return [("critiques", ({}, {}), (at.patch.artefacts, at.patch.values)), *asked_claims(None, at.event)]
    text = at.store.frame(at.state.artefacts["text"], ["text"])["text"]
    model = recorded_model(at.store, at.config, at.event)
    judged = judge(report, at.config, model, lambda rows: text.gather(rows).fill_null(""))
    derived = [critique.model_dump(mode="json") for critique in judged.critiques]
    granularity = None if judged.granularity is None else judged.granularity.model_dump(mode="json")
    return [
        ("critiques", derived, at.store.json(at.patch.artefacts["critiques"] or "")),
        ("granularity", granularity, at.patch.values["granularity"]),
        ("name of what was judged", key, at.patch.values["critiqued"]),
        ("actor", "rules" if at.config.mind("critic") == "rules" else "agent", at.event.actor),
        *asked_claims(model, at.event),
    ]


def _quality(at: Logged) -> list[Claim]:
    model = recorded_model(at.store, at.config, at.event)
    return [*quality_claims(at, model), *asked_claims(model, at.event)]


def _scored(at: Logged) -> list[Claim]:
    """How many rows two candidates would take out."""
    below = (at.state.values.get("quality") or {}).get("below")
    rows = kept_rows(at.store.frame(at.state.artefacts["ledger"]))
    _, graph = neighbors_among(at.store, at.state, rows)
    repeats = alike(at.store, at.state, at.config.semantic, rows, graph)
    return [
        ("number of doubtful rows", len(doubtful_rows(at.store, at.state, below)), at.patch.values["doubtful"]),
        ("number of rows that say what another says", len(repeats.rows), at.patch.values["alike"]),
    ]


def _labels(at: Logged) -> list[Claim]:
    model = recorded_model(at.store, at.config, at.event)
    return [*label_claims(at, model), *asked_claims(model, at.event)]


def _baseline(at: Logged) -> list[Claim]:
    values = at.patch.values
    measured = (at.event.metrics["objective"], at.event.metrics["probe_scores"], at.event.params)
    named = {"probe": values["probe_kind"], "budget": values["probe_budget"]}
    return [("objective", measured, (values["objective"], values["probe_scores"], named))]


def _decision(at: Logged) -> list[Claim]:
    """Facts, budget, candidates, and the decision with all it says."""
    report = ClusterReport.model_validate(at.store.json(at.state.artefacts["report"]))
    critiques = tuple(Critique.model_validate(item) for item in at.store.json(at.state.artefacts["critiques"]))
    facts = gather_facts(at.config, at.state.values, at.store.frame(at.state.artefacts["ledger"]))
    budget = gather_budget(at.config, at.history, at.before)
    candidates = build_candidates(report, critiques, facts, at.history, at.config.caps)
    model = recorded_model(at.store, at.config, at.event)
    again = decide(policy(at.config.mind("policy"), model), report, critiques, candidates, at.history, budget)
    stops = again.action == "stop"
    chosen = next(candidate for candidate in candidates if candidate.id == again.candidate)
    values = {"decision", "decision_key", *(("stop_reason", "converged") if stops else ())}
    return [
        ("facts", facts.model_dump(mode="json"), at.event.metrics["facts"]),
        ("budget", budget.model_dump(), at.event.budget),
        ("candidates", [candidate.model_dump(mode="json") for candidate in candidates], at.event.candidates),
        ("action", (again.action, again.params), (at.event.action, at.event.params)),
        ("reasons", list(again.reasons), at.event.reasons),
        ("rejections", [rejected.model_dump() for rejected in again.rejected], at.event.rejected),
        ("decision", again.model_dump(mode="json"), at.patch.values["decision"]),
        ("name of the action", chosen.key, at.patch.values["decision_key"]),
        ("values", values, set(at.patch.values)),
        ("actor", "rules" if at.config.mind("policy") == "rules" else "agent", at.event.actor),
        ("stop", "; ".join(again.reasons) if stops else None, at.patch.values.get("stop_reason")),
        ("convergence", ends_converged(again) if stops else None, at.patch.values.get("converged")),
        *asked_claims(model, at.event),
    ]


def _export(at: Logged) -> list[Claim]:
    ledger, labels = at.store.frame(at.state.artefacts["ledger"]), at.store.frame(at.state.artefacts["labels"])
    text = at.store.frame(at.state.artefacts["text"], ["text"])["text"].fill_null("")
    row_labels, synthetic = (
        at.store.frame(at.state.artefacts[role]) if role in at.state.artefacts else None
        for role in ("row_labels", "synthetic")
    )
    derived = content_sha256(ledger, text, labels.select(pl.col("row"), pl.col("cluster")), row_labels, synthetic)
    logged = {at.event.metrics["curated_sha256"], at.patch.values["curated_sha256"]}
    return [("curated hash", {derived}, logged)]


_DERIVE: dict[str, Callable[[Logged], list[Claim]]] = {
    "clean": clean_claims,
    "language": language_claims,
    "filter": filter_claims,
    "dedup": dedup_claims,
    "decontaminate": contamination_claims,
    "hold_out": hold_out_claims,
    "quality": _quality,
    "cluster": _clustered,
    "reduce": _drawn,
    "score": _scored,
    "critique": _critiques,
    "baseline": _baseline,
    "ablate": ablation_claims,
    "decide": _decision,
    "act": act_claims,
    "measure": measure_claims,
    "approve": approval_claims,
    "keep": override_claims,
    "undo": override_claims,
    "train": end_claims,
    "label": _labels,
    "export": _export,
}
