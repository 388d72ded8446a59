"""Standard output and error whose reader may go away, or whose disk may fill: what nobody can read ends no run."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class Tolerant:
    """A stream that drops what cannot be written. ``stream`` gives the one to write to; ``faults`` are those met."""

    def __init__(self, stream: Callable[[], Any], faults: list[OSError] | None = None) -> None:
        self._stream = stream
        self.faults: list[OSError] = [] if faults is None else faults

    def write(self, data: Any) -> int:
        """Write text, or bytes to a binary stream."""
        try:
            self._stream().write(data)
        except OSError as error:
            self.faults.append(error)
        return len(data)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream().flush()
        except OSError as error:
            self.faults.append(error)

    @property
    def buffer(self) -> Tolerant:
        """The binary stream below."""
        below = self._stream().buffer
        return Tolerant(lambda: below, self.faults)

    @property
    def rich_proxied_file(self) -> Tolerant:
        """Itself: while rich shows a live bar, it writes past whoever stands before the stream."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)


def standard_error() -> Any:
    """Standard error as it is now, also while rich stands before it; a sink where the process has none."""
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    if stream is None:
        from rich._null_file import NULL_FILE

        return NULL_FILE
    return stream


@contextmanager
def tolerant() -> Iterator[Callable[[], OSError | None]]:
    """Standard output and error are tolerant within; yields what tells why standard output could not be written.

    A reader that closed the pipe is no reason: it has what it wanted.
    """
    for number in range(3):  # a closed one would become the next file that is opened: the log of a run, perhaps
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    for stream in before:  # of a terminal that knows no more than ASCII: what it cannot show is spelled out
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="backslashreplace")
    out, err = Tolerant(lambda: before[0]), Tolerant(lambda: before[1])
    if before[0] is not None:
        sys.stdout = cast(TextIO, out)
    if before[1] is not None:
        sys.stderr = cast(TextIO, err)

    def lost() -> OSError | None:
        if before[0] is not None:
            with suppress(ValueError):  # it is closed
                out.flush()
        return next((fault for fault in out.faults if fault.errno != errno.EPIPE), None)

    try:
        yield lost
    finally:
        sys.stdout, sys.stderr = before
        if out.faults:  # what is left of it would be written, and fail, when the process ends
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), before[0].fileno())
