"""A process of its own for what one function of this package does, which ends when this one does."""

import contextlib
import subprocess
import sys
from typing import Any


def started(module: str, function: str, **options: Any) -> "subprocess.Popen[bytes]":
    """A process that calls ``function`` of ``module``; this one writes to its input, and what it prints is not read.

    No ``multiprocessing`` process: that imports the user's script again. ``-P`` keeps modules that lie in the working
    directory, perhaps beside the data, from being imported.

    Args:
        options: of ``Popen``, instead of these.
    """
    path = [entry for entry in sys.path if entry]
    program = f"from {__package__}.program import leave, settle_program; settle_program()"
    code = f"import sys; sys.path[:] = {path!r}; {program}; from {module} import {function}; {function}(); leave(0)"
    usual = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-P", "-c", code], **{**usual, **options})


def ended(process: "subprocess.Popen[bytes]") -> None:
    """End a process, whatever it does, and close what leads to it."""
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()
    process.wait()
