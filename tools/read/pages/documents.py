"""Folders and archives of documents: one row for each file, with its text extracted."""

import gzip
import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from ....state.errors import InputError
from ..archives import Found, is_archive, members
from ..records import Pending, Reading, Records
from ..splits import DATA_FORMATS, data_format_of, is_hidden, left_out_note, shown, splits
from ..streams import BROKEN_ARCHIVE
from .extract import FORMATS, NOTE, Document, Unreadable, format_of, too_large
from .isolation import Extraction

#: What is read of a folder or an archive, in words.
DOCUMENTS = f"{', '.join(sorted(FORMATS))} files (also .gz)"


def read_folder(folder: Path, files: list[Path], reading: Reading) -> Iterator[Records]:
    """The documents among the ``files`` of a folder, one row each, as ``_rows`` gives them.

    Raises:
        InputError: there is none.
    """
    chosen = _Chosen([path.relative_to(folder).as_posix() for path in files], reading)
    documents = [path for path in files if chosen(path.relative_to(folder).as_posix())]
    if not documents:
        raise InputError(f"{folder} holds no data files ({', '.join(DATA_FORMATS)}) and no {DOCUMENTS}")
    yield from _rows(_contents(folder, documents, reading.max_line), str(folder), reading)
    reading.notes += chosen.notes(folder)


def read_archive(path: Path, reading: Reading) -> Iterator[Records]:
    """The documents of a zip or tar archive, one row each, as ``_rows`` gives them.

    Raises:
        InputError: it is damaged from its beginning, or holds no document, or data files beside them.
    """
    names = _names_in(path)
    data = [name for name in names if not is_hidden(name) and data_format_of(name) not in (None, "json")]
    if data:
        raise InputError(
            f"{path} holds data files ({shown(data)}), which are not read inside an archive; unpack it and name the "
            "folder, or one of them"
        )
    chosen = _Chosen(names, reading)
    yield from _rows(members(path, chosen, reading.max_line), str(path), reading)
    if not chosen.documents and not reading.quarantine.count:
        raise InputError(f"{path} holds no {DOCUMENTS}; unpack it if it holds data or archives, and name those")
    reading.notes += chosen.notes(path)


def _names_in(path: Path) -> list[str]:
    """The names of the files in an archive, as far as it can be read."""
    names: list[str] = []

    def seen(name: str) -> bool:
        names.append(name.removeprefix("./"))
        return False

    with suppress(InputError):  # it is raised when the files are read
        deque(members(path, seen, 0), 0)
    return names


class _Chosen:
    """Tells which files are documents to train on, and counts them and the others."""

    def __init__(self, names: list[str], reading: Reading) -> None:
        self.documents = self._others = self._archives = 0
        self._left_out: set[str] = set()
        if not reading.every_split:
            found = splits([name for name in names if format_of(name) is not None], documents=True)
            self._left_out = {name for split in ("validation", "test") for name in found.get(split, [])}
            reading.notes += left_out_note(found)

    def __call__(self, name: str) -> bool:
        name = name.removeprefix("./")
        if name in self._left_out or is_hidden(name):
            return False
        is_document = format_of(name) is not None
        self.documents += is_document
        self._others += not is_document
        self._archives += is_archive(name)
        return is_document

    def notes(self, where: Path) -> list[str]:
        """What a person should know of the others."""
        if not self._others:
            return []
        inside = f"; {self._archives} of them are archives, which are not entered" if self._archives else ""
        return [f"{self._others} of the files in {where} were not read, only {DOCUMENTS} are{inside}"]


def files_in(folder: Path) -> list[Path]:
    """Every file below ``folder`` that is not hidden, sorted by relative path; linked folders are not entered."""

    def refuse(error: OSError) -> None:
        raise error  # os.walk passes over unreadable folders in silence otherwise

    found = []
    for at, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [Path(at) / name for name in names if not is_hidden(name)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _contents(folder: Path, paths: list[Path], max_bytes: int) -> Iterator[Found]:
    """The files ``paths`` of a folder, none of them from outside it."""
    root = folder.resolve()
    for path in paths:
        content: bytes | Unreadable
        if path.resolve().is_relative_to(root) and path.is_file():
            with path.open("rb") as file:
                content = file.read(max_bytes + 1)
        else:
            content = Unreadable("a link that leads outside the folder, or to no file")
        yield path.relative_to(folder).as_posix(), content


def _rows(found: Iterator[Found], name: str, reading: Reading) -> Iterator[Records]:
    """One row per file, in order: ``id`` (its path), ``text``, ``title`` (null where there is none) and ``format``.

    Of notes also ``origin`` (an address, or where else it is from), ``date`` and ``tags``; null where none is named.
    ``line`` is the file's position among the documents. Several are extracted at a time, in processes of their own but
    for plain text; what cannot be read goes to the quarantine.
    """
    pending = Pending(name, reading)
    with Extraction() as extraction:
        for position, (path, future) in enumerate(_in_order(found, extraction, reading), start=1):
            try:
                document = future.result()
            except Unreadable as bad:
                printable = path.encode("utf-8", "replace").decode()
                reading.refuse(name, position, f"{printable}: {bad}", "")
                continue
            row = {"id": path, "text": document.text, "title": document.title, "format": format_of(path)}
            if reading.as_notes:
                row |= {name: document.about.get(name) for name in ("origin", "date", "tags")}
                if document.about.get("broken"):
                    reading.tally("front matter is not YAML, and stays part of the text", path)
            if pending.add(position, row, len(document.text)):
                yield from pending.flush()
        yield from pending.flush()


def _in_order(
    found: Iterator[Found], extraction: Extraction, reading: Reading
) -> Iterator[tuple[str, Future[Document]]]:
    """The files with their documents to come; a bounded number of them is held and worked on at a time."""
    waiting: deque[tuple[str, Future[Document]]] = deque()
    for path, content in found:
        waiting.append((path, _submitted(path, content, extraction, reading)))
        if len(waiting) == extraction.in_flight:
            yield waiting.popleft()
    yield from waiting


def _submitted(path: str, content: bytes | Unreadable, extraction: Extraction, reading: Reading) -> Future[Document]:
    max_bytes, kind = reading.max_line, format_of(path) or "text"
    if reading.as_notes and kind == "markdown":
        kind = NOTE
    try:
        data = _bounded(content, max_bytes)
        path.encode()
        if path.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = _bounded(file.read(max_bytes + 1), max_bytes)
        return extraction.submit(data, kind, max_bytes)
    except UnicodeEncodeError:
        refused = Unreadable("the file's name is not valid UTF-8")
    except BROKEN_ARCHIVE as error:
        refused = Unreadable(f"it cannot be decompressed ({error})")
    except Unreadable as bad:
        refused = bad
    future: Future[Document] = Future()
    future.set_exception(refused)
    return future


def _bounded(content: bytes | Unreadable, max_bytes: int) -> bytes:
    if isinstance(content, Unreadable):
        raise content
    if len(content) > max_bytes:
        raise too_large("the file", max_bytes)
    return content
