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
from .columns import strings_in
from .turns import alternating, turns_of

#: Chats that new rows can be written as, and the keys of their turns: who speaks, and what is said.
CHATS = {"sharegpt": ("from", "value"), "messages": ("role", "content")}
#: Names of a class label.
LABELS = frozenset({"label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "tag", "tags"})
Holds = Callable[[Any], bool]


def _any(sample: Any) -> bool:
    return not isinstance(sample, bytes)


def _has_turns(sample: Any) -> bool:
    return turns_of(sample) is not None


def _is_dialogue(sample: Any) -> bool:
    return isinstance(sample, str) or alternating(sample) is not None


def _is_choices(sample: Any) -> bool:
    sample = _parsed(sample)
    return isinstance(sample, dict | list) and bool(sample) and not _has_turns(sample)


def _is_text(sample: Any) -> bool:
    return isinstance(sample, str)


def _is_said(sample: Any) -> bool:
    return isinstance(sample, str | list | dict)


def _is_list(sample: Any) -> bool:
    return isinstance(_parsed(sample), list) and not _has_turns(sample)


def is_segments(sample: Any) -> bool:
    """Whether a value is one text in pieces, of which some are to be learnt (axolotl's ``input_output``)."""
    listed = isinstance(sample, list) and bool(sample)
    return listed and all(isinstance(one, dict) and {*one} == {"label", "text"} for one in sample)


def is_languages(sample: Any) -> bool:
    """Whether a value is one text in several languages, each under its code."""
    named = isinstance(sample, dict) and len(sample) > 1 and all(len(name) in (2, 3, 5) for name in sample)
    return named and all(isinstance(value, str) for value in sample.values())


@dataclass(frozen=True)
class Part:
    """What one column of a shape says: the heading it reads under, the names it goes by, and what it has to hold."""

    heading: str
    names: tuple[str, ...]
    needed: bool = True
    holds: Holds = _any


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _may(heading: str, names: str, holds: Holds = _any) -> Part:
    return Part(heading, _words(names), False, holds)


def _must(heading: str, names: str, holds: Holds = _any) -> Part:
    return Part(heading, _words(names), True, holds)


@dataclass(frozen=True)
class Form:
    """A published shape: its parts, in the order in which they are read.

    ``Shape.columns`` names the columns of ``parts`` and then those of ``before``, which are read first. ``answer``: the
    heading of the part that answers; a row in which it is empty has an empty answer. ``headed``: whether each part
    reads under its heading; otherwise they stand one after the other. ``series``: how the parts without a name are
    named, one series or another, of which two are there.
    """

    parts: tuple[Part, ...]
    before: tuple[Part, ...] = ()
    answer: str | None = None
    headed: bool = True
    series: tuple[tuple[str, ...], ...] = ()

    @property
    def columns(self) -> tuple[Part, ...]:
        """The parts as ``Shape.columns`` names them."""
        return (*self.parts, *self.before)


_PROMPT = (
    "prompt question instruction problem input user query prompts questions inputs_pretokenized inputs input_text "
    "question_text question_body"
)
_STEM = f"{_PROMPT} question_stem stem ctx goal history sentence"
_ANSWER = (
    "completion response output answer answers chosen_response solution generated_solution generated_answer "
    "canonical_solution final_answer final_decision reply assistant completions responses outputs solutions "
    "best_answer answers_spans answer_body answer_text output_text targets_pretokenized summary code sql query"
)
_KEY = (
    "answer answerkey answer_key answer_index answer_idx label correct correct_answer correct_option gold target cop "
    "better_response_id preference winner labels"
)
_CONTEXT = "context passage paragraph article support background evidence document ctx story premise fact1 sentence"
_REASONING = (
    "reasoning rationale reasoning_content chain_of_thought cot cot_content thought thoughts thinking explanation "
    "long_answer solution generated_solution step_by_step exp"
)
_CHAT = "messages conversations conversation contents dialog dialogue chat data turns items"
_SYSTEM = _may(
    "System", "system system_prompt system_message systeminstruction system_instruction definition meta_instruction"
)
_TOOLS = _may("Tools", "tools functions available_tools")
_CHOICE = (_may("Reasoning", _REASONING), _may("Answer", _KEY))

#: Choices of a question, each in a column of its own, by what stands before and behind.
_STEMS = _words("_ option choice op ending sol distractor answer incorrect_answer response human_ref completion output")
_MARKS = ("abcdefgh", "012345678")
_OWN = tuple(
    tuple(stem.strip("_") + gap + mark for mark in marks)
    for stem in _STEMS for marks in _MARKS for gap in ("", "_") if stem != "_" or not gap
)  # fmt: skip
#: Columns that are one row together, under no heading.
_TOGETHER = tuple(
    _words(names)
    for names in (
        "source target", "src tgt", "sentence1 sentence2", "sentence_1 sentence_2", "sentence_a sentence_b",
        "premise hypothesis", "question1 question2", "text1 text2", "text_a text_b", "claim evidence",
        "article highlights", "document summary", "article summary", "article abstract", "dialogue summary",
        "text summary", "text code", "func_documentation_string func_code_string", "docstring code",
        "context response", "en de fr es it pt nl pl cs ru uk zh ja ko ar hi tr sv da no nb fi ro hu el he vi th id",
    )
)  # fmt: skip

#: In the order in which they are looked for: a shape that says more stands before one that it holds.
FORMS: dict[str, Form] = {
    "preference": Form(
        (
            _may("Prompt", f"{_PROMPT} {_CHAT}", _is_said), _may("Input", "input"),
            _must("Chosen", "chosen chosen_response preferred_output preferred accepted better_response"),
            _must("Rejected", "rejected rejected_response non_preferred_output dispreferred worse_response"),
        ),
        (_SYSTEM, _TOOLS), "Chosen",
    ),
    "chat": Form(
        (_must("Conversation", _CHAT, _has_turns), _may("Completions", "completions")),
        (_SYSTEM, _TOOLS, _may("Context", "context")),
    ),
    "choice": Form(
        (_must("Question", _STEM),
         _must("Choices", "choices options endings candidates answer_choices mc1_targets", _is_choices), *_CHOICE),
        (_SYSTEM, _may("Context", _CONTEXT)),
    ),
    "letters": Form(
        (_must("Question", _STEM), *(Part(mark, ()) for mark in "ABCDEFGH"), *_CHOICE),
        (_SYSTEM, _may("Context", _CONTEXT)), series=_OWN,
    ),
    "steps": Form(
        (_must("Prompt", _PROMPT), _must("Steps", "completions steps", _is_list), _must("Labels", "labels", _is_list)),
        (_SYSTEM,),
    ),
    "context": Form(
        (_must("Question", "question prompt problem query questions"), _may("Reasoning", _REASONING),
         _may("Answer", _ANSWER)),
        (_SYSTEM, _must("Context", _CONTEXT)), "Answer",
    ),
    "reasoning": Form(
        (_must("Prompt", _PROMPT), _may("Input", "input"), _must("Reasoning", _REASONING),
         _must("Answer", f"{_ANSWER} expected_answer")),
        (_SYSTEM, _TOOLS), "Answer",
    ),
    "alpaca": Form(
        (_must("Instruction", "instruction"), _may("Input", "input context question query"),
         _must("Response", "output response completion answer")),
        (_SYSTEM, _TOOLS, _may("History", "history")), "Response",
    ),
    "pair": Form((_must("Prompt", _PROMPT), _must("Completion", _ANSWER)), (_SYSTEM, _TOOLS), "Completion",
                 headed=False),
    "target": Form((_must("Prompt", _PROMPT), _must("Target", "target targets", _is_text)), (_SYSTEM,), "Target",
                   headed=False),
    "triplet": Form(
        (_must("Anchor", "anchor query"), _must("Positive", "positive pos"), _may("Negative", "negative neg")),
    ),
    "translation": Form((_must("Translation", "translation", is_languages),)),
    "segments": Form((_must("Segments", "segments", is_segments),)),
    "together": Form(tuple(Part("", (), holds=_is_text) for _ in range(8)), headed=False, series=_TOGETHER),
    "dialogue": Form(
        (_must("Conversation", "conversations conversation dialog dialogue chat data", _is_dialogue),), (_SYSTEM,)
    ),
}  # fmt: skip
#: A prompt and its answer are these by name alone, where a ready-made text stands beside them.
_WEAK = {*_words("input inputs target targets code summary user query sql")}
_CORPUS = {*_words("title headline url link date published author")}
_TEXT = _words("text content document body article sentence code claim")
_ONE = Form((Part("Text", _TEXT),), headed=False)
KINDS = (*FORMS, *CHATS, "text")


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
        return self.kind in ("chat", "dialogue", *CHATS)

    @property
    def form(self) -> Form:
        """How it is read."""
        return FORMS["chat"] if self.kind in CHATS else FORMS.get(self.kind, _ONE)


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
        beside: columns that are no content; none of them alone is taken for the text.
        has_vectors: rows come with vectors and need no text.

    Raises:
        InputError: the named column does not exist, or no column can be told to be the text.
    """
    if named is not None:
        find_column(named, samples, "--text-column")
        if _has_turns(samples[named]):
            return Shape(_chat_kind(samples[named]), (named,))
        return Shape("text", (named,))
    held = {
        name: sample
        for name, sample in samples.items()
        if sample is not None and (name not in taken or name == "source")
    }
    return _known_shape(held) or _text_shape(samples, {*taken, *beside}, has_vectors)


def _known_shape(held: Mapping[str, Any]) -> Shape | None:
    """The first form whose needed parts are all there."""
    plain = {name.strip().lower().replace(" ", "_").replace("-", "_"): name for name in reversed([*held])}
    for kind, form in FORMS.items():
        for series in form.series or ((),):
            found = _parts_found(form, plain, held, series)
            if found is not None and not _is_rather_text(kind, plain, found):
                last = max(at for at, name in enumerate(found) if name)
                return Shape(_chat_kind(held[found[0]]) if kind == "chat" else kind, tuple(found[: last + 1]))
    turned = next((name for name, value in held.items() if _has_turns(value)), None)
    return None if turned is None else Shape(_chat_kind(held[turned]), (turned,))


def _parts_found(
    form: Form, plain: Mapping[str, str], held: Mapping[str, Any], series: tuple[str, ...]
) -> list[str] | None:
    """The column of each part, "" where there is none; None where one that is needed is missing.

    ``series``: the names of the parts that have none, two of which are needed.
    """
    own = [plain[name] for name in series if name in plain]
    if series and len(own) < 2:
        return None
    found: list[str] = []
    serial = iter(own)
    for part in form.columns:
        names = (plain[name] for name in part.names if name in plain)
        column = next((name for name in names if name not in (*found, *own) and part.holds(held[name])), "")
        if not part.names:
            column = next(serial, "")
            if column and not part.holds(held[column]):
                return None
        elif not column and part.needed:
            return None
        found.append(column)
    return found


def _is_rather_text(kind: str, plain: Mapping[str, str], found: list[str]) -> bool:
    """Whether a text stands beside what is not plainly a prompt and its answer, or a corpus has summaries."""
    names = {name.lower() for name in found if name}
    beside = any(name in plain and name not in names for name in _TEXT)
    if kind in ("pair", "target"):
        return "text" in plain and names <= _WEAK
    summarised = bool(names & {"summary", "abstract"}) and bool(_CORPUS & {*plain})
    return (kind == "together" and (beside or summarised)) or (kind == "dialogue" and beside)


def _chat_kind(sample: Any) -> str:
    """``sharegpt`` or ``messages`` where the first turn has its keys, ``chat`` where it has others."""
    first = (turns_of(sample) or [{}])[0]
    whole = isinstance(sample, list)  # and no JSON text of one
    return next((kind for kind, keys in CHATS.items() if whole and all(key in first for key in keys)), "chat")


def _text_shape(samples: Mapping[str, Any], taken: Collection[str], has_vectors: bool) -> Shape:
    """A column of text: by its name, or because it is the only one."""
    usable = [name for name, sample in samples.items() if not isinstance(sample, list | dict | bytes)]
    lower = {name.lower(): name for name in reversed(usable) if name not in taken}
    named = (lower[name] for name in (*_TEXT, *_words(_PROMPT)) if name in lower)
    strings = [name for name in usable if isinstance(samples[name], str) and name not in taken]
    told = [name for name in strings if name.lower() not in LABELS] or strings
    only = told[0] if len(told) == 1 and not _says_more(samples, told[0]) else None
    text = next((name for name in named if name.lower() in _TEXT or isinstance(samples[name], str)), only)
    if text is not None:
        return Shape("text", (text,))
    if has_vectors:
        return Shape("text", ())
    raise InputError(
        f"cannot tell which column is the text among {', '.join(map(repr, samples)) or 'none'}; say --text-column NAME"
    )


def _says_more(samples: Mapping[str, Any], name: str) -> bool:
    """Whether a list or an object holds more words in one string than the only column of text."""
    nested = (sample for sample in samples.values() if isinstance(sample, list | dict))
    words = max((len(said.split()) for sample in nested for said in strings_in(sample)), default=0)
    return words > len(samples[name].split())


def _parsed(sample: Any) -> Any:
    """JSON text as what it holds."""
    if isinstance(sample, str) and sample[:1] in ("[", "{"):
        try:
            return orjson.loads(sample)
        except orjson.JSONDecodeError:
            return sample
    return sample
