"""The files in a zip or tar archive, read one at a time and never written to disk.

An archive is a stranger's: names that lead out of it and links are refused, and so is whatever unpacks to more than
it should. What stands inside an archive inside it is not read.
"""

from __future__ import annotations

import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

from ...state.errors import InputError
from .pages.extract import Unreadable, too_large
from .streams import BROKEN_ARCHIVE, open_bytes

#: One file: its path, and its bytes or the reason why it cannot be read.
Found = tuple[str, bytes | Unreadable]

_SUFFIXES = (
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst",
)  # fmt: skip
_RATIO = 200  # more than honest text packs by …
_UNSUSPECTED = 1 << 30  # … but an archive that unpacks to less needs no excuse …
_UNSUSPECTED_FILE = 1 << 20  # … nor does a file in it
_MAX_HEADER = 1 << 16  # bytes that may stand between two members of a tar archive
_DRIVE = re.compile("[A-Za-z]:")
# What the libraries raise at damage; bare Python errors are those of tarfile at nonsense in its headers.
_BROKEN = (
    *BROKEN_ARCHIVE, tarfile.TarError, zipfile.BadZipFile, NotImplementedError, ValueError, LookupError,
    OverflowError, RecursionError, struct.error,
)  # fmt: skip


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive which can be read."""
    return name.lower().endswith(_SUFFIXES)


def members(path: Path, wanted: Callable[[str], bool], max_bytes: int) -> Iterator[Found]:
    """The files of an archive that are wanted by their paths within it: of a zip by name, of a tar as they come.

    Args:
        wanted: asked with the path of every regular file or link.
        max_bytes: bound of a file; a larger one comes as an ``Unreadable``.

    Raises:
        InputError: the archive is damaged from its beginning.
        OSError: it cannot be opened.
    """
    reader = _zip_members if path.suffix.lower() == ".zip" else _tar_members
    begun = False
    try:
        for found in reader(path, wanted, max_bytes):
            begun = True
            yield found
    except _BROKEN as error:
        if not begun:
            raise InputError(f"{path} is damaged, or no archive of the kind its name says ({error})") from error
        yield path.name, Unreadable(f"the archive breaks off here ({error}); what stands before it was read")


def _zip_members(path: Path, wanted: Callable[[str], bool], max_bytes: int) -> Iterator[Found]:
    most = max(_UNSUSPECTED, _RATIO * path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            if member.is_dir() or not wanted(member.filename):
                continue
            content = _zip_content(archive, member, max_bytes)
            if not isinstance(content, Unreadable):
                most -= len(content)
                if most < 0:
                    raise zipfile.BadZipFile(f"it unpacks to more than {_RATIO} times its size")
            yield member.filename, content


def _zip_content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int) -> bytes | Unreadable:
    if member.flag_bits & 1:
        return Unreadable("it is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Unreadable("it is packed by another method than deflate")  # the others unpack without bound
    is_link = stat.S_ISLNK(member.external_attr >> 16)
    refused = _refused(member.filename, is_link, member.file_size, max_bytes)
    if refused is not None:
        return refused
    if member.file_size > max(_UNSUSPECTED_FILE, _RATIO * member.compress_size):
        return Unreadable(f"it unpacks to more than {_RATIO} times its size")
    try:
        with archive.open(member) as file:
            return file.read(max_bytes)
    except _BROKEN as error:
        return Unreadable(f"it is damaged ({type(error).__name__})")


def _refused(name: str, is_link: bool, size: int, max_bytes: int) -> Unreadable | None:
    """Why a member is not read, if so; its name is only ever a name here, but one day somebody will unpack it."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or _DRIVE.match(name):
        return Unreadable("its name leads outside the archive")
    if is_link:
        return Unreadable("it is a link")
    if size > max_bytes:
        return too_large("the file", max_bytes)
    return None


def _tar_members(path: Path, wanted: Callable[[str], bool], max_bytes: int) -> Iterator[Found]:
    with open_bytes(path) as packed:
        metered = _Metered(packed, max(_UNSUSPECTED, _RATIO * path.stat().st_size))
        with tarfile.open(fileobj=cast(IO[bytes], metered), mode="r|", tarinfo=_Header) as archive:
            while (member := archive.next()) is not None:
                metered.expect(member.offset_data + member.size + _MAX_HEADER)
                # tarfile keeps all members and extended headers: memory without bound.
                archive.members = []  # type: ignore[attr-defined]
                archive.pax_headers = {}
                if member.isdir() or not wanted(member.name):
                    continue
                yield member.name.removeprefix("./"), _tar_content(archive, member, max_bytes)


def _tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo, max_bytes: int) -> bytes | Unreadable:
    refused = _refused(member.name, member.issym() or member.islnk(), member.size, max_bytes)
    if refused is not None:
        return refused
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        return Unreadable("it is not a regular file")
    with file:
        return file.read(max_bytes)


class _Header(tarfile.TarInfo):
    """A member's header, which says aloud what ``tarfile`` takes in silence for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        try:
            header = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.count(0) == len(buf) == tarfile.BLOCKSIZE:
                raise tarfile.ReadError(str(error)) from error
            raise  # a block of zeros is the end
        if header.size < 0:
            raise tarfile.ReadError("negative size")
        return header


class _Metered:
    """An unpacked tar archive that ends where it unpacks to more than it should, in all or in one header."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most = stream, most
        self._taken = 0
        self._expected = 2 * _MAX_HEADER

    def expect(self, position: int) -> None:
        """The next header begins and ends before ``position``, but for what ``tarfile`` reads ahead."""
        self._expected = position + _MAX_HEADER

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._taken += len(data)
        if self._taken > self._most:
            raise tarfile.ReadError(f"it unpacks to more than {_RATIO} times its size")
        if self._taken > self._expected:
            raise tarfile.ReadError(f"a header is longer than {_MAX_HEADER >> 10} KB")
        return data
