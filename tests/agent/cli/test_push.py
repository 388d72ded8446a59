"""``recryst push``: what is sent is what was logged, after a yes, and nothing before."""

import os
import shutil

import pexpect
import pytest
from commands import COMMAND
from forger import at, mend, plain
from hub import TOKEN

from recryst.agent.cli.push import _listed
from recryst.agent.view import View
from recryst.state.canonical import sha256_file
from recryst.tools.write.hub.upload import Parcel


@pytest.fixture
def run(finished, tmp_path):
    """A finished run of one's own, with its final model."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def below(folder, *kinds):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in kinds or not kinds}


def test_both_repositories_get_what_was_logged(here, hub, run, finished):
    before = {path for path in run.rglob("*") if path.is_file()}
    code, said, told = here("push", run, "me/docs", "--endpoint", hub.url, "--yes")
    assert code == 0, told
    assert said.splitlines() == [f"{hub.url}/datasets/me/docs", f"{hub.url}/me/docs"]
    assert "(private dataset)" in told
    assert "curated/train-00000.parquet: " in told
    rows = {f"curated/{name}": content for name, content in below(run / "curated").items()}
    assert hub.files("dataset", "me/docs") == {**rows, "README.md": (run / "README.md").read_bytes()}
    final = below(run / "model" / finished[1]["final_model"]["name"])
    assert hub.files("model", "me/docs") == {**final, "README.md": (run / "model" / "README.md").read_bytes()}
    assert len(hub.commits) == 2
    assert {path for path in run.rglob("*") if path.is_file()} == before
    assert TOKEN not in told
    assert not any(TOKEN.encode() in path.read_bytes() for path in before)


def test_nothing_is_sent_unasked(here, hub, run):
    code, _, told = here("push", run, "me/docs", "--endpoint", hub.url)
    assert (code, told.splitlines()[-1]) == (2, "error: nothing was sent, for nobody is there to say yes: add --yes")
    words = [*COMMAND[1:], "push", str(run), "me/docs", "--endpoint", hub.url]
    child = pexpect.spawn(COMMAND[0], words, env={**os.environ, "COLUMNS": "200"}, timeout=120, encoding="utf-8")
    child.expect(r"Send all of it\? \[y/N\]")
    child.sendline("n")
    child.expect("nothing was sent")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert not hub.asked


def test_what_is_not_as_it_was_logged_stays_here(here, hub, run, tmp_path):
    def refused(code):
        found, _, told = here("push", run, "me/docs", "--endpoint", hub.url, "--yes")
        assert found == code, told
        assert not hub.asked
        return told

    card, aside = run / "README.md", tmp_path / "aside"
    text = card.read_text()
    card.write_text(text + "One more line.\n")
    assert "README.md was changed: it does not have the hash in the log" in refused(6)
    card.unlink()
    aside.write_text(text)
    card.symlink_to(aside)
    assert "README.md is missing" in refused(6)  # a link that leads out of the run is not followed
    card.unlink()
    card.write_text(text)
    (run / "curated" / "more.parquet").write_bytes(b"PAR1")
    assert "more.parquet is not in the log" in refused(6)
    (run / "curated" / "more.parquet").unlink()
    lines = (run / "events.jsonl").read_bytes().splitlines(keepends=True)
    (run / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    assert "is not finished" in refused(2)


def test_a_log_that_names_files_outside_the_run_sends_none(here, hub, run, tmp_path):
    (tmp_path / "secret").write_text("word")
    bodies = [plain(event.body()) for event in View.open(run).events]
    effect = {"kind": "file:model/dense/../../../secret", "after_sha": sha256_file(tmp_path / "secret")}
    at(bodies, "train")["effects"].append(effect)
    mend(run, bodies)
    code, _, told = here("push", run, "me/docs", "--endpoint", hub.url, "--yes")
    assert code == 6
    assert "train does not write 'model/dense/../../../secret'" in told
    assert not hub.asked


def test_what_is_to_be_sent_fits_on_a_screen(tmp_path):
    def shown(*names):
        for name in names:
            (tmp_path / name).write_text("word")
        return _listed(Parcel("model", {name: (tmp_path / name, "") for name in names}))

    assert shown("b", "a\x1b[2J") == ["a [2J: 4 B", "b: 4 B"]
    lines = shown(*(f"curated-{number:03}" for number in range(107)))
    assert (len(lines), lines[0], lines[-1]) == (8, "curated-000: 4 B", "100 more files: 400 B")
