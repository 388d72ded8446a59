"""Rows in doubt, one by one, in conversation: what is said of them is an event, comes in force when asked for, and
counts."""

import polars as pl
import pytest
from conversing import conversation, say, steps
from rich.console import Console

from recryst.agent.account.explain import explain
from recryst.agent.audit import audit
from recryst.agent.chat.commands import COMMANDS, MODEL_TOOLS, carry_out, read
from recryst.agent.decide.person import answers
from recryst.agent.decide.proposals import Refusal
from recryst.agent.decide.review import in_doubt
from recryst.agent.view import View
from recryst.state.decision import Answer


@pytest.fixture(scope="module")
def data(six_groups, tmp_path_factory):
    """Rows of which one in ten has the label of another group."""
    rows = pl.read_parquet(six_groups(lambda n, group: f"okapi {n} of quagga {group}"))
    wrong = [f"tapir{(int(label[-1]) + 1) % 6}" if n % 10 == 3 else label for n, label in enumerate(rows["label"])]
    path = tmp_path_factory.mktemp("doubted") / "rows.parquet"
    rows.with_columns(label=pl.Series(wrong)).write_parquet(path)
    return path


def shown(talk, line, by="person"):
    """What a command shows, as text, and what a model is told."""
    command, *words = line.split()
    found = carry_out(talk, COMMANDS[command], read(COMMANDS[command], words), by)
    console = Console(width=200)
    with console.capture() as captured:
        for one in found.shown:
            console.print(one)
    return captured.get(), found.told


def test_the_first_row_in_doubt_is_shown_with_its_evidence_and_answered(root):
    with conversation(root) as talk:
        every, kept = in_doubt(talk.session.view), talk.session.view.kept()
        doubts = every.filter(pl.col("row").is_in(kept))
        assert doubts.height >= 3
        ids = talk.session.view.ledger()["id"].gather(doubts["row"])
        text, told = shown(talk, "/review")
        assert ids[0] in text
        assert f"of {doubts.height} rows in doubt" in text
        assert "suggested: tapir" in text
        assert told["rows_in_doubt"] == doubts.height
        before = talk.proposal
        text, _ = shown(talk, "/answer label")
        assert ids[1] in text, "the next one is shown"
        assert talk.proposal == before
        assert not talk.unseen, "the proposal that was shown goes on waiting"
        say(talk, "/answer keep", "/answer remove")
        said = [(event.answer.about.row, event.answer.about.answer) for event in steps(root) if event.type == "approve"]
        assert said == list(zip(doubts["row"][:3], ("label", "keep", "remove"), strict=True))
        assert talk.session.view.ledger().equals(View.open(root).ledger())
        assert len(talk.session.view.kept()) == len(talk.session.view.at(talk.session.view.seq - 3).kept())
    assert audit(root).failures == []


def test_what_was_said_is_done_when_asked_for_and_no_action_goes_against_it(root):
    with conversation(root) as talk:
        say(talk, "/review", "/answer label", "/answer keep", "/answer remove")
        first, second, third = (event.answer.about for event in steps(root) if event.type == "approve")
        say(talk, "/apply")
        view = talk.session.view
        assert view.labels()[first.row] == first.label
        assert second.row in view.kept()
        assert third.row not in view.kept()
        assert {first.row, second.row}.isdisjoint(in_doubt(view)["row"])
        say(talk, "/run 8", "/finish")
    view = View.open(root)
    assert view.labels()[first.row] == first.label
    line = view.ledger().row(third.row, named=True)
    assert (line["stage"], line["reason"]) == ("apply", "person")
    assert view.ledger()["status"][second.row] == "kept"
    assert view.labels()[second.row] == view.frame("rows", "label")["label"][second.row]
    assert "apply" in str(explain(view, line["id"]))
    assert "a person said: keep" in str(explain(view, view.ledger()["id"][second.row]))
    assert audit(root).failures == []


def test_the_run_does_not_end_over_what_was_said_and_not_done(root):
    with conversation(root) as talk:
        say(talk, "/review", "/answer remove")
        with pytest.raises(Refusal, match="what you said of 1 row is not in force yet: /apply"):
            say(talk, "/finish")
        kept = len(talk.session.view.kept())
        say(talk, "/apply", "/undo")
        assert len(talk.session.view.kept()) == kept
        say(talk, "/review", "/answer remove", "/apply")
        assert len(talk.session.view.kept()) == kept - 1
        said = answers(talk.session.view)
        say(talk, "/review", "/answer remove", "/apply", "/undo")
        assert answers(talk.session.view).equals(said), "what came in force before stays said"
        assert len(talk.session.view.kept()) == kept - 1
        with pytest.raises(Refusal, match="nothing that you said of single rows is still to be done"):
            say(talk, "/apply")
        say(talk, "/finish")
    assert steps(root)[-1].type == "publish"
    assert audit(root).failures == []


def test_it_is_remembered_by_whoever_comes_back(root):
    with conversation(root) as talk:
        say(talk, "/review", "/answer remove")
    with conversation(root) as talk:
        with pytest.raises(Refusal, match="no row was shown yet"):
            say(talk, "/answer keep")
        say(talk, "/apply")
    assert [event.type for event in steps(root)].count("apply") == 1


def test_what_cannot_be_understood_is_refused_in_a_sentence(root):
    with conversation(root) as talk:
        shown(talk, "/review")
        before = len(talk.session.log.events)
        for line, why in (
            ("/answer perhaps", "an answer is keep, remove or label NAME, not 'perhaps'"),
            ("/answer label tapyr1", "no row has the label 'tapyr1'; did you mean 'tapir1'"),
            ("/answer", "said: Field required"),
            ("/apply", "nothing that you said"),
        ):
            with pytest.raises(Refusal, match=why):
                say(talk, line)
        assert len(talk.session.log.events) == before


def test_a_model_is_told_how_many_and_says_nothing_of_a_row(root):
    assert "review" in MODEL_TOOLS
    assert {"answer_row", "apply"}.isdisjoint(MODEL_TOOLS)
    with conversation(root) as talk:
        text, told = shown(talk, "/review", by="model")
        assert text == ""
        assert told["rows_in_doubt"] == sum(told["by"].values()) > 0
        waiting = talk._cycle.waiting
        from recryst.agent.decide.approval import shown_sha

        row = int(talk.session.view.kept()[0])
        about = {"row": row, "answer": "remove"}
        answer = Answer(
            shown_sha=shown_sha(talk.proposal), interrupt_id=waiting.id, answer="review", about=about, by="model"
        )
        with pytest.raises(Refusal, match="only a person may approve"):
            talk.answer(answer)
