"""What an action did to the rows and what its measurement put in force, derived again for the audit."""

from __future__ import annotations

import polars as pl

from ...state.config import Config
from ...state.decision import Decision, RoundRecord
from ...state.rows import counts, kept_rows, synthetic_rows
from ..decide.caps import synthetic_bound, within_share
from ..decide.decide import REJECTED, pays
from ..decide.facts import state_key
from ..steps.actions import agreements, aims
from ..steps.removals import changed
from ..synthesis.tables import derived_again
from .bills import asked_claims, recorded_model
from .logged import Claim, Logged
from .replay_approval import approved, offer_claims
from .replay_patch import POOL


def act_claims(at: Logged) -> list[Claim]:
    """It did what was decided, to the rows that follow, within the caps; or was refused for a reason that follows."""
    patch, trial = at.patch, at.patch.values["trial"]
    decision = Decision.model_validate(at.state.values["decision"])
    old, new = at.store.frame(at.state.artefacts["ledger"]), at.store.frame(patch.artefacts["trial_ledger"] or "")
    model = recorded_model(at.store, at.config, at.event)
    claims: list[Claim] = []
    refused, roles = None, set[str]()
    if at.state.values.get("rejected"):
        refused, ledger = REJECTED, old
    elif decision.action == "synthesise":
        claims += derived_again(at.store, at.config, at.state, at.event, model)
        refused, ledger, roles = trial["refused"], old if trial["refused"] else new, set(patch.artefacts)
    elif decision.action == "change_k":
        ledger = old
    else:
        change = changed(at.store, at.config, at.state, decision, at.event.seq)
        refused, ledger = change.refused, change.ledger
        roles = set() if refused or decision.action == "prune" else set(POOL)
    ledger = within_share(ledger, at.config.caps.synthetic_fraction, at.event.seq)
    clustering, thresholds = (at.state.values["clustering"], at.state.values["thresholds"])
    if not refused:
        clustering, thresholds = aims(at.state.values, decision)
    extra = set(patch.artefacts) - {"trial_ledger"}
    return [
        *claims,
        ("refusal", (refused, "refused" if refused else None), (trial["refused"], at.event.outcome)),
        ("reasons of the refusal", [refused] if refused else [], at.event.reasons),
        ("rows of the trial", True, ledger.equals(new)),
        ("tables of the trial", set(), extra - roles),
        ("clustering and thresholds on trial", (clustering, thresholds), (trial["clustering"], trial["thresholds"])),
        ("what a rollback brings back", {role: at.state.artefacts.get(role) for role in extra}, trial["before"]),
        ("action", (decision.action, decision.params), (at.event.action, at.event.params)),
        ("share of synthetic rows", True, _in_share(new, at.config)),
        *asked_claims(model, at.event),
        ("number of rows embedded", at.event.metrics["embedded"], trial["embedded"]),
        approved(at.config, at.state),
    ]


def _in_share(ledger: pl.DataFrame, config: Config) -> bool:
    synthetic = len(synthetic_rows(ledger))
    return synthetic <= synthetic_bound(len(kept_rows(ledger)) - synthetic, config.caps.synthetic_fraction)


def measure_claims(at: Logged) -> list[Claim]:
    """The verdict, what it put in force, and what the record says of the round."""
    record = RoundRecord.model_validate(at.event.metrics["record"])
    verdict = None if record.after is None else pays(record.before, record.after, at.config.objective)
    outcome = "refused" if verdict is None else verdict.outcome
    reasons = (at.state.values["trial"]["refused"],) if verdict is None else verdict.reasons
    patch = at.patch
    ledger = at.store.frame(at.state.artefacts["trial_ledger" if outcome == "kept" else "ledger"])
    decision = Decision.model_validate(at.state.values["decision"])
    begun = max(earlier.seq for earlier in at.before if earlier.type == "embed")
    embedded = sum(int(earlier.metrics.get("embedded", 0)) for earlier in at.before[begun:])
    centroids = patch.artefacts.get("centroids") if outcome == "kept" else at.state.artefacts["centroids"]
    names = (at.state.round, at.state.values["state_key"], at.state.values["decision_key"])
    claims: list[Claim] = [
        ("objective before", record.before.model_dump(mode="json"), at.state.values["objective"]),
        ("verdict", verdict, record.verdict),
        ("outcome", {outcome}, {record.outcome, at.event.outcome}),
        ("round and names of state and action", names, (record.round, record.state_key, record.key)),
        ("action", (decision.action, decision.params), (record.action, record.params)),
        ("action of the event", (decision.action, decision.params), (at.event.action, at.event.params)),
        ("reasons", (reasons, list(reasons)), (record.reasons, at.event.reasons)),
        ("refusal", bool(at.state.values["trial"]["refused"]), outcome == "refused"),
        ("kept rows", counts(ledger)["kept"], record.kept),
        ("number of clusters", len(at.store.array(centroids or "")), record.k),
        ("number of rows embedded", embedded, record.embedded),
        *_in_force(at, record, outcome),
    ]
    if at.config.approve and record.after is not None:
        claims += offer_claims(at, record)
    return claims


def _in_force(at: Logged, record: RoundRecord, outcome: str) -> list[Claim]:
    """A trial that paid comes in force; after any other all is as it was before."""
    artefacts, values, trial = at.patch.artefacts, at.patch.values, at.state.values["trial"]
    logged = (record.label_agreement, record.keep_agreement)
    offer = {"offer"} & set(values)
    if outcome != "kept":
        claims: list[Claim] = [
            ("artefacts of a trial that did not pay", {"trial_ledger": None, **trial["before"]}, artefacts),
            ("values of a trial that did not pay", {"trial", *offer}, set(values)),
        ]
        return [*claims, ("agreements", (1.0, 1.0), logged)] if outcome == "refused" else claims
    ledger = at.store.frame(at.state.artefacts["trial_ledger"])
    rows, labels = kept_rows(ledger), at.store.frame(artefacts["labels"] or "")
    agree = agreements(
        at.store.frame(at.state.artefacts["labels"]),
        labels,
        kept_rows(at.store.frame(at.state.artefacts["ledger"])),
        rows,
    )
    in_force = {"clustering", "state_key", "objective", "probe_scores", "thresholds"}
    assert record.after is not None
    return [
        ("artefacts in force", {"trial_ledger", "ledger", "labels", "centroids", "space", "scores"}, set(artefacts)),
        ("ledger", at.state.artefacts["trial_ledger"], artefacts["ledger"]),
        ("values in force", {"trial", *in_force, *offer}, set(values)),
        ("objective in force", record.after.model_dump(mode="json"), values["objective"]),
        ("thresholds in force", trial["thresholds"], values["thresholds"]),
        ("name of the state", state_key(rows, values["clustering"]), values["state_key"]),
        ("rows that were clustered", rows.tolist(), labels["row"].to_list()),
        ("agreements", tuple(round(value, 6) for value in agree), logged),
    ]
