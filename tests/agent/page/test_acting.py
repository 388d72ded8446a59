"""Answers given on the page: to exactly what was shown, and on the record as those of the terminal are."""

import shutil

import polars as pl
from conversing import conversation, say, steps

from recryst.agent.audit import audit
from recryst.agent.decide.person import answers
from recryst.agent.view import View
from recryst.state.canonical import canonical_json

_OF_A_PROCESS = {"ts", "hash", "prev_hash", "seconds"}  # what differs between two processes that do the same


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
        say(talk, "/yes", "/k 5", "/no", f"/drop {ids[first]} {ids[second]}", "/yes", f"/restore {ids[second]}", "/yes")
        say(talk, f"/relabel tapir1 {ids[third]}", "/yes", "/undo", f"/protect {ids[fourth]}", "/yes", "/finish")
    page = serving(root, acts=True, who="Ana")

    def act(answer, **more):
        status, said = page.act(page.waits()[0], answer, **more)
        assert status == 200, said

    def edit(edit, *rows, **more):
        act("choose", edit={"edit": edit, "rows": rows, **more})
        act("approve")

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
    assert [answer.answer for answer in answers[:3]] == ["approve", "choose", "reject"]
    train = [pl.read_parquet(one / "curated" / "train-00000.parquet") for one in (root, other)]
    assert train[0].equals(train[1])
    gone = pl.read_parquet(root / "removed" / "removed-00000.parquet")["id"]
    assert (ids[first] in gone, ids[second] in gone) == (True, False)
    assert audit(root).failures == audit(other).failures == []


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
