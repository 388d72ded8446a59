"""What the tabulator offers, by what was typed before it."""

from conversing import conversation, create, say

from recryst.agent.chat.keyboard import completions


def test_what_is_offered_is_what_the_command_takes(data, tmp_path):
    root = create(data, tmp_path / "run")
    with conversation(root) as talk:
        assert {"/clusters", "/restore", "/help", "/quit"} <= set(completions(talk, ""))
        kept = talk.session.view.ledger()["id"].gather(talk.session.view.kept()).to_list()
        assert completions(talk, "/drop ") == kept
        assert completions(talk, "/restore ") == []
        say(talk, f"/drop {kept[4]}", "/yes")
        assert completions(talk, "/restore ") == [kept[4]]
        assert completions(talk, f"/protect {kept[0]} ") == [id for id in kept if id != kept[4]]
        assert completions(talk, "/relabel ") == [f"tapir{n}" for n in range(6)]
        assert completions(talk, "/show ") == [str(n) for n in range(6)]
        assert completions(talk, "/answer ") == ["keep", "remove", "label"]
        assert completions(talk, "what is ") == []
