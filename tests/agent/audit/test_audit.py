"""The audit: a whole run passes; any changed byte, cut tail or rewritten story does not, and the place is named."""

import json
import random
import shutil

import orjson
import pytest

from recryst.agent.account.explain import explain
from recryst.agent.audit import audit
from recryst.state.canonical import canonical_json, sha256_json
from recryst.state.errors import UsageError
from recryst.state.log import read_log


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "copy")


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


def test_one_changed_byte_in_any_file_of_the_run_is_found(copy):
    rng = random.Random(0)
    paths = [*copy.glob("artifacts/??/*"), *copy.glob("curated/*"), *copy.glob("model/*/*")]
    paths += [copy / name for name in ("report.html", "quarantine.jsonl")]
    assert len(paths) > 20
    for path in paths:
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        failures = audit(copy).failures
        assert any(path.name in failure for failure in failures), path
        path.write_bytes(whole)
    assert audit(copy).failures == []


def test_a_cut_tail_is_found_against_the_head(copy, finished):
    log = copy / "events.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert any("not the given head" in failure for failure in audit(copy, finished[1]["log_head"]).failures)


def rewrite(copy, change):
    """Tell another story: change an event and seal the whole chain anew."""
    events, _ = read_log(copy / "events.jsonl")
    lines, head = [], "0" * 64
    for event in events:
        body = event.body()
        change(body)
        body["prev_hash"] = head
        head = sha256_json(body)
        lines.append(canonical_json(body | {"hash": head}) + b"\n")
    (copy / "events.jsonl").write_bytes(b"".join(lines))


def test_a_rewritten_log_does_not_fit_the_card(copy):
    rewrite(copy, lambda body: body.update(run_id="another"))
    assert any("README.md" in failure for failure in audit(copy).failures)


def _flip(body):
    record = body["metrics"]["record"]
    body["outcome"] = record["outcome"] = "kept" if record["outcome"] == "rolled_back" else "rolled_back"


STORIES = {
    "reasons": ("decide", lambda body: body.update(reasons=["because"])),
    "candidates": ("decide", lambda body: body["candidates"][0].update(rows=7)),
    "facts": ("decide", lambda body: body["metrics"]["facts"].update(kept=10**6)),
    "budget": ("decide", lambda body: body["budget"].update(minutes_left=1.0)),
    "decision": ("decide", lambda body: body["state"]["values"]["decision"].update(reasons=["because"])),
    "stop": ("decide", lambda body: body["state"]["values"].update(converged=True, stop_reason="enough")),
    "action": ("act", lambda body: body.update(params={"clusters": [0]})),
    "verdict": ("measure", _flip),
    "kept rows": ("measure", lambda body: body["metrics"]["record"].update(kept=1)),
    "objective": ("baseline", lambda body: body["metrics"]["objective"].update(value=9.0)),
    "row counts": ("filter", lambda body: body["metrics"].update(kept=1)),
    "curated hash": ("export", lambda body: body["metrics"].update(curated_sha256="0" * 64)),
    "verdict without evidence": ("measure", lambda body: body["metrics"].update(record={"round": 1})),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_story_that_does_not_follow_from_its_evidence_is_found(copy, story):
    kind, change = STORIES[story]
    rewrite(copy, lambda body: change(body) if body["type"] == kind else None)
    found = [failure for failure in audit(copy).failures if "derived again" in failure]
    assert found, "the forged story passed"
    assert any(f"({kind})" in failure for failure in found)


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
    found = explain(root, "copy3")
    assert (found["row"]["status"], found["row"]["reason"]) == ("removed", "exact_duplicate")
    kept_for_it = found["row"]["duplicate_of"]
    assert explain(root, kept_for_it)["row"]["text"] == found["row"]["text"]
    assert [step["step"] for step in found["steps"]] == ["load", "clean"]


def test_explain_tells_what_was_tried_on_a_row(finished):
    root, result = finished
    events, _ = read_log(root / "events.jsonl")
    trials = [event for event in events if event.type == "act" and event.effects[0].rows]
    if not trials:
        pytest.skip("no action of this run touched a row")
    from recryst.state.store import Store

    ledger = Store(root / "artifacts").frame(trials[0].effects[0].after_sha)
    touched = ledger.filter(ledger["event"] == trials[0].seq)["id"][0]
    outcome = next(entry["outcome"] for entry in result["rounds"] if entry["action"] == trials[0].action)
    steps = explain(root, touched)["steps"]
    assert any(step.get("action") == trials[0].action and step["outcome"] == outcome for step in steps)


def test_explain_names_the_nearest_id(finished):
    with pytest.raises(UsageError, match="did you mean 'copy3'"):
        explain(finished[0], "copy3x")


def test_every_line_of_the_log_is_one_json_object(finished):
    for line in (finished[0] / "events.jsonl").read_bytes().splitlines():
        assert orjson.loads(line) == json.loads(line)
