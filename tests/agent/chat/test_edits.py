"""What a person does with single rows: put forward, approved, measured, kept whatever the probes say, and undone."""

import polars as pl
import pytest
from conversing import conversation, create, say
from rich.console import Console

from recryst.agent.account.explain import explain
from recryst.agent.audit import audit
from recryst.agent.chat.commands import COMMANDS, MODEL_TOOLS, carry_out, read
from recryst.agent.decide.approval import shown_sha
from recryst.agent.decide.facts import gather_budget
from recryst.agent.decide.person import answers, pinned
from recryst.agent.decide.proposals import Refusal
from recryst.agent.view import View
from recryst.state.actions import EditRows
from recryst.state.decision import Answer


@pytest.fixture(scope="module")
def begun(six_groups, tmp_path_factory):
    """A run that waits with its first proposal; one row in ten has the label of another group."""
    rows = pl.read_parquet(six_groups(lambda n, group: f"okapi {n} of quagga {group}"))
    wrong = [f"tapir{(int(label[-1]) + 1) % 6}" if n % 10 == 3 else label for n, label in enumerate(rows["label"])]
    names = ["zebra 0", *rows["id"][1:]]
    folder = tmp_path_factory.mktemp("edited")
    rows.with_columns(id=pl.Series(names), label=pl.Series(wrong)).write_parquet(folder / "rows.parquet")
    root = create(folder / "rows.parquet", folder / "run")
    with conversation(root):
        pass
    return root


def shown(talk, line):
    """What a command shows, as text."""
    command, *words = line.split()
    found = carry_out(talk, COMMANDS[command], read(COMMANDS[command], words), "person")
    talk.shown()
    console = Console(width=200)
    with console.capture() as captured:
        for one in found.shown:
            console.print(one)
    return captured.get()


def train(view):
    return view.ledger().filter((pl.col("status") == "kept") & (pl.col("split") == "train"))["id"].to_list()


def test_rows_are_dropped_and_come_back_and_the_whole_life_is_told(root):
    with conversation(root, "Ana") as talk:
        first, second, third = train(talk.session.view)[1:4]
        say(talk, f"/drop {first} {second}")
        assert talk.proposal.by == "person"
        assert talk.proposal.candidate.action.in_words() == "take out 2 rows"
        assert "a person said so" in shown(talk, "/preview")
        say(talk, "/yes")
        record = talk.session.view.history()[-1]
        assert record.outcome == "kept"
        assert record.reasons[0].startswith("a person said so; ")
        assert record.verdict.changes, "the probes were asked, and what they say stands in the log"
        assert {first, second}.isdisjoint(train(talk.session.view))
        say(talk, f"/restore {first}")
        assert "back" in shown(talk, "/preview 1 1")
        say(talk, "/yes")
        view = talk.session.view
        assert first in train(view)
        assert view.ledger().filter(pl.col("id") == first)["row"][0] in pinned(view)
        say(talk, f"/protect {third}", "/yes", "/finish")
    view = View.open(root)
    curated = pl.read_parquet(root / "curated" / "train-00000.parquet")["recryst_id"].to_list()
    removed = pl.read_parquet(root / "removed" / "removed-00000.parquet")["id"].to_list()
    assert {first, third} <= set(curated)
    assert (second in removed, first in removed) == (True, False)
    life = str(explain(view, first))
    assert "taken out by Ana" in life
    assert "brought back by Ana" in life
    assert "a person said: keep" in life
    assert "protected by Ana" in str(explain(view, third))
    assert audit(root).failures == []


def test_undo_takes_back_the_rows_and_what_was_said_of_them(root):
    with conversation(root) as talk:
        before = talk.session.view
        first, second, third = train(before)[1:4]
        say(talk, f"/protect {third}", "/yes", f"/drop {first}", "/yes", f"/relabel tapir5 {second}", "/yes")
        view = talk.session.view
        left = gather_budget(view)
        assert (left.rounds_left, left.held_still) == (gather_budget(before).rounds_left, False), "these are no tries"
        row = view.ledger().filter(pl.col("id") == second)["row"][0]
        assert view.labels()[row] == "tapir5"
        assert answers(view)["answer"].to_list().count("label") == 1
        say(talk, "/undo")
        assert talk.session.view.labels().equals(before.labels())
        say(talk, "/undo")
        assert sorted(train(talk.session.view)) == sorted(train(before))
        assert answers(talk.session.view)["answer"].to_list() == ["keep"], "the first protection still stands"
        say(talk, "/undo")
        assert answers(talk.session.view).is_empty()
        with pytest.raises(Refusal, match="nothing to undo"):
            say(talk, "/undo")
    assert audit(root).failures == []


def test_what_a_person_restored_no_action_takes_out_again(root):
    with conversation(root) as talk:
        labels = talk.session.view.labels()
        wrong = [row for row in talk.session.view.kept().tolist() if row % 10 == 3]
        ids = talk.session.view.ledger()["id"].gather(wrong).to_list()
        assert len(ids) > 4
        say(talk, f"/drop {ids[0]}", "/yes", f"/restore {ids[0]}", "/yes")
        cluster = talk.session.view.frame("assignments").filter(pl.col("row") == wrong[0])["cluster"][0]
        say(talk, f"/prune {cluster} drop", "/yes")
        if talk.proposal.rolled_back is not None:
            say(talk, "/keep")
        view = talk.session.view
        assert view.history()[-1].action.action == "prune"
        of = view.ledger()["reason"] == "prune_drop"
        assert of.sum() > 5
        assert view.ledger()["status"][wrong[0]] == "kept"
        assert view.labels()[wrong[0]] == labels[wrong[0]]
    assert audit(root).failures == []


def test_what_cannot_be_done_is_refused_in_a_sentence_and_nothing_is_logged(root):
    with conversation(root) as talk:
        view, known = talk.session.view, len(talk.session.log.events)
        ledger, kept = view.ledger(), [one for one in train(view) if " " not in one]
        held = ledger.filter(pl.col("split") == "anchor")["id"][0]
        for line, why in (
            (f"/restore {kept[0]}", "was not removed; nothing was done"),
            ("/restore 'zebra 0'", "row zebra 0 was not removed"),
            (f"/drop {held}", "is held out to measure with"),
            ("/drop zebra-5x", "there is no row 'zebra-5x'; did you mean 'zebra-5'"),
            (f"/drop {' '.join(kept)}", "caps.step_fraction"),
            (f"/relabel tapyr1 {kept[0]}", "did you mean 'tapir1'"),
            ("/drop 'zebra", "No closing quotation"),
            ("/drop", "rows: Field required"),
            ("/relabel tapir1", "rows: Field required|label: Field required"),
        ):
            with pytest.raises(Refusal, match=why):
                say(talk, line)
        assert len(talk.session.log.events) == known
        waiting = talk._cycle.waiting
        action = EditRows(edit="drop", rows=(int(view.kept()[0]),))
        model = Answer(
            shown_sha=shown_sha(talk.proposal), interrupt_id=waiting.id, answer="choose", by="model", action=action
        )
        with pytest.raises(Refusal, match="only a person may say what becomes of single rows"):
            talk.answer(model)
        assert {"restore_rows", "drop_rows", "protect_rows", "label_rows", "preview"}.isdisjoint(MODEL_TOOLS)
        assert "without 1 row: row" in shown(talk, f"/drop {kept[0]} {held}")
        assert "would remove" not in shown(talk, "/preview")
