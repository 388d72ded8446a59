"""Two real runs that differ in the labels of sealed rows alone: the headline differs, and nothing that was decided."""

import json
import signal

import numpy as np
import polars as pl
import pytest
from processes import call

from recryst.agent.audit import audit
from recryst.agent.start import refine
from recryst.agent.view import View

ROWS = 400
SETTINGS = {
    "anchor.fraction": 0.4,
    "sealed.min_rows": 30,
    "cluster.k": 5,
    "reduce.methods": ["pca"],
    "score.bootstraps": 2,
    "train.enabled": False,
    "stop.max_rounds": 2,
}


def table(labels=None):
    """Rows in five groups with vectors that follow them, of which a fifth carries another label."""
    rng = np.random.default_rng(0)
    group = np.arange(ROWS) % 5
    vectors = rng.standard_normal((5, 16))[group] + 0.6 * rng.standard_normal((ROWS, 16))
    wrong = rng.random(ROWS) < 0.2
    own = np.where(wrong, (group + rng.integers(1, 5, ROWS)) % 5, group) if labels is None else labels
    return pl.DataFrame(
        {"id": [f"r{n}" for n in range(ROWS)], "vector": vectors.tolist(), "kind": [f"k{n}" for n in own]}
    ), own


def run_of(folder, labels=None):
    return refine(
        table(labels)[0], out=folder, label_column="kind", vector_column="vector", settings=SETTINGS, quiet=True
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, and one in which every sealed row has the label of another group."""
    folder = tmp_path_factory.mktemp("sealed")
    first = run_of(folder / "a")
    sealed = next(event for event in View.open(first.path).events if event.type == "hold_out")
    rows = View.open(first.path).at(sealed.seq + 1).sealed()
    labels = table()[1].copy()
    labels[rows] = (labels[rows] + 1) % 5
    return first, run_of(folder / "b", labels), rows


def test_the_labels_of_sealed_rows_decide_nothing(runs):
    first, second, rows = runs
    assert len(rows) == 40
    views = [View.open(run.path) for run in (first, second)]
    ends = [next(event for event in view.events if event.type == "open_sealed") for view in views]
    before = [view.at(end.seq) for view, end in zip(views, ends, strict=True)]
    assert any(event.outcome == "kept" for event in before[0].events if event.type == "measure")
    told = [[_decided(event) for event in view.events] for view in before]
    assert told[0] == told[1]
    assert before[0].state.artefacts.keys() == before[1].state.artefacts.keys()
    differ = {role for role, ref in before[0].state.artefacts.items() if ref != before[1].state.artefacts[role]}
    assert differ == {"rows", "originals"}
    # Afterwards other rows of the hold-out may go, as they are judged with them; those trained on are the same.
    assert np.array_equal(views[0].kept(), views[1].kept())
    kept = views[0].kept()
    assert views[0].labels().gather(kept).equals(views[1].labels().gather(kept))


def _decided(event):
    """An event without its place in time, what it commits to, and the tables of the input."""
    if event.type == "start":
        return None
    body = event.model_dump(mode="json", exclude={"hash", "prev_hash", "run_id", "ts", "seconds", "sealed_sha256"})
    if event.type == "load":
        for field in ("state", "effects", "input_sha256", "config_sha"):
            body.pop(field, None)
    body.pop("inputs", None)
    return body


def test_they_decide_the_headline(runs):
    right, wrong = (run.summary.headline for run in runs[:2])
    assert (right.rows, wrong.rows) == (40, 40)
    assert right.raw.before > 0.5 > wrong.raw.before
    assert right.confirmed > wrong.confirmed
    hashes = {next(e for e in View.open(run.path).events if e.type == "hold_out").sealed_sha256 for run in runs[:2]}
    assert len(hashes) == 2


def test_a_run_opens_them_once_whoever_resumes_it(runs):
    first = runs[0]
    types = [event.type for event in View.open(first.path).events]
    assert types.count("open_sealed") == 1
    assert types.index("open_sealed") == max(at for at, one in enumerate(types) if one == "decide") + 1
    first.resume(quiet=True)
    assert [event.type for event in View.open(first.path).events] == types


def test_a_kill_around_the_opening_opens_nothing_twice(runs, tmp_path):
    table()[0].write_parquet(tmp_path / "rows.parquet")
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    columns = ["--label-column", "kind", "--vector-column", "vector"]
    command = ["run", tmp_path / "rows.parquet", *columns, *settings, "--out", tmp_path / "run", "--quiet"]
    for place in ("open_sealed:before", "open_sealed:after"):
        killed = call(*command, dies=place)
        assert killed.returncode == -signal.SIGKILL, (place, killed.stderr)
        command = ["resume", tmp_path / "run"]
    done = call(*command)
    assert done.returncode == 0, done.stderr
    view = View.open(tmp_path / "run")
    assert [event.type for event in view.events].count("open_sealed") == 1
    assert view.values.headline == runs[0].summary.headline
    assert view.values.curated_sha256 == runs[0].summary.curated_sha256


def test_they_belong_to_the_curated_set_and_the_pages_tell_the_headline(runs):
    first = runs[0]
    view, told = View.open(first.path), first.summary
    assert set(first.sealed["recryst_id"]) == set(view.ledger()["id"].gather(view.sealed()))
    assert told.sealed == first.sealed.height > 0
    assert len(first.curated) + len(first.anchor) + len(first.sealed) == told.rows["kept"]
    shown = json.loads(told.model_dump_json())["headline"]["score"]
    said = f"probes {shown['before']:.4f} before, {shown['after']:.4f} after"
    assert said in (first.path / "README.md").read_text()
    assert said in first.report.read_text()
    assert audit(first.path).failures == []
