"""Extraction in processes of its own, so that what a hostile file does to a parser stays there.

A parser that crashes, or takes more than its share of memory or processor time, ends its process; the file goes into
the quarantine and a new process takes the place. What libraries print or log never reaches the terminal.
"""

from __future__ import annotations

import contextlib
import os
import queue
import resource
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO

import orjson

from ....state.errors import MissingExtraError
from ...cores import cores
from .extract import Document, Unreadable, extract

_MEMORY = 1 << 30  # address space of one process
_SECONDS = 60  # processor time for one file: unlike time by the clock, it does not depend on what else runs
_MOST_PROCESSES = 8  # each holds up to 100 MB of libraries
_READY = b"ready\n"


class Extraction:
    """A bounded number of processes that extract; as many run as there is work for. A context manager."""

    def __init__(self, processes: int | None = None, seconds: int = _SECONDS) -> None:
        count = processes or min(cores(), _MOST_PROCESSES)
        self.in_flight = 2 * count  # files that should be submitted at a time: all processes have work
        self._workers = [_Worker(seconds) for _ in range(count)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()  # the last used first: it runs already
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count)

    def submit(self, data: bytes, kind: str, max_bytes: int) -> Future[Document]:
        """``extract`` of a file; plain text, which needs no parser, is read in this process."""
        return self._threads.submit(self._extract, data, kind, max_bytes)

    def _extract(self, data: bytes, kind: str, max_bytes: int) -> Document:
        if kind == "text":
            return extract(data, kind, max_bytes)
        worker = self._idle.get()
        try:
            return worker.extract(data, kind, max_bytes)
        finally:
            self._idle.put(worker)

    def __enter__(self) -> Extraction:
        return self

    def __exit__(self, *raised: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.stop()  # what is still at work is not waited for
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.close()


class _Worker:
    """One process, started when it is first needed and again after it died; used by one thread at a time."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    def extract(self, data: bytes, kind: str, max_bytes: int) -> Document:
        """``extract`` of a file; it is ``Unreadable`` as well where it ended the process."""
        process = self._process = self._process or _started(self._seconds)
        if self._stopped:  # while the process started
            raise Unreadable("nobody waits for it any more")
        requests, replies = _pipes(process)
        try:
            requests.write(orjson.dumps([kind, max_bytes, len(data)]) + b"\n" + data)
            requests.flush()
            reply = orjson.loads(replies.readline())
        except (BrokenPipeError, orjson.JSONDecodeError) as error:
            process.kill()
            timed_out = process.wait() == -signal.SIGPROF
            self.close()
            reason = f"takes more than {self._seconds} s" if timed_out else "crashes the parser"
            raise Unreadable(f"reading it {reason}") from error
        if "missing" in reply:
            raise MissingExtraError(reply["missing"])
        if "refused" in reply:
            raise Unreadable(reply["refused"])
        return Document(**reply)

    def stop(self) -> None:
        """From another thread: fail what the process is at, and whatever comes after; it has to be closed still."""
        self._stopped = True
        if process := self._process:
            process.kill()

    def close(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None


def _started(seconds: int) -> subprocess.Popen[bytes]:
    """A process that waits for requests, with the import path of this one.

    It is no ``multiprocessing`` process: that imports the user's script again. ``-P`` keeps modules that lie in the
    working directory, perhaps beside the data, from being imported.
    """
    path = [entry for entry in sys.path if entry]
    code = f"import sys; sys.path[:] = {path!r}; from {__name__} import serve; serve({seconds})"
    command, pipe = [sys.executable, "-P", "-c", code], subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    if _pipes(process)[1].readline() != _READY:
        _end(process)
        raise RuntimeError(f"the process that extracts text does not start: {sys.executable} -P -c {code!r}")
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in _pipes(process):
        with contextlib.suppress(BrokenPipeError):  # half a request had not been read
            pipe.close()
    process.wait()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def serve(seconds: int) -> None:
    """What a process does: answer requests on standard input until it ends, within bounds of memory and ``seconds``."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand among the replies
    requests = sys.stdin.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts means the program, which ends its processes
    with contextlib.suppress(ValueError, OSError):  # let allocations fail above the bound, where the system can do that
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    replies.write(_READY)
    replies.flush()
    while header := requests.readline():
        kind, max_bytes, size = orjson.loads(header)
        data = requests.read(size)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # ends this process after so much time, even inside a library
        reply = _reply(data, kind, max_bytes)
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(reply + b"\n")
        replies.flush()


def _reply(data: bytes, kind: str, max_bytes: int) -> bytes:
    try:
        return orjson.dumps(extract(data, kind, max_bytes))
    except Unreadable as bad:
        return orjson.dumps({"refused": str(bad)})
    except MissingExtraError as missing:
        return orjson.dumps({"missing": str(missing)})
