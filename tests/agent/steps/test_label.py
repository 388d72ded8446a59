"""Labels in a run: rules first, the language model for what stays unsure, columns and folders in the curated set."""

import json

import numpy as np
import polars as pl
import pytest

from recryst.agent.account.explain import explain, told
from recryst.agent.audit import audit
from recryst.agent.llm.open import open_model
from recryst.agent.steps.label import answer_form, by_model
from recryst.agent.view import View
from recryst.evals.runs import refine
from recryst.state.errors import InputError
from recryst.state.settings import parse_config
from recryst.tools.judge.taxonomy import Entry, Taxonomy, read_taxonomy

TAXONOMY = """
domains:
  "../../evil": {description: boats, keywords: [ship, harbour]}
  hot drinks: {description: what is drunk hot, keywords: [tea]}
tags:
  long: {description: many words}
  numbered: {description: holds a number}
difficulties:
  easy: {description: plain words}
  hard: {description: rare words}
"""
SMALL = {
    "train": {"enabled": False},
    "reduce": {"methods": ["pca"]},
    "score": {"bootstraps": 2},
    "probe": {"seeds": 2},
    "stop": {"max_rounds": 1},
    "cluster": {"k": 4},
    "semantic": {"cosine": 1.0},  # no row is to go
    "dedup": {"threshold": 0.99},
    "critic": "rules",
    "policy": "rules",
    "load": {"text_column": "text", "vector_column": "vector", "label_column": "kind"},
}


@pytest.fixture
def taxonomy(tmp_path):
    path = tmp_path / "taxonomy.yaml"
    path.write_text(TAXONOMY)
    return path


@pytest.fixture
def source(tmp_path):
    """120 rows: 40 of ships and 40 of tea, which the rules know, and 40 of moss, which they do not."""
    rng = np.random.default_rng(0)
    path, words = tmp_path / "rows.jsonl", ("a ship in the harbour", "tea with milk", "moss on a stone")
    with path.open("w") as file:
        for at in range(120):
            vector = 0.3 * rng.normal(size=8)
            vector[at % 3] += 1
            row = {"id": f"r{at}", "text": f"{words[at % 3]} number {at}", "kind": at % 3, "vector": vector.tolist()}
            file.write(json.dumps({**row, "domain": "the user's own"}) + "\n")
    return path


def answer(rows, **changes):
    said = {"reasons": "so", "domain": "unsure", "tags": ["numbered"], "difficulty": "easy"}
    return {"labels": [{"id": row["id"], **said, **changes} for row in rows]}


def policy(question):
    """Everything is easy and numbered; moss is a hot drink with an odd number, and unsure with an even one."""
    rows = question["shown"]["rows"]
    labels = answer(rows)
    for row, label in zip(rows, labels["labels"], strict=True):
        if "moss" in row["text"] and int(row["text"].rsplit("▁", 1)[1]) % 2:
            label["domain"] = "hot drinks"
        elif "ship" in row["text"]:
            label["domain"] = "hot drinks"  # the rules know better
    return labels


def first(done, kind):
    """The first event of a step."""
    return next(event for event in done.events if event.type == kind)


def config_for(taxonomy, asked=None, **label):
    llm = {} if asked is None else {"model": asked.model}
    return parse_config({**SMALL, "llm": llm, "label": {"taxonomy": str(taxonomy), **label}}, "the test")


def test_a_labelled_run_has_columns_and_folders_and_passes_the_audit(script, source, taxonomy, tmp_path):
    labeller = script(policy)
    done = refine(source, tmp_path / "run", config_for(taxonomy, labeller))
    figures = first(done, "label").state.values.labelled
    assert figures.domains == {"../../evil": 40, "hot drinks": 60}
    assert figures.difficulties == {"easy": 120, "hard": 0}
    assert figures.by == {"model": 120}
    curated = tmp_path / "run" / "curated"
    read = pl.read_parquet(curated / "**/*.parquet", hive_partitioning=True)
    assert read.height == 120
    assert read["domain"].unique().to_list() == ["the user's own"]  # so the folders are called otherwise
    assert dict(read["domain_"].value_counts().iter_rows()) == {"../../evil": 40, "hot drinks": 60, "unlabelled": 20}
    assert read.filter(pl.col("text").str.contains("ship"))["recryst_domain"].unique().to_list() == ["../../evil"]
    assert read["recryst_tags"].to_list() == [["numbered"]] * 120
    assert {path.name for path in curated.iterdir()} == {
        "domain_=..%2F..%2Fevil",
        "domain_=hot%20drinks",
        "domain_=unlabelled",
    }
    taxonomy.unlink()
    assert audit(tmp_path / "run").failures == []
    root, page = done.directory.root, done.directory.report.read_text()
    assert "hot drinks" in page
    said = told(explain(View.open(root), "r5"))
    assert "  labels: domain hot drinks; tags numbered; difficulty easy, given by model" in said
    assert "  labels: tags numbered; difficulty easy, given by model" in told(explain(View.open(root), "r2"))
    next(curated.rglob("part-anchor-00000.parquet")).write_bytes(b"other")
    assert any("part-anchor-00000.parquet" in failure for failure in audit(tmp_path / "run").failures)


def test_without_a_model_only_the_rules_label_and_what_they_do_not_know_stays_open(source, taxonomy, tmp_path):
    done = refine(source, tmp_path / "run", config_for(taxonomy))
    event = first(done, "label")
    assert event.state.values.labelled.by == {"rules": 80}
    assert "80 by rules; 120 stay unsure" in event.reasons[0]
    labels = done.after(event).frame("row_labels")
    assert labels["difficulty"].null_count() == 120
    assert audit(tmp_path / "run").failures == []


def test_the_model_sees_no_more_rows_than_it_may(script, source, taxonomy, tmp_path):
    labeller = script(policy)
    refine(source, tmp_path / "run", config_for(taxonomy, labeller, max_model_rows=15))
    assert sum(len(question["shown"]["rows"]) for question in labeller.asked) == 15


@pytest.mark.parametrize(
    "changes",
    [{"domain": "ships"}, {"tags": ["numbered", "other"]}, {"difficulty": None}, {"id": "0"}, {"score": 1}],
)
def test_a_label_that_is_not_in_the_taxonomy_is_none(script, taxonomy, tmp_path, changes):
    labeller = script(lambda question: answer(question["shown"]["rows"], **changes))
    model = open_model(tmp_path, config_for(taxonomy, labeller), [])
    labels = by_model(model, ["one", "two"], read_taxonomy(taxonomy))
    assert labels["labelled_by"].null_count() == 2
    assert len(labeller.asked) == 3


def test_the_form_of_an_answer_asks_for_what_the_taxonomy_has():
    entries = (Entry("a", "x", ()), Entry("b", "y", ()))
    row = answer_form(Taxonomy((), entries, ())).model_json_schema()["$defs"]["RowLabels"]["properties"]
    assert list(row) == ["id", "reasons", "tags"]
    assert row["tags"]["items"]["enum"] == ["a", "b"]


def test_a_taxonomy_that_is_wrong_is_refused_before_anything_is_read(source, tmp_path):
    with pytest.raises(InputError, match="taxonomy"):
        refine(source, tmp_path / "run", config_for(tmp_path / "missing.yaml"))
    assert not (tmp_path / "run" / "curated").exists()
