"""Bad input and bad disks: one clear sentence, a typed exit code, and nothing lost."""

import json
import shutil
import subprocess

import polars as pl
import pytest
from commands import SHORT

from recryst.agent.audit import audit
from recryst.state.log import read_log
from recryst.state.rows import check_ledger
from recryst.state.store import Store
from recryst.state.values import fold

VECTORS = [*SHORT, "--set", "load.vector_column=v"]  # most of a short run's time is else the embedding model's start


def ledger_of(run):
    """The ledger in force, which must add up."""
    events, _ = read_log(run / "events.jsonl")
    state = fold(events)
    ledger = Store(run / "artifacts").frame(state.artefacts["ledger"])
    check_ledger(ledger, state.values.ingested)
    return ledger


def rows(count):
    lines = [
        {"text": f"the quick brown fox number {n} jumps over the lazy dog {n}", "v": [n, n % 5, 1]}
        for n in range(count)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def sentence(done, code):
    """The one sentence on standard error, after a check of the exit code and that there is no traceback."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_missing_file(recryst, tmp_path):
    assert "nowhere.jsonl does not exist" in sentence(recryst("run", tmp_path / "nowhere.jsonl", cwd=tmp_path), 3)
    assert not (tmp_path / "runs").exists()


def test_an_empty_file(recryst, tmp_path):
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    assert "empty.jsonl" in sentence(recryst("run", path, "--out", tmp_path / "run"), 3)
    assert not (tmp_path / "run").exists()


def test_a_wrong_column_name_lists_the_columns_and_leaves_no_folder(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "in.jsonl"
    path.write_text('{"question": "Who?", "answer": "I."}\n' * 50)
    (tmp_path / "full").mkdir()
    for options in (["--label-column", "intent"], ["--text-column", "txt"], ["--content-columns", "question,reply"]):
        for where in ([], ["--out", "run"], ["--out", "full"]):
            code, _, said = here("run", path, *options, *where)
            assert code == 3
            assert "'question', 'answer'" in said
            assert {one.name for one in tmp_path.iterdir()} <= {"in.jsonl", "full", "runs"}
    assert not any((tmp_path / "runs").iterdir())
    assert not any((tmp_path / "full").iterdir())


def test_one_row(recryst, tmp_path):
    path = tmp_path / "one.jsonl"
    path.write_text(rows(1))
    said = sentence(recryst("run", path, "--out", tmp_path / "run"), 3)
    assert "only 1 row of 1 left after cleaning, at least 40 are needed" in said
    assert ledger_of(tmp_path / "run").height == 1


def test_all_rows_identical(recryst, tmp_path):
    path = tmp_path / "same.jsonl"
    path.write_text('{"text": "always the same sentence of a few words"}\n' * 500)
    assert "clean would remove 499 of 500 rows" in sentence(recryst("run", path, "--out", tmp_path / "refused"), 3)
    most = ("--set", "caps.clean_fraction=1")
    said = sentence(recryst("run", path, "--out", tmp_path / "run", *most), 3)
    assert "only 1 row of 500 left after cleaning" in said
    assert "499 exact_duplicate" in said
    ledger = ledger_of(tmp_path / "run")
    assert ledger["duplicate_of"].drop_nulls().unique().to_list() == [ledger["id"][0]]


def test_a_missing_column(recryst, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(rows(60))
    said = sentence(recryst("run", path, "--text-column", "txet", "--out", tmp_path / "run"), 3)
    assert "txet" in said
    assert "text" in said.split("txet", 1)[1]


def test_a_line_of_50_mb_between_good_ones(recryst, tmp_path):
    path = tmp_path / "long.jsonl"
    with path.open("w") as file:
        file.write(rows(60))
        file.write(json.dumps({"text": "x" * 50_000_000}) + "\n")
        file.write(json.dumps({"text": "the last line is a good one", "v": [1, 2, 3]}) + "\n")
    done = recryst("run", path, "--out", tmp_path / "run", "--json", *VECTORS)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["rows"]["ingested"], result["rows"]["quarantined"]) == (61, 1)
    [broken] = [json.loads(line) for line in (tmp_path / "run" / "quarantine.jsonl").read_text().splitlines()]
    assert broken["line"] == 61
    assert len(broken["excerpt"]) <= 200


def test_invalid_utf8(recryst, tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes(rows(60).encode() + b'{"text": "caf\xe9"}\n')
    done = recryst("run", path, "--out", tmp_path / "run", "--json", *VECTORS)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["quarantined"] == 1
    broken = json.loads((tmp_path / "run" / "quarantine.jsonl").read_text())
    assert broken["line"] == 61
    assert "UTF-8" in broken["reason"]


# root reads everything unless it gives up the capability to
_UNPRIVILEGED = (
    "setpriv",
    "--inh-caps",
    "-dac_override,-dac_read_search",
    "--bounding-set",
    "-dac_override,-dac_read_search",
)


def test_a_folder_without_read_permission(recryst, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "a.txt").write_text("text")
    folder.chmod(0)
    prefix = ()
    if _readable(folder):
        if shutil.which("setpriv") is None:
            pytest.skip("this user reads every folder, and there is no setpriv to give that up")
        prefix = _UNPRIVILEGED
    try:
        said = sentence(recryst("run", folder, "--out", tmp_path / "run", prefix=prefix), 4)
    finally:
        folder.chmod(0o755)
    assert "closed" in said
    assert "ermission" in said
    assert (folder / "a.txt").read_text() == "text"


def _readable(folder):
    try:
        list(folder.iterdir())
    except PermissionError:
        return False
    return True


_MOUNT = 'mount -t tmpfs -o size={size}k tmpfs {at} && cp -r {at}.before/. {at} && exec "$@"'


@pytest.mark.parametrize("size", [40, 400, 1200])
def test_a_full_disk(recryst, docstrings, tmp_path, size):
    """On a real file system that is really full: the sentence, the code, a whole chain, and a resume that ends well."""
    at = tmp_path / "disk"
    at.mkdir()
    (tmp_path / "disk.before").mkdir()
    begin = ["run", docstrings, "--label-column", "module", "--out", at / "run", *SHORT]
    # The mount lives as long as the command, so that what it leaves is copied out before it goes.
    keep = f'"$@"; code=$?; cp -r {at}/. {tmp_path}/disk.after; exit $code'
    mounted = _MOUNT.format(size=size, at=at)
    prefix = ("unshare", "-rm", "bash", "-c", mounted, "bash", "bash", "-c", keep, "bash")
    probe = subprocess.run([*prefix, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    if probe is None or probe.returncode != 0:
        pytest.skip("no small file system can be mounted here")
    shutil.rmtree(tmp_path / "disk.after")
    said = sentence(recryst(*begin, prefix=prefix), 4)
    assert "full" in said
    left = tmp_path / "disk.after" / "run"
    if (left / "events.jsonl").exists():
        allowed = ("not part of the chain", "is not in the log")  # half a last line, files whose event found no room
        assert [failure for failure in audit(left).failures if not any(why in failure for why in allowed)] == []
    if size < 1200:
        return  # it did not come far; that a run goes on from anywhere is shown by killing it
    shutil.copytree(tmp_path / "disk.after", at, dirs_exist_ok=True)
    done = recryst(*begin, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["ingested"] == 630
    assert audit(at / "run").failures == []


def test_names_in_the_data_cannot_leave_the_run_directory(recryst, tmp_path):
    path = tmp_path / "names.jsonl"
    lines = [json.loads(line) for line in rows(60).splitlines()]
    for number, line in enumerate(lines):
        line |= {
            "id": f"../../evil{number}",
            "label": "../../../etc/passwd" if number % 2 else "\x1b[31mred",
            "source": "/tmp",
        }
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    before = {entry for entry in tmp_path.rglob("*") if "run" not in entry.parts}
    done = recryst("run", path, "--label-column", "label", "--out", tmp_path / "run", *VECTORS)
    assert done.returncode == 0, done.stderr
    assert {entry for entry in tmp_path.rglob("*") if "run" not in entry.parts} == before
    assert "\x1b[31mred" not in done.stdout + done.stderr
    assert pl.read_parquet(tmp_path / "run" / "curated" / "train-00000.parquet").height > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "cluster.kk=3"], "did you mean 'cluster.k'"),
        (["--max-rounds", "0"], "stop.max_rounds"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_command_line(recryst, tmp_path, arguments, said):
    path = tmp_path / "rows.jsonl"
    path.write_text(rows(60))
    assert said in sentence(recryst("run", path, "--out", tmp_path / "run", *arguments), 2)
    assert not (tmp_path / "run").exists()


def test_a_run_killed_while_its_folder_was_made_can_begin_again(recryst, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(rows(60))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.tmp").write_text("input: ")
    done = recryst("run", path, "--out", tmp_path / "run", *VECTORS)
    assert done.returncode == 0, done.stderr
    path.write_text(rows(70))
    assert "has changed since the run" in sentence(recryst("run", path, "--out", tmp_path / "run", *VECTORS), 2)
    (tmp_path / "run" / "events.jsonl").unlink()
    assert "events.jsonl is missing" in sentence(recryst("resume", tmp_path / "run"), 6)


def test_vectors_that_are_all_equal(recryst, tmp_path):
    labels = ["a", "b"] * 30
    pl.DataFrame({"v": [[1.0, 0.0]] * 60, "label": labels}).write_parquet(tmp_path / "same.parquet")
    done = recryst(
        "run",
        tmp_path / "same.parquet",
        "--vector-column",
        "v",
        "--label-column",
        "label",
        "--out",
        tmp_path / "r",
        *SHORT,
    )
    assert done.returncode == 0, done.stderr


def test_probes_of_labels_without_labels(recryst, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(rows(60))
    done = recryst("run", path, "--out", tmp_path / "run", "--set", "probe.kind=labels", *SHORT)
    assert "--label-column" in sentence(done, 3)


def test_an_out_that_is_a_file(recryst, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(rows(60))
    assert "is a file" in sentence(recryst("run", path, "--out", path, *SHORT), 2)
