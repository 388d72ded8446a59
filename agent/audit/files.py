"""What lies outside the log: settings, artefacts, written files and answers, held against what the log says of them.

The rows, the curated and removed files, the report and the cards are made again from what the log names, and compared.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path, PurePosixPath

import pyarrow.parquet as pq

from ...state.canonical import sha256_file
from ...state.errors import RecrystError
from ...state.events import Event, Load, Publish, Review, StepEvent
from ...state.notes import Start
from ...state.run import RunDirectory
from ...state.store import Store
from ...tools.write.report import page_content
from ...tools.write.review import write_review
from ..account.publish import pages, write_pages
from ..decide.review import listed
from ..llm.answers import Answers
from ..steps.finish import write_curated, write_gone
from ..steps.repeats import are_clippings
from ..steps.rows.notes import write_kept_notes
from ..view import View
from .contents import of_files, unlike_leaves
from .rows import unlike_originals

#: Step → the files that it may write, as a pattern of their path below the run directory.
_WRITES = {
    "load": r"quarantine\.jsonl",
    "review": r"review\.csv",
    "train": r"model/.+",
    "quantise": r"model/.+",
    "export": r"(curated|removed)/.+\.parquet|notes/.+\.md",
    "publish": r"report\.html|README\.md|model/README\.md",
}
_EXCERPT = 60  # characters around the first that differ


@dataclass(frozen=True)
class Written:
    """A file that an event says was written: its path below the run directory, and its hash."""

    event: Event
    path: str
    sha: str


def where(run: RunDirectory, event: Event) -> str:
    """How a sentence names an event."""
    return f"{run.log}, line {event.seq + 1} ({event.type})"


def check_settings(view: View, source: str) -> Iterator[str]:
    """What is wrong with ``run.yaml``; empty where its settings are those the run was started with."""
    first = view.events[0]
    same = isinstance(first, Start) and (source, view.config.sha()) == (first.input, first.config_sha)
    yield "" if same else f"{view.run.settings} was changed since the run started"


def references(event: Event) -> Iterator[tuple[str, str]]:
    """Every artefact that an event names, with the path of the leaf that names it."""
    if not isinstance(event, StepEvent):
        return
    named: dict[str, str | None] = {f"state.artefacts.{role}": ref for role, ref in event.state.artefacts.items()}
    named |= {f"evidence.{role}": ref for role, ref in getattr(event, "evidence", {}).items()}
    named |= {f"inputs.{at}.sha": one.sha for at, one in enumerate(event.inputs)}
    yield from ((path, ref) for path, ref in named.items() if ref is not None)


def missing_artefacts(run: RunDirectory, store: Store, events: Sequence[Event]) -> Iterator[str]:
    """What is wrong with each artefact that is named or stored; empty where it is whole."""
    named = {ref: (event, path) for event in reversed(events) for path, ref in references(event)}
    for ref in sorted({*named, *store.refs()}):
        try:
            store.verified_path(ref)
            yield ""
        except RecrystError as error:
            yield f"{where(run, named[ref][0])}: {named[ref][1]}: {error}" if ref in named else str(error)


def written(events: Sequence[Event]) -> Iterator[Written]:
    """Every file that the log says was written, in order."""
    for event in events:
        for effect in event.effects if isinstance(event, StepEvent) else ():
            if effect.kind.startswith("file:"):
                yield Written(event, effect.kind.removeprefix("file:"), effect.after_sha or "")


def misplaced(file: Written) -> bool:
    """Whether the step that is said to have written a file has no business there; nothing of such a file is read."""
    path = PurePosixPath(file.path)
    pattern = _WRITES.get(file.event.type, r"(?!)")
    return path.is_absolute() or ".." in path.parts or str(path) != file.path or not re.fullmatch(pattern, file.path)


def check_written(run: RunDirectory, events: Sequence[Event]) -> Iterator[tuple[str, str]]:
    """Each file that was written, with what is wrong with it; and each that lies there and is not named."""
    last: dict[str, str] = {}
    for file in written(events):
        if misplaced(file):
            yield file.path, f"{where(run, file.event)}: effects: {file.event.type} does not write {file.path!r:.100}"
        else:
            last[file.path] = file.sha
    for name, sha in last.items():
        path = run.root / name
        if not path.is_file() or not path.resolve().is_relative_to(run.root.resolve()):
            yield name, f"{path} is missing"
        else:
            wrong = sha256_file(path) != sha
            yield name, f"{path} was changed: it does not have the hash in the log" if wrong else ""
    folders = (run.curated, run.removed, run.model)  # into the folder of notes a person may put what they like
    for path in [
        *(path for folder in folders for path in folder.rglob("*")),
        run.report,
        run.card,
        run.quarantine,
        run.review,
    ]:
        if path.is_file() and path.relative_to(run.root).as_posix() not in last:
            yield str(path), f"{path} is not in the log: it was put there, or the log was cut before it"


def check_answers(run: RunDirectory, events: Sequence[Event]) -> Iterator[str]:
    """What is wrong with each answer of a language model that the log names; empty where it is as it was given."""
    answers = Answers(run.llm)
    for call in [call for event in events for call in event.llm]:
        try:
            stored = answers.get(call.request_sha)
        except RecrystError as error:
            yield str(error)
            continue
        if call.response_sha is not None:
            there = stored is not None and stored.response_sha == call.response_sha
            yield "" if there else f"{run.llm / call.request_sha}.json is missing, or not the answer in the log"


def check_card(run: RunDirectory, events: Sequence[Event]) -> Iterator[str]:
    """What is wrong with each card that there is; empty where its head is that of the event before ``publish``."""
    for card in filter(Path.is_file, (run.card, run.model_card)):
        anchored = set(re.findall(r"\b[0-9a-f]{64}\b", card.read_text(encoding="utf-8", errors="replace")))
        there = anchored & {event.prev_hash for event in events if isinstance(event, Publish)}
        yield "" if there else f"{card} names no event of this log: the log was rewritten, or the card replaced"


# Made again --------------------------------------------------------------------------------------------------------


def outside(view: View, after: View, event: Event) -> Iterator[str]:
    """What an event's files, and its tables that come from a file, say otherwise than what they follow from.

    Args:
        view: the run as it stood before the event.
        after: the same after it.
        event: its files have the hashes in the log.

    Raises:
        RecrystError: an artefact is missing.
        Exception: evidence is of another kind or shape.
    """
    if isinstance(event, Load):
        yield from unlike_originals(after, event)
        yield from _quarantine(after, event)
    elif isinstance(event, Review):
        yield from _reviewed(after)
    elif event.type == "export":
        yield from _exported(view)
    elif isinstance(event, Publish):
        yield from _pages(view, event)


def _quarantine(view: View, load: Load) -> Iterator[str]:
    lines = view.path("quarantine").read_bytes() if view.has("quarantine") else b""
    path = view.run.quarantine
    if (path.read_bytes() if path.is_file() else b"") != lines:
        yield f"{path} is not what was set aside when the input was read"
    again = {"quarantined": lines.count(b"\n"), "ingested": view.frame("rows", "row").height}
    yield from unlike_leaves({name: getattr(view.values, name) for name in again}, again, "state.values")


def _reviewed(view: View) -> Iterator[str]:
    """That the review list does not tell of the rows in doubt."""
    rows, path = listed(view, view.frame("review")), view.run.review
    with tempfile.TemporaryDirectory() as name:
        again = RunDirectory(Path(name)).review
        if rows:
            write_review(rows, again)
        if (again.read_bytes() if rows else b"") != (path.read_bytes() if path.is_file() else b""):
            yield f"{path} does not follow from the rows in doubt"


def _exported(view: View) -> Iterator[str]:
    """Each file of kept or of removed rows, or of notes, that does not hold what ledger, originals and evidence make of
    it."""
    with tempfile.TemporaryDirectory() as name:
        again = RunDirectory(Path(name))
        write_curated(view, again.curated)
        write_gone(view, again.removed)
        if are_clippings(view):
            write_kept_notes(view, again.notes)
        for folder, made in (
            (view.run.curated, again.curated), (view.run.removed, again.removed), (view.run.notes, again.notes),
        ):  # fmt: skip
            there, wanted = (
                {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
                for root in (folder, made)
            )
            for file in sorted(wanted if folder == view.run.notes else there | wanted):
                path = folder / file
                if file not in wanted or file not in there:
                    yield f"{path} {'follows from nothing in the log' if file in there else 'is missing'}"
                elif sha256_file(made / file) != sha256_file(path) and (wrong := _unlike_files(path, made / file)):
                    yield f"{path} does not follow from the originals and the ledger: {wrong}"


def _unlike_files(path: Path, again: Path) -> str:
    if path.suffix == ".md":
        return "it says something else"
    try:
        return of_files(*(pq.read_table(one, partitioning=None) for one in (path, again)))
    except (OSError, ValueError) as error:
        return f"it cannot be read ({type(error).__name__})"


def _pages(view: View, event: Publish) -> Iterator[str]:
    """Each page that is not what the run makes of it, with the first line that differs."""
    data = pages(view, event.peak_memory_mb)
    with tempfile.TemporaryDirectory() as folder:
        again = RunDirectory(Path(folder))
        again.model.mkdir()
        write_pages(data, again)
        written_ones = [(view.run.report, again.report), (view.run.card, again.card)]
        if any(file.path == "model/README.md" for file in written([event])):  # a run of an earlier build has none
            written_ones.append((view.run.model_card, again.model_card))
        for path, made in written_ones:
            if wrong := unlike_lines(*(page.read_text("utf-8", errors="replace") for page in (path, made))):
                yield f"{path}, {wrong}, which does not follow from the run"


def unlike_lines(page: str, again: str) -> str:
    """The first line in which a page differs from itself made again, and what it says there; empty if none does."""
    pairs = zip_longest(*(page_content(text).splitlines() for text in (page, again)), fillvalue="")
    unlike = ((number, one, other) for number, (one, other) in enumerate(pairs, start=1) if one != other)
    return next((f"line {number} says {_around(one, other)}" for number, one, other in unlike), "")


def _around(one: str, other: str) -> str:
    """The part of a line in which it begins to differ from another."""
    at = next(at for at, (here, there) in enumerate(zip_longest(one, other)) if here != there)
    return repr(one[max(0, at - _EXCERPT // 2) : at + _EXCERPT])
