"""A small real run, and the command line as a user calls it."""

import fcntl
import io
import json
import os
import signal
import subprocess
import sys

import polars as pl
import pytest
from commands import COMMAND, SMALL
from processes import call

from recryst.agent.cli import main
from recryst.tools.docstrings import write_docstrings


@pytest.fixture(scope="session")
def recryst():
    """Call ``recryst`` in a process of its own; returns the finished process. A prefix asks for a cold one."""

    def started(*arguments, prefix, env=None, timeout=900, **options):
        words = [*prefix, *COMMAND, *map(str, arguments)]
        options = {**options, "capture_output": True, "text": True, "check": False}
        return subprocess.run(words, env={**os.environ, **(env or {})}, timeout=timeout, **options)

    return lambda *arguments, **options: (started if "prefix" in options else call)(*arguments, **options)


@pytest.fixture
def here(monkeypatch, capfd):
    """Call ``recryst`` in this process, with bytes on standard input: exit code, standard output, standard error."""

    def within(*arguments, said=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(said), encoding="utf-8"))
        before = signal.getsignal(signal.SIGTERM)
        code = 0
        try:
            main([*map(str, arguments)])
        except SystemExit as left:
            code = left.code
        finally:
            signal.signal(signal.SIGTERM, before)
        return code, *capfd.readouterr()

    return within


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id):
    """A folder that every process of the tests shares: ``once(name, make)`` makes it by the first that asks for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def folder(name, make):
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            at = shared / name
            if not at.exists():
                at.mkdir()
                make(at)
        return at

    return folder


@pytest.fixture(scope="session")
def docstrings(once):
    """600 docstrings of the standard library, cut short, the first 30 of them twice, and two broken lines."""

    def make(folder):
        write_docstrings(folder / "all.jsonl")
        lines = (folder / "all.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines[:: max(1, len(lines) // 600)][:600]]
        lines = [json.dumps({**row, "text": row["text"][:100]}) for row in rows]  # most of a run's time is embedding
        copies = [json.dumps({**json.loads(line), "id": f"copy{n}"}) for n, line in enumerate(lines[:30])]
        (folder / "docs.jsonl").write_text("\n".join([*lines, '{"broken": ', *copies, "[1]"]) + "\n")

    return once("docstrings", make) / "docs.jsonl"


@pytest.fixture(scope="session")
def finished(recryst, docstrings, once):
    """A finished run: its directory and the object ``--json`` printed."""

    def make(folder):
        done = recryst("run", docstrings, "--label-column", "module", "--out", folder / "run", "--json", *SMALL)
        assert done.returncode == 0, done.stderr
        (folder / "told.json").write_text(done.stdout)

    folder = once("finished", make)
    return folder / "run", json.loads((folder / "told.json").read_text())


@pytest.fixture(scope="session")
def bank_questions(shared_data, tmp_path_factory):
    """Questions to a bank about five things, one of them asked after less often: ``bank_questions(often, seldom)``."""

    def written(often, seldom):
        frame = pl.read_csv(shared_data / "banking77" / "train.csv")
        sizes = dict.fromkeys(("exchange_rate", "lost_or_stolen_card", "pin_blocked", "top_up_failed"), often)
        parts = [
            frame.filter(pl.col("category") == name).head(size) for name, size in {**sizes, "age_limit": seldom}.items()
        ]
        path = tmp_path_factory.mktemp("questions") / "questions.csv"
        pl.concat(parts).sample(fraction=1, shuffle=True, seed=0).write_csv(path)
        return path

    return written
