"""The forms of rows that people publish, and which of them a table has.

A form is known by the names of its columns and by what they hold; ``docs/formats.md`` shows a row of each. They are
those of TRL's dataset formats, axolotl's and LLaMA-Factory's, OpenAI's fine-tuning guide and the published
benchmarks.
"""

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ...state.errors import InputError
from .turns import turns_of

#: Chats that new rows can be written as, and the keys of their turns: who speaks, and what is said.
CHATS = {"sharegpt": ("from", "value"), "messages": ("role", "content")}
_TEXT_NAMES = ("text", "content", "document", "body", "sentence", "code")


@dataclass(frozen=True)
class Part:
    """What one column of a shape says: the names it goes by, and the heading it reads under."""

    names: tuple[str, ...]
    heading: str
    needed: bool = True
    holds: Callable[[Any], bool] = lambda sample: not isinstance(sample, bytes)


@dataclass(frozen=True)
class Form:
    """A published shape: its parts in the order in which ``Shape.columns`` names them, and in which they are read.

    ``answer``: the part that answers; a row in which it is empty has an empty answer. ``headed``: whether each part
    reads under its heading; otherwise they stand one after the other.
    """

    parts: tuple[Part, ...]
    order: tuple[int, ...]
    answer: int | None = None
    headed: bool = True


def _has_turns(sample: Any) -> bool:
    return turns_of(sample) is not None


def _is_choices(sample: Any) -> bool:
    sample = _parsed(sample)
    return isinstance(sample, dict | list) and bool(sample) and not _has_turns(sample)


def is_languages(sample: Any) -> bool:
    """Whether a value is one text in several languages, each under its code."""
    named = isinstance(sample, dict) and len(sample) > 1 and all(len(name) in (2, 3, 5) for name in sample)
    return named and all(isinstance(value, str) for value in sample.values())


_SYSTEM = Part(
    ("system", "system_prompt", "system_message", "systeminstruction", "system_instruction"), "System", False
)
_TOOLS = Part(("tools", "functions", "available_tools"), "Tools", False)
_HISTORY = Part(("history",), "History", False)
_PROMPTS = ("prompt", "question", "query", "instruction", "problem", "input", "user", "prompts", "questions")
_ANSWERS = (
    "completion", "response", "output", "answer", "answers", "chosen_response", "solution", "generated_solution",
    "generated_answer", "canonical_solution", "final_answer", "reply", "assistant", "completions", "responses",
    "outputs", "best_answer", "summary", "code",
)  # fmt: skip
_CONTEXTS = ("context", "passage", "paragraph", "article", "support", "background", "evidence", "document", "ctx")
_REASONING = (
    "reasoning", "rationale", "reasoning_content", "chain_of_thought", "cot", "thought", "thoughts", "thinking",
    "explanation", "solution", "generated_solution", "step_by_step",
)  # fmt: skip
_CHOSEN = ("chosen", "chosen_response", "preferred_output", "preferred", "accepted", "better_response", "winner")
_REJECTED = (
    "rejected", "rejected_response", "non_preferred_output", "dispreferred", "worse_response", "loser",
)  # fmt: skip
_CHATS = ("messages", "conversations", "conversation", "contents", "dialog", "dialogue", "chat", "turns", "items")
_CHOICES = ("choices", "options", "endings", "candidates", "mc1_targets", "answer_choices")
_LETTERS = tuple("ABCDEFGH")

#: In the order in which they are looked for: a shape that says more stands before one that it holds.
FORMS: dict[str, Form] = {
    "preference": Form(
        (Part(_PROMPTS, "Prompt", False), Part(_CHOSEN, "Chosen"), Part(_REJECTED, "Rejected"), _SYSTEM, _TOOLS),
        (3, 4, 0, 1, 2), 1,
    ),
    "chat": Form((Part(_CHATS, "Conversation", holds=_has_turns), _SYSTEM, _TOOLS), (1, 2, 0)),
    "choice": Form(
        (
            Part((*_PROMPTS, "stem", "ctx", "sentence", "goal"), "Question"),
            Part(_CHOICES, "Choices", holds=_is_choices),
            Part(("answer", "answerkey", "answer_key", "answer_index", "label", "correct", "correct_answer", "gold",
                  "target"), "Answer", False),
            Part(_CONTEXTS, "Context", False), Part(_REASONING, "Reasoning", False),
        ),
        (3, 0, 1, 4, 2),
    ),
    "alpaca": Form(
        (Part(("instruction",), "Instruction"), Part(("input", "context"), "Input", False),
         Part(("output", "response", "completion", "answer"), "Response"), _SYSTEM, _HISTORY),
        (3, 4, 0, 1, 2), 2,
    ),
    "context": Form(
        (Part(("question", "query", "prompt", "problem"), "Question"), Part(_CONTEXTS, "Context"),
         Part(_ANSWERS, "Answer", False), Part(_REASONING, "Reasoning", False)),
        (1, 0, 3, 2), 2,
    ),
    "reasoning": Form(
        (Part(_PROMPTS, "Prompt"), Part(_REASONING, "Reasoning"), Part(_ANSWERS, "Answer"), _SYSTEM), (3, 0, 1, 2), 2,
    ),
    "pair": Form((Part(_PROMPTS, "Prompt"), Part(_ANSWERS, "Completion"), _SYSTEM), (2, 0, 1), 1, headed=False),
    "triplet": Form(
        (Part(("anchor", "query"), "Anchor"), Part(("positive", "pos"), "Positive"),
         Part(("negative", "neg"), "Negative", False)),
        (0, 1, 2),
    ),
    "translation": Form((Part(("translation",), "Translation", holds=is_languages),), (0,)),
}  # fmt: skip
#: Two columns that are one row together, under no heading.
_TWO = (
    ("source", "target"), ("input", "target"), ("inputs", "targets"), ("src", "tgt"), ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("premise", "hypothesis"), ("question1", "question2"), ("text1", "text2"), ("text_a", "text_b"),
    ("article", "highlights"), ("document", "summary"), ("dialogue", "summary"), ("text", "summary"), ("text", "code"),
    ("func_documentation_string", "func_code_string"), ("docstring", "code"),
)  # fmt: skip
FORMS["two"] = Form((Part((), "First"), Part((), "Second")), (0, 1), headed=False)
#: The choices of a question, each in a column of its own, behind the parts of ``choice``.
FORMS["letters"] = Form((*FORMS["choice"].parts, *(Part((), letter) for letter in _LETTERS)), ())


@dataclass(frozen=True)
class Shape:
    """How rows become text: the name of a form, and the column of each of its parts, "" where there is none.

    ``kind`` is that of ``FORMS``; a chat is ``sharegpt`` or ``messages`` where new rows can be written as one; ``text``
    is one column, or none where rows are vectors.
    """

    kind: str
    columns: tuple[str, ...]

    @property
    def text_column(self) -> str | None:
        """The column that holds the text, or most of it; ``None`` where several share it."""
        held = [name for name in self.columns if name]
        return held[0] if len(held) == 1 or (self.is_chat and held) else None

    @property
    def is_chat(self) -> bool:
        """Whether the first column is a conversation."""
        return self.kind in ("chat", *CHATS)

    @property
    def form(self) -> Form:
        """How it is read."""
        return FORMS["chat"] if self.is_chat else FORMS.get(self.kind, _PLAIN)


_PLAIN = Form((Part(_TEXT_NAMES, "Text"),), (0,), headed=False)
KINDS = (*FORMS, *CHATS, "text")


def find_column(name: str, columns: Collection[str], option: str) -> str:
    """``name``, if it is a column.

    Raises:
        InputError: it is not; the nearest column is named, and the others.
    """
    if name in columns:
        return name
    nearest = difflib.get_close_matches(name, columns, n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    known = ", ".join(map(repr, list(columns)[:20]))
    raise InputError(f"{option}: the data has no column {name!r}{hint} It has {known or 'none'}")


def recognise(
    samples: Mapping[str, Any], named: str | None, taken: Collection[str], beside: Collection[str], has_vectors: bool
) -> Shape:
    """The shape of a table.

    Args:
        samples: every column in order, with one value that is not null (``None`` where all are).
        named: the text column the user named, if any.
        taken: columns that mean something else (id, label, source).
        beside: columns whose names say that they are no content; none of them alone is taken for the text.
        has_vectors: rows come with vectors and need no text.

    Raises:
        InputError: the named column does not exist, or no column can be told to be the text.
    """
    if named is not None:
        find_column(named, samples, "--text-column")
        if _has_turns(samples[named]):
            return Shape(_chat_kind(samples[named]), (named,))
        return Shape("text", (named,))
    return _known_shape(samples, taken) or _text_shape(samples, {*taken, *beside}, has_vectors)


def _known_shape(samples: Mapping[str, Any], taken: Collection[str]) -> Shape | None:
    """The first form whose needed parts are all there."""
    held = {name: sample for name, sample in samples.items() if name not in taken or name == "source"}
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in reversed(held)}
    for kind, form in FORMS.items():
        found = _parts_found(form, plain, held) if form.order and kind != "two" else None
        if found is None or (kind == "pair" and _prefers_text(plain, found)):
            continue
        return Shape(_chat_kind(held[found[0]]) if kind == "chat" else kind, _trimmed(found))
    question = next((plain[name] for name in FORMS["choice"].parts[0].names if name in plain), None)
    if question is not None and (choices := _own_columns(plain)):
        answer, context = (next((plain[n] for n in FORMS["choice"].parts[at].names if n in plain), "") for at in (2, 3))
        return Shape("letters", (question, "", answer, context, "", *choices))
    for names in _TWO:
        two = tuple(plain[name] for name in names if name in plain)
        text = any(name in plain for name in _TEXT_NAMES if name not in names)
        if len(two) == 2 and all(isinstance(held[name], str) for name in two) and not text:
            return Shape("two", two)
    turned = next((name for name, value in held.items() if _has_turns(value)), None)
    return None if turned is None else Shape(_chat_kind(held[turned]), (turned,))


def _parts_found(form: Form, plain: Mapping[str, str], samples: Mapping[str, Any]) -> list[str] | None:
    """The column of each part, "" where there is none; None where one that is needed is missing."""
    found: list[str] = []
    for part in form.parts:
        names = (plain[name] for name in part.names if name in plain)
        fits = (name for name in names if name not in found and samples[name] is not None)
        column = next((name for name in fits if part.holds(samples[name])), "")
        if not column and part.needed:
            return None
        found.append(column)
    return found


def _prefers_text(plain: Mapping[str, str], found: list[str]) -> bool:
    """Whether a ready-made text stands beside an input and a target that are not plainly a prompt and its answer."""
    return "text" in plain and {found[0].lower(), found[1].lower()} <= {"input", "target", "code", "summary", "user"}


def _own_columns(plain: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of choices where each has its own: ``A`` to ``D``, ``option1`` …, ``ending0`` …"""
    for stem in ("", "option", "option_", "choice", "choice_", "op", "ending", "ending_", "sol", "distractor"):
        for marks in ("abcdefgh", "12345678", "01234567"):
            held = [plain[stem + mark] for mark in marks if stem + mark in plain]
            if len(held) > 1 and all(stem + mark in plain for mark in marks[:2]):
                return tuple(held)
    return ()


def _chat_kind(sample: Any) -> str:
    """``sharegpt`` or ``messages`` where the first turn has its keys, ``chat`` where it has others."""
    first = (turns_of(sample) or [{}])[0]
    whole = isinstance(sample, list)  # and no JSON text of one
    return next((kind for kind, keys in CHATS.items() if whole and all(key in first for key in keys)), "chat")


def _text_shape(samples: Mapping[str, Any], taken: Collection[str], has_vectors: bool) -> Shape:
    """A column of text: by its name, or because it is the only one."""
    usable = [name for name, sample in samples.items() if not isinstance(sample, list | dict | bytes)]
    lower = {name.lower(): name for name in reversed(usable)}
    for name in _TEXT_NAMES:
        if name in lower and lower[name] not in taken:
            return Shape("text", (lower[name],))
    for name in _PROMPTS:
        if name in lower and lower[name] not in taken and isinstance(samples[lower[name]], str):
            return Shape("text", (lower[name],))
    strings = [name for name in usable if isinstance(samples[name], str) and name not in taken]
    if len(strings) == 1:
        return Shape("text", (strings[0],))
    if has_vectors:
        return Shape("text", ())
    raise InputError(
        f"cannot tell which column is the text among {', '.join(map(repr, samples)) or 'none'}; say --text-column NAME"
    )


def _parsed(sample: Any) -> Any:
    """JSON text as what it holds."""
    if isinstance(sample, str) and sample[:1] in ("[", "{"):
        try:
            return orjson.loads(sample)
        except orjson.JSONDecodeError:
            return sample
    return sample


def _trimmed(columns: list[str]) -> tuple[str, ...]:
    """Without the parts behind the last that is there."""
    last = max(at for at, name in enumerate(columns) if name)
    return tuple(columns[: last + 1])
