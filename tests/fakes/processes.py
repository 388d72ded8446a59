"""Calls of the command line, each in a process of its own that is forked where everything heavy is already imported.

Most of a short call's time is imports. The server that forks has done what ``heavy`` says, and computed nothing; what a
cold start does (what it imports, how soon it refuses) is tested with ``commands.COMMAND``.
"""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import pytest

from recryst.agent.cli import main

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["heavy"])


@functools.cache
def _server():
    """Start the server that forks. It looks for modules where an environment says, not where we do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        forkserver.ensure_running()


def call(*arguments, cwd=None, input=None, env=None, timeout=900, dies=None):
    """Call ``recryst``; returns the finished process. ``dies`` is where SIGKILL ends it: see `dying`."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder)
        (said / "0").write_bytes(input if isinstance(input, bytes) else (input or "").encode())
        words = [*map(str, arguments)]
        _server()
        ends = (words, said, cwd or Path.cwd(), {**os.environ, **(env or {})}, dies)
        process = FORK.Process(target=_carry_out, args=ends)
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutExpired(words, timeout, (said / "1").read_bytes(), (said / "2").read_bytes())
        out, err = ((said / end).read_bytes() for end in "12")
        if not isinstance(input, bytes):
            out, err = out.decode(), err.decode()
        return CompletedProcess(words, process.exitcode, out, err)


def _carry_out(words, said, cwd, env, dies):
    assert "heavy" in sys.modules  # the server goes on without what it cannot import
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        end = (said / str(number)).open("w" if number else "r", encoding="utf-8")
        os.dup2(end.fileno(), number)
        setattr(sys, name, end)
    warnings.filterwarnings("error", category=DeprecationWarning, module="recryst")
    with dying(*dies.split(":")) if dies else contextlib.nullcontext():
        main(words)


@contextlib.contextmanager
def dying(step, place):
    """Die by SIGKILL as a step begins, at its n-th advance, or before, within or after the writing of its event."""
    from recryst.agent.session import Session
    from recryst.state.log import EventLog

    append, show = EventLog.append, Session.step

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def appended(log, **fields):
        here = fields["type"] == step
        if here and place == "before":
            die()
        event = append(log, **fields)
        if here and place == "within":
            os.truncate(log.path, log.path.stat().st_size - 40)
        if here and place in ("within", "after"):
            die()
        return event

    @contextlib.contextmanager
    def shown(session, name, *arguments, **more):
        with show(session, name, *arguments, **more) as advance:
            left = int(place) if name == step and place.isdigit() else -1
            if left == 0:
                die()

            def advanced(done=1):
                nonlocal left
                advance(done)
                left -= 1
                if left == 0:
                    die()

            yield advanced

    EventLog.append, Session.step = appended, shown
    try:
        yield
    finally:
        EventLog.append, Session.step = append, show
