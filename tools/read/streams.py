"""Bytes from files and standard input: decompressed on the way, cut into lines that stay bounded in memory.

Compression is recognised by its first bytes, never by the file's name. What a truncated archive still holds is
read; the break is then reported as one broken line.
"""

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import zstandard

_GZIP, _ZSTD, _BZIP2, _XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0"
_XZ_MEMORY = 256 << 20
_PIECE = 1 << 16
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_WIDE = ["cp932", "euc_jp", "gb18030", "big5", "cp949"]
_NARROW = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp850", "cp866", "koi8_r", "mac_roman",
]  # fmt: skip
_WESTERN = ("cp1250", "cp850", "mac_roman")  # their letters are told from those of cp1252 only by what is likely
_CLOSE = 0.05  # between two encodings, either of which may be right
_NO_LETTERS = re.compile(rb"[^\x80-\xffA-Za-z]+")
_KANA = re.compile("[\u3041-\u3096]{2}")
_MARKS_OF_TEXT, _BYTES_OF_MARKS = re.compile('[ \\t\\r\\n,;|"{}]'), re.compile(rb'[ \t\r\n,;|"{}]')
_ENOUGH = 1000  # lines beyond ASCII that tell an encoding
_LINE_ENDS = re.compile(rb"[\r\n]+")
_UNKNOWN = "recryst.unknown"
codecs.register_error(_UNKNOWN, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]
_ZSTD_INPUT = 256  # compressed bytes at a time: at most 64 blocks, so at most 8 MB come out of them
_EXCERPT_BYTES = 800  # 200 characters of at most four bytes

#: What the decompressors raise when the compressed bytes end early or are damaged.
BROKEN_ARCHIVE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstandard.ZstdError)


class Line(NamedTuple):
    """One line without knowledge of its format.

    ``data`` is the whole line, or its beginning where ``problem`` says why it cannot be used; ``odd_quotes``
    tells of such a line whether it holds an odd number of ``"`` (CSV needs it to stay in step).
    """

    number: int
    data: bytes
    problem: str = ""
    odd_quotes: bool = False


class _Unpacked(io.RawIOBase):
    """Compressed streams end to end as one raw stream: as little at a time as is asked for, in bounded memory.

    The libraries' own readers let a file demand gigabytes for its dictionary (bzip2, xz), or end silently where the
    last frame is cut short, so that a half-downloaded file would pass for a whole one (Zstandard).
    """

    def __init__(self, source: IO[bytes], start: Callable[[], Any], chunk: int, called: str) -> None:
        self._source, self._start, self._chunk, self._called = source, start, chunk, called
        self._machine = start()
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._output:
            data = b""
            if self._machine.eof:
                data = self._machine.unused_data or self._source.read(self._chunk)
                if not data:
                    return 0
                self._machine = self._start()
            elif getattr(self._machine, "needs_input", True):
                data = self._source.read(self._chunk)
                if not data:
                    raise EOFError(f"the compressed file ends before its last {self._called} does")
            # Zstandard's machine gives all that the input holds, and has no bound to say.
            bound = (len(buffer),) if hasattr(self._machine, "needs_input") else ()
            try:
                self._output = memoryview(self._machine.decompress(data, *bound))
            except OSError as error:  # how bz2 says that the data are damaged
                raise EOFError(str(error)) from error
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size


def _unpacked(source: IO[bytes], start: Callable[[], Any], chunk: int, called: str = "stream") -> IO[bytes]:
    """What ``source`` holds compressed; it raises ``EOFError`` when the last stream is cut short.

    ``start`` makes the machine for one stream, ``called`` so, which is given ``chunk`` bytes at a time.
    """
    return io.BufferedReader(_Unpacked(source, start, chunk, called))


@contextmanager
def open_bytes(path: Path | None) -> Iterator[IO[bytes]]:
    """A buffered stream of the decompressed bytes of ``path``, or of standard input where it is ``None``.

    Raises:
        OSError: the file cannot be opened.
    """
    # Standard input may be anything that reads bytes; it is not ours to close.
    raw = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)) if path is None else path.open("rb")
    try:
        head = raw.peek(6)[:6]
        if head.startswith(_GZIP):
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw))
        elif head.startswith(_ZSTD):
            frame = zstandard.ZstdDecompressor().decompressobj
            yield _unpacked(raw, frame, _ZSTD_INPUT, "frame")
        elif head.startswith(_BZIP2):
            yield _unpacked(raw, bz2.BZ2Decompressor, _PIECE)
        elif head == _XZ:
            yield _unpacked(raw, lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), _PIECE)
        else:
            yield raw
    finally:
        if path is None:
            raw.detach()
        else:
            raw.close()


def lines(stream: IO[bytes], max_bytes: int) -> Iterator[Line]:
    """The lines of ``stream`` with their ends kept, numbered from 1, without a byte order mark at the front of any.

    Files with a mark that were put end to end have one in their middle.

    A line longer than ``max_bytes`` is passed over in pieces and comes with its beginning and a ``problem``;
    so does the place where a compressed stream breaks, which is the last line.
    """
    number = 0
    try:
        while data := stream.readline(max_bytes + 1):
            number += 1
            while data.startswith(_BOM):
                data = data[len(_BOM) :]
            if len(data) > max_bytes and not data.endswith(b"\n"):
                yield _pass_over(stream, number, data, max_bytes)
            else:
                yield Line(number, data)
    except BROKEN_ARCHIVE as error:
        yield Line(number + 1, b"", f"the compressed data breaks off here ({error}); what stands before it was read")


def _pass_over(stream: IO[bytes], number: int, data: bytes, max_bytes: int) -> Line:
    """Read to the end of a line that is too long, and keep only its beginning."""
    excerpt, quotes = data[:_EXCERPT_BYTES], data.count(b'"')
    while not data.endswith(b"\n") and (data := stream.readline(_CHUNK)):
        quotes += data.count(b'"')
    limit = f"{max_bytes / (1 << 20):g} MB"
    return Line(number, excerpt, f"the line is longer than {limit} (load.max_line_mb)", quotes % 2 == 1)


def translated(source: IO[bytes], step: Callable[[bytes], bytes]) -> IO[bytes]:
    """What ``step`` makes of the bytes of ``source``, piece by piece; it is called with none at the end."""
    return io.BufferedReader(_Translated(source, step))


class _Translated(io.RawIOBase):
    def __init__(self, source: IO[bytes], step: Callable[[bytes], bytes], front: bytes = b"") -> None:
        self._source, self._step = source, step
        self._output = memoryview(front)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b"."
        while data and not self._output:
            data = self._source.read1(_PIECE)  # type: ignore[attr-defined]
            self._output = memoryview(self._step(data))
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size


def peeked(stream: IO[bytes], size: int) -> tuple[bytes, IO[bytes]]:
    """The first bytes of a stream, about ``size`` of them, and a stream that gives them and what follows."""
    head = bytearray()
    try:
        while len(head) < size and (data := stream.read1(_PIECE)):  # type: ignore[attr-defined]
            head += data
    except BROKEN_ARCHIVE:
        pass  # raised again where the bytes behind the break are asked for
    return bytes(head), io.BufferedReader(_Translated(stream, lambda data: data, bytes(head)))


@contextmanager
def open_text(path: Path | None, notes: list[str]) -> Iterator[IO[bytes]]:
    """As ``open_bytes``, in UTF-8 whatever the encoding of the file is; another one is told in ``notes``.

    Bytes that its encoding does not have become bytes that are no UTF-8, so that their line is quarantined.
    """
    encoding, *others = ["utf-8"] if path is None else encodings_of(path)
    with open_bytes(path) as stream:
        if path is None:  # a pipe gives its bytes only once
            head, stream = peeked(stream, _PIECE)
            encoding = _marked(head) or encoding
        if encoding == "utf-8":
            yield stream
            return
        also = f"; it could also be {' or '.join(others)}: if so, save it as UTF-8" if others else ""
        notes.append(f"{path or 'standard input'} was read in the encoding {encoding}{also}")
        decoder = codecs.getincrementaldecoder(encoding)(_UNKNOWN)
        yield translated(stream, lambda data: decoder.decode(data, final=not data).encode("utf-8", "surrogateescape"))


def encodings_of(path: Path) -> list[str]:
    """The encoding of a text file by Python's name, and others that fit as well; UTF-8 where none can be told.

    A mark at the front tells, or the zero bytes of UTF-16 and UTF-32. Else the lines that are not ASCII do: where most
    of them are no UTF-8, it is what ``charset-normalizer`` finds in them.

    Raises:
        OSError: the file cannot be opened.
    """
    sound, broken = 0, list[bytes]()
    with open_bytes(path) as stream:
        try:
            head, stream = peeked(stream, _PIECE)
            if name := _marked(head):
                return [name]
            while sound + len(broken) < _ENOUGH and (data := stream.read(_PIECE)):
                if data.isascii():
                    continue
                data += stream.readline(_PIECE)
                for line in _LINE_ENDS.split(data):
                    if not line.isascii():
                        good = _is_utf8(line)
                        sound += good
                        broken += [] if good else [line]
        except BROKEN_ARCHIVE:
            pass  # said where the lines are read
    return _legacy(b"\n".join(broken)[:_PIECE]) if len(broken) > max(sound, 1) else ["utf-8"]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _marked(head: bytes) -> str | None:
    """The encoding that a mark tells; or UTF-16 or UTF-32 without one, which has no character zero."""
    if name := next((name for mark, name in _MARKS if head.startswith(mark)), None):
        return name
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be") if b"\0" in head else ():
        try:
            text = codecs.getincrementaldecoder(name)().decode(head)
        except UnicodeDecodeError:
            continue
        # Else blanks and marks of UTF-8 became halves of other characters.
        if "\0" not in text and 2 * len(_MARKS_OF_TEXT.findall(text)) >= len(_BYTES_OF_MARKS.findall(head)):
            return name
    return None


def _legacy(data: bytes) -> list[str]:
    """The most likely of the encodings from before UTF-8, and up to two that are hardly less so."""
    from charset_normalizer import from_bytes

    letters = _NO_LETTERS.sub(b" ", data)  # marks hide what the letters tell
    found = [*from_bytes(data, cp_isolation=_WIDE), *from_bytes(letters, cp_isolation=_NARROW)]
    unlikely: dict[str, float] = {}
    for match in found:
        text, odd = str(match), match.chaos - match.coherence / 3
        # The wrong one of two Cyrillic encodings exchanges capitals and small letters; and Japanese has kana.
        capitals, small = sum(map(str.isupper, text)), sum(map(str.islower, text))
        unlikely[match.encoding] = odd + 0.1 * (capitals > small) - 0.1 * (_KANA.search(text) is not None)
    names = sorted(unlikely, key=unlikely.__getitem__)
    if not names:
        return ["utf-8"]
    best = next(match for match in found if match.encoding == names[0])
    near = [name for name in names if unlikely[name] < unlikely[names[0]] + _CLOSE]
    if names[0] in _WESTERN and "cp1252" in (*near, *best.could_be_from_charset):  # by far the most frequent of those
        near = ["cp1252", *(name for name in near if name not in ("cp1252", *best.could_be_from_charset))]
    return near[:3]
