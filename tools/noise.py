"""What spoils single texts: edits, broken ends, gibberish and boilerplate. All from a generator that is handed in."""

import numpy as np

_FILLERS = ("please", "just", "really", "also", "so", "then", "well", "actually")
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))
_KEYS = np.array(list("asdfjkl;qwertzuiop1234567890%$#@!/ "))
_WORDS = np.array(
    ["the", "of", "blue", "run", "seven", "quickly", "under", "table", "not", "why", "green", "was", "cloud", "eat",
     "paper", "north", "if", "sing", "chair", "almost"]
)  # fmt: skip
_PAGES = (
    "Click here to subscribe to our newsletter and never miss an update",
    "All rights reserved. Terms of use and privacy policy apply",
    "This page requires JavaScript. Please enable it and reload the page",
    "Sign up now for free and get {n}% off your first order",
    "We use cookies to improve your experience. Accept all cookies",
    "Thank you for contacting us, an agent will be with you in {n} minutes",
    "Read more at our website, follow us on social media and share",
    "You are visitor number {n}00. Last updated {n} days ago",
)
_ANSWERS = (
    "I'm sorry, but I can't help with that request",
    "As an AI language model, I do not have access to that information",
    "Thank you for your question! Please contact our support team and quote ticket {n}",
    "I hope this helps! Let me know if you have any other questions",
    "This content is not available in your region. Error {n}",
    "Sure! Here is the answer to your question",
    "Please log in to view this answer. {n} people found it helpful",
)
_ENDS = ("", ".", "!", " …", ". Thank you.", " Reference {n}.")
_LEAST_WORDS = 10  # of an answer that can be broken off


def edited(text: str, random: np.random.Generator) -> str:
    """A copy with a few words dropped, put in, changed or misspelt, about one in twelve; never the text itself.

    A text that has one word or none gets a word more.
    """
    words = text.split()
    for _ in range(max(1, len(words) // 12)):
        _edit(words, random)
    if words == text.split():
        words.insert(int(random.integers(len(words) + 1)), str(random.choice(_FILLERS)))
    return " ".join(words)


def _edit(words: list[str], random: np.random.Generator) -> None:
    kind, at = random.integers(4), int(random.integers(max(1, len(words))))
    if kind == 0 and len(words) > 3:
        words.pop(at)
    elif kind == 1 and len(words) > 1:  # another order of two words, or another case of one
        other = (at + 1) % len(words)
        words[at], words[other] = words[other], words[at]
    elif kind == 2 and words and len(words[at]) > 3:
        gone = int(random.integers(1, len(words[at]) - 1))
        words[at] = words[at][:gone] + words[at][gone + 1 :]
    else:
        words.insert(at, str(random.choice(_FILLERS)))


def broken_off(text: str, random: np.random.Generator) -> str | None:
    """The first 30 to 70 % of a text, ending within a sentence at a whole word; None where it is too short for that."""
    if len(text.split()) < _LEAST_WORDS:
        return None
    head = text[: int(len(text) * random.uniform(0.3, 0.7))]
    whole_words = head.rsplit(None, 1)[0] if len(head.split()) > 1 else head
    return whole_words.rstrip(" \t\n.,:;!?") or None


def gibberish(random: np.random.Generator) -> str:
    """Words that are none, keys struck at random, or words without a sentence."""
    kind, length = random.integers(3), int(random.integers(5, 25))
    if kind == 0:
        return " ".join("".join(random.choice(_LETTERS, int(random.integers(2, 10)))) for _ in range(length))
    if kind == 1:
        return "".join(random.choice(_KEYS, 4 * length)).strip() or "asdf"
    return " ".join(random.choice(_WORDS, length))


def page_boilerplate(random: np.random.Generator) -> str:
    """A line that web pages have in common, with small variations."""
    return _filled(_PAGES, random)


def answer_boilerplate(random: np.random.Generator) -> str:
    """An answer that answers nothing, with small variations."""
    return _filled(_ANSWERS, random)


def _filled(templates: tuple[str, ...], random: np.random.Generator) -> str:
    text = templates[int(random.integers(len(templates)))] + _ENDS[int(random.integers(len(_ENDS)))]
    return text.replace("{n}", str(random.integers(2, 90)))
