"""What a terminal cannot show ends nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOWING = """
import click
from rich.console import Console
from recryst.agent.cli.streams import tolerant
with tolerant() as lost:
    Console().print("caf\\u00e9 \\u2013 \\u65e5\\u672c", "\\ud800")
    print("caf\\u00e9")
    click.echo("caf\\u00e9", err=True)
    assert lost() is None
"""


@pytest.mark.parametrize(
    "terminal",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["PYTHONIOENCODING", "LC_ALL"],
)
def test_an_ascii_terminal_shows_what_it_can(terminal):
    env = {**{name: value for name, value in os.environ.items() if name != "PYTHONIOENCODING"}, **terminal}
    words = [sys.executable, "-P", "-c", SHOWING]
    done = subprocess.run(words, env=env, capture_output=True, check=False)
    assert (done.returncode, b"Error" in done.stderr) == (0, False), done.stderr
    assert done.stdout.splitlines() == [rb"caf\xe9 \u2013 \u65e5\u672c \ud800", rb"caf\xe9"]


def test_what_nobody_handed_on_is_missed_as_well():
    """Few bytes stay in the stream until its end, and by then nobody asks whether they could be written."""
    program = "from recryst.agent.cli.streams import tolerant\nwith tolerant() as lost:\n    print('few')\n"
    program += "    assert lost().errno == 28"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("wb") as full:
        words = [sys.executable, "-P", "-c", program]
        done = subprocess.run(words, env=env, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
