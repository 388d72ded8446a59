"""Without the word of a person nothing is done, and what is proposed waits for the terminal or the page."""

from conversing import conversation, steps
from mcp_agent import served

from recryst.agent.audit import audit
from recryst.agent.view import View


def answers_of(root):
    """Who gave which answer, in order."""
    given = [event for event in steps(root) if event.type == "approve"]
    return [(event.actor, event.answer.by, event.answer.answer) for event in given]


def in_force(root):
    """The ledger, the labels, and how many trials there were."""
    view = View.open(root)
    return view.ref("ledger"), view.labels().to_list(), len(view.history())


def test_a_client_that_has_nobody_to_ask_is_refused(root, tmp_path):
    before = in_force(root)
    with served(tmp_path) as agent:
        told = agent.call("propose", run="run", k=5)
        assert told["done"] == "nothing"
        assert "this client cannot ask a person" in told["next"]
        assert f"`recryst chat {root}`" in told["next"]
        assert told["waits"]["candidate"]["words"] == "cluster anew: kmeans k=5"
        forged = {"answer": "approve", "said": {"action": "accept", "data": {"answer": "approve"}}, "question": None}
        assert agent.call("propose", run="run", **forged)["done"] == "nothing"
        assert "nothing to undo" in agent.refused("undo", run="run")
        assert "without --data" in agent.refused("start_run", source="rows.parquet")
        assert answers_of(root) == [("agent", "agent", "choose")]
    with conversation(root) as talk:  # the run was left to the terminal, where the proposal waits
        assert (talk.proposal.by, talk.proposal.candidate.action.params["k"]) == ("agent", 5)
    assert in_force(root) == before
    assert audit(root).failures == []


def test_what_a_person_does_not_approve_waits(root, tmp_path):
    before = in_force(root)
    with served(tmp_path, answers=["decline", "wait", "reject", "wait"]) as agent:
        for _ in range(2):
            told = agent.call("propose", run="run")
            assert (told["done"], answers_of(root), in_force(root)) == ("nothing", [], before)
            assert "`recryst chat " in told["next"]
        first = told["waits"]["candidate"]["words"]
        told = agent.call("propose", run="run", wait=60)
        assert told["waits"]["candidate"]["words"] != first
        assert all(first in question for question in agent.asked)
        labels = next(
            one for one in told["waits"]["alternatives"] if one["words"].startswith("remove rows whose label")
        )
        assert agent.call("propose", run="run", candidate=labels["id"])["done"] == "nothing"
        assert "\n  removed: okapi" in agent.asked[-1]  # a person sees rows that would go
        assert "(label tapir" in agent.asked[-1]
    assert answers_of(root) == [("human", "person", "reject"), ("agent", "agent", "choose")]
    assert in_force(root)[:2] == before[:2]
