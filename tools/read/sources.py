"""From what the user names (a file, a folder, standard input, a Hugging Face data set) to batches of rows.

Nothing here touches the network unless the name begins with ``hf:``.
"""

import io
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa

from ...state.errors import InputError, MissingExtraError, UsageError
from .archives import is_archive
from .documents import DOCUMENTS, files_in, read_archive, read_folder
from .readers import JsonKind, json_kind, read_arrow, read_json, read_json_lines, read_parquet
from .records import Reading, Records
from .streams import BROKEN_ARCHIVE, open_text, peeked
from .tabular import read_csv

READABLE = (
    "JSON Lines, JSON, CSV and TSV (all also .gz, .bz2, .xz or .zst), Parquet, a folder or an archive (.zip, .tar, "
    f".tar.gz, .tar.bz2, .tar.xz, .tar.zst) of {DOCUMENTS}, `-` for standard input, and hf:owner/name"
)

_FORMATS = {
    ".jsonl": "lines", ".ndjson": "lines", ".json": "json", ".csv": "csv", ".tsv": "tsv", ".tab": "tsv",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_PACKED = re.compile(r"\.(gz|bz2|xz|zst)$")
_HUB = re.compile(r"hf:(?P<name>[^:@]+)(?::(?P<config>[^:@]+))?(?:@(?P<split>[^:@]+))?")


def read_source(source: str, reading: Reading) -> Generator[Records, None, None]:
    """The rows of ``source`` in batches; broken records go to the quarantine of ``reading``.

    Raises:
        InputError: nothing is there, or not in a format that can be read.
        UsageError: an ``hf:`` name of the wrong form.
        MissingExtraError: an ``hf:`` name without the package ``datasets``, or HTML or PDF without those that read it.
        OSError: a file or folder cannot be opened.
    """
    if source == "-":
        with open_text(None, reading.notes) as stream:
            head, stream = peeked(stream, 1 << 20)
            yield from _json(stream, json_kind(io.BytesIO(head), reading), "standard input", reading, lines=True)
        return
    if source.startswith("hf:"):
        yield from _hub(source, reading)
        return
    path = Path(source).expanduser()
    if path.is_dir():
        yield from _folder(path, reading)
    elif path.is_file():
        yield from _file(path, str(path), reading)
    elif path.exists():  # telling the format reads its beginning, which a pipe gives only once
        raise InputError(f"{source} is a pipe or a device; name `-` and send JSON Lines to standard input")
    else:
        raise InputError(f"{source} does not exist; a source is a file ({READABLE})")


def _file(path: Path, name: str, reading: Reading) -> Iterator[Records]:
    """One file, in the format its name says or its first bytes show."""
    if is_archive(path.name):
        yield from read_archive(path, reading)
        return
    try:
        kind = _format_of(path)
    except BROKEN_ARCHIVE as error:
        raise InputError(f"{name} is damaged: nothing in it can be decompressed ({error})") from error
    if kind is None:
        raise InputError(f"{name} is in no format that can be read; known are {READABLE}")
    if kind == "parquet":
        yield from read_parquet(path, name, reading)
        return
    with open_text(path, reading.notes) as stream:
        if kind in ("csv", "tsv"):
            yield from read_csv(stream, name, reading, kind == "tsv")
            return
        with open_text(path, []) as beginning:
            layout = json_kind(beginning, reading)
        yield from _json(stream, layout, name, reading, lines=kind == "lines")


def _json(stream: IO[bytes], layout: JsonKind, name: str, reading: Reading, lines: bool) -> Iterator[Records]:
    """JSON in its layout; ``lines``: by its name, one object alone is a row."""
    if lines and layout not in ("lines", "object"):
        held = "objects over several lines each" if layout == "objects" else "one array"
        reading.notes.append(f"{name} holds {held}, not JSON Lines; it was read as that")
    if layout in ("lines", "array lines") or (layout == "object" and lines):
        yield from read_json_lines(stream, name, reading, array=layout == "array lines")
    else:
        yield from read_json(stream, name, reading, rows=lines)


def _format_named(path: Path) -> str | None:
    return _FORMATS.get(Path(_PACKED.sub("", path.name.lower())).suffix)


def _format_of(path: Path) -> str | None:
    """``lines``, ``json``, ``csv``, ``tsv`` or ``parquet``; ``None`` where neither name nor content tells."""
    kind = _format_named(path)
    if kind not in (None, "json"):
        return kind
    with open_text(path, []) as stream:
        head = peeked(stream, 1)[0].removeprefix(b"\xef\xbb\xbf").lstrip()
        if head.startswith(b"PAR1"):
            return "parquet"
        return "json" if kind or head[:1] in (b"{", b"[") else None


def _folder(folder: Path, reading: Reading) -> Iterator[Records]:
    """A folder that `datasets` saved, or of Parquet or JSON Lines files, or of documents."""
    if (folder / "dataset_dict.json").is_file():
        splits = [str(name) for name in _json_file(folder / "dataset_dict.json").get("splits", [])]
        remedy = f"name its folder, for example {folder / (splits or ['train'])[0]}"
        folder /= Path(_pick_split(splits, str(folder), remedy, reading)).name
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        yield from _saved_dataset(folder, reading)
        return
    files = files_in(folder)
    data: dict[str, list[Path]] = {}
    for path in files:
        kind = _format_named(path)
        if kind in ("parquet", "lines"):
            data.setdefault(kind, []).append(path)
    if len(data) > 1:
        raise InputError(f"{folder} holds both Parquet and JSON Lines files; name one file, or a folder of one kind")
    if data:
        (paths,) = data.values()
        reading.many_files = len(paths) > 1
        names = [path.relative_to(folder).as_posix() for path in paths]
        if reading.many_files:
            listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            reading.notes.append(f"{len(paths)} files were read as one table: {listed}")
        for path, name in zip(paths, names, strict=True):
            yield from _file(path, name, reading)
        return
    yield from read_folder(folder, files, reading)


def _pick_split(splits: list[str], name: str, remedy: str, reading: Reading) -> str:
    """``train``, or the only split."""
    if "train" not in splits and len(splits) != 1:
        raise InputError(f"{name} has the splits {', '.join(splits) or '(none)'}; {remedy}")
    split = "train" if "train" in splits else splits[0]
    if len(splits) > 1:
        reading.notes.append(f"only the split {split!r} of {', '.join(splits)} was read")
    return split


def _saved_dataset(folder: Path, reading: Reading) -> Iterator[Records]:
    """The Arrow streams that ``Dataset.save_to_disk`` wrote, in their order; needs no ``datasets`` package."""
    entries = _json_file(folder / "state.json").get("_data_files") or []
    for entry in entries:
        path = folder / Path(entry["filename"]).name  # the name alone: it cannot lead out of the folder
        with path.open("rb") as file:
            try:
                stream = pa.ipc.open_stream(file)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{path} is not a readable Arrow stream: {error}") from error
            yield from read_arrow(stream, str(path), reading)


def _json_file(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _hub(source: str, reading: Reading) -> Iterator[Records]:
    """One split of a data set of the Hugging Face hub, streamed."""
    named = _HUB.fullmatch(source)
    if named is None:
        raise UsageError(f"{source!r} is not of the form hf:owner/name, hf:owner/name:config or hf:owner/name@split")
    name, config, split = named["name"], named["config"], named["split"]
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise MissingExtraError('reading hf: sources needs `pip install "recryst[hf]"`') from error
    try:
        found = load_dataset(name, config, streaming=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"cannot open hf:{name}: {' '.join(str(error).split())[:300]}") from error
    splits = [str(key) for key in found]
    if split is None:
        split = _pick_split(splits, f"hf:{name}", f"name one, as in hf:{name}@{(splits or ['train'])[0]}", reading)
    elif split not in splits:
        raise InputError(f"hf:{name} has no split {split!r}; it has {', '.join(splits)}")
    tables = found[split].with_format("arrow").iter(batch_size=reading.batch_rows())
    batches = (batch for table in tables for batch in table.combine_chunks().to_batches())
    yield from read_arrow(batches, f"hf:{name}", reading)
