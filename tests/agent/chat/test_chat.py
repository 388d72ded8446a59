"""The conversation without its terminal: nothing happens without an answer, an answer is to what was seen, and the
audit can tell."""

import json
import shutil

import polars as pl
import pytest
from conversing import conversation, create, say, steps

from recryst.agent.account.explain import explain
from recryst.agent.account.summary import summary
from recryst.agent.audit import audit
from recryst.agent.chat.commands import COMMANDS, MODEL_TOOLS, carry_out, read
from recryst.agent.cli.progress import Reporter
from recryst.agent.decide.approval import shown_sha
from recryst.agent.decide.proposals import Refusal
from recryst.agent.graph import run as run_graph
from recryst.agent.registry import CAPABILITIES
from recryst.agent.session import Session
from recryst.agent.view import View
from recryst.state.canonical import canonical_json, sha256_json
from recryst.state.decision import Answer
from recryst.state.log import read_log
from recryst.state.run import RunDirectory


def test_a_decision_waits_and_leaving_changes_nothing(root):
    before = steps(root)
    assert before[-1].type == "decide"
    with conversation(root) as talk:
        first = talk.proposal
    with conversation(root) as talk:
        assert talk.proposal == first
    assert steps(root) == before


def test_an_unattended_resume_does_not_approve(root):
    directory = RunDirectory.open(root)
    with directory.lock():
        session = Session(directory, Reporter(quiet=True))
        session.start()
        assert not run_graph(session)
    assert steps(root)[-1].type == "decide"


def test_an_answer_to_what_is_no_longer_proposed_is_refused(root):
    with conversation(root) as talk:
        waiting = talk._cycle.waiting
        stale = Answer(shown_sha=shown_sha(talk.proposal), interrupt_id=waiting.id, answer="approve")
        say(talk, "/k 9")
        logged = len(talk.session.log.events)
        for answer in (stale, stale.model_copy(update={"interrupt_id": talk._cycle.waiting.id})):
            with pytest.raises(Refusal, match=r"answered before|no longer what is proposed"):
                talk.answer(answer)
        assert len(talk.session.log.events) == logged
        assert talk.proposal.candidate.action.params == {"algorithm": "kmeans", "k": 9}


def test_a_second_answer_is_refused_also_after_coming_back(root):
    with conversation(root) as talk:
        waiting = talk._cycle.waiting
        once = Answer(shown_sha=shown_sha(talk.proposal), interrupt_id=waiting.id, answer="reject")
        talk.answer(once)
        with pytest.raises(Refusal, match="answered before"):
            talk.answer(once)
    with conversation(root) as talk, pytest.raises(Refusal, match="answered before"):
        talk.answer(once)
    assert [event.type for event in steps(root)].count("approve") == 1


def test_an_answer_to_an_earlier_process_is_refused(root):
    with conversation(root) as talk:
        waiting = talk._cycle.waiting
    with conversation(root) as talk, pytest.raises(Refusal, match="no longer waits"):
        talk.answer(Answer(shown_sha=shown_sha(talk.proposal), interrupt_id=waiting.id, answer="approve"))


def test_a_rejected_action_changes_nothing_and_is_not_proposed_again(root):
    with conversation(root) as talk:
        ledger, state_key = talk.session.state.artefacts["ledger"], talk.session.state.values.state_key
        seen = []
        for _ in range(4):  # more than `patience`: a person's no says nothing about the data
            seen.append(talk.proposal.candidate.action)
            if seen[-1].action == "stop":
                break
            say(talk, "/no")
        assert len(seen) == 4
        assert len({one.key for one in seen}) == len(seen)
        assert (talk.session.state.artefacts["ledger"], talk.session.state.values.state_key) == (ledger, state_key)
    assert {event.outcome for event in steps(root) if event.type == "measure"} == {"refused"}


def in_force(talk):
    state = talk.session.state
    dumped = state.values.model_dump(mode="json")
    values = {name: dumped.get(name) for name in ("clustering", "state_key", "objective", "thresholds", "probes")}
    roles = ("ledger", "assignments", "centroids", "vectors", "pool", "maps")
    return {role: state.artefacts[role] for role in roles}, values


def test_keep_overrides_a_measurement_and_undo_takes_it_back(root):
    with conversation(root) as talk:
        before = in_force(talk)
        with pytest.raises(Refusal, match="no trial to keep"):
            say(talk, "/keep")
        with pytest.raises(Refusal, match="nothing to undo"):
            say(talk, "/undo")
        say(talk, "/prune 0 furthest 0.5", "/yes")
        assert talk.session.view.history()[-1].outcome == "rolled_back"
        assert in_force(talk) == before
        say(talk, "/keep")
        kept = in_force(talk)
        assert kept[0]["ledger"] != before[0]["ledger"]
        removed = talk.session.view.ledger().filter(pl.col("reason") == "prune_keep_furthest")["id"]
        assert len(removed) > 5
        say(talk, "/k 9", "/yes", "/undo")
        assert in_force(talk) == before
        with pytest.raises(Refusal, match="nothing to undo"):
            say(talk, "/undo")
    found = explain(View.open(root), removed[0])
    assert found.row.status == "kept"
    assert [step.step for step in found.steps if step.round] == ["act", "keep", "undo"]
    assert audit(root).failures == []


def test_undo_takes_changes_back_one_by_one(root):
    with conversation(root) as talk:
        states = [in_force(talk)]
        for command in ("/k 9", "/prune 0 closest 0.5"):
            say(talk, command, "/yes")
            if talk.session.view.history()[-1].outcome == "rolled_back":
                say(talk, "/keep")
            states.append(in_force(talk))
        assert len({json.dumps(state, sort_keys=True) for state in states}) == 3
        say(talk, "/undo")
        assert in_force(talk) == states[1]
        say(talk, "/undo")
        assert in_force(talk) == states[0]
    assert audit(root).failures == []


def approvals(talk):
    """Who gave each approval so far."""
    return [event.actor for event in talk.session.log.of_type("approve")]


def cut(root, kind, number):
    """Leave the log as it stood when its process was killed after the event ``number`` of a kind."""
    log = root / "events.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    last = [at for at, line in enumerate(lines) if f'"type":"{kind}"'.encode() in line][number]
    log.write_bytes(b"".join(lines[: last + 1]))


def test_rounds_that_were_approved_at_once_end_with_the_process(root):
    with conversation(root) as talk:
        say(talk, "/run 2")
        assert approvals(talk) == ["human", "agent"]
        say(talk, "/run 50")
        assert talk.proposal.candidate.action.action == "stop"  # which no `run` approves
    cut(root, "measure", 0)
    with conversation(root) as talk:
        assert approvals(talk) == ["human"]
        assert len(talk.session.view.history()) == 1
        assert talk.proposal.candidate.action.action != "stop"
    assert audit(root).failures == []


def test_an_approved_action_is_carried_out_although_the_process_was_killed(root):
    with conversation(root) as talk:
        say(talk, "/k 9", "/yes")
        record = talk.session.view.history()[0]
    cut(root, "approve", -1)
    with conversation(root) as talk:
        assert talk.session.view.history() == (record,)
    assert audit(root).failures == []


def test_a_spent_budget_leaves_a_person_only_the_end(data, tmp_path):
    root = create(data, tmp_path / "run", "stop.max_rounds=1")
    with conversation(root) as talk:
        say(talk, "/k 9", "/yes")
        assert talk.proposal.candidate.action.action == "stop"
        with pytest.raises(Refusal, match="nothing more can be tried"):
            say(talk, "/k 8")
        with pytest.raises(Refusal, match="the proposal is to stop"):
            say(talk, "/no")
        say(talk, "/keep")
        assert len(talk.session.view.array("centroids")) == 9
        say(talk, "/yes")
        assert talk.session.state.last == "publish"
    assert audit(root).failures == []


def test_an_id_with_spaces_may_stand_in_quotes():
    for words in ("row 8", '"row 8"', "'row 8'"):
        assert read(COMMANDS["/why"], words.split()) == {"row": "row 8"}
    assert read(COMMANDS["/why"], ["-5"]) == {"row": "-5"}
    assert read(COMMANDS["/why"], ['"']) == {"row": '"'}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/prune 0,1,2 drop", "one action may remove"),
        ("/prune 77 closest 0.5", "no cluster 77"),
        ("/prune 0,0 closest 0.9", "each once"),
        ("/prune 0 sideways", "the command is"),
        ("/prune 0 furthest", "which share of their rows stays"),
        ("/prune 0 closest 0", "which share of their rows stays"),
        ("/prune 0 closest 1.5", "the command is"),
        ("/prune", "the command is"),
        ("/k 1", "from 2 to"),
        ("/k 5000", "from 2 to"),
        ("/k nine", "the command is"),
        ("/try 99", "alternatives"),
        ("/show 12", "no cluster 12"),
        ("/run 0", "the command is"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(begun_talk, line, why):
    logged = len(begun_talk.session.log.events)
    with pytest.raises(Refusal, match=why):
        say(begun_talk, line)
    assert len(begun_talk.session.log.events) == logged


@pytest.fixture(scope="module")
def begun_talk(begun, tmp_path_factory):
    root = shutil.copytree(begun, tmp_path_factory.mktemp("refused") / "run")
    with conversation(root) as talk:
        yield talk


def test_a_model_may_propose_and_not_approve(root):
    with conversation(root) as talk:
        waiting = talk._cycle.waiting
        for kind in ("approve", "run", "keep", "undo", "finish", "reject"):
            answer = Answer(shown_sha=shown_sha(talk.proposal), interrupt_id=waiting.id, answer=kind, by="model")
            with pytest.raises(Refusal, match="only a person"):
                talk.answer(answer)
        assert talk.proposal.model_dump(mode="json") == waiting.value
    with pytest.raises(Refusal, match="only a person"):
        carry_out(talk, CAPABILITIES["approve"], {}, "model")
    assert not {name for name in MODEL_TOOLS if not name.startswith(("propose_", "suggest"))} - {
        *("list_clusters", "show_cluster", "describe_cluster", "why_row", "review", "metrics", "history"),
        *("current_proposal", "read_rows"),
    }


@pytest.fixture(scope="module")
def told(begun, tmp_path_factory):
    """A finished conversation: reject, own action, keep, undo, two at once, finish."""
    root = shutil.copytree(begun, tmp_path_factory.mktemp("told") / "run")
    with conversation(root) as talk:
        say(talk, "/no", "/k 9", "/yes", "/keep", "/undo", "/try 1", "/yes", "/prune 0 furthest 0.5", "/yes")
    with conversation(root) as talk:
        say(talk, "/finish")
        assert talk.proposal is None
        with pytest.raises(Refusal, match="the run has ended"):
            say(talk, "/yes")
    return root


def test_a_conversation_ends_like_any_run_and_passes_the_audit(told):
    report = audit(told)
    assert report.failures == []
    assert report.finished
    result = summary(View.open(told))
    assert result.stop_reason == "chosen by a person"
    assert not result.converged
    outcomes = [entry.outcome for entry in result.rounds]
    assert outcomes[0] == "refused"
    assert outcomes.count("by_person") == 2
    assert outcomes[-1] == "stopped"
    page = (told / "report.html").read_text()
    assert "A person put this in force" in page


def rewrite(root, change):
    """Tell another story: change or leave out events, and seal the whole chain anew."""
    lines, head, number = [], "0" * 64, 0
    for event in read_log(root / "events.jsonl")[0]:
        body = change(event.body())
        if body is None:
            continue
        body |= {"prev_hash": head, "seq": number}
        head = sha256_json(body)
        lines.append(canonical_json(body | {"hash": head}) + b"\n")
        number += 1
    (root / "events.jsonl").write_bytes(b"".join(lines))


def _of(kind, edit, nth=0):
    seen = iter(range(1000))

    def change(body):
        if body["type"] == kind and next(seen) == nth:
            return edit(body)
        return body

    return change


def _unseen(body):
    body["answer"]["shown_sha"] = "0" * 64
    return body


def _yes_instead(body):
    body["answer"]["answer"] = "approve"
    return body


def _nobody(body):
    del body["answer"]["interrupt_id"]
    return body | {"actor": "agent"}


def _else(body):
    body["state"]["artefacts"]["assignments"] = body["state"]["artefacts"]["centroids"]
    return body


STORIES = {
    "the person saw something else": _of("approve", _unseen),
    "the person said no": _of("approve", _yes_instead),
    "nobody was asked": _of("approve", _nobody, nth=2),
    "an action of nobody's": _of("approve", lambda body: None, nth=2),
    "another action was asked for": _of("approve", lambda body: body["answer"]["action"].update(k=7) or body, nth=1),
    "something else was kept": _of("keep", _else),
    "something else came back": _of("undo", lambda body: body["state"]["values"].update(offer=True) or body),
    "a trial that paid less": _of("measure", lambda b: b["record"]["after"].update(value=9.0) or b, 1),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_forged_conversation_is_found(told, tmp_path, story):
    copy = shutil.copytree(told, tmp_path / "copy")
    rewrite(copy, STORIES[story])
    failures = audit(copy).failures
    assert [failure for failure in failures if "events.jsonl, line" in failure], failures
