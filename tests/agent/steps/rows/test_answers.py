"""What a person said of single rows: it comes in force, no step goes against it, and it can be taken back."""

import numpy as np
import polars as pl
import pytest
from small_view import FLIPPED, Round, flipped_round, ignored

from recryst.agent.decide.person import answers, pinned, waiting, with_answer
from recryst.agent.decide.suspects import suspect_counts, suspects
from recryst.agent.decide.undo import kept as keep_after_all
from recryst.agent.decide.undo import standing_actions
from recryst.agent.steps.approve import UNDO
from recryst.agent.steps.clean import Clean, Filter, separated
from recryst.agent.steps.repeats import Dedup, HoldOut
from recryst.agent.steps.rows.answers import Answers, Apply
from recryst.agent.steps.rows.held_out import JudgeHeldOut
from recryst.agent.steps.rows.removals import changed
from recryst.state.actions import Deduplicate, Prune, Relabel, RemoveSuspects
from recryst.state.decision import RowAnswer
from recryst.state.errors import InputError, UsageError
from recryst.state.rows import Removal

LIMIT = 0.2
SAID = pl.Schema({"row": pl.UInt32, "answer": pl.String, "label": pl.String})


@pytest.fixture
def run(tmp_path):
    return flipped_round(tmp_path)


@pytest.fixture
def begun(run):
    return run.described(run.held_out())


def told(run, view, **said):
    """The view once a person said this of rows by their id: keep, remove, or a label."""
    lines = [
        (int(row[1:]), word if word in ("keep", "remove") else "label", None if word in ("keep", "remove") else word)
        for row, word in said.items()
    ]
    return run.holding(view, answers=pl.DataFrame(lines, schema=SAID, orient="row").sort("row"))


def filed(run, view, **said):
    """The view once this was read from an answered list, and came in force."""
    lines = [(row, *(("label", word) if word.startswith("g") else (word, None))) for row, word in said.items()]
    file = pl.DataFrame(lines, schema={"id": pl.String, "answer": pl.String, "label": pl.String}, orient="row")
    return run.step(run.holding(view, answer_file=file), Answers())


def planted(view):
    """The rows with a wrong label that are in training."""
    return sorted(set(FLIPPED) & set(view.kept().tolist()))


# In a file beside the input -------------------------------------------------------------------------------------------


def test_an_answered_list_comes_in_force_before_anything_else_is_measured(run):
    cleaned = run.step(run.loaded(), Clean())
    view = filed(run, cleaned, r5="g1", r17="remove", r20="keep")
    event = view.events[-1]
    assert (event.type, event.actor, event.kept, event.removed, event.labelled, event.lost) == (
        *("answers", "human", 1, 1, 1), 0,
    )  # fmt: skip
    assert view.labels()[5] == "g1"
    line = view.ledger().row(17, named=True)
    assert (line["status"], line["stage"], line["reason"]) == ("removed", "answers", "person")
    assert pinned(view).tolist() == [5, 20]
    assert np.setdiff1d(cleaned.kept(), view.kept()).tolist() == [17]


def test_an_answer_on_a_copy_is_one_on_the_row_that_stays(run):
    text = run.rows["text"].to_list()
    text[40] = text[5]
    run.rows = run.rows.with_columns(text=pl.Series(text), label=pl.lit("g0"))
    view = run.step(run.loaded(), Clean())
    gone, stays = (5, 40) if 40 in view.kept() else (40, 5)
    assert gone not in view.kept()
    there = filed(run, view, **{f"r{gone}": "remove", "r99": "keep", "r20": "g1"})
    assert (stays in there.kept(), there.events[-1].lost) == (False, 1)
    own = filed(run, view, **{f"r{gone}": "remove", f"r{stays}": "keep"})
    assert (stays in own.kept(), own.events[-1].lost) == (True, 1)


def test_answers_on_other_data_are_refused(run):
    view = run.step(run.loaded(), Clean())
    with pytest.raises(InputError, match="none of its 2 rows is in the data"):
        filed(run, view, r900="keep", r901="remove")
    run.known = {"label_column": None, "source_column": None}
    with pytest.raises(InputError, match="it labels rows, but no label column is named"):
        filed(run, run.step(run.loaded(), Clean()), r5="g1")


def test_a_label_that_no_row_has_is_said_with_the_nearest_one(run):
    view = run.step(run.loaded(), Clean())
    file = pl.DataFrame({"id": ["r5"], "answer": ["label"], "label": ["g11"]})
    draft = Answers().derive(run.holding(view, answer_file=file), None)
    assert any("no row of the data has the label 'g11' so far; 'g1' is near it" in line for line, _ in draft.lines)


# No step goes against it ----------------------------------------------------------------------------------------------


def test_a_row_that_a_person_keeps_is_no_suspect_and_counts_for_none(run, begun):
    first, *rest = planted(begun)
    view = told(run, begun, **{f"r{first}": "keep"})
    action = RemoveSuspects(by="label_support", threshold=LIMIT)
    assert suspects(view, action).rows.tolist() == rest
    assert set(suspects(view, Relabel(threshold=LIMIT)).rows.tolist()) == set(rest)
    assert sum(suspect_counts(begun)["label_support"].values()) > sum(suspect_counts(view)["label_support"].values())
    one = action.model_copy(update={"target_rows": len(view.kept()) - 1})
    assert len(suspects(view, one).rows) == 1


@pytest.mark.parametrize("word", ["keep", "g2"])
def test_no_action_takes_out_a_row_that_a_person_keeps_or_labels(run, begun, word):
    kept, cluster = begun.kept(), int(begun.frame("assignments")["cluster"][0])
    members = begun.frame("assignments").filter(pl.col("cluster") == cluster)["row"].to_list()
    view = told(run, begun, **{f"r{members[0]}": word})
    gone = np.setdiff1d(
        kept, run.acted(run.choosing(view, Prune(clusters=(cluster,), strategy="drop"))).kept("trial_ledger")
    )
    assert set(gone.tolist()) == set(members[1:])
    alike = Deduplicate(cosine=0.9999, which_to_keep="furthest")
    twins = changed(begun, alike).ledger.filter(pl.col("reason") == "semantic_duplicate")["row"].to_list()
    if twins:
        assert changed(told(run, begun, **{f"r{twins[0]}": word}), alike).rows == len(twins) - 1


def test_no_step_of_the_first_separation_does_but_for_the_text_of_a_benchmark(run):
    view = told(run, run.step(run.loaded(), Clean()), r7="keep")
    rows = np.array([6, 7, 8], dtype=np.uint32)
    removal = Removal("near_duplicate", rows, np.array([0.9, 0.8, 0.7]), 0.6, np.array([1, 2, 3], dtype=np.uint32))
    draft = separated(view, "dedup", [removal], {}, ("ledger",))
    left = draft.artefacts["ledger"].filter(pl.col("reason") == "near_duplicate").select("row", "score", "duplicate_of")
    assert left.rows() == [(6, 0.9, "r1"), (8, 0.7, "r3")]
    assert draft.fields["by_reason"] == {"near_duplicate": 2}
    other = separated(view, "decontaminate", [removal], {}, ("ledger",))
    assert other.fields["by_reason"] == {"near_duplicate": 3}


def test_a_held_out_row_is_left_as_the_person_has_it(run, begun):
    [wrong] = set(FLIPPED) & set(begun.anchor().tolist())
    for action in (Relabel(threshold=LIMIT), RemoveSuspects(by="label_support", threshold=LIMIT)):
        view = told(run, begun, **{f"r{wrong}": "keep"})
        kept = run.measured(run.acted(run.choosing(view, action)), met=1.0)
        assert JudgeHeldOut().due(kept)
        judged = run.step(kept, JudgeHeldOut(), JudgeHeldOut().measure(None, kept, ignored))
        assert wrong in judged.anchor()
        assert judged.labels()[wrong] == begun.labels()[wrong]


def test_a_person_confirms_a_held_out_row(run):
    view = run.held_out()
    [wrong] = set(FLIPPED) & set(view.anchor().tolist())
    support = [0.0 if row == wrong else 0.9 for row in view.anchor()]
    held_out = pl.DataFrame({"row": view.anchor(), "label_support": support})
    from recryst.agent.steps.experiment import borne_out

    assert not borne_out(view, held_out).all()
    assert borne_out(told(run, view, **{f"r{wrong}": "keep"}), held_out).all()


# In conversation ------------------------------------------------------------------------------------------------------


def test_what_was_said_in_conversation_comes_in_force_and_is_measured_anew(run, begun):
    a, b, c = planted(begun)[:3]
    view = told(run, begun, **{f"r{a}": "g0", f"r{b}": "remove", f"r{c}": "keep"})
    assert waiting(view) == (2 if begun.labels()[a] != "g0" else 1)
    after = run.step(view, Apply())
    assert waiting(after) == 0
    assert (after.events[-1].type, after.events[-1].actor) == ("apply", "human")
    assert after.labels()[a] == "g0"
    assert np.setdiff1d(view.kept(), after.kept()).tolist() == [b]
    again = run.described(after)
    assert [event.type for event in again.events].count("baseline") == 2
    assert again.frame("evidence")["row"].to_list() == after.kept().tolist()


def test_a_row_that_is_kept_has_its_own_label_again(run, begun):
    relabelled = run.described(run.measured(run.acted(run.choosing(begun, Relabel(threshold=LIMIT))), met=1.0))
    row, *others = relabelled.relabelled()["row"].to_list()
    after = run.step(told(run, relabelled, **{f"r{row}": "keep"}), Apply())
    assert after.labels()[row] == begun.labels()[row]
    assert after.relabelled()["row"].to_list() == others
    alone = told(run, relabelled, **{f"r{row}": "keep" for row in (row, *others)})
    assert not run.step(alone, Apply()).has("relabelled")


def test_undo_takes_back_what_came_in_force_with_what_was_said(run, begun):
    kept = run.described(run.measured(run.acted(run.choosing(begun, Relabel(threshold=LIMIT))), met=1.0))
    row = int(kept.kept()[3])
    after = run.described(run.step(told(run, kept, **{f"r{row}": "remove"}), Apply()))
    assert [action.action for action in standing_actions(after)] == ["relabel"]
    back = run.step(after, UNDO)
    assert row in back.kept()
    assert back.labels().equals(kept.labels())
    assert back.values.objective == kept.values.objective
    assert (answers(back).height, waiting(back)) == (0, 0)
    first = run.step(told(run, back, **{f"r{row}": "keep"}), UNDO)
    assert first.labels().equals(begun.labels())
    assert answers(first).height == 1, "that was said of the rows, and not of the action"


def test_a_trial_that_takes_out_a_row_that_a_person_keeps_is_not_kept_after_all(tmp_path):
    run = Round(tmp_path, approve=True)
    begun = run.described(run.held_out())
    cluster = int(begun.frame("assignments")["cluster"][0])
    back = run.measured(run.acted(run.choosing(begun, Prune(clusters=(cluster,), strategy="drop"))), met=0.0)
    row = int(begun.frame("assignments").filter(pl.col("cluster") == cluster)["row"][0])
    keep_after_all(back)
    with pytest.raises(UsageError, match="takes out rows that you keep"):
        keep_after_all(told(run, back, **{f"r{row}": "keep"}))


def test_only_of_a_row_that_stands_can_something_be_said(run, begun):
    once = run.holding(begun, answers=with_answer(begun, RowAnswer(row=7, answer="keep")))
    twice = with_answer(once, RowAnswer(row=7, answer="remove"))
    assert twice.rows() == [(7, "remove", None)]
    gone = run.step(run.holding(begun, answers=twice), Apply())
    for row in (7, 10_000):
        with pytest.raises(UsageError, match="no row of the input that stands"):
            with_answer(gone, RowAnswer(row=row, answer="keep"))
    with pytest.raises(UsageError, match="held out to measure with"):
        with_answer(begun, RowAnswer(row=int(begun.anchor()[0]), answer="keep"))
    for wrong in ({"answer": "label"}, {"answer": "keep", "label": "g1"}):
        with pytest.raises(ValueError, match="names a label"):
            RowAnswer(row=1, **wrong)


def test_the_steps_go_on_after_answers(run):
    view = filed(run, run.step(run.loaded(), Clean()), r5="g1", r17="remove")
    for step in (Filter(), Dedup(), HoldOut()):
        view = run.step(view, step)
    described = run.described(view)
    assert described.values.cleaned_rows == len(run.rows) - 1 - (len(run.rows) - 1 - described.values.cleaned_rows)
    assert 17 not in np.concatenate([described.kept(), described.anchor()])
