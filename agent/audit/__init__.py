"""The audit: verify the chain and every file, and derive again whatever follows from the logged evidence.

Nothing is taken from the run but its files. Each event is derived again by its own step and compared whole
(``compare``); the rows, the curated files and the pages are made again (``files``, ``rows``); what a question cost
follows from its recorded answer (``bills``). Measurements are taken as logged, because they would need the models;
``docs/audit.md`` explains each.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...state.errors import RecrystError
from ...state.events import Decide, Event, Measure, Publish, StepEvent
from ...state.log import read_log
from ...state.notes import Resume, Start
from ...state.run import RunDirectory
from ...state.store import Store
from ...state.values import fold
from ..session import code_version
from ..steps.cycle import STEPS
from ..view import View
from . import files
from .bills import unpaid
from .compare import TAKEN, Replay


@dataclass
class AuditReport:
    """What was verified (counts), what was taken as logged, and what failed: sentences that name the place."""

    verified: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    taken: tuple[str, ...] = ()
    head: str = ""
    finished: bool = False  # whether the log reaches the end of the run
    builds: str = ""  # the builds that made the run and the one that audits it, in a sentence, where they are not one


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
        report.builds = builds(events)
        source, config = run.read_settings()
    except RecrystError as error:
        report.failures.append(str(error))
        return report
    if not events:
        report.failures.append(f"{run.log} is empty: nothing is known of this run")
        return report
    report.verified["events"] = len(events)
    report.head = events[-1].hash
    report.finished = any(isinstance(event, Publish) for event in events)
    report.taken = taken(events)
    if torn:
        report.failures.append(f"{run.log}: {torn} bytes after the last event are not part of the chain")
    if head is not None and report.head != head:
        report.failures.append(f"{run.log}: its last event is not the given head {head[:12]}…")
    check(View(run, Store(run.artifacts), config, fold(events), events), source, report)
    return report


def builds(events: Sequence[Event]) -> str:
    """Which builds made a run and which audits it, in a sentence; empty where they are one."""
    made = dict.fromkeys(_build(event.code) for event in events if isinstance(event, Start | Resume))
    here = _build(code_version())
    return "" if set(made) <= {here} else f"the run was made by {' and '.join(made)}, and is audited by {here}"


def _build(code: Mapping[str, str]) -> str:
    commit = f" (commit {code['commit'][:12]})" if code.get("commit") else ""
    return f"Recryst {code.get('version', 'of an unknown version')}{commit}"


def taken(events: Sequence[Event]) -> tuple[str, ...]:
    """What is taken as logged, by step, and of every event."""
    steps = dict.fromkeys(event.type for event in events if isinstance(event, StepEvent))
    measured = [f"{name}: {STEPS[name].takes}" for name in steps if name in STEPS and STEPS[name].takes]
    return (*measured, *TAKEN)


def check(view: View, source: str, report: AuditReport) -> None:
    """Verify a run as its log ends: first what the files are, then, if they are whole, what follows from them.

    ``source`` is the input that ``run.yaml`` names.
    """
    run, events = view.run, view.events
    _note(report, "settings", files.check_settings(view, source))
    _note(report, "anchored heads", files.check_card(run, events))
    failed = len(report.failures)
    _note(report, "files", (wrong for _, wrong in files.check_written(run, events)))
    written = len(report.failures) == failed
    _note(report, "answers", files.check_answers(run, events))
    try:
        report.failures += list(unpaid(view))
    except RecrystError as error:
        report.failures.append(str(error))
    failed = len(report.failures)
    _note(report, "artefacts", files.missing_artefacts(run, view.store, events))
    if len(report.failures) == failed:
        again = Replay(view, source)
        for number, event in enumerate(events):
            wrong = list(again.failures(number, written))
            report.failures += wrong
            report.verified["events derived again"] += not wrong
            report.verified["decisions"] += isinstance(event, Decide)
            report.verified["verdicts"] += isinstance(event, Measure)


def _note(report: AuditReport, what: str, found: Iterable[str]) -> None:
    """Count what is whole, and keep the sentences of what is not."""
    for wrong in found:
        if wrong:
            report.failures.append(wrong)
        else:
            report.verified[what] += 1
