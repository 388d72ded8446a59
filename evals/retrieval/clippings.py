"""A folder of notes with a known truth: postings, each clipped three times, and notes that share but a template.

Every posting of 20 Newsgroups that is taken has a subject of its own, which stands in no file: it is the question. Its
body is written as a Markdown note with front matter, once more cut to a part or with a few words edited, and as a web
page in the frame of one of six sites.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...state.errors import InputError
from ...tools.noise import edited
from ..edits import newsgroups20

VERSIONS = ("whole", "part", "page")
_MIN_WORDS, _MAX_WORDS = 120, 1200
_MIN_SUBJECT = 3  # words of a question
_PART = (0.4, 0.8)  # of the lines, what is left of a cut
_EDITED = 3  # one paragraph in so many is edited
_SITES = 6
_NAVIGATION = (
    "Home", "News", "Forums", "Archive", "Reviews", "Jobs", "Contact", "Events", "Partners", "Gallery", "Downloads",
    "Newsletter", "Help", "Search",
)  # fmt: skip
_REPLY = re.compile(r"^(re|fwd?)\s*:\s*", re.IGNORECASE)
_TEMPLATES = (
    "# Weekly review\n\nWhat went well this week and what I want to do more of:\n\n{0}\n\nWhat did not go well and "
    "why, in one or two honest sentences:\n\n{1}\n\nThe one thing that matters most next week, and what I will say no "
    "to because of it:\n\n{2}\n\n## Checklist\n\n- inbox is empty\n- calendar of the next two weeks is read\n- waiting "
    "list is chased\n- projects have a next action each",
    "# Meeting\n\nPresent: {0}\n\nPurpose of the meeting and what should be decided before it ends:\n\n{1}\n\nWhat was "
    "decided, by whom it is carried out and until when:\n\n{2}\n\nNext meeting in two weeks at the same place, the "
    "minutes are sent round by the one who took them, objections within three days.",
    "# Book note\n\nWhy I read it and what I hoped to learn from it:\n\n{0}\n\nThe main argument in my own words, as I "
    "would tell it to a friend:\n\n{1}\n\nWhere I disagree, and what I would have to see to change my mind:\n\n{2}\n\n"
    "Would I recommend it, to whom, and what should be read before or after it?",
)


@dataclass(frozen=True)
class Clippings:
    """``questions``: of each posting; ``text_of``: file → the number of its text, postings first; ``version_of``: file
    → one of ``VERSIONS``, or ``template``."""

    questions: tuple[str, ...]
    text_of: dict[str, int]
    version_of: dict[str, str]


def plant(data: Path, folder: Path, texts: int, look_alikes: int, seed: int) -> Clippings:
    """Write the files of so many postings, and so many notes of three templates, into a folder that is made.

    Raises:
        InputError: the data folder lacks 20 Newsgroups, or holds too few postings.
    """
    random = np.random.default_rng(seed)
    postings = _postings(data)
    if len(postings) < texts + look_alikes:
        raise InputError(f"{texts + look_alikes} postings are needed, and 20 Newsgroups has {len(postings)} that fit")
    drawn = [postings[at] for at in random.choice(len(postings), texts + look_alikes, replace=False).tolist()]
    folder.mkdir(parents=True)
    text_of, version_of = dict[str, int](), dict[str, str]()
    for number, (_, body) in enumerate(drawn[:texts]):
        written = zip(VERSIONS, _versions(body, number, drawn, random), strict=True)
        for version, (suffix, content) in written:
            name = f"{random.integers(1 << 40):010x}{suffix}"
            (folder / name).write_text(content, encoding="utf-8")
            text_of[name], version_of[name] = number, version
    for number, (_, body) in enumerate(drawn[texts:], start=texts):
        name = f"{random.integers(1 << 40):010x}.md"
        filled = _sentences(body)[:3]
        text = _TEMPLATES[number % len(_TEMPLATES)].format(*filled, *[""] * (3 - len(filled)))
        (folder / name).write_text(text, encoding="utf-8")
        text_of[name], version_of[name] = number, "template"
    return Clippings(tuple(subject for subject, _ in drawn[:texts]), text_of, version_of)


def _postings(data: Path) -> list[tuple[str, str]]:
    """Subject and body of the postings of sensible length, the first of each subject."""
    found: dict[str, str] = {}
    for posting in newsgroups20(data)["text"]:
        head, _, body = posting.partition("\n\n")
        named = re.search(r"(?m)^Subject: *(.*)$", head)
        subject = named[1].strip() if named else ""
        while _REPLY.match(subject):
            subject = _REPLY.sub("", subject)
        body = body.encode("ascii", "ignore").decode().strip()
        if subject.lower() in body.lower():
            continue  # the question would stand in the file
        if len(subject.split()) >= _MIN_SUBJECT and _MIN_WORDS <= len(body.split()) <= _MAX_WORDS:
            found.setdefault(subject.lower(), body)
    return list(found.items())


def _versions(
    body: str, number: int, drawn: Sequence[tuple[str, str]], random: np.random.Generator
) -> list[tuple[str, str]]:
    """The three files of a posting: suffix and content."""
    whole = (
        f"---\nsource: https://site{number % _SITES}.example/{number}\ntags: [clipping]\n---\n\n{_as_markdown(body)}\n"
    )
    paragraphs = body.split("\n\n")
    if number % 2:
        changed = (at % _EDITED == number // 2 % _EDITED for at in range(len(paragraphs)))
        part = "\n\n".join(
            edited(one, random) if change else one for one, change in zip(paragraphs, changed, strict=True)
        )
    else:
        lines = body.split("\n")
        size = max(1, round(len(lines) * random.uniform(*_PART)))
        begin = int(random.integers(len(lines) - size + 1))
        part = "\n".join(lines[begin : begin + size])
    others = [drawn[at][1] for at in random.integers(len(drawn), size=4).tolist()]
    return [(".md", whole), (".md", f"{_as_markdown(part)}\n"), (".html", _page(body, number, others))]


def _as_markdown(text: str) -> str:
    """Plain text as Markdown says it: no line is a heading, a list, a quotation or code."""
    lines = (re.sub(r"([\\`*_\[\]<>#|~+=-])", r"\\\1", line.strip()) for line in text.split("\n"))
    return "\n".join(re.sub(r"^(\d+)([.)])", r"\1\\\2", line) for line in lines)


def _page(body: str, number: int, others: Sequence[str]) -> str:
    """A posting as a page of its site, with navigation, a side bar about other postings, and a footer."""
    site = number % _SITES
    links = "".join(
        f'<li><a href="/{name}">{name}</a></li>' for name in np.roll(_NAVIGATION, site)[: 8 + site].tolist()
    )
    beside = "".join(f'<li><a href="/x">{html.escape(" ".join(one.split()[:9]))}</a></li>' for one in others)
    paragraphs = [f"<p>{html.escape(' '.join(one.split()))}</p>" for one in body.split("\n\n") if one.strip()]
    if site % 2:  # what no extraction takes for a frame: it stands among the paragraphs
        paragraphs.insert(0, f"<p>By our staff writer at site {site}. Three minutes to read, with pictures below.</p>")
        paragraphs.insert(
            len(paragraphs) // 2, f"<p>Advertisement. The story of site {site} goes on below this box.</p>"
        )
    return (
        f"<!DOCTYPE html><html><head><title>Site {site}</title></head><body><header><nav><ul>{links}</ul></nav>"
        f'<div class="cookie-banner">We use cookies to improve your experience. Accept all cookies</div></header>'
        f'<main><article>{"".join(paragraphs)}</article></main><aside class="sidebar"><h3>Most read on site {site}</h3>'
        f"<ul>{beside}</ul></aside><footer><p>Copyright 2021 Site {site}. All rights reserved. Terms of use and "
        f"privacy policy apply. Subscribe to our newsletter.</p></footer></body></html>"
    )


def _sentences(body: str) -> list[str]:
    """The longer sentences of a posting, one line each."""
    found = re.split(r"(?<=[.!?])\s+", " ".join(body.split()))
    return [one.translate(str.maketrans("{}", "()")) for one in found if 8 <= len(one.split()) <= 30]
