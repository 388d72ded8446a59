"""What follows from the evidence: each event's claims, derived again for the audit."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..state.config import Config
from ..state.decision import Critique, RoundRecord
from ..state.events import Event
from ..state.report import ClusterReport
from ..state.rows import check_ledger, counts, kept_rows
from ..state.run import RunState
from ..state.store import Store
from ..tools.export import content_sha256
from .candidates import build_candidates
from .critics import judge
from .decide import converged, decide
from .facts import critique_key, gather_budget, gather_facts, state_key
from .policies import policy
from .replay_approval import approval_claims, end_claims, override_claims
from .replay_calls import asked_claims, recorded_model, silent_claims
from .replay_learned import doubtful_rows, label_claims, quality_claims
from .replay_patch import patch_claims
from .replay_rows import act_claims, measure_claims

Claim = tuple[str, Any, Any]  # what, as derived, as logged

ASKING = ("quality", "critique", "decide", "act", "label")  # steps whose questions follow from the evidence


def replay_event(
    store: Store, config: Config, state: RunState, history: tuple[RoundRecord, ...], before: list[Event], event: Event
) -> list[Claim]:
    """The claims of one event, each derived again from what stood before it.

    Args:
        store: the verified artefacts.
        config: the run's configuration.
        state: the fold of ``before``.
        history: the rounds finished before.
        before: the events before this one.
        event: the event in question.

    Raises:
        IntegrityError: a ledger does not add up.
    """
    claims: list[Claim] = [
        (f"input {item['role']}", state.artefacts.get(item["role"]), item["sha"]) for item in event.inputs
    ]
    claims += patch_claims(config, state, event)
    if event.type not in ASKING or event.metrics.get("reused"):
        claims += silent_claims(event)
    if event.state is None:
        return claims
    ref = event.state.artefacts.get("trial_ledger") or event.state.artefacts.get("ledger")
    if ref:
        ledger = store.frame(ref)
        check_ledger(ledger, {**state.values, **event.state.values}["ingested"])
        if "kept" in event.metrics:
            total = counts(ledger)
            claims.append(("row counts", total, {name: event.metrics.get(name) for name in total}))
    derive = {
        "quality": _quality,
        "cluster": _clustered,
        "reduce": _drawn,
        "score": _doubtful,
        "critique": _critiques,
        "baseline": _baseline,
        "decide": _decision,
        "act": act_claims,
        "measure": measure_claims,
        "approve": approval_claims,
        "keep": override_claims,
        "undo": override_claims,
        "train": end_claims,
        "label": _labels,
        "export": _export,
    }.get(event.type)
    return claims + derive(store, config, state, history, before, event) if derive else claims


def _clustered(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    """The rows in force were clustered, anew only where rows or settings have changed."""
    event: Event = rest[-1]
    assert event.state is not None
    patch, rows = event.state, kept_rows(store.frame(state.artefacts["ledger"]))
    if not patch.values:
        known = state_key(rows, state.values["clustering"]) == state.values["state_key"]
        return [("reuse of the clustering", (True, {}), (known, patch.artefacts))]
    labels = store.frame(patch.artefacts["labels"] or "")
    return [
        ("name of the state", state_key(rows, patch.values["clustering"]), patch.values["state_key"]),
        ("rows that were clustered", rows.tolist(), labels["row"].to_list()),
        ("scores of another clustering", None, patch.artefacts["scores"]),
    ]


def _drawn(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    """The maps show every embedded row, and are drawn anew only where there are more."""
    event: Event = rest[-1]
    assert event.state is not None
    patch, vectors = event.state, state.artefacts["vectors"]
    if not patch.values:
        return [("reuse of the maps", (vectors, {}), (state.values.get("maps_of"), patch.artefacts))]
    return [("vectors of the maps", vectors, patch.values["maps_of"])]


def _critiques(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    report = ClusterReport.model_validate(store.json(state.artefacts["report"]))
    key = critique_key(report)
    if state.values.get("critiqued") == key:  # judged in an earlier round, and nothing has changed since
        return [("critiques", ({}, {}), (event.state.artefacts, event.state.values)), *asked_claims(None, event)]
    text = store.frame(state.artefacts["text"], ["text"])["text"]
    model = recorded_model(store, config, event)
    judged = judge(report, config, model, lambda rows: text.gather(rows).fill_null(""))
    derived = [critique.model_dump(mode="json") for critique in judged.critiques]
    granularity = None if judged.granularity is None else judged.granularity.model_dump(mode="json")
    return [
        ("critiques", derived, store.json(event.state.artefacts["critiques"] or "")),
        ("granularity", granularity, event.state.values["granularity"]),
        ("name of what was judged", key, event.state.values["critiqued"]),
        ("actor", "rules" if config.mind("critic") == "rules" else "agent", event.actor),
        *asked_claims(model, event),
    ]


def _quality(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    model = recorded_model(store, config, event)
    return [*quality_claims(store, config, state, event, model), *asked_claims(model, event)]


def _doubtful(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    below = (state.values.get("quality") or {}).get("below")
    return [("number of doubtful rows", len(doubtful_rows(store, state, below)), event.state.values["doubtful"])]


def _labels(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    model = recorded_model(store, config, event)
    return [*label_claims(store, config, state, event, model), *asked_claims(model, event)]


def _baseline(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    values = event.state.values
    measured = (event.metrics["objective"], event.metrics["probe_scores"], event.params)
    named = {"probe": values["probe_kind"], "budget": values["probe_budget"]}
    return [("objective", measured, (values["objective"], values["probe_scores"], named))]


def _decision(
    store: Store,
    config: Config,
    state: RunState,
    history: tuple[RoundRecord, ...],
    before: list[Event],
    event: Event,
) -> list[Claim]:
    """Facts, budget, candidates, and the decision with all it says."""
    assert event.state is not None
    report = ClusterReport.model_validate(store.json(state.artefacts["report"]))
    critiques = tuple(Critique.model_validate(item) for item in store.json(state.artefacts["critiques"]))
    facts = gather_facts(config, state.values, store.frame(state.artefacts["ledger"]))
    budget = gather_budget(config, history, before)
    candidates = build_candidates(report, critiques, facts, history, config.caps)
    model = recorded_model(store, config, event)
    again = decide(policy(config.mind("policy"), model), report, critiques, candidates, history, budget)
    stops = again.action == "stop"
    chosen = next(candidate for candidate in candidates if candidate.id == again.candidate)
    values = {"decision", "decision_key", *(("stop_reason", "converged") if stops else ())}
    return [
        ("facts", facts.model_dump(mode="json"), event.metrics["facts"]),
        ("budget", budget.model_dump(), event.budget),
        ("candidates", [candidate.model_dump(mode="json") for candidate in candidates], event.candidates),
        ("action", (again.action, again.params), (event.action, event.params)),
        ("reasons", list(again.reasons), event.reasons),
        ("rejections", [rejected.model_dump() for rejected in again.rejected], event.rejected),
        ("decision", again.model_dump(mode="json"), event.state.values["decision"]),
        ("name of the action", chosen.key, event.state.values["decision_key"]),
        ("values", values, set(event.state.values)),
        ("actor", "rules" if config.mind("policy") == "rules" else "agent", event.actor),
        ("stop", "; ".join(again.reasons) if stops else None, event.state.values.get("stop_reason")),
        ("convergence", converged(again) if stops else None, event.state.values.get("converged")),
        *asked_claims(model, event),
    ]


def _export(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    ledger, labels = store.frame(state.artefacts["ledger"]), store.frame(state.artefacts["labels"])
    text = store.frame(state.artefacts["text"], ["text"])["text"].fill_null("")
    row_labels, synthetic = (
        store.frame(state.artefacts[role]) if role in state.artefacts else None for role in ("row_labels", "synthetic")
    )
    derived = content_sha256(ledger, text, labels.select(pl.col("row"), pl.col("cluster")), row_labels, synthetic)
    assert event.state is not None
    logged = {event.metrics["curated_sha256"], event.state.values["curated_sha256"]}
    return [("curated hash", {derived}, logged)]
