"""The filters of Self-Instruct on generated rows (Wang et al. 2023, arXiv 2212.10560, section 2.2, and its code).

The published conditions, for rows with an instruction: more than 3 and at most 150 words; none of the words of
``UNUSABLE``; no "Write a program"; no punctuation and no character outside ASCII at the start; no output that is empty
or equals the input; neither ends with a colon; no second output for the same input. (Near copies are ``rouge.py``'s.)
They were made for English instructions. What the data themselves do is no fault in a new row: where more than one
in twenty of the cluster's own rows begins with punctuation or outside ASCII, that filter is off, and rows
of plain text, which are no instructions, may be as short and as long as the cluster's own.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "malformed", "truncated", "too_short", "too_long", "unusable_word", "program", "punctuation", "non_ascii",
    "near_copy", "input_is_output", "empty_output", "ends_with_colon", "same_input_other_output", "fails_filter",
    "off_topic", "on_top_of_real", "judged_bad", "unjudged", "narrowing", "over_share",
]  # fmt: skip

#: What a dropped row did wrong, for people.
MEANINGS: dict[Reason, str] = {
    "malformed": "not a row of the form asked for",
    "truncated": "the answer was cut off at the token limit",
    "too_short": "too few words",
    "too_long": "too many words",
    "unusable_word": "asks for something that is not text (an image, a file, …)",
    "program": "“Write a program”",
    "punctuation": "begins with punctuation",
    "non_ascii": "begins with a character outside ASCII",
    "near_copy": "repeats a seed, a row or another new row (ROUGE-L)",
    "input_is_output": "the output repeats the input",
    "empty_output": "no output",
    "ends_with_colon": "ends with a colon: unfinished",
    "same_input_other_output": "the same input as another row, with another output",
    "fails_filter": "fails a quality rule that the data's own rows had to pass",
    "off_topic": "lands outside the cluster it was asked for",
    "on_top_of_real": "says what a real row says (cosine)",
    "judged_bad": "rejected by the judge",
    "unjudged": "the judge gave no usable answer",
    "narrowing": "the cluster's rows became more alike",
    "over_share": "more than was asked for",
}

FEWEST_WORDS = 4
MOST_WORDS = 150
UNUSABLE = (
    *("image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps"),
    *("draw", "plot", "go to"),
)
LONGEST = 20_000  # characters of a field; no row of a training set for small models needs more

_UNUSABLE = re.compile(rf"\b({'|'.join(UNUSABLE)})\b", re.IGNORECASE)
_OWN_HABIT = 0.05  # share of the cluster's own rows that makes a way to begin a habit


@dataclass(frozen=True)
class Norms:
    """What a new row is held to: words of its first field, and whether it may begin like some of the data's own."""

    fewest: int = FEWEST_WORDS
    most: int = MOST_WORDS
    punctuation: bool = False  # may begin with it
    non_ascii: bool = False


def norms(fields: Sequence[str], own: Iterable[Mapping[str, str]]) -> Norms:
    """The norms for rows of those fields beside the cluster's ``own`` rows."""
    firsts = [first for row in own if (first := row[fields[0]].strip())]
    if not firsts:
        return Norms()
    words = [len(first.split()) for first in firsts if fields[0] == "text"]
    return Norms(
        fewest=min([FEWEST_WORDS, *words]),
        most=max([MOST_WORDS, *words]),
        punctuation=sum(first[0] in string.punctuation for first in firsts) > _OWN_HABIT * len(firsts),
        non_ascii=sum(not first[0].isascii() for first in firsts) > _OWN_HABIT * len(firsts),
    )


def fault(row: Mapping[str, str], held_to: Norms) -> Reason | None:
    """Why a row cannot be used, by what it says alone; None where nothing speaks against it.

    ``row``: ``instruction``, ``output`` and perhaps ``input``; or ``text``.
    """
    plain = "text" in row
    said = " ".join(row["text" if plain else "instruction"].split())
    words, first = len(said.split()), said[:1]
    given, output = ("", said) if plain else (row.get("input", "").strip(), row["output"].strip())
    faults: tuple[tuple[Reason, bool], ...] = (
        ("too_long", any(len(text) > LONGEST for text in row.values())),
        ("too_short", words < held_to.fewest),
        ("too_long", words > held_to.most),
        ("unusable_word", not plain and _UNUSABLE.search(said) is not None),
        ("program", not plain and said.lower().startswith("write a program")),
        ("punctuation", first in string.punctuation and not held_to.punctuation),
        ("non_ascii", not first.isascii() and not held_to.non_ascii),
        ("empty_output", not output),
        ("input_is_output", given == output),
        ("ends_with_colon", given.endswith(":") or output.endswith(":")),
    )
    return next((reason for reason, found in faults if found), None)


def answers_differ(rows: Sequence[Mapping[str, str]], known: Iterable[Mapping[str, str]]) -> list[bool]:
    """Which of ``rows`` ask what another of them, or a known row, asks by the same input, and answer otherwise.

    As published, neither of two new rows that contradict each other is used; a known row stays. Rows without input
    are not compared: their instructions are, as near copies.
    """
    given = {_question(row): _answer(row) for row in known}
    answers: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        answers.setdefault(_question(row), Counter())[_answer(row)] += 1
    return [
        bool(row.get("input", "").strip())
        and (len(answers[_question(row)]) > 1 or given.get(_question(row), _answer(row)) != _answer(row))
        for row in rows
    ]


def _question(row: Mapping[str, str]) -> tuple[str, str]:
    return " ".join(row.get("instruction", "").lower().split()), row.get("input", "").strip()


def _answer(row: Mapping[str, str]) -> str:
    return row.get("output", "").strip()
