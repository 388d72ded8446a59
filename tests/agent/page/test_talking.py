"""A person writes on the page what they would type at the terminal, and a scripted model answers them there."""

import json
import threading

import pytest
from browsing import opened, until
from conversing import conversation, create, steps
from hostile import HOSTILE

from recryst.agent.audit import audit
from recryst.agent.page.transcript import Transcript


def rests(page):
    """Until the loop waits for an answer, and nobody is heard."""
    until(lambda: not page.get("/api/status")["desk"]["busy"], "the loop rests")


def said(page, text, waiting=None):
    """Status and answer of a line, and the entries that it left once the loop waits again."""
    before = page.get("/api/talk", **{"from": 0})["entries"]
    status, _, content = page.ask("/api/say", {**(waiting or page.waits()[0]), "text": text})
    rests(page)
    told = page.get("/api/talk", **{"from": len(before)})
    return status, json.loads(content), told["entries"]


def test_commands_do_what_they_do_at_the_terminal(root, serving):
    page = serving(root, acts=True, who="Ana")
    first, proposal = page.waits()
    (shown,) = page.get("/api/talk", **{"from": 0})["entries"]
    assert shown["kind"] == "shown"
    assert "round 1, proposed by the rules" in shown["text"]
    _, _, (mine, metrics) = said(page, "/metrics")
    assert (mine, metrics["kind"]) == ({"kind": "person", "text": "/metrics"}, "shown")
    assert "coverage" in metrics["text"]
    assert page.waits() == (first, proposal), "a look answered what waits"
    _, _, (_, refused) = said(page, "what is this about?")
    assert "no language model is configured" in refused["text"]
    _, _, (_, unknown) = said(page, "/approve")
    assert unknown["text"] == "there is no command /approve; /help lists them"
    _, _, (_, listed) = said(page, "/k 5")
    assert "round 1, proposed by you: cluster anew: kmeans k=5" in listed["text"]
    status, answer, entries = said(page, "yes", first)
    assert (status, entries) == (400, [])
    assert "read that first" in answer["error"]
    said(page, "n")
    approvals = [event.answer for event in steps(root) if event.type == "approve"]
    assert [(one.answer, one.who) for one in approvals] == [("choose", "Ana"), ("reject", "Ana")]
    assert audit(root).failures == []


def test_what_is_written_is_shown_as_text_and_bounded(root, serving):
    page = serving(root, acts=True)
    for text in HOSTILE[:3]:
        _, _, entries = said(page, text)
        assert not {"\u202e", "\x1b", "\x00"} & set("".join(one["text"] for one in entries))
    for text in ("", "  ", "x" * 4001):
        assert page.ask("/api/say", {**page.waits()[0], "text": text})[0] == 400


def test_nobody_listens_where_the_page_only_looks(root, serving):
    page = serving(root)
    assert page.ask("/api/say", {"shown_sha": "", "interrupt_id": "", "text": "/yes"})[0] == 400
    assert page.ask("/api/talk?from=0")[0] == 400


@pytest.fixture
def with_model(crude_rows, tmp_path, script):
    """A run whose model looks at the metrics once, and then names a cluster."""

    def policy(question):
        if not question["tools"]:
            return {"about": "animals", "outliers": ""}
        asked = [turn["role"] for turn in question["messages"]]
        return "Look at cluster 2 first." if asked[-1] == "tool" else {"tool": "metrics", "arguments": {}}

    root = create(crude_rows, tmp_path / "run", f"llm.model={script(policy).model}")
    with conversation(root):
        pass
    return root


def test_a_model_answers_beside_the_run(with_model, serving):
    page = serving(with_model, acts=True)
    page.waits()
    assert page.get("/api/talk", **{"from": 0})["model"].startswith("scripted:")
    _, _, entries = said(page, "where would you begin?")
    assert [one["kind"] for one in entries] == ["person", "shown", "model", "shown"]
    assert entries[2]["text"].strip() == "Look at cluster 2 first."
    assert audit(with_model).failures == []


def test_the_page_says_where_rows_go_before_any_does(with_model, serving):
    page = serving(with_model, acts=True, show_rows=True)
    page.waits()
    first = page.get("/api/talk", **{"from": 0})["entries"][0]
    assert "rows that you ask about are sent to scripted:" in first["text"]


@pytest.fixture
def slow_model(crude_rows, tmp_path, script):
    """A run whose model answers once ``thought`` is set; it proposes nine clusters when it is told to."""
    thought = threading.Event()

    def policy(question):
        assert thought.wait(60)
        nine = "nine" in question["said"] and question["messages"][-1]["role"] != "tool"
        return {"tool": "propose_k", "arguments": {"k": 9}} if nine else f"You said {question['said']}."

    root = create(crude_rows, tmp_path / "run", f"llm.model={script(policy).model}")
    with conversation(root):
        pass
    yield root, thought
    thought.set()


def test_what_is_said_while_the_model_answers_waits(slow_model, serving):
    root, thought = slow_model
    page = serving(root, acts=True)
    named, _ = page.waits()
    lines = ["nine clusters", "why", "/metrics", "y", *("and" for _ in range(5))]
    done = [json.loads(page.ask("/api/say", {**named, "text": text})[2])["done"] for text in lines]
    assert done == ["heard", *["waiting"] * 8]
    status, _, content = page.ask("/api/say", {**named, "text": "too much"})
    assert (status, "8 lines wait already" in json.loads(content)["error"]) == (400, True)
    assert page.get("/api/talk", **{"from": 0})["unheard"] == lines[1:]
    thought.set()
    rests(page)
    told = page.get("/api/talk", **{"from": 0})
    assert told["unheard"] == []
    entries = told["entries"]
    assert [one["text"] for one in entries if one["kind"] == "person"] == lines
    answers = [one["text"].strip() for one in entries if one["kind"] == "model"]
    assert answers == ["You said nine clusters.", "You said why.", *["You said and."] * 5]
    late = [entries[at + 1]["text"] for at, one in enumerate(entries) if one["text"] in ("y", "/metrics")]
    assert ["read that first" in one for one in late] == [True, True], "both were said of what waited before"
    assert page.waits()[1]["by"] == "model"
    assert not [event for event in steps(root) if event.type == "measure"]
    assert audit(root).failures == []


def test_a_long_conversation_keeps_its_end():
    transcript = Transcript()
    for number in range(2005):
        transcript.heard(f"line {number}")
    assert transcript.size == (2005, 9)
    told = transcript.since(0)
    assert (told["first"], told["gone"], len(told["entries"])) == (5, 5, 2000)
    assert told["entries"][0]["text"] == "line 5"
    assert [one["text"] for one in transcript.since(2004)["entries"]] == ["line 2004"]
    assert transcript.since(9999) == {"first": 2005, "gone": 5, "entries": []}


@pytest.mark.browser
def test_a_line_waits_on_the_page_while_the_model_answers(slow_model, serving, browser):
    root, thought = slow_model
    served = serving(root, acts=True)
    page, faults = opened(browser, served.address)
    page.wait_for_selector("#approve")
    page.keyboard.press("a")
    for text in ("first", "second"):
        page.wait_for_selector("#say:focus")
        page.keyboard.type(text)
        page.keyboard.press("Enter")
        until(lambda: page.locator("#say").input_value() == "", "it is sent")
    page.wait_for_selector("#talk .said:has-text('second · waiting')")
    thought.set()
    page.wait_for_selector("#talk .answer:has-text('You said second.')")
    spoken = page.locator("#talk .said, #talk .answer").all_inner_texts()
    assert spoken == ["first", "You said first.", "second", "You said second."]
    assert faults == []


@pytest.mark.browser
def test_a_person_converses_on_the_page(with_model, serving, browser):
    served = serving(with_model, acts=True)
    page, faults = opened(browser, served.address)
    named = "state.desk?.busy ? '' : state.proposal?.waiting?.interrupt_id"
    state = f"import('/static/store.js').then(({{ state }}) => {named})"

    def waits():
        """Until the page has what waits now; what comes later would open in the place of what is looked at."""
        until(lambda: page.evaluate(state) == served.waits()[0]["interrupt_id"], "the page has what waits")

    page.wait_for_selector("#approve")
    page.keyboard.press("a")
    page.wait_for_selector("#say:focus")
    page.keyboard.type("where would you begin?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#talk .answer button:has-text('cluster 2')")
    waits()
    assert page.locator("#say").input_value() == ""
    page.keyboard.type("/k 5")
    page.keyboard.press("Enter")
    until(lambda: "kmeans k=5" in page.locator("#talk .shown").last.inner_text(), "what is proposed stands in the talk")
    waits()
    assert page.locator("#say").is_visible(), "a proposal took the conversation's place"
    page.locator("#talk .answer button").click()
    page.wait_for_selector("[data-tab='cluster'][aria-selected='true']")
    assert faults == []
