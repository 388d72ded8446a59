"""Notes as a folder of Markdown: a folder for each topic, a file for each note, and an index with links to all.

Titles and topics come from the data, so that no name of a file is taken as it comes: of a name only letters, digits and
dashes are left, it is bounded, and no system reserves it. In a note's text nothing acts: outside of code, what would be
an HTML tag or an image is escaped.
"""

import re
import unicodedata
from pathlib import Path
from urllib.parse import quote

import polars as pl
import yaml

from ...state.errors import storage_error
from ...state.phrases import counted, without_controls

#: What is written of a note; ``topic`` is null where it has none.
NOTES = pl.Schema(
    [
        ("id", pl.String),
        ("title", pl.String),
        ("text", pl.String),
        ("topic", pl.String),
        ("sources", pl.List(pl.String)),  # ids of the notes that are merged into it, its own first
        ("origins", pl.List(pl.String)),  # what those name as their source
        ("tags", pl.List(pl.String)),
        ("date", pl.String),
    ]
)
INDEX = "index.md"
_UNSORTED = "unsorted"
_LONGEST = 80  # bytes of a name
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)\d", re.IGNORECASE)  # by Windows, whatever the suffix
# Only a fence at the beginning of a line: one further in may end with the list item that it stands in.
_FENCE = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})(.*)")
#: A tag, and an image, which whoever reads it would fetch; no backslash before an entity undoes it.
_ACTS = {re.compile(r"<(?=[A-Za-z/!?])"): "&lt;", re.compile(r"!(?=\[)"): "&#33;"}
_SPECIAL = re.compile(r"([\\`*_\[\]<>!|#~])")


def write_notes(notes: pl.DataFrame, folder: Path) -> list[str]:
    """Write notes (``NOTES``) into ``folder``, made if absent: ``TOPIC/TITLE.md`` each, and ``index.md``.

    The same notes give the same names and bytes. What else lies in the folder stays as it is. The disk need not hold
    them yet when this returns: there may be many, and one wait for all is the caller's.

    Returns:
        The names of the files within the folder.

    Raises:
        StorageError: the disk is full or not writable.
    """
    topics = notes.with_columns(pl.col("topic").fill_null(_UNSORTED)).with_columns(size=pl.len().over("topic"))
    topics = topics.sort(
        pl.col("topic") == _UNSORTED, -pl.col("size").cast(pl.Int64), "topic", pl.col("title").str.to_lowercase(), "id"
    )
    index, names = [f"# {counted(notes.height, 'note')} by topic"], dict[str, int]()
    pages: dict[str, str] = {}
    for (topic,), held in topics.group_by("topic", maintain_order=True):
        place = safe_name(str(topic).lower(), "topic", names)
        index += ["", f"## {_escaped(str(topic))} ({held.height:,})", ""]
        own = dict[str, int]()
        for note in held.iter_rows(named=True):
            name = f"{place}/{safe_name(note['title'], 'untitled', own)}.md"
            pages[name] = _page(note)
            index.append(f"- [{_escaped(note['title'])}]({quote(name)})")
    pages[INDEX] = "\n".join(index) + "\n"
    try:
        for name, page in pages.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(page.encode("utf-8", "replace"))
    except OSError as error:
        raise storage_error(error, folder, "writing the notes to") from error
    return list(pages)


def _page(note: dict[str, object]) -> str:
    """A note as Markdown: what is known of it as YAML front matter, then its text."""
    names = ("title", "id", "topic", "tags", "date", "sources", "origins")
    known = {name: note[name] for name in names if note[name] not in (None, [], "")}
    front = yaml.safe_dump(known, allow_unicode=True, sort_keys=False, width=10_000)
    return f"---\n{front}---\n\n{inert(str(note['text'] or ''))}\n"


def safe_name(words: str, otherwise: str, taken: dict[str, int]) -> str:
    """A name for a file or a folder, without a suffix, made of ``words``; it is added to ``taken``.

    Letters, marks and digits of any script stay, in Unicode's form NFKC; all else becomes dashes. ``otherwise``: the
    name where nothing is left. A name that is taken, whatever its case, gets a number.
    """
    kept = (one if one.isalnum() or unicodedata.category(one)[0] == "M" else "-" for one in _compatible(words))
    name = _cut(re.sub("-+", "-", "".join(kept)), _LONGEST) or otherwise
    name = f"{otherwise}-{name}" if _RESERVED.fullmatch(name) else name
    own, number = name, taken.get(_folded(name), 0)
    while _folded(own) in taken:
        number += 1
        own = f"{name}-{number}"
    taken[_folded(name)] = max(number, 1)  # from where on the next of this name counts
    taken.setdefault(_folded(own), 1)
    return own


def _folded(name: str) -> str:
    return _compatible(name).casefold()


def _compatible(words: str) -> str:
    return unicodedata.normalize("NFKC", words)


def _cut(name: str, most: int) -> str:
    """The beginning of a name that takes so many bytes at most, without dashes or loose marks at its ends."""
    name = name.strip("-").encode()[:most].decode("utf-8", "ignore").rstrip("-")
    while name and unicodedata.category(name[0])[0] == "M":
        name = name[1:]
    return name.strip("-")


def inert(text: str) -> str:
    """Markdown whose tags and images are escaped outside of fenced code."""
    lines, fence = [], ""
    for line in text.split("\n"):
        found = _FENCE.fullmatch(line)
        if fence:
            closes = _FENCE.fullmatch(line.removeprefix(" ").removeprefix(" ").removeprefix(" "))
            if closes and closes[1].startswith(fence) and not closes[2].strip():
                fence = ""
        elif found:
            fence = found[1]
        else:
            for acts, spelled in _ACTS.items():
                line = acts.sub(spelled, line)
        lines.append(line)
    return "\n".join(lines)


def _escaped(words: str) -> str:
    """Words of the data on a line of Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(without_controls(words).split()))
