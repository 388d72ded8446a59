"""A script in the place of a language model: for tests, and for a dry run that costs nothing and sends nothing.

``scripted:PATH`` names a YAML file, which says of each kind of question what the answer is to hold, or a Python file,
whose functions are named after the kinds and take the question. **A Python file is the user's own code, and is run**;
no other part of a run reads it. What is not said is filled in by ``DEFAULTS`` and the form of the answer. A script's
answers are recorded, paid for (with nothing) and audited as any model's, and the audit does not need the script.
"""

import difflib
import json
import runpy
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from ...state.actions import ACTION_NAMES, Synthesise
from ...state.canonical import Json, canonical_json
from ...state.errors import ModelError, UsageError
from ...state.params.llm import LlmParams
from . import ANSWER_TOKENS, OnText, Provider, Reply, Request
from .wire import sound

#: Gives the answer to a question: a JSON object, of which any part may be missing, a text that is sent as it stands, or
#: one or more tool calls, each an object with ``tool`` and ``arguments``.
Rule = Callable[[Json], Any]

WRITING = Synthesise.model_fields["action"].default  # rows that a script makes up are wanted by nobody unasked
#: What an answer holds where the script says nothing else.
DEFAULTS: dict[str, Json] = {
    "critique": {"verdict": "keep", "coherence": 3, "quality": 3, "issues": ["none"]},
    "same_theme": {"same": True},
    "decide": {"order": [name for name in ACTION_NAMES if name != WRITING], "looks": [], "rejected": []},
    "quality": {"score": 3},
    "judge": {"verdict": "accept"},
}
ANY = "answer"  # the function of a Python file that answers every kind it has no function for
_BYTES_PER_TOKEN = 4  # about true for English


class Scripted(Provider):
    """``scripted:PATH``. The script is read when the first question is put to it."""

    name = "scripted"
    local = True
    address = ""

    def __init__(self, model: str, params: LlmParams) -> None:
        super().__init__(model, params)
        self._rules: dict[str, Rule] | None = None
        self._lock = threading.Lock()

    def body(self, request: Request) -> Json:
        """The question as a script sees it, less ``shown`` and ``said``, which repeat parts of it."""
        system = [{"role": "system", "content": request.system}] if request.system else []
        return {
            "model": self.model,
            "kind": request.kind,
            "messages": [*system, *(message.model_dump(exclude_defaults=True) for message in request.messages)],
            "answer": request.answer,
            "tools": [tool.model_dump() for tool in request.tools],
            "max_tokens": request.max_tokens,
        }

    def ready(self) -> None:
        """As ``Provider.ready``: the script is read."""
        self._script()

    def send(self, body: Mapping[str, Any], timeout: float, on_text: OnText | None = None) -> Json:
        """As ``Provider.send``; an answer that is longer than it may be is cut off.

        Raises:
            ModelError: the script failed, or its answer is not JSON.
        """
        rules = self._script()
        kind = body["kind"]
        try:
            text, calls = _spoken(answered(question_of(body), rules.get(kind) or rules.get(ANY)))
        except Exception as error:  # the user's own code may raise anything
            raise ModelError(f"{self.model}: {kind}: {type(error).__name__}: {error}") from error
        cut = text.encode()[: body["max_tokens"] * _BYTES_PER_TOKEN].decode(errors="ignore")
        if on_text is not None and cut:
            on_text(cut)
        answer = {
            "model": self.model,
            "text": cut,
            "tool_calls": calls,
            "stop_reason": "length" if len(cut) < len(text) else "tool_use" if calls else "end",
            "usage": {"input_tokens": _tokens(canonical_json(body)), "output_tokens": _tokens(cut.encode())},
        }
        return sound(answer, self.read)

    def read(self, answer: Mapping[str, Any]) -> Reply:
        """As ``Provider.read``: it is a reply as it stands."""
        return Reply.model_validate(answer)

    def _script(self) -> dict[str, Rule]:
        with self._lock:
            if self._rules is None:
                self._rules = rules_of(Path(self.model).expanduser())
            return self._rules


def rules_of(path: Path) -> dict[str, Rule]:
    """The rules of a script by kind of question.

    Raises:
        UsageError: it is not there, is neither YAML nor Python, names a kind or an action that is none,
            or is Python and answers no kind at all.
    """
    python = path.suffix == ".py"
    try:
        values = runpy.run_path(str(path)) if python else yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except Exception as error:  # a Python file may raise anything
        raise UsageError(f"the script {path} cannot be read: {type(error).__name__}: {error}") from error
    if python:
        rules = {kind: values[kind] for kind in (*ANSWER_TOKENS, ANY) if callable(values.get(kind))}
        if not rules:
            raise UsageError(f"the script {path} has none of the functions {', '.join((*ANSWER_TOKENS, ANY))}")
        return rules
    if not isinstance(values, dict):
        raise UsageError(f"the script {path} does not name kinds of questions")
    for kind, said in values.items():
        _known(kind, ANSWER_TOKENS, path)
        for action in said.get("order", ()) if isinstance(said, dict) else ():
            _known(action, ACTION_NAMES, path)
    return {kind: partial(_fixed, said) for kind, said in values.items()}


def _known(name: object, names: Sequence[str] | Mapping[str, Any], path: Path) -> None:
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"they are {', '.join(names)}"
        raise UsageError(f"the script {path}: {name!r} is not known; {hint}")


def _fixed(said: Any, question: Json) -> Any:
    """What a YAML file says of a kind; after its tool calls were answered it has nothing to add."""
    return "Done." if question["messages"][-1]["role"] == "tool" else said


def question_of(body: Mapping[str, Any]) -> Json:
    """The question as a script's functions get it.

    ``kind``; ``shown``, the JSON object that the question is about (empty where it is put in words); ``said``, the last
    thing the user said; ``messages`` with ``role`` and ``content``; ``answer``, the JSON schema of the answer, or None;
    ``tools``, the names of those on offer.
    """
    said = [message["content"] for message in body["messages"] if message["role"] == "user"]
    try:
        shown = json.loads(said[0])
    except (ValueError, IndexError):
        shown = None
    return {
        **{key: body[key] for key in ("kind", "messages", "answer")},
        "shown": shown if isinstance(shown, dict) else {},
        "said": said[-1] if said else "",
        "tools": [tool["name"] for tool in body["tools"]],
    }


def answered(question: Json, rule: Rule | None) -> Any:
    """What a rule says to a question, completed where it is an object that stands for an answer."""
    said = {} if rule is None else rule(question)
    if question["answer"] is None:
        return said or "Nothing to add."
    return completed(question, said) if isinstance(said, dict) and "tool" not in said else said


def completed(question: Json, said: Json) -> Json:
    """The answer that ``said`` stands for: what it lacks is taken from ``DEFAULTS`` and from the answer's schema.

    A name in ``said`` gives the value of every property of that name, at whatever depth; a function is called with the
    row that the property is about. Of rows that are shown with ids there is one entry each. ``order`` names actions:
    the first that is on offer is chosen, and of its candidates the one that takes most rows.
    """
    said = DEFAULTS.get(question["kind"], {}) | said
    shown = question["shown"]
    if "looks" not in _names(question["answer"]):
        said.pop("looks", None)  # it has to choose
    if "order" in said:
        order = said.pop("order")
        said.setdefault("candidate", "" if said.get("looks") else _first_offered(order, shown["candidates"]))
    if question["kind"] == "generate":
        said.setdefault("rows", _halves(shown["examples"], shown["rows"]))
    form = question["answer"]
    answer: Json = _filled(form, form, said, shown, {})
    return answer | {name: value for name, value in said.items() if name not in _names(form)}


def _first_offered(order: Sequence[str], candidates: Sequence[Json]) -> str:
    for action in (*order, "stop"):
        if offered := [one for one in candidates if one["action"] == action]:
            return str(max(offered, key=lambda one: one["rows"])["id"])
    return ""


def _halves(examples: Sequence[Json], wanted: int) -> list[Json]:
    """New rows: the first half of one example and the second of another, field by field."""
    pairs = [(one, other) for one in examples for other in examples if one is not other][:wanted]
    return [{name: _spliced(one[name].split(), other[name].split()) for name in one} for one, other in pairs]


def _spliced(one: list[str], other: list[str]) -> str:
    return " ".join(one[: len(one) // 2] + other[len(other) // 2 :])


def _filled(schema: Json, root: Json, said: Json, shown: Json, row: Json) -> Any:
    """The least value that follows a schema, with what ``said`` has in its place."""
    schema = _resolved(schema, root)
    match schema.get("type"):
        case "object":
            return {
                name: _said(said[name], part, row) if name in said
                # An entry goes under the id of its row.
                else row["id"] if name == "id" and row
                else _filled(part, root, said, shown, row)
                for name, part in schema.get("properties", {}).items()
            }  # fmt: skip
        case "array":
            item = _resolved(schema["items"], root)
            rows = shown.get("rows") if "id" in item.get("properties", {}) else None
            about = rows if isinstance(rows, list) else [{}] * max(1, schema.get("minItems", 1))
            return [_filled(item, root, said, shown, one) for one in about]
        case "string":
            return "a word".ljust(schema.get("minLength", 0))[: schema.get("maxLength")]
        case "integer":
            return int(schema.get("minimum", 1))
        case "number":
            return float(schema.get("minimum", 1.0))
        case "boolean":
            return False
    return schema.get("const", schema.get("enum", [None])[0])


def _resolved(schema: Json, root: Json) -> Json:
    if "$ref" in schema:
        return _resolved(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "anyOf" in schema:
        return _resolved(schema["anyOf"][0], root)
    return {key: value for key, value in schema.items() if key != "type"} if "enum" in schema else schema


def _said(value: Any, part: Json, row: Json) -> Any:
    value = value(row) if callable(value) else value
    return [value] if isinstance(value, str) and part.get("type") == "array" else value


def _names(schema: Any) -> set[str]:
    """The names of all properties of a schema."""
    if isinstance(schema, list):
        return set().union(*map(_names, schema))
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", ())).union(*map(_names, schema.values()))


def _spoken(said: Any) -> tuple[str, list[Json]]:
    """A rule's answer as text and tool calls."""
    if isinstance(said, str):
        return said, []
    calls = [said] if isinstance(said, dict) and "tool" in said else said if isinstance(said, list) else None
    if calls is None:
        return json.dumps(said, ensure_ascii=False), []
    return "", [
        {"id": f"call-{number}", "name": call["tool"], "arguments": call.get("arguments", {})}
        for number, call in enumerate(calls)
    ]


def _tokens(data: bytes) -> int:
    return -(-len(data) // _BYTES_PER_TOKEN)
