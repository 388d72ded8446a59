"""The experiment on labels, at a size a test can afford, and what its taxonomies are held against."""

import gzip
import json
from importlib import resources

import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.labelling.sets import NAMES, SCOPED
from recryst.evals.loop.sets import LABELLED
from recryst.state.settings import read_yaml
from recryst.tools.judge.taxonomy import read_taxonomy

OWN = [name for name in NAMES if name != SCOPED]


@pytest.fixture
def small(shared_data, tmp_path):
    """A data folder in which CLINC has a tenth of its rows."""
    with gzip.open(shared_data / "clinc_oos/data_full.json.gz", "rt", encoding="utf-8") as file:
        splits = json.load(file)
    folder = tmp_path / "data/clinc_oos"
    folder.mkdir(parents=True)
    with gzip.open(folder / "data_full.json.gz", "wt", encoding="utf-8") as file:
        json.dump({name: rows[::10] for name, rows in splits.items()}, file)
    return tmp_path / "data"


@pytest.mark.parametrize("name", OWN)
def test_every_class_of_a_set_stands_under_one_name_of_its_taxonomy_at_most(name, shared_data):
    here = resources.files("recryst.evals.labelling")
    members = read_yaml((here / "truth.yaml").read_text("utf-8"))[name]
    with resources.as_file(here / f"{name}.yaml") as path:
        assert [entry.name for entry in read_taxonomy(path).domains] == list(members)
    classes = [label for labels in members.values() for label in labels]
    assert len(classes) == len(set(classes))
    known = {label for _, label in LABELLED[name](shared_data).train}
    assert known == set(classes) if name != "docstrings" else known & set(classes)


def test_the_classifier_adds_to_the_rules_and_promises_what_it_keeps(small, tmp_path):
    words = ["labels", "--data", small, "--set", "clinc", "--out", tmp_path / "out", "--json"]
    made = CliRunner().invoke(evals, [*map(str, words)], catch_exceptions=False)
    stages, kept = (table["rows"] for table in json.loads(made.stdout))
    by = {line["stage"]: line for line in stages}
    rules, both = by["rules"], by["rules, then classifier (0.9)"]
    assert both["coverage"] > rules["coverage"] > 0.5
    assert both["macro-F1"] > rules["macro-F1"]
    assert both["precision"] > rules["precision"] - 0.01
    assert by["zero-shot, on what is left open"]["rows asked"] == "not at hand"
    lot, *keyword = kept
    assert lot["promised"] > lot["kept"] + 0.15
    assert all(line["kept"] > line["promised"] - 0.05 for line in keyword if line["promised"])
