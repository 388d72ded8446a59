"""A person at a real terminal: ask, show, propose, approve, reject, undo, quit, come back; with and without a model."""

import io
import os
import re
import sys
import time
from types import SimpleNamespace

import pexpect
import pytest
from commands import COMMAND

from recryst.agent.audit import audit
from recryst.agent.chat.terminal import Terminal
from recryst.state.log import read_log
from recryst.state.run import RunDirectory
from recryst.state.settings import load_config

OPTIONS = [
    *("--vector-column", "vector", "--label-column", "label", "--id-column", "id", "--no-train"),
    *("--set", "reduce.methods=[pca]", "--set", "score.bootstraps=2", "--set", "probe.seeds=2", "--set", "cluster.k=6"),
]
PROMPT = "recryst> "
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
HOSTILE = "okapi \x1b[31m\x1b]0;owned\x07 [bold]quagga[/bold] \u202eevil"


@pytest.fixture(scope="module")
def rows(six_groups):
    """Rows whose every text holds terminal escapes and markup."""
    return six_groups(lambda n, group: f"{HOSTILE} {n}")


class Person:
    """Somebody at a terminal of 130 columns, in which ``recryst chat`` runs."""

    def __init__(self, *arguments):
        environment = {**os.environ, "TERM": "xterm-256color", "OPENAI_API_KEY": "", "PYTHONIOENCODING": "utf-8:strict"}
        command = [*COMMAND, "chat", *map(str, arguments)]
        self.raw = ""
        self.process = pexpect.spawn(
            *(command[0], command[1:]),
            env=environment,
            dimensions=(50, 130),
            timeout=60,
            encoding="utf-8",
            codec_errors="replace",
        )

    def sees(self):
        """Everything up to the next prompt, without colours."""
        self.process.expect_exact(PROMPT)
        return self._heard()

    def types(self, line):
        """Type a line, and wait for what it brings; a proposal that is approved is read before."""
        time.sleep(0.4 if line == "y" else 0)
        self.process.sendline(line)
        return self.sees()

    def leaves(self, line="/quit"):
        """Type a last line; what is said, and the exit code."""
        self.process.sendline(line)
        return self.ends()

    def ends(self):
        """What is said until the process ends, and its exit code."""
        self.process.expect(pexpect.EOF)
        said = self._heard()
        self.process.close()
        return said, self.process.exitstatus

    def _heard(self):
        self.raw += self.process.before
        return ESCAPES.sub("", self.process.before)


def test_a_conversation_without_a_model(rows, tmp_path, here):
    run = tmp_path / "run"
    person = Person(rows, "--out", run, *OPTIONS)
    greeting = person.sees()
    assert "no language model" in greeting
    assert re.search(r"round 1, proposed by the rules: \w+.*\n  because: \w+", greeting), greeting
    assert "/try 1: " in greeting
    assert "only commands work" in person.types("what is cluster 0 about?")
    assert "6 clusters of 96 rows" in person.types("/clusters")
    shown = person.types("/show 0")
    assert "medoid" in shown
    assert "[bold]quagga[/bold]" in shown
    assert "kept (ingested)" in person.types("/why zebra-5")
    assert "did you mean 'zebra-5'" in person.types("/why zebra-5x")
    assert "there is no command /foo" in person.types("/foo")
    assert "/clusters" in person.types("help")
    person.process.send("/cl\t\n")
    assert "6 clusters of 96 rows" in person.sees(), "the tabulator completes a command"
    assert "round 1, proposed by the rules" in person.types("")  # an empty line approves nothing
    assert "round 2, proposed by the rules" in person.types("n")
    os.write(person.process.child_fd, b"what is \xff?\n")  # no text at all
    assert "only commands work" in person.sees()
    # A `y` that was typed before the proposal stood there is none to it.
    assert "proposed by you: cluster anew: kmeans k=9" in person.types("/k 9\ny")
    said, code = person.leaves()
    assert (code, "comes back" in said) == (0, True)
    # No text of a row steers the terminal.
    assert not [steer for steer in ("\x1b]0;", "\x07", "\u202e") if steer in person.raw]

    person = Person(run)
    assert "proposed by you: cluster anew: kmeans k=9" in person.sees()
    person.process.send("\x1b[A")
    person.process.expect_exact("/quit")  # which was typed last, the last time
    time.sleep(0.3)  # readline waits for a key again
    person.process.sendintr()
    assert "Ctrl-C again leaves" in person.sees()
    measured = person.types("y")
    assert "cluster anew: kmeans k=9 → rolled back" in measured
    assert "/keep" in measured
    assert "kept after all" in person.types("/keep")
    assert "by person" in person.types("/history")
    assert "undone" in person.types("/undo")
    assert "nothing to undo" in person.types("/undo")
    said, code = person.leaves("/finish")
    assert code == 0
    assert "chosen by a person" in said
    assert audit(run).failures == []

    code, said, _ = here("chat", run, said=b"/clusters\nna\xefve\ny\n")
    assert code == 0
    for words in ("this run has ended", "6 clusters", "only commands work", "nothing waits for an answer"):
        assert words in said


def test_what_was_just_put_forward_is_not_approved_unread(monkeypatch):
    """On a terminal; a script is as quick as it likes."""
    terminal = Terminal(SimpleNamespace(session=SimpleNamespace(model=None)))
    keyboard, screen = os.openpty()
    with os.fdopen(keyboard), os.fdopen(screen) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        terminal._shown_at = time.monotonic()
        assert [line for line in ("y", "yes", "/run 3", "n", "/clusters", "") if terminal._too_soon(line)] == [
            *("y", "yes", "/run 3")
        ]
        terminal._shown_at -= 1
        assert not terminal._too_soon("y")
    terminal._shown_at = time.monotonic()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y"))
    assert not terminal._too_soon("y")


def test_a_conversation_with_a_model(rows, tmp_path, here, monkeypatch, llm_server):
    from llm_server import ToolUse

    def policy(asked):
        if not asked.tools:
            return {"about": "Striped animals \x1b]0;owned\x07 of Africa.", "outliers": ""}
        if asked.messages[-1].role == "tool":
            return "There it is.\x1b]0;owned\x07"
        if "about" in asked.text:
            return ToolUse("describe_cluster", {"cluster": 0})
        return ToolUse("propose_k", {"k": 9}) if "nine" in asked.text else ToolUse("list_clusters", {})

    server = llm_server(policy)
    run = tmp_path / "run"
    model = ("--llm", "openai:any", "--base-url", server.base_url("openai"), "--policy", "rules", "--critic", "rules")
    person = Person(rows, "--out", run, *model, "--set", "llm.attempts=1", *OPTIONS)
    assert "round 1, proposed by the rules" in person.sees()
    said = person.types("what is cluster 0 about?")
    assert "Striped animals" in said
    assert "There it is." in said
    assert "tokens" in said
    assert "Striped animals" in person.types("/describe 1")
    assert "6 clusters of 96 rows" in person.types("which clusters are there?")
    assert "proposed by the language model: cluster anew: kmeans k=9" in person.types("make it nine clusters")
    assert "cluster anew: kmeans k=9 → rolled back" in person.types("y")
    assert "kept after all" in person.types("/keep")
    assert "undone" in person.types("/undo")
    server.close()
    assert "openai:any" in person.types("are you there?")  # the server is gone: one sentence, and it goes on
    assert "6 clusters of 96 rows" in person.types("/clusters")
    assert "\x1b]0;" not in person.raw
    person.process.send("/k 1")
    person.process.expect_exact("/k 1")
    time.sleep(0.3)  # readline waits for a key again
    person.process.sendintr()
    assert "Ctrl-C again leaves" in person.sees(), "the first gives up what was typed"
    person.process.sendintr()
    assert person.ends()[1] == 130

    monkeypatch.setenv("OPENAI_API_KEY", "")
    code, said, _ = here("chat", run, said=b"/finish\n")
    assert (code, "proposed by" in said) == (0, True)
    code, said, _ = here("chat", run, said=b"/describe 1\n")
    assert (code, "Striped animals" in said) == (0, True)
    events, _ = read_log(run / "events.jsonl")
    described = [event for event in events if event.type == "chat" and event.tools == ("describe_cluster",)]
    assert [[call.cache_hit for call in event.llm] for event in described] == [
        *([False, False, False], [False], [True])
    ], "a question of a person's command is not in the log"
    assert audit(run).failures == []
    shown = [str(asked.body) for asked in server.chats if asked.tools]
    assert shown
    assert not [body for body in shown if "okapi" in body or "zebra" in body or "tapir" in body]


def test_piped_lines_work_and_standard_input_is_not_the_data(rows, tmp_path, here):
    run = tmp_path / "run"
    said = b"/metrics\n/prune 0 furthest 0.5\n"
    code, said, _ = here("chat", rows, "--as", "Ana Zamora", "--out", run, *OPTIONS, said=said)
    assert code == 0
    answered = [event.answer for event in read_log(run / "events.jsonl")[0] if event.type == "approve"]
    assert [one.who for one in answered] == ["Ana Zamora"]
    assert here("chat", run, "--as", " ")[0] == 2
    assert "coverage" in said
    assert "proposed by you: keep 50% of the rows of cluster 0" in said
    code, _, told = here("resume", run)
    assert code == 0
    assert "waits for a person's approval" in told
    assert here("chat", "-")[0] == 2
    assert here("chat", run, "--seed", "1")[0] == 2


def test_an_unattended_run_is_not_for_talking(rows, tmp_path, here):
    run = RunDirectory.create(tmp_path / "run", str(rows), load_config(None, ["load.vector_column=vector"])).root
    code, _, told = here("chat", run)
    assert code == 2
    assert "runs unattended" in told
