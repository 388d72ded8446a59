"""What the audit derives of a run is remembered, so that thousands of changed events are audited in minutes."""

import contextlib
from operator import attrgetter

from recryst.agent.audit import compare
from recryst.agent.llm.answers import Answers
from recryst.state.notes import GENESIS

_ABSENT = object()


class Derivations:
    """Those of one run, by the events before and the fields that were read."""

    def __init__(self):
        self._drafts, self._expected, self._following, self._answers, self._memos = {}, {}, {}, {}, {}

    @contextlib.contextmanager
    def remembering(self):
        """Derive an event once, however often it is changed, as long as the fields that its step read are the same.

        Nor is it asked twice what follows on the same events, or an answer read twice, which nobody changes here.
        """
        derived, expected, following, recorded = compare.derived, compare.expected, compare.following, Answers.get

        def once(step, view, event):
            asked = [(one.request_sha, one.response_sha, one.response_sha is None and one.problem) for one in event.llm]
            key = (view.seq, view.events[-1].hash, step.name, repr(asked))
            for read, draft in self._drafts.setdefault(key, []):
                if all(_read(event, path) == value for path, value in read.items()):
                    return draft
            # What a view remembers follows from the events before, which are the same.
            object.__setattr__(view, "memo", self._memos.setdefault(key[:2], view.memo))
            reading = _Reading(event)
            draft = derived(step, view, reading)
            self._drafts[key].append((reading.read, draft))
            return draft

        def made(draft, view, event, tolerance):
            named = (event.state.artefacts, getattr(event, "evidence", {}))
            key = (id(draft), view.seq, repr(named))
            if key not in self._expected:
                self._expected[key] = (draft, expected(draft, view, event, tolerance))
            return self._expected[key][1]

        def next_step(view):
            key = (view.seq, view.events[-1].hash if view.events else GENESIS)
            if key not in self._following:
                self._following[key] = following(view)
            return self._following[key]

        def answer(answers, sha):
            if (answers.folder, sha) not in self._answers:
                self._answers[answers.folder, sha] = recorded(answers, sha)
            return self._answers[answers.folder, sha]

        compare.derived, compare.expected, compare.following, Answers.get = once, made, next_step, answer
        try:
            yield
        finally:
            compare.derived, compare.expected, compare.following, Answers.get = derived, expected, following, recorded


class _Reading:
    """An event that notes what is read of it: ``read`` has the value of each field by its dotted name."""

    def __init__(self, whole, name="", read=None):
        self._whole, self._name, self.read = whole, name, {} if read is None else read

    def __getattr__(self, name):
        value, path = getattr(self._whole, name), f"{self._name}{name}"
        if path in ("state", "state.values"):
            return _Reading(value, f"{path}.", self.read)
        if path == "state.artefacts":
            return _Refs(value, self.read)
        self.read[path] = value
        return value


class _Refs(dict):
    """Artefacts by their role that note which are asked for."""

    def __init__(self, whole, read):
        super().__init__(whole)
        self._whole, self._read = whole, read

    def get(self, role, default=None):
        self._read[f"state.artefacts {role}"] = self._whole.get(role, _ABSENT)
        return self._whole.get(role, default)

    def __getitem__(self, role):
        self.get(role)
        return self._whole[role]

    def __contains__(self, role):
        self.get(role)
        return role in self._whole

    def keys(self):
        self._read["state.artefacts"] = self._whole
        return self._whole.keys()

    def items(self):
        self.keys()
        return self._whole.items()

    def values(self):
        self.keys()
        return self._whole.values()

    def __iter__(self):
        return iter(self.keys())


def _read(event, path):
    """What stands at a path that was read."""
    path, _, role = path.partition(" ")
    value = attrgetter(path)(event)
    return value.get(role, _ABSENT) if role else value
