"""What follows from the evidence: each event's claims, derived again for the audit."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..state.config import Config
from ..state.decision import Critique, Decision, RoundRecord
from ..state.events import Event
from ..state.report import ClusterReport
from ..state.rows import check_ledger, counts, kept_rows
from ..state.run import RunState
from ..state.store import Store
from ..tools.export import content_sha256
from .actions import agreements
from .candidates import build_candidates
from .caps import refusal
from .critics.rules import critique as rules_critique
from .decide import SPENT, decide, pays
from .facts import gather_budget, gather_facts
from .policies import policy

Claim = tuple[str, Any, Any]  # what, as derived, as logged


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
        "critique": _critiques,
        "baseline": _baseline,
        "decide": _decision,
        "act": _act,
        "measure": _verdict,
        "export": _export,
    }.get(event.type)
    return claims + derive(store, config, state, history, before, event) if derive else claims


def _critiques(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    report = ClusterReport.model_validate(store.json(state.artefacts["report"]))
    derived = [critique.model_dump(mode="json") for critique in rules_critique(report, config.critique)]
    return [("critiques", derived, store.json(event.state.artefacts["critiques"] or ""))]


def _baseline(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    return [("objective", event.metrics["objective"], event.state.values["objective"])]


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
    facts = gather_facts(state.values, store.frame(state.artefacts["ledger"]))
    budget = gather_budget(config.stop, config.objective, history, before)
    candidates = build_candidates(report, critiques, facts, history, config.caps)
    again = decide(policy(config.policy), report, critiques, candidates, history, budget)
    stops = again.action == "stop"
    return [
        ("facts", facts.model_dump(mode="json"), event.metrics["facts"]),
        ("budget", budget.model_dump(), event.budget),
        ("candidates", [candidate.model_dump(mode="json") for candidate in candidates], event.candidates),
        ("action", (again.action, again.params), (event.action, event.params)),
        ("reasons", list(again.reasons), event.reasons),
        ("rejections", [rejected.model_dump() for rejected in again.rejected], event.rejected),
        ("decision", again.model_dump(mode="json"), event.state.values["decision"]),
        ("stop", "; ".join(again.reasons) if stops else None, event.state.values.get("stop_reason")),
        ("convergence", again.reasons != SPENT if stops else None, event.state.values.get("converged")),
    ]


def _act(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    """It did what was decided, and stayed within the caps."""
    event: Event = rest[-1]
    assert event.state is not None
    decision = Decision.model_validate(state.values["decision"])
    old, new = (
        kept_rows(store.frame(ref)) for ref in (state.artefacts["ledger"], event.state.artefacts["trial_ledger"]) if ref
    )
    removed = np.setdiff1d(old, new)
    sources = None
    if state.values.get("source_column") is not None:
        sources = store.frame(state.artefacts["rows"], ["source"])["source"]
    passed = refusal("the action", old, removed, config.caps.step_fraction, "caps.step_fraction", sources)
    return [
        ("action", (decision.action, decision.params), (event.action, event.params)),
        ("cap", None, passed),
        ("number of rows embedded", event.metrics["embedded"], event.state.values["trial"]["embedded"]),
    ]


def _verdict(
    store: Store,
    config: Config,
    state: RunState,
    history: tuple[RoundRecord, ...],
    before: list[Event],
    event: Event,
) -> list[Claim]:
    """The verdict, what it put in force, and what the record says of the round."""
    assert event.state is not None
    record = RoundRecord.model_validate(event.metrics["record"])
    verdict = None if record.after is None else pays(record.before, record.after, config.objective)
    outcome = "refused" if verdict is None else verdict.outcome
    patch = event.state
    ledger = store.frame(state.artefacts["trial_ledger" if outcome == "kept" else "ledger"])
    begun = max(earlier.seq for earlier in before if earlier.type == "embed")
    embedded = sum(int(earlier.metrics.get("embedded", 0)) for earlier in before[begun:])
    claims: list[Claim] = [
        ("objective before", record.before.model_dump(mode="json"), state.values["objective"]),
        ("verdict", verdict, record.verdict),
        ("outcome", {outcome}, {record.outcome, event.outcome}),
        ("refusal", bool(state.values["trial"]["refused"]), outcome == "refused"),
        ("kept rows", counts(ledger)["kept"], record.kept),
        ("number of rows embedded", embedded, record.embedded),
        ("ledger", state.artefacts["trial_ledger"] if outcome == "kept" else None, patch.artefacts.get("ledger")),
    ]
    if outcome == "kept" and record.after is not None:
        old, new = store.frame(state.artefacts["labels"]), store.frame(patch.artefacts["labels"] or "")
        agree = agreements(old, new, kept_rows(store.frame(state.artefacts["ledger"])), kept_rows(ledger))
        logged = (record.label_agreement, record.keep_agreement)
        claims += [
            ("objective in force", record.after.model_dump(mode="json"), patch.values["objective"]),
            ("agreements", tuple(round(value, 6) for value in agree), logged),
        ]
    return claims


def _export(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    ledger, labels = store.frame(state.artefacts["ledger"]), store.frame(state.artefacts["labels"])
    text = store.frame(state.artefacts["text"], ["text"])["text"].fill_null("")
    derived = content_sha256(ledger, text, labels.select(pl.col("row"), pl.col("cluster")))
    return [("curated hash", derived, event.metrics["curated_sha256"])]
