"""The taxonomy file: which domains, tags and difficulties rows are labelled with, and the words that tell them.

::

    domains:
      cards:
        description: payment cards, their delivery and their use
        keywords: [card, PIN, "chip and pin"]
    tags:
      complaint: {description: the writer is not content, keywords: [complain, unacceptable]}
    difficulties:
      easy: {description: one fact answers it}

Each of the three may be left out, and so may keywords. A name becomes the name of a folder, so its form is strict.
"""

import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import TypeAdapter

from ...state.errors import InputError
from ...state.settings import yaml_fault

PARTS = {"domain": "domains", "tags": "tags", "difficulty": "difficulties"}  # of a label → its names in the taxonomy
AXES = tuple(PARTS.values())
#: The columns of a label table: each part, and who gave it.
LABELS = tuple(column for part in PARTS for column in (part, f"{part}_by"))
UNLABELLED = "unlabelled"  # the folder of rows that stay unsure
UNSURE = "unsure"  # what a model answers where no name fits

_FORM = "; docs/labels.md shows the form"
_MOST_BYTES = 1_000_000
_MOST_NAMES = {"domains": 100, "tags": 100, "difficulties": 10}
_LONGEST_NAME, _LONGEST_FOLDER = 60, 200  # a folder's name holds 255 bytes
_LONGEST_DESCRIPTION = 500
_MOST_KEYWORDS, _LONGEST_KEYWORD = 200, 100


@dataclass(frozen=True)
class Entry:
    """One name of an axis. ``keywords`` are matched as whole words, whatever their case."""

    name: str
    description: str
    keywords: tuple[str, ...]


@dataclass(frozen=True)
class Taxonomy:
    """The names of each axis, in the order of the file; an axis may be empty, not all three."""

    domains: tuple[Entry, ...]
    tags: tuple[Entry, ...]
    difficulties: tuple[Entry, ...]


def taxonomy_of(plain: dict[str, Any]) -> Taxonomy:
    """The taxonomy that ``asdict`` made plain."""
    return TypeAdapter(Taxonomy).validate_python(plain)


def read_taxonomy(path: Path) -> Taxonomy:
    """Read a taxonomy file.

    Raises:
        InputError: it cannot be read, or is not of the form above; the place and the remedy are named.
    """
    values = _yaml(path)
    if unknown := [str(key)[:60] for key in values if key not in AXES]:
        raise InputError(f"{path}: unknown key {unknown[0]!r}; there are {', '.join(AXES)}{_FORM}")
    taxonomy = Taxonomy(**{axis: _axis(f"{path}: {axis}", axis, values.get(axis)) for axis in AXES})
    if not (taxonomy.domains or taxonomy.tags or taxonomy.difficulties):
        raise InputError(f"{path} names nothing; it needs {', '.join(AXES[:-1])} or {AXES[-1]}")
    return taxonomy


class _Strict(yaml.SafeLoader):
    """YAML without repeated keys, of which the last would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if repeated := next((key for at, key in enumerate(keys) if key in keys[:at]), None):
            raise yaml.constructor.ConstructorError(None, None, f"{str(repeated)[:60]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _yaml(path: Path) -> dict[Any, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise InputError(f"{path} is larger than a taxonomy can be ({_MOST_BYTES:,} bytes)")
        text = data.decode("utf-8")
        # A few aliases of aliases stand for billions of values. By libyaml, where it is: PyYAML's own scanner takes
        # the square of the depth.
        scanner = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=scanner)):
            raise InputError(f"{path}: aliases (*name) are not allowed in a taxonomy")
        values = yaml.load(text, Loader=_Strict)  # a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the taxonomy {path}: {getattr(error, 'strerror', None) or error}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}{yaml_fault(error)}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold {', '.join(AXES)}, each with names below it{_FORM}")
    return values


def _axis(where: str, axis: str, values: Any) -> tuple[Entry, ...]:
    if values is None:
        return ()
    if not isinstance(values, dict):
        raise InputError(f"{where} must hold names, each with a description below it{_FORM}")
    if len(values) > _MOST_NAMES[axis]:
        raise InputError(f"{where} holds {len(values)} names, at most {_MOST_NAMES[axis]} are possible")
    if len(values) == 1 and axis != "tags":
        raise InputError(f"{where} holds one name; a choice needs two")
    entries = tuple(_entry(where, name, value) for name, value in values.items())
    folded = [entry.name.casefold() for entry in entries]  # one folder on some disks
    if twin := next((entry.name for at, entry in enumerate(entries) if folded[at] in folded[:at]), None):
        raise InputError(f"{where}: there is another name that differs from {twin!r} in case only")
    return entries


def _entry(where: str, name: Any, value: Any) -> Entry:
    name = _name(where, name)
    where = f"{where}: {name}"
    if not isinstance(value, dict) or not set(value) <= {"description", "keywords"}:
        raise InputError(f"{where} needs a description and may have keywords, and nothing else")
    description = value.get("description")
    if not isinstance(description, str) or not 0 < len(description.strip()) <= _LONGEST_DESCRIPTION:
        raise InputError(f"{where} needs a description of 1 to {_LONGEST_DESCRIPTION} characters")
    keywords = value.get("keywords") or []
    if not isinstance(keywords, list) or len(keywords) > _MOST_KEYWORDS:
        raise InputError(f"{where}: keywords must be a list of at most {_MOST_KEYWORDS} words")
    for word in keywords:
        if not isinstance(word, str) or not 0 < len(word.strip()) <= _LONGEST_KEYWORD:
            raise InputError(f"{where}: a keyword is text of 1 to {_LONGEST_KEYWORD} characters; put numbers in quotes")
    return Entry(name, " ".join(description.split()), tuple(" ".join(word.split()) for word in keywords))


def _name(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: the name {str(value)[:60]} is not text; put it in quotes")
    name = unicodedata.normalize("NFC", value)
    fits = 0 < len(name) <= _LONGEST_NAME and len(quote(name, safe="")) <= _LONGEST_FOLDER
    if not fits or not name.isprintable() or name != name.strip():
        raise InputError(
            f"{where}: the name {name[:60]!r} must have 1 to {_LONGEST_NAME} printable characters (fewer outside of "
            "ASCII) and no space at its ends"
        )
    if name.casefold() in (UNLABELLED, UNSURE):
        raise InputError(f"{where}: {name!r} is what rows without a label are called; choose another name")
    return name
