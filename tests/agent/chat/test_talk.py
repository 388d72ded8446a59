"""A conversation with a scripted model: it may propose and never approve, and no word of the data reaches it."""

import contextlib
import json

import pytest
from conversing import conversation, create

from recryst.agent.audit import audit
from recryst.agent.chat.talk import TURNS, Talk
from recryst.agent.decide.proposals import Refusal

WORDS = ("zebra", "okapi", "quagga", "tapir")


@pytest.fixture
def with_model(data, tmp_path, script):
    """Begin a conversation with a scripted model; returns the talk, what was shown, and the script."""
    with contextlib.ExitStack() as stack:

        def begin(policy, *settings):
            asked = script(policy)
            root = create(data, tmp_path / "run", f"llm.model={asked.model}", *settings)
            conversing = stack.enter_context(conversation(root))
            shown = []
            return Talk(conversing, conversing.session.model, shown.append), shown, asked

        yield begin


def scripted(**by_message):
    """A model that answers a message with its tool calls in turn, and then with words."""

    def policy(question):
        if not question["tools"]:
            return {"about": "striped animals, okapi and quagga", "outliers": ""}
        key = question["said"].split()[0]
        done = 0
        for turn in reversed(question["messages"]):
            if turn["role"] == "user":
                break
            done += turn["role"] == "tool"
        calls = by_message[key]
        return {"tool": calls[done][0], "arguments": calls[done][1]} if done < len(calls) else f"That was {key}."

    return policy


def test_no_word_of_the_data_reaches_the_model_that_has_tools(with_model):
    calls = {
        "all": [("list_clusters", {}), ("show_cluster", {"cluster": 0}), ("describe_cluster", {"cluster": 0})],
        "more": [
            ("metrics", {}),
            ("review", {}),
            ("history", {}),
            ("current_proposal", {}),
            ("suggest", {"command": "y"}),
        ],
        "row": [("why_row", {"row": "rows-are-data"}), ("show_cluster", {"cluster": 99}), ("no_such", {})],
    }
    talk, shown, model = with_model(scripted(**calls))
    said = []
    for key in calls:
        talk.say(f"{key} of it please", said.append)
    assert "".join(said).split("\n")[:-1] == [f"That was {key}." for key in calls]
    with_tools = [json.dumps(question) for question in model.asked if question["tools"]]
    without = [json.dumps(question) for question in model.asked if not question["tools"]]
    assert len(with_tools) == sum(len(one) + 1 for one in calls.values())
    assert len(without) == 1
    assert "okapi" in without[0]
    assert not [word for body in with_tools for word in WORDS if word in body]
    printed = "\n".join(_rendered(one) for one in shown)
    assert all(word in printed for word in ("zebra", "okapi", "striped animals"))
    events = [event for event in talk._conversation.session.log.events if event.type == "chat"]
    assert [len(event.llm) for event in events] == [5, 6, 4]
    assert list(events[0].tools) == ["list_clusters", "show_cluster", "describe_cluster"]


def _rendered(shown):
    from rich.console import Console

    console = Console(width=200)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def test_what_a_model_proposes_waits_for_the_person(with_model):
    calls = {"nine": [("propose_k", {"k": 9}), ("propose_k", {"k": 10**9}), ("approve", {}), ("keep", {})]}
    talk, _, _ = with_model(scripted(**calls))
    talk.say("nine clusters", print)
    conversing = talk._conversation
    assert conversing.proposal.by == "model"
    assert conversing.proposal.candidate.action.params == {"algorithm": "kmeans", "k": 9}
    assert conversing.session.view.history() == ()
    assert conversing.unseen
    with pytest.raises(Refusal):  # the person has not seen it yet
        conversing.reply("approve")
    conversing.shown()
    conversing.reply("approve")
    assert conversing.session.view.history()[0].action.params == {"algorithm": "kmeans", "k": 9}
    assert audit(conversing.session.run.root).failures == []


def test_a_model_that_only_calls_tools_is_stopped(with_model):
    talk, shown, model = with_model(lambda question: {"tool": "metrics", "arguments": {}})
    talk.say("on and on", print)
    assert len(model.asked) == TURNS
    assert f"called tools {TURNS} times" in _rendered(shown[-1])


def test_a_model_that_fails_costs_the_message_and_nothing_else(with_model):
    from recryst.state.errors import ModelError

    failures = iter([RuntimeError])

    def policy(question):
        for failure in failures:
            raise failure
        return "Fine."

    talk, _, _ = with_model(policy)
    with pytest.raises(ModelError):
        talk.say("hello", print)
    said = []
    talk.say("hello again", said.append)
    assert "".join(said) == "Fine.\n"
    assert [message.content for message in talk._messages] == ["hello again", "Fine."]
