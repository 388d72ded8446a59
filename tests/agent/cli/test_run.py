"""Whole runs through the command line: what they leave, that they repeat, and that no kill changes the result."""

import json
import signal

import numpy as np
import polars as pl
import pytest
from commands import SHORT, SMALL, sound_rows
from processes import call

from recryst.agent.audit import audit
from recryst.state.log import read_log
from recryst.state.store import Store


def decisions(root):
    """What was decided and what came of it; how many vectors a killed process left in the cache does not count."""
    events, _ = read_log(root / "events.jsonl")
    return [
        event.state.values.decision if event.type == "decide" else event.record.model_copy(update={"embedded": 0})
        for event in events
        if event.type in ("decide", "measure")
    ]


def test_a_run_accounts_for_every_row_and_leaves_its_files(finished):
    root, result = finished
    rows = result["rows"]
    assert (rows["ingested"], rows["quarantined"]) == (630, 2)
    assert rows["kept"] + rows["removed"] == rows["ingested"]
    assert result["removed_by_reason"]["exact_duplicate"] >= 30
    assert sum(result["removed_by_reason"].values()) == rows["removed"]
    for name in ("report.html", "README.md", "events.jsonl", "run.yaml", "quarantine.jsonl"):
        assert (root / name).stat().st_size > 0
    train = pl.read_parquet(root / "curated" / "train-00000.parquet")
    anchor = pl.read_parquet(root / "curated" / "anchor-00000.parquet")
    assert train.height + anchor.height == rows["kept"]
    assert set(train["recryst_id"]).isdisjoint(anchor["recryst_id"])
    assert result["log_head"] == read_log(root / "events.jsonl")[0][-1].hash


def test_original_columns_come_back_untouched(finished, docstrings):
    root, _ = finished
    originals = sound_rows(docstrings)
    kept = pl.concat([pl.read_parquet(path) for path in (root / "curated").glob("*.parquet")])
    for row in kept.iter_rows(named=True):
        assert {name: row[name] for name in ("id", "text", "module", "kind")} == originals[row["id"]]


def test_only_the_first_round_embeds(finished):
    rounds = finished[1]["rounds"]
    assert rounds[0]["embedded"] > 0
    assert [entry["embedded"] for entry in rounds[1:]] == [0] * (len(rounds) - 1)
    assert all(entry["outcome"] in ("kept", "rolled_back", "refused", "stopped") for entry in rounds)


def test_quantised_models_are_measured_and_smaller(finished):
    models = {model["name"]: model for model in finished[1]["models"]}
    assert list(models) == ["dense", "nf4", "int8", "f16", "q8_0", "q4_0"]
    for name, model in models.items():
        assert model["answer"]
        assert model["perplexity"] > 1
        assert name == "dense" or model["size_bytes"] < models["dense"]["size_bytes"]
        assert name == "dense" or model["memory_bytes"] < models["dense"]["memory_bytes"]
        assert 0.5 < model["agreement"] <= 1
        assert (model["speed"] is None) == (name in ("f16", "q8_0", "q4_0"))
    final = finished[1]["final_model"]
    assert final["name"] in models
    quantised = next(event for event in read_log(finished[0] / "events.jsonl")[0] if event.type == "quantise")
    assert quantised.reasons == (final["why"],)
    assert (finished[0] / "model" / "q8_0" / "Modelfile").is_file()


def test_the_same_seed_gives_the_same_hash_and_decisions(finished, recryst, docstrings, tmp_path):
    root, first = finished
    begin = ["run", docstrings, "--label-column", "module", "--out", tmp_path / "again", "--json", "--quiet", *SMALL]
    done = recryst(*begin, prefix=["env", "PYTHONHASHSEED=7"])  # sets of strings have another order
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert json.loads(done.stdout)["curated_sha256"] == first["curated_sha256"]
    assert decisions(tmp_path / "again") == decisions(root)


def test_a_kill_in_the_middle_of_every_step_changes_nothing(finished, docstrings, tmp_path):
    """One run, killed by SIGKILL in each step and resumed each time, ends like the run that was left alone.

    The kept action and the models have a test of their own, below.
    """
    root, first = finished
    run = tmp_path / "run"
    command = ["run", docstrings, "--label-column", "module", "--out", run, *SMALL]
    places = ["load:0", "clean:0", "filter:0", "dedup:0", "hold_out:0", "embed:2", "cluster:0", "reduce:1", "score:0"]
    places += [f"{step}:0" for step in ("baseline", "critique", "decide", "act", "export", "publish")]
    for place in places:
        killed = call(*command, dies=place)
        assert killed.returncode == -signal.SIGKILL, (place, killed.stderr)
        if run.joinpath("run.yaml").exists():
            command = ["resume", run]
    done = call(*command, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["curated_sha256"] == first["curated_sha256"]
    assert decisions(run) == decisions(root)
    events, _ = read_log(run / "events.jsonl")
    assert sum(event.type == "resume" for event in events) == len(places)


PLACES = ["evidence:before", "evidence:after", "appraise:before", "appraise:within", "appraise:after"]
PLACES += ["act:after", "measure:before", "measure:within", "measure:after", "judge_held_out:before"]
PLACES += ["train:1", "train:20", "evaluate:1", "train:before", "quantise:1", "quantise:before", "quantise:within"]


def test_a_kill_around_a_kept_action_and_inside_the_models_changes_nothing(recryst, docstrings, tmp_path):
    """A fifth of the labels are wrong, and putting them right, or taking the rows out, pays."""
    rng = np.random.default_rng(0)
    rows = [json.loads(line) for line in docstrings.read_text().splitlines()[:400]]
    group = np.arange(400) % 5
    vectors = rng.standard_normal((5, 16))[group] + 0.6 * rng.standard_normal((400, 16))
    label = np.where(rng.random(400) < 0.2, (group + rng.integers(1, 5, 400)) % 5, group)
    table = tmp_path / "a.parquet"
    columns = {"text": [row["text"] for row in rows], "vector": vectors.tolist(), "kind": [f"k{n}" for n in label]}
    pl.DataFrame(columns).write_parquet(table)
    begin = ["run", str(table), "--text-column", "text", "--vector-column", "vector", "--label-column", "kind", *SMALL]
    begin += [
        "--set",
        "anchor.fraction=0.4",
        "--set",
        "cluster.k=5",
        "--set",
        "reduce.methods=[pca]",
        "--max-rounds",
        "1",
        "--quiet",
        "--json",
    ]
    whole = recryst(*begin, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    told = json.loads(whole.stdout)
    assert [entry["outcome"] for entry in told["rounds"]] == ["kept", "stopped"]
    assert told["rounds"][0]["action"] in ("relabel", "remove_suspects")
    for place in PLACES:
        killed = call(*begin, "--out", tmp_path / "run", dies=place)
        assert killed.returncode == -signal.SIGKILL, (place, killed.stderr)
    done = recryst(*begin, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["curated_sha256"] == told["curated_sha256"]
    timed = {"speed": None}  # a clock's word
    assert [model | timed for model in again["models"]] == [model | timed for model in told["models"]]
    assert again["final_model"] == told["final_model"]
    assert decisions(tmp_path / "run") == decisions(tmp_path / "whole")
    events, _ = read_log(tmp_path / "run" / "events.jsonl")
    assert [event.type for event in events].count("resume") == len(PLACES)
    assert sum(event.torn_bytes > 0 for event in events if event.type == "resume") == 3
    assert audit(tmp_path / "run").failures == []


def test_the_same_command_shows_a_finished_run_and_refuses_another_one(finished, recryst, docstrings):
    root, first = finished
    again = recryst("run", docstrings, "--label-column", "module", "--out", root, "--json", *SMALL)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["log_head"] == first["log_head"]
    other = recryst("run", docstrings, "--out", root, "--seed", "1")
    assert other.returncode == 2
    assert "begun with seed" in other.stderr


def test_a_second_process_is_refused(finished, recryst):
    root, _ = finished
    import fcntl

    with (root / "lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = recryst("resume", root)
    assert refused.returncode == 5
    assert "in use by process" in refused.stderr


def test_vectors_of_the_user_take_the_place_of_embedding(recryst, tmp_path):
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((6, 16))
    labels = rng.integers(0, 6, 400)
    vectors = centers[labels] + 0.3 * rng.standard_normal((400, 16))
    frame = pl.DataFrame({"image": [f"{n}.png" for n in range(400)], "digit": labels.astype(str)})
    frame = frame.with_columns(pixels=pl.Series(vectors.tolist(), dtype=pl.List(pl.Float64)))
    frame.write_parquet(tmp_path / "images.parquet")
    done = recryst(
        *(
            "run",
            tmp_path / "images.parquet",
            "--vector-column",
            "pixels",
            "--label-column",
            "digit",
            "--id-column",
            "image",
        ),
        *("--out", tmp_path / "run", "--json", *SMALL, "--set", "reduce.methods=[pca]"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["rows"]["ingested"] == 400
    scores = {probe["name"]: probe["score"] for probe in result["rounds"][0]["metrics"]["probes"]}
    assert scores.keys() == {"nearest_neighbor", "linear_discriminant"}
    assert min(scores.values()) > 0.95
    assert result["rounds"][0]["embedded"] == 0


@pytest.mark.parametrize(
    "labels",
    [["same", None] * 30, ["common"] * 58 + ["rare", "rarer"]],
    ids=["one class and half unlabelled", "two classes of one row"],
)
def test_any_labels_will_do(here, tmp_path, labels):
    rng = np.random.default_rng(0)
    rows = {"text": [f"row {n} of them" for n in range(60)], "y": labels, "v": rng.standard_normal((60, 8)).tolist()}
    pl.DataFrame(rows).write_parquet(tmp_path / "in.parquet")
    told = here("run", tmp_path / "in.parquet", *("--label-column", "y", "--vector-column", "v"), *SHORT, "--json",
                "--out", tmp_path / "run")  # fmt: skip
    assert told[0] == 0, told[2]
    assert (json.loads(told[1])["rows"]["ingested"], audit(tmp_path / "run").failures) == (60, [])
    files = [pl.read_parquet(path) for path in (tmp_path / "run" / "curated").glob("*.parquet")]
    kept = {row["text"]: row["y"] for frame in files for row in frame.to_dicts()}
    assert len(kept) > 50
    assert all(labels[int(text.split()[1])] == label for text, label in kept.items())


@pytest.mark.parametrize(("algorithm", "space"), [("hdbscan", "umap"), ("dbscan", "pca")])
def test_density_methods_run_through_the_loop(recryst, docstrings, tmp_path, algorithm, space):
    rng = np.random.default_rng(0)
    rows = [json.loads(line) for line in docstrings.read_text().splitlines()[:240]]
    groups = rng.standard_normal((5, 16))[np.arange(len(rows)) % 5] + 0.05 * rng.standard_normal((len(rows), 16))
    pl.DataFrame({"text": [row["text"] for row in rows], "vector": groups.tolist()}).write_parquet(
        tmp_path / "a.parquet"
    )
    done = recryst(
        *(
            "run",
            tmp_path / "a.parquet",
            "--text-column",
            "text",
            "--vector-column",
            "vector",
            "--out",
            tmp_path / "run",
        ),
        *("--json", "--set", f"cluster.algorithm={algorithm}", "--set", f"cluster.space={space}", *SHORT),
        *("--set", "dedup.threshold=1.0", "--set", "semantic.cosine=1.0"),
    )
    assert done.returncode == 0, done.stderr
    [probe] = json.loads(done.stdout)["rounds"][0]["metrics"]["probes"]
    assert probe["name"] == "bits_per_byte"
    events, _ = read_log(tmp_path / "run" / "events.jsonl")
    scored = next(event for event in events if event.type == "score")
    report = Store(tmp_path / "run" / "artifacts").json(scored.state.artefacts["report"])
    assert report["algorithm"] == algorithm
    assert report["dbcv"] is not None
    assert list((tmp_path / "run" / "curated").iterdir())
