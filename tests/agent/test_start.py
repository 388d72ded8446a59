"""Which folder a run gets, that two starts never share one, and that whoever stops reading ends no run."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from commands import COMMAND, SHORT
from processes import call

import recryst as package
from recryst.agent.cli.claim import begin
from recryst.agent.cli.progress import Reporter
from recryst.agent.session import Session
from recryst.agent.steps.base import run_step
from recryst.agent.steps.load import Load
from recryst.state.canonical import sha256_json
from recryst.state.errors import InputError, LockedError, UsageError
from recryst.state.log import last_step, read_log
from recryst.state.run import RunDirectory
from recryst.state.settings import load_config

HEAVY = {"langgraph", "numba", "sentence_transformers", "sklearn", "torch", "transformers", "umap"}
VECTORS = [*SHORT, "--set", "load.vector_column=v"]

# Each of the processes it forks waits for a word, starts, and tells what it owned while it owned it.
CROWD = """
import json, os, sys, time
from pathlib import Path
from recryst.agent.cli.claim import begin
from recryst.agent.cli.progress import Reporter
from recryst.agent.session import Session
from recryst.state.errors import RecrystError
from recryst.state.settings import load_config

def start(number):
    config = load_config(None, [f"seed={number % 8}"])
    out = Path("named") if number >= 20 else None
    try:
        with begin(str(Path("few.jsonl").resolve()), config, out, lambda said: None) as run:
            session = Session(run, Reporter(quiet=True))
            session.start()
            time.sleep(0.2)
            session.append("error", error="the test ends it")
            mine = run.read_settings()[1] == config and session.config == config
            log = [json.loads(line) for line in run.log.read_text().splitlines()]
            return {"root": str(run.root), "mine": mine, "seeds": sorted({e["seed"] for e in log if "seed" in e})}
    except RecrystError as error:
        return {"refused": error.exit_code}

wait, go = os.pipe()
for number in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.close(go)
        os.read(wait, 1)
        Path(f"told-{number}.json").write_text(json.dumps(start(number)))
        os._exit(0)
os.close(go)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


def rows(path, count):
    lines = [
        {"text": f"the quick brown fox number {n} jumps", "label": "ab"[n % 2], "v": [n, n % 5, 1]}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def run(recryst, tmp_path_factory):
    """A small finished run."""
    folder = tmp_path_factory.mktemp("small")
    done = recryst("run", rows(folder / "rows.jsonl", 60), "--out", folder / "run", "--quiet", *VECTORS)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def consistent(root):
    """The settings of a run, after a check that all of its log was written under them."""
    _, config = RunDirectory.open(root).read_settings()
    events, torn = read_log(root / "events.jsonl")
    assert torn == 0
    assert [event.type for event in events].count("start") == 1
    assert events[0].config_sha == sha256_json(config.model_dump(mode="json"))
    assert {event.config_sha for event in events if getattr(event, "config_sha", "")} == {events[0].config_sha}
    return config


def test_32_starts_at_once_never_share_a_folder(tmp_path):
    rows(tmp_path / "few.jsonl", 3)
    rows(tmp_path / "rows.jsonl", 60)
    crowd = subprocess.Popen([sys.executable, "-P", "-c", CROWD, "30"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with ThreadPoolExecutor() as starts:
        words = [["run", "rows.jsonl", "--seed", number, "--quiet", "--json", *VECTORS] for number in range(2)]
        whole = list(starts.map(lambda one: call(*one, cwd=tmp_path), words))
    for number, done in enumerate(whole):
        assert done.returncode == 0, done.stderr
        root = tmp_path / json.loads(done.stdout)["run"]
        assert consistent(root).seed == number
        assert last_step(root / "events.jsonl") == "publish"
    assert "Traceback" not in crowd.communicate(timeout=100)[1]
    for number in range(30):
        told = json.loads((tmp_path / f"told-{number}.json").read_text())
        if number < 20 or "refused" not in told:  # by a default name there is always a place
            assert told["mine"]
            assert told["seeds"] == [number % 8]
        else:
            assert told["refused"] == LockedError.exit_code
    for root in [*(tmp_path / "runs").iterdir(), tmp_path / "named"]:
        consistent(root)


def test_who_loses_a_default_name_takes_the_next_and_the_first_is_gone_on_with_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, config, said = str(rows(tmp_path / "few.jsonl", 3)), load_config(), []
    with begin(source, config, None, said.append) as first, begin(source, config, None, said.append) as second:
        assert (str(first.root), str(second.root)) == ("runs/few", "runs/few-2")
        assert "runs/few is in use by process" in said[0]
        with pytest.raises(LockedError), begin(source, config, first.root, said.append):
            pass
        assert first.read_settings() == second.read_settings() == (source, config)
    with begin(source, config, None, said.append) as again:
        assert again.root == first.root
    Path("runs/few/notes.txt").write_text("not of the run")
    other = load_config(None, ["seed=1"])
    with begin(source, other, None, said.append) as third:
        assert third.root == second.root  # nothing was read there yet: it is begun anew
    with pytest.raises(UsageError, match="begun with seed = 0, not 1"), begin(source, other, first.root, said.append):
        pass


def test_a_finished_run_is_said_to_be_finished_and_how_to_run_anew(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.jsonl").write_text('{"text": "a"}\n')
    source, config, said = str(tmp_path / "few.jsonl"), load_config(None, []), list[str]()
    with begin(source, config, None, said.append) as first:
        pass
    monkeypatch.setattr("recryst.agent.cli.claim.last_step", lambda log: "publish")
    with begin(source, config, first.root, said.append):
        pass
    assert said == [
        "runs/few is finished, and is only shown; for a new run choose another --out, or remove that folder"
    ]
    with begin(source, config, None, said.append) as other:
        assert other.root == Path("runs/few-2")
    assert said[1:] == ["runs/few is the same run, finished: `recryst resume` shows it; runs/few-2 is new"]


def test_other_data_of_one_name_is_another_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    config, said = load_config(), list[str]()

    def read(source):
        """Begin a run, read its rows, and leave it; its folder."""
        with begin(str(source), config, None, said.append) as directory:
            session = Session(directory, Reporter(quiet=True))
            session.start()
            run_step(Load(), session)
        return directory.root

    first = read(rows(tmp_path / "few.jsonl", 3))
    assert [read(rows(tmp_path / name, 4)) for name in ("other/few.jsonl", "few.json")] == [
        Path("runs/few-2"),
        Path("runs/few-3"),
    ]
    rows(tmp_path / "few.jsonl", 5)
    with pytest.raises(UsageError, match="has changed since the run in runs/few read it"):
        read(tmp_path / "few.jsonl")
    monkeypatch.setattr("recryst.agent.cli.claim.last_step", lambda log: "publish")  # as if all had ended
    assert read(tmp_path / "few.jsonl") == Path("runs/few-4")
    ingested = [read_log(root / "events.jsonl")[0][-1].counts.ingested for root in (first, Path("runs/few-4"))]
    assert ingested == [3, 5]


def test_a_row_is_explained_whatever_its_id(here, tmp_path):
    ids = ["-5", "row 7", "--json", "\x1b[31mred"]
    lines = [{"id": id, "text": f"the quick brown fox number {n}"} for n, id in enumerate(ids)]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with begin(str(tmp_path / "odd.jsonl"), load_config(), tmp_path / "run", lambda said: None) as directory:
        session = Session(directory, Reporter(quiet=True))
        session.start()
        run_step(Load(), session)
    for number, id in enumerate(ids):
        code, out, _ = here("explain", tmp_path / "run", "--", id)
        assert (code, f"fox number {number}" in out, "\x1b" in out) == (0, True, False)
    code, _, told = here("explain", tmp_path / "run", "row 8")
    assert (code, "row 7" in told) == (2, True)


def test_a_folder_that_is_refused_is_left_as_it_was(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty and not a run"):
        package.refine(pd.DataFrame({"text": ["a"]}), out=tmp_path / "mine", quiet=True)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    for wrong, error in ((object(), UsageError), (pd.DataFrame({"a": [1, "x"]}), InputError), ("nowhere", InputError)):
        with pytest.raises(error):
            package.refine(wrong, out=tmp_path / "new", quiet=True)
    with pytest.raises(UsageError, match=r"did you mean 'cluster\.k'"):
        package.refine(pd.DataFrame({"text": ["a"]}), out=tmp_path / "new", cluster={"kk": 3})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["run", "resume", "chat"])
def test_a_run_in_use_is_refused_before_anything_heavy_is_loaded(run, command):
    words = [command, run.parent / "rows.jsonl", "--out", run, *VECTORS] if command == "run" else [command, run]
    code = (
        "import json, sys; from recryst.agent.cli import main\ntry: main()\nfinally: print(json.dumps([*sys.modules]))"
    )
    with RunDirectory.open(run).lock():
        refused = subprocess.run(
            [sys.executable, "-P", "-c", code, *map(str, words)], capture_output=True, text=True, check=False
        )
    assert refused.returncode == LockedError.exit_code, refused.stderr
    assert "in use by process" in refused.stderr
    assert HEAVY & {name.split(".")[0] for name in json.loads(refused.stdout)} == set()


def test_nobody_need_read_what_a_run_says(run, tmp_path):
    """A closed pipe, a full disk and no stream at all: the exit code is the run's, and the disk is not called full."""

    def shell(words, redirected):
        line = f'"$@" {redirected}; echo "${{PIPESTATUS[0]}}" >&3'
        done = subprocess.run(
            ["bash", "-c", f"exec 3>{tmp_path}/code; {line}", "bash", *COMMAND, *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert "disk full" not in done.stderr
        assert "Exception ignored" not in done.stderr
        return int((tmp_path / "code").read_text()), done.stderr

    assert shell(["resume", run, "--quiet", "--json"], "| true") == (0, "")
    assert shell(["resume", run], "| head -1") == (0, "")
    full = "standard output could not be written: No space left on device\n"
    assert shell(["resume", run, "--json"], "> /dev/full") == (0, full)
    assert shell(["audit", run], "> /dev/full") == (4, full)  # its words are all there is of it
    assert shell(["resume", run], ">&- 2>&-") == (0, "")
    few = rows(tmp_path / "few.jsonl", 3)
    for silenced in ("2> /dev/full", "2>&1 | true"):
        code, _ = shell(["run", few, "--out", tmp_path / "few"], silenced)
        assert code == InputError.exit_code
    events, _ = read_log(tmp_path / "few" / "events.jsonl")
    assert {event.error for event in events if event.type == "error"} == {events[-1].error}
    assert events[-1].error.startswith("only 3 rows of 3 left")


def test_too_little_memory_is_said_in_a_sentence(recryst, tmp_path, monkeypatch):
    few = rows(tmp_path / "rows.jsonl", 60)
    limited = ("bash", "-c", 'ulimit -v 1000000; exec "$@"', "bash")
    done = recryst("run", few, "--out", tmp_path / "run", prefix=limited)
    assert done.returncode == 9
    assert done.stderr.startswith("error: this process may use 976 MB of addresses (`ulimit -v`)")
    assert not (tmp_path / "run").exists()

    from recryst.agent import graph
    from recryst.agent.start import LowMemoryError

    def no_memory(session):
        raise MemoryError

    monkeypatch.setattr(graph, "run", no_memory)
    with pytest.raises(LowMemoryError, match=r"memory ran out.*`recryst resume .*run` goes on"):
        package.refine(few, out=tmp_path / "run", vector_column="v", quiet=True)
    assert "memory ran out" in read_log(tmp_path / "run" / "events.jsonl")[0][-1].error


def test_yaml_nested_5000_deep_is_refused_in_a_sentence(run, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deep = "[" * 5000 + "]" * 5000
    (tmp_path / "deep.yaml").write_text(f"load: {deep}")
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "run.yaml").write_text(f"input: x\nconfig: {deep}")
    few = run.parent / "rows.jsonl"
    for words, expected in (
        (["run", few, "--config", tmp_path / "deep.yaml"], 2),
        (["run", few, "--set", f"cluster.k={deep}"], 2),
        (["resume", tmp_path / "run"], 2),
        (["refilter", run, "--set", f"gopher.max_symbol_ratio={deep}"], 2),
        (["tool", "cluster", few, tmp_path / "out.parquet", "--set", f"k={deep}"], 2),
        (["run", few, "--out", tmp_path / "t", "--taxonomy", tmp_path / "deep.yaml"], 3),
    ):
        code, _, said = here(*words)
        assert code == expected, said
        [line] = [line for line in said.splitlines() if line.startswith("error: ")]
        assert len(line) < 300
    assert not (tmp_path / "runs").exists()


def test_a_table_in_memory_is_refined_resumed_and_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = pl.read_ndjson(rows(tmp_path / "rows.jsonl", 60))
    table = pl.concat([source, source.head(4).with_columns(label=pl.lit(None, pl.String))])
    settings = {"load.vector_column": "v", "load.missing_label": "remove", "reduce.methods": ["pca"]}
    how = {"label_column": "label", "settings": settings, "quiet": True}
    how |= {"max_rounds": 1, "train": {"enabled": False}}

    from recryst.agent import graph

    with monkeypatch.context() as patch:
        patch.setattr(graph, "run", lambda session: False)
        stopped = package.refine(table, **how)
    assert (str(stopped.path), stopped.finished) == ("runs/table", False)
    with pytest.raises(UsageError, match="has not ended yet"):
        _ = stopped.report
    with pytest.raises(UsageError, match="has not read its rows yet"):
        _ = stopped.removed

    run = package.refine(table, **how)
    assert (run.path, run.finished) == (stopped.path, True)
    removed = run.removed
    assert removed["reason"].to_list() == ["missing_label"] * 4
    assert removed["text"].to_list() == source["text"].head(4).to_list()
    assert run.curated.height + run.anchor.height == 60
    assert run.curated.columns[:3] == table.columns
    assert run.explain(removed["id"][0]).row.reason == "missing_label"
    assert run.audit().failures == []
    assert run.summary.rows["removed"] == 4
    assert str(run.report.resolve()) in str((tmp_path / run._repr_html_().split('src="')[1].split('"')[0]).resolve())
    assert repr(package.open(run.path)) == "Run('runs/table', finished)"

    with pytest.raises(UsageError, match="is a run of another table"):
        package.refine(source, out=run.path, **how)
    with pytest.raises(UsageError, match=r"begun with stop\.max_rounds = 1, not 2"):
        package.refine(table, out=run.path, **{**how, "max_rounds": 2})
    assert package.refine(table, out=run.path, **how).resume(quiet=True).path == run.path
    (run.path / "input.parquet").unlink()
    assert package.refine(table, out=run.path, **how).finished  # and the table stands there again
    assert (run.path / "input.parquet").is_file()


def test_every_kind_of_table_gives_its_rows(tmp_path):
    datasets, pa = pytest.importorskip("datasets"), pytest.importorskip("pyarrow")
    from io import BytesIO

    from recryst.agent.start import _parquet

    frame = pd.DataFrame({"text": ["a", "b", "c"], "n": [1, 2, 3]})
    chosen = datasets.Dataset.from_pandas(frame).select([2, 1])
    for table, numbers in (
        (frame, [1, 2, 3]),
        (frame[frame["n"] > 1], [2, 3]),  # whose index is no column
        (pl.from_pandas(frame), [1, 2, 3]),
        (pa.Table.from_pandas(frame), [1, 2, 3]),
        (chosen, [3, 2]),
    ):
        read = pl.read_parquet(BytesIO(_parquet(table)))
        assert read.columns == ["text", "n"]
        assert read["n"].to_list() == numbers
        assert _parquet(table) == _parquet(table)
    with pytest.raises(UsageError, match="give one of them, such as \\['train'\\]"):
        _parquet(datasets.DatasetDict({"train": chosen}))
