"""Rows in doubt from one run to the next, on the command line: listed, answered, read back, audited."""

import csv
import json

import numpy as np
import polars as pl
import pytest

import recryst as package

SETTINGS = (
    *("--label-column", "label", "--vector-column", "vector", "--id-column", "id", "--no-train", "--max-rounds", "2"),
    *("--set", "reduce.methods=[pca]", "--set", "score.bootstraps=2", "--set", "cluster.k=4", "--quiet"),
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """160 rows in four groups; one label in ten is wrong, and every id would be a formula."""
    rng = np.random.default_rng(0)
    groups = np.arange(160) % 4
    vectors = np.eye(4, 128)[groups] + 0.03 * rng.standard_normal((160, 128))
    wrong = np.arange(160) % 10 == 3
    columns = {
        "id": [f"=r{n}" for n in range(160)],
        "text": [f"okapi {n} of quagga {group}" for n, group in enumerate(groups)],
        "label": [f"g{(group + wrong[n] * (1 + n // 10 % 3)) % 4}" for n, group in enumerate(groups)],
        "vector": vectors.tolist(),
    }
    path = tmp_path_factory.mktemp("doubted") / "rows.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def listed(recryst, rows, tmp_path_factory):
    """A finished run with rows in doubt, and what it said."""
    root = tmp_path_factory.mktemp("first") / "run"
    # No action pays at this price, so that what the evidence speaks against stands.
    done = recryst("run", rows, "--out", root, "--json", *SETTINGS, "--set", "objective.price=9")
    assert done.returncode == 0, done.stderr
    return root, json.loads(done.stdout)


def test_a_run_lists_what_is_in_doubt_for_people_and_machines(listed):
    root, told = listed
    with (root / "review.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert told["review"]["rows"] == len(told["review"]["listed"]) == len(lines) > 0
    assert [f"'{one['id']}" for one in told["review"]["listed"]] == [line["id"] for line in lines]
    labels = [one for one in told["review"]["listed"] if one["why"] == "label"]
    assert len(labels) >= 6
    assert sum(int(one["id"][2:]) % 10 == 3 for one in labels) >= 0.75 * len(labels)
    assert package.open(root).review["id"].to_list() == [one["id"] for one in told["review"]["listed"]]
    assert package.open(root).audit().failures == []


def test_the_answers_count_in_the_next_run(listed, recryst, rows, tmp_path):
    root, _ = listed
    with (root / "review.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    chosen = [line for line in lines if line["suggested"]][:4]
    for line, answer in zip(chosen, ("keep", "remove", "label", "label g9"), strict=True):
        line["answer"] = answer
    with (tmp_path / "answered.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, lines[0], delimiter=";")
        table.writeheader()
        table.writerows(lines)
    done = recryst("run", rows, "--out", tmp_path / "run", "--answers", tmp_path / "answered.csv", *SETTINGS)
    assert done.returncode == 0, done.stderr
    run = package.open(tmp_path / "run")
    kept, removed, suggested, named = (line["id"].removeprefix("'") for line in chosen)
    stands = pl.concat([run.curated, run.anchor])
    labels = dict(stands.select("id", "recryst_label").iter_rows())
    own = dict(stands.select("id", "label").iter_rows())
    assert labels[kept] is None
    assert removed not in labels
    assert labels[suggested] == f"g{int(suggested[2:]) % 4}" != own[suggested]
    assert labels[named] == "g9"
    assert run.removed.filter(pl.col("id") == removed).select("stage", "reason").rows() == [("answers", "person")]
    assert {kept, suggested, named}.isdisjoint(run.review["id"])
    assert run.audit().failures == []


def test_a_list_that_cannot_be_used_stops_the_run_before_anything_is_done(listed, recryst, rows, tmp_path):
    root, _ = listed
    done = recryst("run", rows, "--out", tmp_path / "run", "--answers", root / "review.csv", *SETTINGS)
    assert done.returncode == 3
    assert "holds no answer: fill its column `answer` with keep, remove or label NAME" in done.stderr
    assert not (tmp_path / "run").exists()
