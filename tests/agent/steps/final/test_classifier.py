"""A run whose final model is a classifier: its figures stand everywhere, and follow from what it said."""

import json

import polars as pl
import pytest
from forger import Forger
from hub import Hub
from small_view import Round

from recryst.agent.audit import audit
from recryst.agent.start import refine
from recryst.agent.steps.final.classifier import why_no_classifier
from recryst.agent.steps.final.train import Train
from recryst.state.canonical import sha256_file
from recryst.state.errors import InputError

SETTINGS = {
    "train": {"mode": "classifier", "classifier": "distilled", "epochs": 1},
    "probe.kind": "labels",
}


def test_a_run_ends_with_a_classifier_that_the_audit_derives(bank_questions, tmp_path, here, monkeypatch):
    run = refine(
        bank_questions(40, 30), out=tmp_path / "run", label_column="category", max_rounds=1, quiet=True,
        settings=SETTINGS,
    )  # fmt: skip
    teacher, student = run.summary.classifiers
    assert (teacher.name, teacher.kind, teacher.share) == ("teacher", "encoder", None)
    assert (student.name, student.kind) == ("classifier", "distilled")
    assert student.parameters < teacher.parameters / 10
    assert student.share == pytest.approx(student.macro_f1 / teacher.macro_f1, abs=1e-3)
    told = json.loads((run.path / "model/classifier/config.json").read_text())
    assert sorted(told["id2label"].values())[0] == "age_limit"
    by_type = {event.type: (number, event) for number, event in enumerate(Forger(run.path).events)}
    assert by_type["quantise"][1].reasons == ("a classifier is not exported in other formats",)
    for page in ("report.html", "README.md", "model/README.md"):
        assert f"{student.parameters:,}" in (run.path / page).read_text()
    assert audit(run.path).failures == []
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    with Hub("hf_of_the_test") as hub:
        code, _, told = here("push", run.path, "me/questions", "--endpoint", hub.url, "--yes")
        assert code == 0, told
        files = {path.name: path.read_bytes() for path in (run.path / "model/classifier").iterdir()}
        assert hub.files("model", "me/questions") == {**files, "README.md": (run.path / "model/README.md").read_bytes()}

    forger = Forger(run.path)
    number, event = by_type["train"]
    for key, value in (("macro_f1", 0.9999), ("accuracy", 0.9999), ("parameters", 5), ("share", 1.5)):
        better = event.state.values.classifiers[1].model_copy(update={key: value})
        values = event.state.values.model_copy(update={"classifiers": (teacher, better)})
        forged = event.model_copy(update={"state": event.state.model_copy(update={"values": values})})
        assert any(key in one for one in forger.found(number, forged)), key
    card, (number, event) = run.path / "model/README.md", by_type["publish"]
    card.write_text(card.read_text().replace(" 5 labels", " 6 labels"))
    effects = [
        one.model_copy(update={"after_sha": sha256_file(run.path / one.kind.removeprefix("file:"))})
        for one in event.effects
    ]
    found = forger.found(number, event.model_copy(update={"effects": tuple(effects)}))
    assert any(str(card) in one and "6 labels" in one for one in found)


def test_without_labels_it_is_refused_before_the_run(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    with pytest.raises(InputError, match=r"train\.mode = classifier needs labels: name their column"):
        refine(tmp_path / "rows.jsonl", out=tmp_path / "run", quiet=True, settings={"train.mode": "classifier"})
    assert not (tmp_path / "run").exists()


def test_labels_that_tell_nothing_train_nothing(tmp_path):
    run = Round(tmp_path, train={"mode": "classifier"})
    assert why_no_classifier(run.held_out()) == ""
    run.rows = run.rows.with_columns(label=pl.lit("g0"))
    view = run.held_out()
    assert Train().measure(None, view, print) is None
    done = run.event(view, Train())
    assert (done.outcome, done.reasons) == ("skipped", ("the kept rows have fewer than two labels",))
