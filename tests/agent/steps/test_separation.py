"""The first separation in a run: each kind of crude goes for its own reason, with its evidence; the audit agrees."""

import json

import numpy as np
import polars as pl
import pytest
from commands import SHORT

from recryst.agent.audit import audit
from recryst.agent.steps.rows.removals import _unseen
from recryst.agent.view import View
from recryst.state.events import Load

ADDRESS = "ada.canary@example.org"
QUESTION = "How many litres of hot water dissolve nine kilograms of crude salt when the vessel is closed and stirred?"
GERMAN = "Die Kristalle werden gewaschen, getrocknet und gewogen, danach wird ihr Schmelzpunkt noch einmal bestimmt."
KNOWN = "The mother liquor holds what did not belong to the lattice, and it is poured away when the crystals are dry."
PLANTED = {
    "german": GERMAN,
    "leaked": f"A colleague asked me this today. {QUESTION} I did not know what to say to that.",
    "known": KNOWN,
    "nearly": KNOWN.replace("and it is poured", "so it is poured").replace("The mother", "The") + " " + KNOWN,
    "person": f"Write to {ADDRESS} if the melting point of the product does not move after the third washing.",
    "signs": f"{'=#*' * 400} {QUESTION}",
}


@pytest.fixture(scope="module")
def separated(recryst, docstrings, tmp_path_factory):
    root = tmp_path_factory.mktemp("separated")
    sound = [line for line in docstrings.read_text().splitlines() if line.endswith("}") and len(line) > 160][:150]
    planted = [json.dumps({"id": id, "text": text, "module": "planted"}) for id, text in PLANTED.items()]
    (root / "crude.jsonl").write_text("\n".join([*sound, *planted]) + "\n")
    (root / "test.jsonl").write_text(json.dumps({"id": "q1", "question": QUESTION, "answer": "none at all"}) + "\n")
    (root / "corpus.jsonl").write_text(json.dumps({"id": "c1", "text": KNOWN}) + "\n")
    done = recryst(
        *("run", root / "crude.jsonl", "--label-column", "module", "--out", root / "run", *SHORT, "--json"),
        *("--set", "language.keep=[en]", "--set", "language.min_score=0.3", "--set", "scrub.kinds=[email]"),
        *("--set", f"decontaminate.against=[{root / 'test.jsonl'}]", "--set", "dedup.threshold=0.5", "--apply", "all"),
        *("--accepted", root / "corpus.jsonl"),
    )
    assert done.returncode == 0, done.stderr
    return root / "run", json.loads(done.stdout)


def test_each_goes_for_its_reason_with_its_evidence(separated):
    lines = {line["id"]: line for line in View.open(separated[0]).ledger().iter_rows(named=True)}
    reasons = {id: (lines[id]["stage"], lines[id]["reason"]) for id in PLANTED}
    assert reasons["german"] == ("language", "language")
    assert reasons["leaked"] == ("decontaminate", "benchmark_ngram")
    assert lines["leaked"]["duplicate_of"] == "test.jsonl#q1"
    assert reasons["known"] == reasons["nearly"] == ("dedup", "in_corpus")
    assert lines["known"]["duplicate_of"].endswith("corpus.jsonl#c1")
    assert 0.5 <= lines["nearly"]["score"] < 1.0
    assert reasons["signs"][0] == "filter"
    assert lines["person"]["status"] == "kept"


def test_what_was_scrubbed_stands_in_no_file_of_the_run(separated):
    run, _ = separated
    kept = pl.concat([pl.read_parquet(path) for path in (run / "curated").glob("*.parquet")])
    assert "[EMAIL]" in kept.filter(pl.col("recryst_id") == "person")["text"].item()
    assert next(event for event in View.open(run).events if isinstance(event, Load)).scrubbed["email"] >= 1
    for path in run.rglob("*"):
        assert not path.is_file() or ADDRESS.encode() not in path.read_bytes()
    for path in run.rglob("*.parquet"):
        assert not any(ADDRESS in str(row) for row in pl.read_parquet(path).rows())


def test_rows_that_hold_a_benchmark_do_not_come_back(separated):
    run, _ = separated
    view = View.open(run)
    lines = view.ledger()
    rows = lines.filter(pl.col("id").is_in(["signs", "person"]))["row"].to_numpy()
    assert lines["id"].gather(_unseen(view, rows)).to_list() == ["person"]
    assert len(_unseen(view, np.zeros(0, dtype=np.uint32))) == 0


def test_the_audit_derives_it_again_and_the_stages_are_told(separated):
    run, told = separated
    assert audit(run).failures == []
    stages = {stage["stage"]: stage for stage in told["stages"]}
    assert stages["decontaminate"]["removed"] == 1
    assert stages["language"]["removed"] >= 1
