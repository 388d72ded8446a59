"""Bytes from files and standard input: decompressed on the way, cut into lines that stay bounded in memory.

Compression is recognised by its first bytes, never by the file's name. What a truncated archive still holds is
read; the break is then reported as one broken line.
"""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import zstandard

from ...state.errors import InputError

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20
_ZSTD_INPUT = 256  # compressed bytes at a time: at most 64 blocks, so at most 8 MB come out of them
_EXCERPT_BYTES = 800  # 200 characters of at most four bytes

#: What the decompressors raise when the compressed bytes end early or are damaged.
BROKEN_ARCHIVE = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


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


def unpacked(source: IO[bytes], start: Callable[[], Any], chunk: int, called: str = "stream") -> IO[bytes]:
    """What ``source`` holds compressed; it raises ``EOFError`` when the last stream is cut short.

    ``start`` makes the machine for one stream, ``called`` so, which is given ``chunk`` bytes at a time.
    """
    return io.BufferedReader(_Unpacked(source, start, chunk, called))


@contextmanager
def open_bytes(path: Path | None) -> Iterator[IO[bytes]]:
    """A buffered stream of the decompressed bytes of ``path``, or of standard input where it is ``None``.

    Raises:
        InputError: the text is UTF-16.
        OSError: the file cannot be opened.
    """
    # Standard input may be anything that reads bytes; it is not ours to close.
    raw = io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer)) if path is None else path.open("rb")
    try:
        head = raw.peek(4)[:4]
        if head.startswith(_GZIP):
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw))
        elif head.startswith(_ZSTD):
            frame = zstandard.ZstdDecompressor().decompressobj
            yield unpacked(raw, frame, _ZSTD_INPUT, "frame")
        elif head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError(f"{path or 'standard input'} is UTF-16 text; save it as UTF-8 and load that")
        else:
            yield raw
    finally:
        if path is None:
            raw.detach()
        else:
            raw.close()


def lines(stream: IO[bytes], max_bytes: int) -> Iterator[Line]:
    """The lines of ``stream`` with their ends kept, numbered from 1, a byte order mark taken off.

    A line longer than ``max_bytes`` is passed over in pieces and comes with its beginning and a ``problem``;
    so does the place where a compressed stream breaks, which is the last line.
    """
    number = 0
    try:
        while data := stream.readline(max_bytes + 1):
            number += 1
            if number == 1:
                data = data.removeprefix(_BOM)
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
