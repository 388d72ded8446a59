"""Forged runs: an event is changed, the chain sealed anew, the pages and their hashes mended, and the run audited.

``Forger.changes`` walks every leaf of an event, ``Forger.contents`` every artefact that it names, ``Forger.found``
audits a changed event in memory; ``forged`` tells a whole story otherwise, as a careful forger would, and audits it.
"""

import contextlib
import copy
import re
import shutil
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
import polars as pl
from derivations import Derivations
from pydantic import ValidationError

from recryst.agent.account.publish import pages, write_pages
from recryst.agent.audit import audit, compare, unpaid
from recryst.agent.audit.files import misplaced, references, written
from recryst.agent.view import View
from recryst.state.canonical import canonical_json, sha256_file
from recryst.state.errors import IntegrityError
from recryst.state.events import EVENT
from recryst.state.notes import GENESIS
from recryst.state.run import RunDirectory
from recryst.state.store import Store
from recryst.state.values import Role, Values, fold

_REF = re.compile(r"[0-9a-f]{64}\.(parquet|npy|json|bin)")
_GUESSES = (1, 0.5, "x", True, ["x"], [1], {"x": 1}, {"x": "x"}, {})
CHAIN = ("seq", "prev_hash", "hash", "type")  # a chain that is broken is another test's


class Forger:
    """One finished run, told otherwise. ``root`` may be written to: it is a copy."""

    def __init__(self, root):
        self.view = View.open(root)
        self.events, (self.source, _) = self.view.events, self.view.run.read_settings()
        self.bodies = [plain(event.body()) for event in self.events]
        self.store = self.view.store
        self._stored_refs = list(self.store.refs())  # of the run, without what is made here
        self._seen = defaultdict(list)  # type and pattern of a path → the values that stand there in this run
        for body, event in zip(self.bodies, self.events, strict=True):
            for path, value in leaves(_whole(event)):
                if value is not None and value not in self._seen[event.type, pattern(path)]:
                    self._seen[event.type, pattern(path)].append(value)
            for name, value in (body.get("state", {}).get("values", {})).items():
                self._seen["values", name].append(value)
        self._tried = set()  # forms of events, and changes of them
        self.remembering = Derivations().remembering
        self._replay = compare.Replay(self.view, self.source)

    # What is changed ---------------------------------------------------------------------------------------------

    def changes(self, number):
        """Every leaf of an event changed, and every entry of a list or an object added and dropped: path, event.

        What was changed so in an event of the same form is left out: the same lines of a step make it.
        """
        event = self.events[number]
        body = _whole(event)
        self._form, self._here = self._form_of(number), Counter()
        for path, value in nodes(body):
            if path and path[0] in CHAIN:
                continue
            yield from self._changed(number, body, path, value)
        if event.state is not None:
            for name in Values.model_fields:
                if name not in event.state.values.model_fields_set:
                    guesses = [*self._seen["values", name][-1:], *_GUESSES, None]
                    yield from self._first(number, body, ("state", "values", name), guesses)
            for role in Role.__args__:
                if role not in event.state.artefacts:
                    other = self.view.state.artefacts.get(role) or self._stored_refs[0]
                    yield from self._first(number, body, ("state", "artefacts", role), [other])

    def _form_of(self, number):
        """The type of an event, what a person answered, and the kind of action, where it is about one."""
        event = self.events[number]
        about = event.type in ("critique", "decide", "approve", "act", "measure", "keep")
        decision = self._replay.view(number).state.after(event).values.decision if about else None
        answer = event.answer.answer if event.type == "approve" else None
        return event.type, answer, decision and decision.action.action

    def _changed(self, number, body, path, value):
        seen = [one for one in self._seen[self.events[number].type, pattern(path)] if one != value]
        if isinstance(value, dict):
            for name in value:
                yield from self._first(number, body, (*path, name), [_GONE])
            if path:
                last = [value[name] for name in list(value)[-1:]]
                yield from self._first(number, body, (*path, "x"), [*last, *_GUESSES])
        elif isinstance(value, list):
            for at in {0, len(value) - 1} if value else ():
                yield from self._first(number, body, (*path, at), [_GONE])
            more = [[*value, one] for one in (*value[-1:], *_GUESSES)]
            yield from self._first(number, body, path, [*more, *seen])
            if len(value) > 1 and value[0] != value[1]:
                yield from self._first(number, body, path, [[value[1], value[0], *value[2:]]])
        elif isinstance(value, bool):
            yield from self._first(number, body, path, [not value])
        elif isinstance(value, int | float):
            yield from self._first(number, body, path, [value + 1, value - 1, *seen])
        elif isinstance(value, str):
            longer = [] if path == ("ts",) else [f"{value}x"]
            yield from self._first(number, body, path, [*longer, *seen])
        else:
            yield from self._first(number, body, path, [*seen, *_GUESSES])

    def _first(self, number, body, path, values):
        """The first of ``values`` that the event can hold at ``path`` and that makes it another."""
        self._here[path] += 1
        change = (self._form, pattern(path), self._here[path])
        if change in self._tried:
            return
        before = self.bodies[number]
        for value in values:
            forged = _with(body, path, value)
            try:
                event = EVENT.validate_python(forged)
            except ValidationError:
                continue  # such a line is no event, and the log is refused
            if plain(event.body()) != before:
                self._tried.add(change)
                yield path, event
                return

    def contents(self, number):
        """Every artefact of an event in place of which another stands, and a copy with something changed.

        What was changed so in an event of the same form is left out, as among ``changes``.
        """
        body, form = self.bodies[number], self._form_of(number)
        text, stored = orjson.dumps(body).decode(), self._stored_refs
        named = {**body.get("state", {}).get("artefacts", {}), **body.get("evidence", {})}
        for role, ref in named.items():
            if ref is None:
                continue
            same = [other for other in stored if other != ref and other.endswith(Path(ref).suffix)]
            known = [one for one in self._seen[body["type"], f"state.artefacts.{role}"] if one != ref]
            others = [("another", other) for other in (known or same)[-1:]]
            for what, other in [*others, *self._changed_contents(ref)]:
                with contextlib.suppress(ValidationError):
                    if (change := (form, role, what)) in self._tried:
                        continue
                    self._tried.add(change)
                    yield (role, what), EVENT.validate_python(orjson.loads(text.replace(ref, other)))

    def _changed_contents(self, ref):
        match Path(ref).suffix:
            case ".parquet":
                frame = self.store.frame(ref)
                if frame.height:
                    yield "without its last row", self.store.put_frame(frame[:-1])
                    for column in frame.columns:
                        yield f"column {column}", self.store.put_frame(_other_cell(frame, column))
            case ".npy":
                array = np.array(self.store.array(ref))
                if array.size:
                    array.flat[0] += 1
                    yield "its first number", self.store.put_array(array)
            case ".json":
                value, met = self.store.json(ref), set()
                for path, leaf in leaves(value):
                    if pattern(path) in met:
                        continue  # as of each cluster, each candidate: one of a kind stands for all
                    if isinstance(leaf, int | float | str) and not isinstance(leaf, bool):
                        met.add(pattern(path))
                        other = leaf + 1 if isinstance(leaf, int | float) else f"{leaf}x"
                        yield dotted(path), self.store.put_json(_with(value, path, other))

    # Audited in memory -------------------------------------------------------------------------------------------

    def found(self, number, event, with_files=True):
        """What the audit of one changed event says, in memory: the events before it are as they were."""
        again = copy.copy(self._replay)  # the states before the event are those of the run
        again.events = (*self.events[:number], event)
        where = f"line {number + 1} ({event.type})"
        failures = [f"{where}: {path}" for path, ref in references(event) if not self._stored(ref)]
        failures += [f"{where}: effects" for file in written([event]) if misplaced(file)]
        failures = failures or list(islice(again.failures(number, with_files=False), 1))
        if not failures and event.llm != self.events[number].llm:
            whole = (*self.events[:number], event, *self.events[number + 1 :])
            failures = list(unpaid(replace(self.view, events=whole)))
        if not failures and with_files:
            failures = list(again.failures(number))
        return failures

    def found_later(self, number, event):
        """What the whole audit says of a log with one changed event, from that event on; its first sentence."""
        return self.story_found((*self.events[:number], event, *self.events[number + 1 :]), number)

    def story_found(self, events, start):
        """What the audit says of other events, sealed anew in memory, from the one ``start`` on; its first sentence.

        Files are left out, as if a forger had made them again from the other story: a page names the last hash.
        """
        told = list(events[:start])
        for event in events[start:]:
            body = plain(event.body()) | {"seq": len(told), "prev_hash": told[-1].hash if told else GENESIS}
            told.append(EVENT.validate_python(body).sealed())
        view = replace(self.view, events=told)
        again = compare.Replay(view, self.source)
        found = (one for at in range(start, len(told)) for one in again.failures(at, with_files=False))
        return next(found, None) or next(iter(unpaid(view)), None)

    def _stored(self, ref):
        try:
            return self.store.verified_path(ref)
        except IntegrityError:
            return None


# Told and written --------------------------------------------------------------------------------------------------


def forged(root, change):
    """The failures of a run whose story is changed, sealed anew, and whose pages are mended; ``root`` is written to.

    ``change(bodies, store)`` changes the plain bodies of the events; one that is set to None is left out.
    """
    view = View.open(root)
    bodies = [plain(event.body()) for event in view.events]
    change(bodies, view.store)
    mend(root, [body for body in bodies if body])
    return audit(root).failures


def mend(root, bodies):
    """Write the log of ``root`` anew, with its pages, and their hashes, as they follow from it."""
    run, events, lines = RunDirectory(root), [], []
    for number, body in enumerate(bodies):
        body |= {"seq": number, "prev_hash": events[-1].hash if events else GENESIS}
        if body["type"] == "publish":
            with contextlib.suppress(Exception):  # a story that no page can tell keeps the old ones
                view = View(run, Store(run.artifacts), run.read_settings()[1], fold(events), events)
                data = pages(view, body["peak_memory_mb"])
                if not any(effect["kind"] == "file:model/README.md" for effect in body["effects"]):
                    data = data.model_copy(update={"training": None})  # as a build that told nothing of it
                write_pages(data, run)
            for effect in body["effects"]:
                effect["after_sha"] = sha256_file(root / effect["kind"].removeprefix("file:"))
        events.append(EVENT.validate_python(orjson.loads(canonical_json(body))).sealed())
        lines.append(canonical_json(events[-1].body() | {"hash": events[-1].hash}) + b"\n")
    (root / "events.jsonl").write_bytes(b"".join(lines))


def at(bodies, kind, number=0):
    """The body of the event of a type, the first or another."""
    return [body for body in bodies if body and body["type"] == kind][number]


def copied(root, folder):
    """A copy of a run that may be changed."""
    return Path(shutil.copytree(root, folder))


# Plain values ------------------------------------------------------------------------------------------------------

_GONE = object()


def plain(value):
    """As the log has it."""
    return orjson.loads(canonical_json(value))


def _whole(event):
    """An event with the fields that stand at their default, too."""
    return plain(event.model_dump(mode="json"))


def nodes(value, path=()):
    """Every value inside a JSON value, containers first, with its path."""
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from nodes(item, (*path, name))


def leaves(value):
    """The nodes that are no containers."""
    return ((path, node) for path, node in nodes(value) if not isinstance(node, dict | list))


def dotted(path):
    """A path in words."""
    return ".".join(map(str, path))


def pattern(path):
    """A path in which a number stands for all numbers."""
    return ".".join("*" if isinstance(name, int) else name for name in path)


def _with(value, path, new):
    """A copy of a JSON value with another in one place, or without what stands there."""
    if not path:
        return new
    copy, (name, *rest) = value.copy(), path
    if rest:
        copy[name] = _with(copy[name] if isinstance(copy, list) or name in copy else {}, rest, new)
    elif new is _GONE:
        del copy[name]
    else:
        copy[name] = new
    return copy


def _other_cell(frame, column):
    """A table with another value in the first row of a column that says something."""
    values = frame[column].to_list()
    at = next((at for at, value in enumerate(values) if value is not None), 0)
    match values[at]:
        case bool():
            values[at] = not values[at]
        case int() | float():
            values[at] += 1
        case list():
            values[at] = [*values[at], *(values[at][:1] or ["x"])]
        case None:
            values[at] = "x" if frame[column].dtype == pl.String else 1
        case _:
            values[at] = f"{values[at]}x"
    with contextlib.suppress(TypeError, OverflowError, pl.exceptions.PolarsError):
        return frame.with_columns(pl.Series(column, values, dtype=frame[column].dtype))
    return frame[1:]
