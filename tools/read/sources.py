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
from .arrow.batches import read_arrow
from .arrow.ipc import read_ipc, read_saved
from .arrow.parquet import read_parquet
from .columns import content_id, plain_rows
from .pages.documents import DOCUMENTS, files_in, read_archive, read_folder
from .pages.extract import format_of
from .readers import JsonKind, json_kind, read_json, read_json_lines
from .records import Reading, Records
from .splits import data_format_of, left_out_note, partitions_of, shown, splits
from .streams import BROKEN_ARCHIVE, open_bytes, open_text, peeked
from .tabular import read_csv

READABLE = (
    "JSON Lines, JSON, CSV and TSV (all also .gz, .bz2, .xz or .zst), Parquet, Arrow and Feather, a folder of any of "
    f"them, a folder or an archive (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst) of {DOCUMENTS}, `-` for standard "
    "input, and hf:owner/name"
)

# What a data set says about itself.
_ABOUT = re.compile(
    r"(readme|licen[cs]e|notice|copying|changelog|citation|contributing|code_of_conduct|requirements|data_?card"
    r"|dataset_?card|metadata|about|credits)([-_. ].*)?", re.IGNORECASE
)  # fmt: skip
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
    if kind in ("parquet", "arrow"):
        yield from (read_parquet if kind == "parquet" else read_ipc)(path, name, reading)
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


def _format_of(path: Path) -> str | None:
    """One of ``DATA_FORMATS``; ``None`` where neither name nor content tells."""
    kind = data_format_of(path.name)
    if kind not in (None, "json"):
        return kind
    with open_bytes(path) as stream:
        magic = peeked(stream, 6)[0]
    if magic.startswith(b"PAR1"):
        return "parquet"
    if magic.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    with open_text(path, []) as stream:
        head = peeked(stream, 1)[0].removeprefix(b"\xef\xbb\xbf").lstrip()
    return "json" if kind or head[:1] in (b"{", b"[") else None


def _folder(folder: Path, reading: Reading) -> Iterator[Records]:
    """A folder that `datasets` saved, or of data files, or of documents."""
    if (folder / "dataset_dict.json").is_file():
        splits = [str(name) for name in _json_object(folder / "dataset_dict.json").get("splits", [])]
        remedy = f"name its folder, for example {folder / (splits or ['train'])[0]}"
        for split in _pick_splits(splits, str(folder), remedy, reading):
            yield from _folder(folder / Path(split).name, reading)
        return
    if (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file():
        yield from read_saved(folder, _json_object(folder / "state.json"), reading)
        return
    if (folder / "_delta_log").is_dir():
        raise InputError(f"{folder} is a Delta table, whose log tells which of its files count; write it as Parquet")
    files = files_in(folder)
    if any(path.name == "state.json" and path.with_name("dataset_info.json") in files for path in files):
        raise InputError(f"{folder} holds data sets saved by `datasets`; name one of their folders")
    data, documents, others = _sorted(folder, files, reading)
    if data and documents and reading.as_notes:
        data, others = [], []  # what is not read is counted with the documents
    if data and documents:
        raise InputError(
            f"{folder} holds data files ({shown(data)}) and documents ({shown(documents)}), which make different "
            "tables; name one file, or a folder of one kind"
        )
    if not data:
        yield from read_folder(folder, files, reading)
        return
    if not reading.every_split:
        data = _for_training(data, str(folder), reading)
    reading.many_files = len(data) > 1
    if reading.many_files:
        reading.notes.append(f"{len(data)} files were read as one table: {shown(data)}")
    if others:
        reading.notes.append(f"not read: {shown(others)}")
    columns = dict.fromkeys(key for name in data for key in partitions_of(name))
    if columns:
        reading.notes.append(f"columns from the names of folders: {', '.join(columns)}")
    for name in data:
        values = partitions_of(name)
        for batch in _file(folder / name, name, reading):
            yield _with_partitions(batch, values) if values else batch


def _sorted(folder: Path, files: list[Path], reading: Reading) -> tuple[list[str], list[str], list[str]]:
    """The data files, the documents and the others of a folder, by their paths within it.

    A JSON file beside others is data only if it holds rows, and not settings; and what a data set says about itself
    is no document of it.
    """
    data, documents, others = [], [], []
    names = {path.relative_to(folder).as_posix(): path for path in files}
    kinds = {name: data_format_of(name) for name in names}
    only_json = set(kinds.values()) == {"json"}
    for name, path in names.items():
        if kinds[name] and re.search("(^|/)_", name):  # Spark's and Hive's own
            others.append(name)
        elif kinds[name] and (kinds[name] != "json" or only_json or _holds_rows(path, reading)):
            data.append(name)
        elif format_of(name) and not _ABOUT.fullmatch(path.name):
            documents.append(name)
        elif not _ABOUT.fullmatch(path.name):
            others.append(name)
    if not data:  # a manual may well be called README
        documents += [name for name, path in names.items() if format_of(name) and _ABOUT.fullmatch(path.name)]
    return data, documents, others


def _holds_rows(path: Path, reading: Reading) -> bool:
    """Whether a JSON file is an array, or several objects."""
    try:
        with open_text(path, []) as stream:
            return json_kind(stream, reading) != "object"
    except (InputError, *BROKEN_ARCHIVE):
        return False


def _for_training(names: list[str], where: str, reading: Reading) -> list[str]:
    """The files that are for training, in their order.

    Raises:
        InputError: there is none.
    """
    found = splits(names)
    reading.notes += left_out_note(found)
    kept = {*found.get("train", []), *found.get("unnamed", [])}
    if not kept:
        raise InputError(f"{where} holds nothing to train on, only {shown(names)}; name the file itself to read it")
    return [name for name in names if name in kept]


def _with_partitions(batch: Records, values: dict[str, str | None]) -> Records:
    """The batch with a column for each key of its folder that is none of its own columns."""
    table = batch.table
    for key, value in values.items():
        if key not in table.schema.names:
            table = table.append_column(key, pa.array([value] * table.num_rows, pa.string()))
    digests = None if batch.digests is None else [content_id(row) for row in plain_rows(table)]
    return Records(batch.name, table, batch.lines, digests)


def _pick_splits(splits: list[str], name: str, remedy: str, reading: Reading) -> list[str]:
    """``train``, or the only split if it is none to test with; or all, where every split is read.

    Raises:
        InputError: there is no such split.
    """
    if reading.every_split:
        return splits
    chosen = ["train"] if "train" in splits else splits
    if len(chosen) != 1 or chosen[0] in ("validation", "test"):
        raise InputError(f"{name} has the splits {', '.join(splits) or '(none)'}, and none to train on; {remedy}")
    if len(splits) > 1:
        reading.notes.append(f"only the split {chosen[0]!r} of {', '.join(splits)} was read")
    return chosen


def _json_object(path: Path) -> dict[str, Any]:
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
    if split is not None and split not in splits:
        raise InputError(f"hf:{name} has no split {split!r}; it has {', '.join(splits)}")
    remedy = f"name one, as in hf:{name}@{(splits or ['train'])[0]}"
    for one in [split] if split else _pick_splits(splits, f"hf:{name}", remedy, reading):
        tables = found[one].with_format("arrow").iter(batch_size=reading.batch_rows())
        batches = (batch for table in tables for batch in table.combine_chunks().to_batches())
        yield from read_arrow(batches, f"hf:{name}", reading)
