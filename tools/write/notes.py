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
from ...state.store import write_whole

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
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)")
_ACTS = re.compile(r"<(?=[A-Za-z/!?])|(?<=!)\[")  # a tag; an image, which whoever reads it would fetch
_SPECIAL = re.compile(r"([\\`*_\[\]<>!|#~])")


def write_notes(notes: pl.DataFrame, folder: Path) -> None:
    """Write notes (``NOTES``) into ``folder``, made if absent: ``TOPIC/TITLE.md`` each, and ``index.md``.

    The same notes give the same names and bytes. What else lies in the folder stays as it is.

    Raises:
        StorageError: the disk is full or not writable.
    """
    topics = notes.with_columns(pl.col("topic").fill_null(_UNSORTED)).with_columns(size=pl.len().over("topic"))
    topics = topics.sort(
        pl.col("topic") == _UNSORTED, -pl.col("size").cast(pl.Int64), "topic", pl.col("title").str.to_lowercase(), "id"
    )
    index, names = [f"# {counted(notes.height, 'note')} by topic"], set[str]()
    for (topic,), held in topics.group_by("topic", maintain_order=True):
        place = safe_name(str(topic).lower(), "topic", names)
        index += ["", f"## {_escaped(str(topic))} ({held.height:,})", ""]
        index += _written(held, folder / place)
    write_whole(_made(folder) / INDEX, "\n".join(index) + "\n")


def _written(notes: pl.DataFrame, folder: Path) -> list[str]:
    """Write the notes of one topic; returns their lines of the index."""
    lines, names = [], set[str]()
    _made(folder)
    for note in notes.iter_rows(named=True):
        name = f"{safe_name(note['title'], 'untitled', names)}.md"
        write_whole(folder / name, _page(note))
        lines.append(f"- [{_escaped(note['title'])}]({quote(folder.name)}/{quote(name)})")
    return lines


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, folder, "writing the notes to") from error
    return folder


def _page(note: dict[str, object]) -> str:
    """A note as Markdown: what is known of it as YAML front matter, then its text."""
    names = ("title", "id", "topic", "tags", "date", "sources", "origins")
    known = {name: note[name] for name in names if note[name] not in (None, [], "")}
    front = yaml.safe_dump(known, allow_unicode=True, sort_keys=False, width=10_000)
    return f"---\n{front}---\n\n{inert(str(note['text'] or ''))}\n"


def safe_name(words: str, otherwise: str, taken: set[str]) -> str:
    """A name for a file or a folder, without a suffix, made of ``words``; it is added to ``taken`` (in lower case).

    Letters, marks and digits of any script stay, in Unicode's form NFKC; all else becomes dashes. ``otherwise``: the
    name where nothing is left. A name that is taken, whatever its case, gets a number.
    """
    kept = (one if one.isalnum() or unicodedata.category(one)[0] == "M" else "-" for one in _compatible(words))
    name = _cut(re.sub("-+", "-", "".join(kept)), _LONGEST) or otherwise
    name = f"{otherwise}-{name}" if _RESERVED.fullmatch(name) else name
    number, own = 1, name
    while _compatible(own).casefold() in taken:
        number += 1
        own = f"{name}-{number}"
    taken.add(_compatible(own).casefold())
    return own


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
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif found:
            fence = found[1]
        else:
            line = _ACTS.sub(r"\\\g<0>", line)
        lines.append(line)
    return "\n".join(lines)


def _escaped(words: str) -> str:
    """Words of the data on a line of Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(without_controls(words).split()))
