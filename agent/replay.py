"""What follows from the evidence: each event's claims, derived again for the audit."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..state.config import Config
from ..state.decision import Critique, Decision, RoundRecord
from ..state.events import Event
from ..state.report import ClusterReport
from ..state.rows import check_ledger, counts, kept_rows, synthetic_rows
from ..state.run import RunState
from ..state.store import Store
from ..tools.export import content_sha256
from .actions import agreements
from .additions import derived_again
from .candidates import build_candidates
from .caps import refusal, synthetic_bound
from .converge import REJECTED
from .critics import judge
from .decide import converged, decide, pays
from .facts import critique_key, gather_budget, gather_facts
from .llm.client import Model
from .minds import offline_model
from .policies import policy
from .replay_approval import approval_claims, approved, end_claims, offer_claims, override_claims
from .replay_learned import doubtful_rows, label_claims, quality_claims

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
        "quality": _quality,
        "score": _doubtful,
        "critique": _critiques,
        "baseline": _baseline,
        "decide": _decision,
        "act": _act,
        "measure": _verdict,
        "approve": approval_claims,
        "keep": override_claims,
        "undo": override_claims,
        "train": end_claims,
        "label": _labels,
        "export": _export,
    }.get(event.type)
    return claims + derive(store, config, state, history, before, event) if derive else claims


def _critiques(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    report = ClusterReport.model_validate(store.json(state.artefacts["report"]))
    key = critique_key(report)
    if state.values.get("critiqued") == key:  # judged in an earlier round, and nothing has changed since
        return [("critiques", ({}, []), (event.state.artefacts, event.llm))]
    text = store.frame(state.artefacts["text"], ["text"])["text"]
    model = _recorded_model(store, config, event)
    judged = judge(report, config, model, lambda rows: text.gather(rows).fill_null(""))
    derived = [critique.model_dump(mode="json") for critique in judged.critiques]
    granularity = None if judged.granularity is None else judged.granularity.model_dump(mode="json")
    return [
        ("critiques", derived, store.json(event.state.artefacts["critiques"] or "")),
        ("granularity", granularity, event.state.values["granularity"]),
        ("name of what was judged", key, event.state.values["critiqued"]),
        *_calls(model, event),
    ]


def _quality(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    model = _recorded_model(store, config, event)
    return [*quality_claims(store, config, state, event, model), *_calls(model, event)]


def _doubtful(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    assert event.state is not None
    below = (state.values.get("quality") or {}).get("below")
    return [("number of doubtful rows", len(doubtful_rows(store, state, below)), event.state.values["doubtful"])]


def _labels(store: Store, config: Config, state: RunState, *rest: Any) -> list[Claim]:
    event: Event = rest[-1]
    model = _recorded_model(store, config, event)
    return [*label_claims(store, config, state, event, model), *_calls(model, event)]


def _recorded_model(store: Store, config: Config, event: Event) -> Model | None:
    """The language model as it answered the questions of one event; None where the run has none."""
    if config.llm.model is None:
        return None
    return offline_model(store.root.parent / "llm", config, event.llm)


def _calls(model: Model | None, event: Event) -> list[Claim]:
    """The questions that follow from the evidence are those that the event logs."""
    asked = [] if model is None else model.drain()
    return [("questions to the language model", {c.request_sha for c in asked}, {c.request_sha for c in event.llm})]


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
    facts = gather_facts(config, state.values, store.frame(state.artefacts["ledger"]))
    budget = gather_budget(config, history, before)
    candidates = build_candidates(report, critiques, facts, history, config.caps)
    model = _recorded_model(store, config, event)
    again = decide(policy(config.mind("policy"), model), report, critiques, candidates, history, budget)
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
        ("convergence", converged(again) if stops else None, event.state.values.get("converged")),
        *_calls(model, event),
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
    ingested = state.values["ingested"]
    real, gone = (rows[rows < ingested] for rows in (old, removed))
    passed = refusal("the action", real, gone, config.caps.step_fraction, "caps.step_fraction", sources)
    claims: list[Claim] = []
    if "quality_below" in decision.params and event.outcome != "refused":
        doubted = doubtful_rows(store, state, decision.params["quality_below"])
        claims.append(("rows that rules and score doubt", doubted, removed.tolist()))
    model = _recorded_model(store, config, event)
    if decision.action == "synthesise" and model is not None and not state.values.get("rejected"):
        claims += derived_again(store, config, state, event, model)
    return [
        *claims,
        ("action", (decision.action, decision.params), (event.action, event.params)),
        ("cap", None, passed),
        ("share of synthetic rows", True, _in_share(store.frame(event.state.artefacts["trial_ledger"] or ""), config)),
        *_calls(model, event),
        ("number of rows embedded", event.metrics["embedded"], event.state.values["trial"]["embedded"]),
        ("rejection", bool(state.values.get("rejected")), event.state.values["trial"]["refused"] == REJECTED),
        approved(config, state),
    ]


def _in_share(ledger: pl.DataFrame, config: Config) -> bool:
    synthetic = len(synthetic_rows(ledger))
    return synthetic <= synthetic_bound(len(kept_rows(ledger)) - synthetic, config.caps.synthetic_fraction)


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
    if config.approve and record.after is not None:
        claims += offer_claims(store, state, record, event)
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
    row_labels, synthetic = (
        store.frame(state.artefacts[role]) if role in state.artefacts else None for role in ("row_labels", "synthetic")
    )
    derived = content_sha256(ledger, text, labels.select(pl.col("row"), pl.col("cluster")), row_labels, synthetic)
    return [("curated hash", derived, event.metrics["curated_sha256"])]
