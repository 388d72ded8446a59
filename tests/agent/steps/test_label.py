"""Labels in a run: rules first, the language model for what stays unsure, columns and folders in the curated set."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import QUICK
from small_view import SmallRun

import recryst.agent
from recryst.agent.account.explain import explain
from recryst.agent.account.explain import told as told_of
from recryst.agent.audit import audit
from recryst.agent.llm.open import open_model
from recryst.agent.steps.base import Plain
from recryst.agent.steps.clean import Clean
from recryst.agent.steps.label import Label, answer_form, by_model
from recryst.agent.steps.repeats import HoldOut
from recryst.agent.view import View
from recryst.evals.runs import refine
from recryst.state.errors import InputError
from recryst.state.settings import parse_config
from recryst.tools.judge.labels import label_table
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
    **QUICK,
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
    assert figures.by == {"domain": {"rules": 80, "model": 20}, "tags": {"model": 120}, "difficulty": {"model": 120}}
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
    said = told_of(explain(View.open(root), "r5"))
    assert "  labels: domain hot drinks (by model); tags numbered (by model); difficulty easy (by model)" in said
    assert "  labels: tags numbered (by model); difficulty easy (by model)" in told_of(explain(View.open(root), "r2"))
    next(curated.rglob("part-anchor-00000.parquet")).write_bytes(b"other")
    assert any("part-anchor-00000.parquet" in failure for failure in audit(tmp_path / "run").failures)


def test_without_a_model_only_the_rules_label_and_what_they_do_not_know_stays_open(source, taxonomy, tmp_path):
    done = refine(source, tmp_path / "run", config_for(taxonomy))
    event = first(done, "label")
    assert event.state.values.labelled.by == {"domain": {"rules": 80}, "tags": {}, "difficulty": {}}
    assert "domain 80 by rules; tags none; difficulty none; unsure of a domain or a difficulty: 120" in event.reasons[0]
    labels = done.after(event).frame("row_labels")
    assert labels["difficulty"].null_count() == 120
    assert audit(tmp_path / "run").failures == []


def test_the_model_sees_no_more_rows_than_it_may(script, source, taxonomy, tmp_path):
    labeller = script(policy)
    refine(source, tmp_path / "run", config_for(taxonomy, labeller, max_model_rows=15))
    assert sum(len(question["shown"]["rows"]) for question in labeller.asked) == 15


def test_the_classifier_labels_rows_like_those_that_the_rules_know_and_the_audit_derives_it_again(tmp_path):
    rng = np.random.default_rng(1)
    path, words = tmp_path / "rows.jsonl", (("ship", "harbour", "boat"), ("tea", "coffee", "a cup"))
    with path.open("w") as file:
        for at in range(240):  # every third row of each kind holds the word that is no keyword
            vector = 0.1 * rng.normal(size=8)
            vector[at % 2] += 1
            text = f"about {words[at % 2][at // 2 % 3]}, number {at}"
            file.write(json.dumps({"id": f"r{at}", "text": text, "kind": at % 2, "vector": vector.tolist()}) + "\n")
    names = {"at sea": ["ship", "harbour"], "hot drinks": ["tea", "coffee"]}
    entries = [f"  {name}: {{description: x, keywords: [{', '.join(keys)}]}}" for name, keys in names.items()]
    taxonomy = tmp_path / "taxonomy.yaml"
    taxonomy.write_text("\n".join(["domains:", *entries]))
    done = refine(path, tmp_path / "run", config_for(taxonomy))
    event = first(done, "label")
    by = event.state.values.labelled.by["domain"]
    assert by["rules"] == 160
    assert 75 <= by["classifier"] <= 80  # one leads by less than any row that was tried
    assert event.state.values.labelled.lessons["domain"].examples == 160
    assert any("the classifier learned from 160 rows" in reason for reason in event.reasons)
    read = pl.read_parquet(tmp_path / "run" / "curated" / "**/*.parquet", hive_partitioning=True)
    boats = read.filter(pl.col("text").str.contains("boat"))
    assert set(boats.select("recryst_domain", "recryst_domain_by").rows()) >= {("at sea", "classifier")}
    assert set(boats["recryst_split"]) == {"train", "anchor"}
    assert "labels: domain at sea (by classifier)" in "\n".join(told_of(explain(View.open(done.directory.root), "r4")))
    assert f"domain 160 by rules, {by['classifier']} by classifier" in done.directory.card.read_text()
    assert audit(tmp_path / "run").failures == []
    again = refine(path, tmp_path / "again", config_for(taxonomy))
    assert first(again, "label").state == event.state
    without = refine(path, tmp_path / "without", config_for(taxonomy, precision=None))
    assert first(without, "label").state.values.labelled.by == {"domain": {"rules": 160}}


def test_what_labels_draw_no_other_step_draws_by_the_same_seed():
    """A lot of its own: what two steps draw by one seed goes together."""
    agent = Path(recryst.agent.__file__).parent
    seeds = {
        path.relative_to(agent).as_posix(): set(re.findall(r"seed\((?:config, )?(\d+)", path.read_text()))
        for path in agent.rglob("*.py")
    }
    own = seeds.pop("steps/label.py")
    assert own
    assert own.isdisjoint(set().union(*seeds.values()))


@pytest.mark.parametrize(
    "changes",
    [{"domain": "ships"}, {"tags": ["numbered", "other"]}, {"difficulty": None}, {"id": "0"}, {"score": 1}],
)
def test_a_label_that_is_not_in_the_taxonomy_is_none(script, taxonomy, tmp_path, changes):
    labeller = script(lambda question: answer(question["shown"]["rows"], **changes))
    model = open_model(tmp_path, config_for(taxonomy, labeller), [])
    labels = by_model(model, ["one", "two"], read_taxonomy(taxonomy))
    assert labels["domain_by"].null_count() == labels["difficulty_by"].null_count() == 2
    assert len(labeller.asked) == 3


@pytest.fixture
def told(taxonomy, tmp_path):
    """A run of 60 texts, a third of which the rules do not know, with a zero-shot model named; nothing was read yet."""
    words = ("a ship in the harbour", "tea with milk", "moss on a stone")
    label = {"taxonomy": str(taxonomy), "nli_model": "some/model"}
    run = SmallRun(tmp_path, [f"{words[at % 3]} number {at}" for at in range(60)], label=label)
    view = run.loaded()
    for step in (Clean(), HoldOut()):
        view = run.step(view, step)
    return run, run.holding(view, taxonomy=Plain(asdict(read_taxonomy(taxonomy))))


def test_every_row_of_the_curated_set_is_labelled_by_who_knew_it_first(told):
    run, view = told
    seen = []

    def zero_shot(text):
        seen.extend(text)
        return label_table([("../../evil", ["long"], "hard")] * len(text), "zero_shot")

    event = run.event(view, Label(), zero_shot)
    labels = run.store.frame(event.state.artefacts["row_labels"])
    assert len(view.anchor()) > 0
    assert labels["row"].to_list() == sorted([*view.kept(), *view.anchor()]) == list(range(60))
    # Domains that the rules gave stay; what they left open is filled in, for all rows lack a difficulty.
    assert labels["domain"].to_list() == ["../../evil", "hot drinks", "../../evil"] * 20
    assert set(labels["difficulty"]) == {"hard"}
    assert len(seen) == 60
    figures = event.state.values.labelled
    assert (figures.rows, figures.unsure) == (60, 0)
    assert figures.by["domain"] == {"rules": 40, "zero_shot": 20}
    assert figures.by["difficulty"] == figures.by["tags"] == {"zero_shot": 60}
    assert figures.domains == {"../../evil": 40, "hot drinks": 20}
    assert figures.tags == {"long": 60, "numbered": 0}
    again = run.event(view, Label(), Label().logged(view, event))
    assert again == event


def test_without_a_classifier_the_rules_label_alone(told):
    run, view = told
    event = run.event(view, Label())
    assert event.state.values.labelled.by == {"domain": {"rules": 40}, "tags": {}, "difficulty": {}}
    assert event.state.values.labelled.unsure == 60  # none has a difficulty
    assert "zero_shot" not in event.state.artefacts
    run.config = run.config.model_copy(update={"label": run.config.label.model_copy(update={"nli_model": None})})
    assert Label().logged(run.holding(view), event) is None


def test_the_form_of_an_answer_asks_for_what_the_taxonomy_has():
    entries = (Entry("a", "x", ()), Entry("b", "y", ()))
    row = answer_form(Taxonomy((), entries, ())).model_json_schema()["$defs"]["RowLabels"]["properties"]
    assert list(row) == ["id", "reasons", "tags"]
    assert row["tags"]["items"]["enum"] == ["a", "b"]


def test_a_taxonomy_or_a_model_that_is_not_there_is_refused_before_anything_is_read(source, taxonomy, tmp_path):
    with pytest.raises(InputError, match="taxonomy"):
        refine(source, tmp_path / "run", config_for(tmp_path / "missing.yaml"))
    with pytest.raises(InputError, match=r"label\.nli_model: there is no folder"):
        refine(source, tmp_path / "other", config_for(taxonomy, nli_model=str(tmp_path / "no model")))
    assert not (tmp_path / "other" / "curated").exists()
    assert not (tmp_path / "run" / "curated").exists()
