"""The audit: a whole run passes; any changed byte, cut tail or rewritten story does not, and the place is named."""

import json
import random
import shutil

import orjson
import polars as pl
import pytest
import yaml
from forger import Forger, at, forged, mend

from recryst.agent.account.explain import explain, told
from recryst.agent.account.summary import summary
from recryst.agent.audit import audit
from recryst.agent.view import View
from recryst.state.canonical import plain, sha256_json
from recryst.state.errors import UsageError
from recryst.state.events import Act, JudgeHeldOut
from recryst.state.notes import EVENT_VERSION


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


@pytest.fixture(scope="module")
def remembering(finished):
    """Within ``remembering()``, copies of that run share what was derived from the same events and measurements."""
    return Forger(finished[0]).remembering


def test_a_whole_run_passes(finished):
    root, result = finished
    report = audit(root, head=result["log_head"])
    assert report.failures == []
    decided = len(result["rounds"])
    assert report.verified["decisions"] == decided
    assert report.verified["verdicts"] == sum(entry["action"] != "stop" for entry in result["rounds"])


def test_the_command_line_says_so(finished, recryst, copy):
    root, result = finished
    good = recryst("audit", root, "--head", result["log_head"])
    assert good.returncode == 0
    assert "every decision follows" in good.stdout
    log = copy / "events.jsonl"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    bad = recryst("audit", copy)
    assert bad.returncode == 6
    assert "events.jsonl, line" in bad.stdout


def test_one_changed_byte_in_any_file_of_the_run_is_found(copy, remembering):
    rng = random.Random(0)
    paths = [*copy.glob("artifacts/??/*"), *copy.glob("curated/*"), *copy.glob("removed/*"), *copy.glob("model/*/*")]
    paths += [copy / name for name in ("report.html", "quarantine.jsonl", "model/README.md")]
    assert len(paths) > 20
    for path in paths:
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        with remembering():
            failures = audit(copy).failures
        assert any(path.name in failure for failure in failures), path
        path.write_bytes(whole)
    assert audit(copy).failures == []


def test_a_cut_tail_is_found_against_the_head(copy, finished):
    log = copy / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert any("not the given head" in failure for failure in audit(copy, finished[1]["log_head"]).failures)


def _flip(body):
    flipped = "kept" if body["record"]["outcome"] == "rolled_back" else "rolled_back"
    body["outcome"] = body["record"]["outcome"] = body["record"]["verdict"]["outcome"] = flipped


STORIES = {
    "reasons": ("decide", lambda body: body["state"]["values"]["decision"].update(reasons=["because"])),
    "candidates": ("decide", lambda body: body["candidates"][0].update(rows=7)),
    "facts": ("decide", lambda body: body["facts"].update(kept=10**6)),
    "budget": ("decide", lambda body: body["budget"].update(minutes_left=1.0)),
    "stop": ("decide", lambda body: body["state"]["values"].update(converged=True, stop_reason="enough")),
    "action": ("act", lambda body: body["state"]["values"]["trial"].update(thresholds={"basic.min_words": 3.0})),
    "verdict": ("measure", _flip),
    "kept rows": ("measure", lambda body: body["record"].update(kept=1)),
    "objective": ("baseline", lambda body: body["state"]["values"]["objective"].update(value=9.0)),
    "row counts": ("filter", lambda body: body["counts"].update(kept=1)),
    "counts by reason": ("clean", lambda body: body["by_reason"].update(exact_duplicate=1)),
    "a ledger's effect": ("clean", lambda body: body["effects"][0].update(rows=7)),
    "a second file": ("export", lambda body: body["effects"].append({**body["effects"][-1], "kind": "file:curated/x"})),
    "a file outside": ("export", lambda body: body["effects"][0].update(kind="file:../../../../etc/hostname")),
    "negative seconds": ("score", lambda body: body.update(seconds=-1.0)),
    "the actor": ("critique", lambda body: body.update(actor="human")),
    "the seed": ("cluster", lambda body: body.update(seed=7)),
    "the critique's tally": ("critique", lambda body: body["verdicts"].update(keep=999)),
    "a row without text": ("load", lambda body: body.update(missing_text=3)),
    "curated hash": ("export", lambda body: body["state"]["values"].update(curated_sha256="0" * 64)),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_story_that_does_not_follow_from_its_evidence_is_found(copy, story, remembering):
    kind, change = STORIES[story]
    with remembering():
        failures = forged(copy, lambda bodies, store: change(at(bodies, kind)))
    assert any(f"({kind})" in failure for failure in failures), failures


def test_a_log_of_another_run_does_not_fit_the_card(copy):
    bodies = [plain(event.body()) for event in View.open(copy).events]
    published = (copy / "README.md").read_bytes()
    for body in bodies:
        body["run_id"] = "another"
    mend(copy, bodies)
    (copy / "README.md").write_bytes(published)
    assert any("README.md" in failure for failure in audit(copy).failures)


def test_a_run_of_a_build_without_a_model_card_passes_as_before(copy):
    (copy / "model" / "README.md").unlink()

    def without(bodies, store):
        effects = at(bodies, "publish")["effects"]
        effects[:] = [one for one in effects if one["kind"] != "file:model/README.md"]

    assert forged(copy, without) == []


def test_another_seed_in_every_place_is_found_by_what_it_draws(copy):
    settings = yaml.safe_load((copy / "run.yaml").read_text())
    settings["config"]["seed"] = 7
    (copy / "run.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    sha = sha256_json(View.open(copy).config.model_dump(mode="json"))

    def everywhere(bodies, store):
        at(bodies, "start")["config"]["seed"] = 7
        for body in bodies:
            body.update({name: value for name, value in (("seed", 7), ("config_sha", sha)) if name in body})

    assert any("(hold_out)" in failure for failure in forged(copy, everywhere))


def test_a_log_of_another_version_is_refused(copy):
    log = copy / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"v":%d}' % EVENT_VERSION, b'"v":%d}' % (EVENT_VERSION + 1)))
    assert "an event of version" in audit(copy).failures[0]


def test_a_file_that_was_put_there_is_found(copy):
    (copy / "curated" / "train-00001.parquet").write_bytes(b"more rows")
    assert any("train-00001.parquet is not in the log" in failure for failure in audit(copy).failures)


def test_a_log_cut_before_the_report_does_not_vouch_for_the_files(copy):
    log = copy / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    report = audit(copy)
    assert not report.finished
    assert any("report.html is not in the log" in failure for failure in report.failures)


def test_an_empty_log_vouches_for_nothing(copy):
    (copy / "events.jsonl").write_bytes(b"")
    (copy / "README.md").unlink()
    assert audit(copy).failures


def test_explain_tells_why_a_row_went(finished):
    root, _ = finished
    view = View.open(root)
    found = explain(view, "copy3")
    assert (found.row.status, found.row.reason) == ("removed", "exact_duplicate")
    assert explain(view, found.row.duplicate_of).row.text == found.row.text
    assert [step.step for step in found.steps] == ["load", "clean"]


def test_explain_tells_what_was_tried_on_a_row_and_by_what_evidence(storied):
    view = View.open(storied)
    act = next(event for event in view.events if isinstance(event, Act))
    action = view.at(act.seq).decision.action
    assert action.action == "relabel"
    labels = view.store.frame(act.state.artefacts["relabelled"])
    row, label = labels.row(0)
    found = explain(view, view.ledger()["id"][row])
    tried = next(step for step in found.steps if step.event == act.seq)
    outcome = next(record.outcome for record in view.history() if record.action == action)
    assert (tried.action, tried.outcome) == ("relabel", outcome)
    given = view.frame("rows", "label")["label"][row]
    assert (tried.relabelled.label, tried.relabelled.was) == (label, given)
    evidence = view.at(act.seq).frame("evidence").filter(pl.col("row") == row)
    assert tried.relabelled.score == evidence["label_support"][0] < tried.relabelled.threshold == action.threshold
    said = "\n".join(told(found))
    assert f"label {label} instead of {given}, which the other rows bear out to 0.0" in said
    assert f"below the threshold of {action.threshold:g}, on trial" in said
    assert f"label {label}; in the input {given}" in said


def test_explain_tells_of_a_held_out_row_that_was_relabelled(storied):
    view = View.open(storied)
    judged = next(event for event in view.events if isinstance(event, JudgeHeldOut))
    before = view.at(judged.seq).frame("relabelled")["row"]
    row, was, label = next(one for one in view.relabelled().iter_rows() if one[0] not in before)
    assert row in view.held_out()
    found = explain(view, view.ledger()["id"][row])
    assert found.row.evidence["label"] == was
    last = found.steps[-1]
    assert (last.step, last.relabelled.label, last.event) == ("judge_held_out", label, judged.seq)
    assert last.relabelled.score < last.relabelled.threshold


def test_new_labels_stand_beside_the_old_ones(storied):
    view = View.open(storied)
    paths = sorted(view.run.curated.rglob("*.parquet"))
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
    changed = {view.ledger()["id"][row]: (was, label) for row, was, label in view.relabelled().iter_rows()}
    found = rows.filter(pl.col("recryst_label").is_not_null())
    assert len(changed) > 5
    assert {id: (was, label) for id, was, label in found["id", "group", "recryst_label"].iter_rows()} == changed
    given = dict(pl.read_parquet(view.path("originals"), columns=["id", "group"]).iter_rows())
    assert all(given[id] == group for id, group in rows["id", "group"].iter_rows() if id in given)
    card = (storied / "README.md").read_text().replace("\\", "")
    assert f"{len(changed)} rows have another label, in the column recryst_label; the column group stays" in card
    assert summary(view).relabelled.rows == len(changed)


def test_the_printed_list_names_what_is_measured(storied):
    printed = "\n".join(audit(storied).taken)
    for name in ("evidence", "decide", "baseline", "measure", "judge_held_out"):
        assert f"{name}: " in printed, name
    assert "because a language model looked at it: what the probes make of every held-out row" in printed
    assert "the evidence on single rows" in printed


def test_explain_names_the_nearest_id(finished):
    with pytest.raises(UsageError, match="did you mean 'copy3'"):
        explain(View.open(finished[0]), "copy3x")


def test_every_line_of_the_log_is_one_json_object(finished):
    for line in (finished[0] / "events.jsonl").read_bytes().splitlines():
        assert orjson.loads(line) == json.loads(line)
