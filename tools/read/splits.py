"""What the names of files say: their format, whether they are hidden, the split and the partition they belong to."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote

Split = Literal["train", "validation", "test", "unnamed"]

#: The suffixes of data files, and the format each stands for.
DATA_FORMATS = {
    ".jsonl": "lines", ".ndjson": "lines", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
}  # fmt: skip
_PACKED = (".gz", ".zst", ".xz", ".bz2")
_WORDS: dict[str, Split] = {
    "train": "train", "training": "train", "trn": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test", "tst": "test", "eval": "test", "evaluation": "test", "heldout": "test",
}  # fmt: skip
_BESIDE = frozenset({"data", "set", "split", "part", "shard", "of", "all", "full", "file"})
_SET = re.compile("^(" + "|".join(_WORDS) + ")(set|data|split)$")
_HIDDEN = re.compile(r"\.[^.]|__MACOSX$")
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def data_format_of(name: str) -> str | None:
    """The format of a data file by its name, compressed or not; ``None`` where it is none that is known."""
    return DATA_FORMATS.get(_unpacked(name).suffix)


def _unpacked(name: str) -> PurePosixPath:
    path = PurePosixPath(name.lower())
    return path.with_suffix("") if path.suffix in _PACKED else path


def is_hidden(name: str) -> bool:
    """Whether a path, or a folder on it, is hidden: what tools and systems keep beside the user's files."""
    return any(_HIDDEN.match(part) for part in PurePosixPath(name).parts)


def partitions_of(path: str) -> dict[str, str | None]:
    """The columns that the folders of a path spell as ``key=value``, as Hive, Spark and pandas write them."""
    pairs = (part.split("=", 1) for part in PurePosixPath(path).parts[:-1] if "=" in part.strip("="))
    return {unquote(key): None if value == _NO_PARTITION else unquote(value) for key, value in pairs}


def splits(paths: Iterable[str], documents: bool = False) -> dict[Split, list[str]]:
    """The paths by the split that their names say they belong to, in their order; those that say none are unnamed.

    A file says it itself or by the innermost of its folders that does: a word such as ``train``, ``dev`` or ``test``
    anywhere in the name, as in ``train-00000-of-00002`` or ``my_test_v2``. Where no name says ``train``, only a name
    that is nothing but the word counts. The pages of documents are called all sorts of things: of those only text files
    and folders count, and only where the same name with ``train`` in it stands there too.

    Args:
        paths: relative to the folder or archive that the user named, with ``/``.
        documents: whether they are documents, and not files of data.
    """
    paths = list(paths)
    named = {path: _named(path, documents) for path in paths}
    twins = {around for split, around, _ in named.values() if split == "train"}
    found: dict[Split, list[str]] = {}
    for path, (split, around, alone) in named.items():
        believed = around in twins if documents else twins or alone
        found.setdefault(split if believed else "unnamed", []).append(path)
    return found


def _named(path: str, documents: bool) -> tuple[Split, str, bool]:
    """The split a path names, the name around the word, and whether there is nothing else in it."""
    *folders, name = _unpacked(path).parts
    stem, _, suffix = name.rpartition(".")
    for part in [stem if suffix == "txt" or not documents else "", *reversed(folders)]:
        key, equals, value = part.partition("=")
        if equals and key != "split":
            continue
        words = [_SET.sub(r"\1", word) for word in re.findall(r"[^\W\d_]+", value if equals else part)]
        said = {_WORDS[word] for word in words if word in _WORDS}
        if len(said) == 1:
            rest = [word for word in words if word not in _WORDS and word not in _BESIDE]
            return said.pop(), "*".join(rest), not rest
    return "unnamed", "", False


def left_out_note(found: dict[Split, list[str]]) -> list[str]:
    """What to tell of the files that are not for training; nothing where there are none."""
    left = [f"{split} ({shown(found[split])})" for split in ("validation", "test") if split in found]
    return [f"left out, because only what is for training is read: {' and '.join(left)}"] if left else []


def shown(names: list[str], most: int = 5) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
