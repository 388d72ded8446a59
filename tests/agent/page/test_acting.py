"""Answers given on the page: to exactly what was shown, and on the record as those of the terminal are."""

import json
import shutil

import polars as pl
from conversing import conversation, say, steps
from hostile import HOSTILE

from recryst.agent.audit import audit
from recryst.agent.decide.person import answers
from recryst.agent.view import View
from recryst.state.canonical import canonical_json
from recryst.state.run import RunDirectory

_OF_A_PROCESS = {"ts", "hash", "prev_hash", "seconds"}  # what differs between two processes that do the same


NOTE = f'it\'s "odd": {HOSTILE[0]} {HOSTILE[2]}'


def record(root):
    """The steps of a run as they stand in the log, but for when, and how long."""
    found = []
    for event in steps(root):
        body = {name: value for name, value in event.body().items() if name not in _OF_A_PROCESS}
        if "answer" in body:  # LangGraph names its interrupts anew in every process
            body["answer"].pop("interrupt_id", None)
        found.append(body)
    return found


def test_the_page_and_the_terminal_leave_the_same_record(root, serving, tmp_path):
    other = shutil.copytree(root, tmp_path / "terminal")
    ids = View.open(root).ledger()["id"]
    first, second, third, fourth = View.open(root).kept()[[5, 20, 40, 60]].tolist()
    with conversation(other, "Ana") as talk:
        say(talk, f"/note {ids[first]} {NOTE}")
        say(talk, "/yes", "/k 5", "/no", f"/drop {ids[first]} {ids[second]}", "/yes", f"/restore {ids[second]}", "/yes")
        say(talk, f"/relabel tapir1 {ids[third]}", "/yes", "/undo", f"/protect {ids[fourth]}", "/yes", "/finish")
    page = serving(root, acts=True, who="Ana")

    def act(answer, **more):
        status, said = page.act(page.waits()[0], answer, **more)
        assert status == 200, said

    def edit(edit, *rows, **more):
        act("choose", edit={"edit": edit, "rows": rows, **more})
        act("approve")

    act("note", note={"row": first, "text": NOTE})
    act("approve")
    act("choose", k={"k": 5})
    act("reject")
    edit("drop", first, second)
    edit("restore", second)
    edit("label", third, label="tapir1")
    act("undo")
    edit("protect", fourth)
    act("finish")
    assert page.waits() == (None, None)
    assert canonical_json(record(root)[:-1]) == canonical_json(record(other)[:-1])
    assert record(root)[-1]["type"] == "publish"  # whose report and card name the log's head, which has times in it
    answers = [event.answer for event in steps(root) if event.type == "approve"]
    assert {answer.who for answer in answers} == {"Ana"}
    assert [answer.answer for answer in answers[:4]] == ["note", "approve", "choose", "reject"]
    train = [pl.read_parquet(one / "curated" / "train-00000.parquet") for one in (root, other)]
    assert train[0].equals(train[1])
    gone = pl.read_parquet(root / "removed" / "removed-00000.parquet")["id"]
    assert (ids[first] in gone, ids[second] in gone) == (True, False)
    assert audit(root).failures == audit(other).failures == []


def test_a_note_stands_on_its_row_with_who_wrote_it_and_changes_nothing(root, serving):
    page = serving(root, acts=True, who="Ana")
    before, proposal = page.waits()
    held_out = page.rows(filters={"status": ["held out"]})["rows"][0]["row"]
    assert page.act(before, "note", note={"row": held_out, "text": "seen"})[0] == 200
    after, same = page.waits()
    assert same == proposal
    assert page.act(after, "note", note={"row": held_out, "text": NOTE})[0] == 200
    page.waits()
    told = page.get("/api/row", n=held_out)
    assert [(one["who"], one["note"]) for one in told["row"]["notes"]] == [("Ana", "seen"), ("Ana", NOTE)]
    seen, held = (one["event"] for one in told["row"]["notes"])
    assert page.act(page.waits()[0], "note", note={"row": held_out, "text": "seen twice", "replaces": seen})[0] == 200
    assert page.act(page.waits()[0], "note", note={"row": held_out, "text": " ", "replaces": held})[0] == 200
    page.waits()
    left = page.get("/api/row", n=held_out)["row"]["notes"]
    assert [one["note"] for one in left] == ["seen twice"]
    for replaced in (seen, held, 0):  # changed, withdrawn, and none at all
        status, said = page.act(page.waits()[0], "note", note={"row": held_out, "text": "x", "replaces": replaced})
        assert (status, "stands on that row no more" in said["error"]) == (409, True)
    for note in ({"row": 10_000, "text": "x"}, {"row": 1, "text": "  "}, {"row": 1, "text": "x" * 1001}, None):
        assert page.act(page.waits()[0], "note", note=note)[0] == 409
    status, said = page.act(page.waits()[0], "note", note={"row": 1, "text": "x"}, by="agent")
    assert (status, "only a person" in said["error"]) == (409, True)
    assert [event.type for event in steps(root)].count("approve") == 4
    assert audit(root).failures == []


def test_an_answer_to_what_is_no_longer_proposed_is_refused(root, serving):
    page = serving(root, acts=True)
    first, shown = page.waits()
    assert shown["alternatives"]
    assert page.act(first, "choose", candidate=shown["alternatives"][0]["id"])[0] == 200
    second, now = page.waits()
    assert now["candidate"]["words"] == shown["alternatives"][0]["words"]
    before = len(steps(root))
    status, said = page.act(first, "approve")  # a second tab, which still shows the first proposal
    assert (status, said["error"]) == (409, "this proposal was answered before; nothing was done")
    page.waits()
    mixed = {"shown_sha": first["shown_sha"], "interrupt_id": second["interrupt_id"]}
    status, said = page.act(mixed, "approve")
    assert (status, said["error"].split(";")[0]) == (409, "what was shown is no longer what is proposed")
    assert page.act(page.waits()[0], "choose", candidate="none")[0] == 409
    assert page.act(page.waits()[0], "nonsense")[0] == 409
    assert len(steps(root)) == before
    assert page.waits()[0] == second


def test_what_would_go_is_told_row_by_row_before_it_goes(root, serving):
    page = serving(root, acts=True)
    _, shown = page.waits()
    takes = [one for one in [shown["candidate"], *shown["alternatives"]] if one["kind"] == "remove_suspects"]
    told = page.get("/api/going", id=takes[0]["id"], offset=0, limit=3)
    assert 0 < len(told["rows"]) <= 3
    assert told["total"] <= takes[0]["rows"]
    rest = page.get("/api/going", id=takes[0]["id"], offset=3, limit=500)["rows"]
    every = {row["row"] for row in [*told["rows"], *rest]}
    assert len(every) == told["total"]
    if shown["candidate"]["id"] != takes[0]["id"]:
        assert page.act(page.waits()[0], "choose", candidate=takes[0]["id"])[0] == 200
    assert page.act(page.waits()[0], "approve")[0] == 200
    page.waits()
    acted = next(event for event in reversed(steps(root)) if event.type == "act")
    tried = View.open(root).at(acted.seq + 1)
    if tried.has("trial_ledger"):
        ledger = tried.ledger("trial_ledger")
        assert set(ledger.filter(ledger["event"] == acted.seq)["row"]) == every


def test_what_is_said_of_single_rows_counts_as_in_conversation(root, serving):
    page = serving(root, acts=True)
    kept = [row["row"] for row in page.rows(filters={"status": ["kept"]})["rows"]]
    for row, answer, label in ((kept[3], "keep", None), (kept[4], "remove", None), (kept[5], "label", "tapir1")):
        about = {"row": row, "answer": answer, "label": label}
        assert page.act(page.waits()[0], "review", about=about)[0] == 200
    status, said = page.act(page.waits()[0], "review", about={"row": kept[6], "answer": "label", "label": "tapir9"})
    assert (status, "did you mean 'tapir" in said["error"]) == (409, True)
    page.waits()
    assert answers(View.open(root))["row"].to_list() == kept[3:6]
    assert page.act(page.waits()[0], "apply")[0] == 200
    page.waits()
    row = page.get("/api/row", n=kept[4])["row"]
    assert (row["status"], row["reason"], row["said"]) == ("removed", "person", "remove")
    assert page.get("/api/row", n=kept[5])["row"]["label"] == "tapir1"
    status, said = page.act(page.waits()[0], "review", about={"row": kept[4], "answer": "keep"})
    assert (status, said["error"]) == (409, "that is no row of the input that stands; nothing was done")
    assert page.act(page.waits()[0], "undo")[0] == 200
    page.waits()
    assert page.get("/api/row", n=kept[4])["row"]["status"] == "kept"
    assert audit(root).failures == []


def test_a_page_without_the_loop_only_looks(begun, serving):
    page = serving(begun)
    assert page.get("/api/proposal") == {"waiting": None}
    status, said = page.act({"shown_sha": "0", "interrupt_id": "0"}, "approve")
    assert (status, "only looks" in said["error"]) == (409, True)


def test_a_pause_ends_what_was_approved_beforehand(root, serving):
    page = serving(root, acts=True)
    assert page.act(page.waits()[0], "run", rounds=9)[0] == 200
    assert page.ask("/api/pause", {})[0] == 200
    waiting, _ = page.waits()
    assert [event.type for event in steps(root)].count("measure") == 1
    status, _, content = page.ask("/api/pause", {})
    assert (status, "waits for you already" in json.loads(content)["error"]) == (400, True)
    assert page.act(waiting, "approve")[0] == 200
    page.waits()
    given = [event.answer for event in steps(root) if event.type == "approve"]
    assert [(one.answer, bool(one.interrupt_id)) for one in given] == [("run", True), ("approve", True)]
    assert audit(root).failures == []
    assert serving(root).ask("/api/pause", {})[0] == 400


def test_a_pause_while_nothing_is_approved_holds_back_nothing_later(thinking, serving):
    root, thought = thinking
    page = serving(root, acts=True)
    assert page.act(page.waits()[0], "approve")[0] == 200
    assert page.ask("/api/pause", {})[0] == 200
    assert page.get("/api/status")["desk"]["pausing"]
    thought.set()
    waiting, _ = page.waits()
    assert not page.get("/api/status")["desk"]["pausing"]
    assert page.act(waiting, "run", rounds=2)[0] == 200
    page.waits()
    assert [event.type for event in steps(root)].count("measure") == 3


def test_another_run_of_the_folder_is_looked_at_beside_this_one(root, begun, serving):
    shutil.copytree(begun, root.parent / "other")
    (root.parent / "no run").mkdir()
    page = serving(root)
    assert page.get("/api/runs") == {"runs": ["other"]}
    status, _, content = page.ask("/api/beside", {"name": "other"})
    address = json.loads(content)["address"]
    assert status == 200
    assert page.ask("/api/beside", {"name": "other"})[2] == content, "it is opened once"
    beside = type(page)(address)
    assert beside.get("/api/status")["run"] == "other"
    assert beside.get("/api/status")["desk"] is None
    assert beside.ask("/api/status", Cookie=page.cookie)[0] == 403, "each page has a token of its own"
    for name in ("../run", "run", "..", "none", "no run", "other/../other", ""):
        assert page.ask("/api/beside", {"name": name})[0] == 400
    assert page.ask("/api/beside", {"name": "other"}, Origin=None)[0] == 403


def test_a_new_run_is_begun_beside_this_one_and_acts(root, serving):
    page = serving(root, acts=True, who="Ana")
    page.waits()
    status, _, content = page.ask("/api/begin", {"seed": 7})
    assert status == 200, content
    beside = type(page)(json.loads(content)["address"])
    waiting, _ = beside.waits()
    told = beside.get("/api/status")
    new = root.parent / told["run"]
    assert new != root
    assert told["desk"]["ended"] is False
    (one, own), (other, its) = (RunDirectory.open(at).read_settings() for at in (root, new))
    assert (one, own.model_copy(update={"seed": 7})) == (other, its)
    assert beside.act(waiting, "reject")[0] == 200
    beside.waits()
    assert [event.answer.who for event in steps(new) if event.type == "approve"] == ["Ana"]
    assert [event.type for event in steps(root)].count("approve") == 0
    refused = [{"name": new.name}, {"name": "../x"}, {"source": "nowhere.jsonl"}, {"source": "-"}, {"seed": -1}]
    assert [page.ask("/api/begin", one)[0] for one in refused] == [400] * len(refused)
    assert page.ask("/api/begin", {"seed": 1}, Origin=None)[0] == 403
    assert json.loads(page.ask("/api/runs")[2])["runs"] == [new.name]


def test_a_page_that_looks_begins_nothing(root, serving):
    status, _, content = serving(root).ask("/api/begin", {})
    assert (status, "only looks" in json.loads(content)["error"]) == (400, True)
    assert [path.name for path in root.parent.iterdir() if (path / "run.yaml").is_file()] == [root.name]
