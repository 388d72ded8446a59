"""A person at a real terminal: ask, show, propose, approve, reject, undo, quit, come back; with and without a model."""

import os
import re
import subprocess

import numpy as np
import pexpect
import polars as pl
import pytest

from .conftest import COMMAND

OPTIONS = [
    *("--vector-column", "vector", "--label-column", "label", "--id-column", "id", "--no-train"),
    *("--set", "reduce.methods=[pca]", "--set", "score.bootstraps=2", "--set", "probe.seeds=2", "--set", "cluster.k=6"),
]
PROMPT = "recryst> "
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
HOSTILE = "okapi \x1b[31m\x1b]0;owned\x07 [bold]quagga[/bold] \u202eevil"


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """120 rows in six groups, with vectors; every text holds terminal escapes and markup."""
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 6, 120)
    vectors = rng.standard_normal((6, 8))[groups] + 0.4 * rng.standard_normal((120, 8))
    frame = pl.DataFrame(
        {
            "id": [f"zebra-{n}" for n in range(120)],
            "text": [f"{HOSTILE} {n}" for n in range(120)],
            "label": [f"tapir{group}" for group in groups],
            "vector": vectors.tolist(),
        }
    )
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    frame.write_parquet(path)
    return path


class Person:
    """Somebody at a terminal of 130 columns, in which ``recryst chat`` runs."""

    def __init__(self, *arguments):
        environment = {**os.environ, "TERM": "xterm-256color", "OPENAI_API_KEY": ""}
        command = [*COMMAND, "chat", *map(str, arguments)]
        self.raw = ""
        self.process = pexpect.spawn(
            command[0], command[1:], env=environment, dimensions=(50, 130), timeout=60, encoding="utf-8"
        )

    def sees(self):
        """Everything up to the next prompt, without colours."""
        self.process.expect_exact(PROMPT)
        self.raw += self.process.before
        return ESCAPES.sub("", self.process.before)

    def types(self, line):
        """Type a line, and wait for what it brings."""
        self.process.sendline(line)
        return self.sees()

    def leaves(self, line="/quit"):
        """Type a last line; what is said, and the exit code."""
        self.process.sendline(line)
        return self.ends()

    def ends(self):
        """What is said until the process ends, and its exit code."""
        self.process.expect(pexpect.EOF)
        self.raw += self.process.before
        self.process.close()
        return ESCAPES.sub("", self.process.before), self.process.exitstatus


def test_a_conversation_without_a_model(rows, tmp_path, recryst):
    run = tmp_path / "run"
    person = Person(rows, "--out", run, *OPTIONS)
    greeting = person.sees()
    assert "no language model" in greeting
    assert "round 1, proposed by the rules: keep 70% of the rows" in greeting
    assert "only commands work" in person.types("what is cluster 0 about?")
    assert "6 clusters of 108 rows" in person.types("/clusters")
    shown = person.types("/show 0")
    assert "medoid" in shown
    assert "[bold]quagga[/bold]" in shown
    assert "kept (ingested)" in person.types("/why zebra-5")
    assert "did you mean 'zebra-5'" in person.types("/why zebra-5x")
    assert "there is no command /foo" in person.types("/foo")
    assert "round 1, proposed by the rules" in person.types("")  # an empty line approves nothing
    assert "round 2, proposed by the rules" in person.types("n")
    assert "proposed by you: cluster anew: kmeans k=9" in person.types("/k 9")
    said, code = person.leaves()
    assert (code, "comes back" in said) == (0, True)
    # No text of a row steers the terminal.
    assert not [steer for steer in ("\x1b]0;", "\x07", "\u202e") if steer in person.raw]

    person = Person(run)
    assert "proposed by you: cluster anew: kmeans k=9" in person.sees()
    measured = person.types("y")
    assert "change_k algorithm=kmeans k=9 → rolled back" in measured
    assert "/keep" in measured
    assert "kept after all" in person.types("/keep")
    assert "by person" in person.types("/history")
    assert "undone" in person.types("/undo")
    assert "nothing to undo" in person.types("/undo")
    said, code = person.leaves("/finish")
    assert code == 0
    assert "chosen by a person" in said
    audited = recryst("audit", run)
    assert audited.returncode == 0, audited.stdout
    assert "every decision follows" in audited.stdout

    person = Person(run)
    assert "this run has ended" in person.sees()
    assert "6 clusters" in person.types("/clusters")
    assert "nothing waits for an answer" in person.types("y")
    person.process.sendeof()
    assert person.ends()[1] == 0


def test_a_conversation_with_a_model(rows, tmp_path, recryst, llm_server):
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
    assert "6 clusters of 108 rows" in person.types("which clusters are there?")
    assert "proposed by the language model: cluster anew: kmeans k=9" in person.types("make it nine clusters")
    assert "change_k algorithm=kmeans k=9 → rolled back" in person.types("y")
    assert "kept after all" in person.types("/keep")
    assert "undone" in person.types("/undo")
    server.close()
    assert "openai:any" in person.types("are you there?")  # the server is gone: one sentence, and it goes on
    assert "6 clusters of 108 rows" in person.types("/clusters")
    assert "\x1b]0;" not in person.raw
    person.process.sendintr()
    assert person.ends()[1] == 130

    person = Person(run)
    assert "proposed by" in person.sees()
    assert person.leaves("/finish")[1] == 0
    audited = recryst("audit", run)
    assert audited.returncode == 0, audited.stdout
    shown = [str(asked.body) for asked in server.chats if asked.tools]
    assert shown
    assert not [body for body in shown if "okapi" in body or "zebra" in body or "tapir" in body]


def test_piped_lines_work_and_standard_input_is_not_the_data(rows, tmp_path, recryst):
    lines = "/metrics\n/prune 0 furthest 0.5\n"
    done = recryst("chat", rows, "--out", tmp_path / "run", *OPTIONS, input=lines)
    assert done.returncode == 0, done.stderr
    assert "coverage" in done.stdout
    assert "proposed by you: keep 50% of the rows of cluster 0" in done.stdout
    waiting = recryst("resume", tmp_path / "run")
    assert waiting.returncode == 0, waiting.stderr
    assert "waits for a person's approval" in waiting.stderr
    refused = recryst("chat", "-")
    assert refused.returncode == 2
    assert recryst("chat", tmp_path / "run", "--seed", "1").returncode == 2


def test_an_unattended_run_is_not_for_talking(rows, tmp_path, recryst):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, "run", str(rows), "--out", str(run), *OPTIONS], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("score"):
            process.kill()
            break
    process.wait()
    process.stderr.close()
    refused = recryst("chat", run)
    assert refused.returncode == 2
    assert "runs unattended" in refused.stderr
