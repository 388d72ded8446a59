"""The audit: verify the chain and every file, and derive again whatever follows from the logged evidence.

Nothing is taken from the run but its files. Critiques, candidates, decisions, verdicts, stops, caps, counts and the
curated hash are computed again by the functions the loop called, and compared with the log (``agent/audit/replay.py``).
Measurements (scores, probes) are taken as logged: they would need the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from ...state.canonical import sha256_file, sha256_json
from ...state.decision import RoundRecord
from ...state.errors import IntegrityError, RecrystError
from ...state.events import Event
from ...state.log import read_log
from ...state.run import RunDirectory, RunState
from ...state.store import Store
from ..llm.answers import Answers
from .bills import bills
from .logged import Logged
from .replay import replay_event


@dataclass
class AuditReport:
    """What was verified (counts) and what failed (sentences that name the place)."""

    verified: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    head: str = ""
    finished: bool = False  # whether the log reaches the end of the run

    def tally(self, what: str) -> None:
        """Count one more verified thing."""
        self.verified[what] = self.verified.get(what, 0) + 1


def audit(root: Path, head: str | None = None) -> AuditReport:
    """Audit the run in ``root``.

    Args:
        root: the run directory; nothing in it is written.
        head: the hash of the last event as printed when the run ended; detects a log that was cut or rewritten.
    """
    run = RunDirectory.open(root)
    report = AuditReport()
    try:
        events, torn = read_log(run.log)
    except RecrystError as error:
        report.failures.append(str(error))
        return report
    if not events:
        report.failures.append(f"{run.log} is empty: nothing is known of this run")
        return report
    report.verified["events"] = len(events)
    report.head = events[-1].hash
    report.finished = any(event.type == "publish" for event in events)
    if torn:
        report.failures.append(f"{run.log}: {torn} bytes after the last event are not part of the chain")
    if head is not None and report.head != head:
        report.failures.append(f"{run.log}: its last event is not the given head {head[:12]}…")
    store = Store(run.artifacts)
    _attempt(report, lambda: _check_settings(run, events, report))
    _attempt(report, lambda: _check_card(run, events, report))
    _check_files(run, events, report)
    _check_answers(run, events, report)
    _attempt(report, lambda: _check_bills(run, events, report))
    if _check_store(store, events, report):
        replay(run, store, events, report)
    return report


def _attempt(report: AuditReport, check: Callable[[], None]) -> None:
    try:
        check()
    except RecrystError as error:
        report.failures.append(str(error))


def _check_settings(run: RunDirectory, events: list[Event], report: AuditReport) -> None:
    source, config = run.read_settings()
    logged = events[0].params.get("input") if events else source
    if events and (source, sha256_json(config.model_dump(mode="json"))) != (logged, events[0].config_sha):
        raise IntegrityError(f"{run.settings} was changed since the run started")
    report.tally("settings")


def _check_store(store: Store, events: list[Event], report: AuditReport) -> bool:
    """Every artefact in the store has its hash, and every artefact the log names is there."""
    failures = len(report.failures)
    named = {ref for event in events if event.state for ref in event.state.artefacts.values() if ref}
    named |= {item["sha"] for event in events for item in event.inputs}
    for ref in sorted(named | set(store.refs())):
        try:
            store.verified_path(ref)
            report.tally("artefacts")
        except IntegrityError as error:
            report.failures.append(str(error))
    return len(report.failures) == failures


def _check_files(run: RunDirectory, events: list[Event], report: AuditReport) -> None:
    """Every file the log says was written still has its hash."""
    last: dict[str, str] = {}
    for event in events:
        for effect in event.effects:
            if effect.kind.startswith("file:") and effect.after_sha:
                last[effect.kind.removeprefix("file:")] = effect.after_sha
    for name, sha in last.items():
        path = run.root / name
        if not path.is_file():
            report.failures.append(f"{path} is missing")
        elif sha256_file(path) != sha:
            report.failures.append(f"{path} was changed: it does not have the hash in the log")
        else:
            report.tally("files")
    written = [*run.curated.rglob("*"), *run.model.rglob("*"), run.report, run.card, run.quarantine]
    for path in written:
        if path.is_file() and str(path.relative_to(run.root)) not in last:
            report.failures.append(f"{path} is not in the log: it was put there, or the log was cut before it")


def _check_answers(run: RunDirectory, events: list[Event], report: AuditReport) -> None:
    """Every answer of a language model that the log names is on record as it was given."""
    answers = Answers(run.llm)
    for call in [call for event in events for call in event.llm]:
        try:
            stored = answers.get(call.request_sha)
        except RecrystError as error:
            report.failures.append(str(error))
            continue
        if call.response_sha is None:
            continue
        if stored is None or stored.response_sha != call.response_sha:
            report.failures.append(f"{run.llm / call.request_sha}.json is missing, or not the answer in the log")
        else:
            report.tally("answers")


def _check_bills(run: RunDirectory, events: list[Event], report: AuditReport) -> None:
    """What each question cost, and that none is said to be unanswered which has an answer, follows from the record."""
    _, config = run.read_settings()
    for event, wrong in bills(Answers(run.llm), config, events):
        report.failures.append(f"{run.log}, line {event.seq + 1} ({event.type}): {wrong}")


def _check_card(run: RunDirectory, events: list[Event], report: AuditReport) -> None:
    """The head anchored in the dataset card is that of the event before ``publish``."""
    if not run.card.is_file():
        return
    anchored = set(re.findall(r"\b[0-9a-f]{64}\b", run.card.read_text(encoding="utf-8", errors="replace")))
    if not anchored & {event.prev_hash for event in events if event.type == "publish"}:
        raise IntegrityError(f"{run.card} names no event of this log: the log was rewritten, or the card replaced")
    report.tally("anchored heads")


def replay(run: RunDirectory, store: Store, events: list[Event], report: AuditReport) -> None:
    """Fold the log event by event and derive again what each one claims."""
    _, config = run.read_settings()
    state, history = RunState(), list[RoundRecord]()
    for number, event in enumerate(events):
        where = f"{run.log}, line {event.seq + 1} ({event.type})"
        try:
            at = Logged(store, config, state, tuple(history), events[:number], event)
            for what, derived, logged in replay_event(at):
                if derived != logged:
                    report.failures.append(f"{where}: the {what} derived again differs from what is logged")
            if event.type == "measure":
                history.append(RoundRecord.model_validate(event.metrics["record"]))
                report.tally("verdicts")
            if event.type == "decide":
                report.tally("decisions")
        except RecrystError as error:
            report.failures.append(f"{where}: {error}")
        except (KeyError, IndexError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
            # Evidence is missing, of another kind, or of another shape.
            report.failures.append(f"{where}: cannot be derived again ({type(error).__name__}: {str(error)[:100]})")
        state.apply(event)
