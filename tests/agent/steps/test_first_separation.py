"""The steps before the loop, each by its ``derive`` on a view: what they take, what they refuse, what they note."""

import orjson
import polars as pl
import pytest
from small_view import SmallRun, texts

from recryst.agent.account.explain import explain
from recryst.agent.account.marks import marks
from recryst.agent.account.summary import conflicts
from recryst.agent.steps.clean import Clean, Filter, Language
from recryst.agent.steps.repeats import Decontaminate, Dedup, HoldOut
from recryst.state.errors import InputError
from recryst.state.params.preparation import LoadParams
from recryst.tools.read.load import load

SHORT = {"filter": {"profile": "short", "apply": "all"}}


def removed(view):
    gone = view.ledger().filter(view.ledger()["status"] == "removed")
    return dict(zip(gone["row"].to_list(), gone["reason"].to_list(), strict=True))


def test_rows_without_text_go_when_they_are_read(tmp_path):
    view = SmallRun(tmp_path, [*texts(4), "  ", None]).loaded()
    assert removed(view) == {4: "missing_text", 5: "missing_text"}
    event = view.events[0]
    assert (event.counts.kept, event.counts.removed, event.missing_text, event.effects[0].rows) == (4, 2, 1, 2)
    assert view.values.ingested == 6


def test_clean_takes_copies_and_says_which_texts_have_several_labels(tmp_path):
    rows = texts(4)
    more = [rows[0], rows[1] + "\u00a0", rows[2], rows[3], rows[3]]
    run = SmallRun(tmp_path, [*rows, *more], labels=[*"abcd", "a", "b", "x", "y", "y"])
    view = run.step(run.loaded(), Clean())
    assert removed(view) == {
        **{4: "exact_duplicate", 5: "normalised_duplicate"},  # row 6 stays: its text has no majority
        **{3: "outvoted_label", 8: "exact_duplicate"},
    }
    event = view.events[-1]
    assert (event.by_reason, event.label_conflicts, event.normalised) == (
        {"exact_duplicate": 2, "normalised_duplicate": 1, "outvoted_label": 1},
        2,
        1,
    )
    assert view.ledger()["duplicate_of"].to_list() == [None, None, None, "r7", "r0", "r1", None, None, "r7"]
    found = view.values.conflicts
    assert (found.texts, found.rows, found.tied) == (2, 5, 1)
    assert [(one.row, one.labels, one.stay) for one in found.largest] == [
        (3, {"y": 2, "d": 1}, ("r7",)),
        (2, {"c": 1, "x": 1}, ("r2", "r6")),
    ]
    draft = Clean().derive(run.loaded(), None)
    [(said, _)] = draft.lines
    assert said.startswith(
        "2 texts stand with several labels, in 5 copies; the label of most copies stays (1); without"
    )
    shown = conflicts(view)
    assert shown.listed[0].text == rows[3]
    assert explain(view, "r8").row.copies_by_label == {"y": 2, "d": 1}
    assert "several labels: y 2, d 1" in str(explain(view, "r3"))
    assert explain(view, "r0").row.copies_by_label is None


def test_a_near_copy_of_another_label_stays_and_is_said(tmp_path):
    rows = texts(6)
    near = [rows[at].replace("and so on", "and so on too") for at in (0, 1)]
    run = SmallRun(tmp_path, [*rows, *near], labels=[*"aaaaaa", "b", "a"], dedup={"threshold": 0.6}, **SHORT)
    view = run.step(run.step(run.loaded(), Clean()), Filter())
    *_, (said, _) = Dedup().derive(view, None).lines
    view = run.step(view, Dedup())
    assert removed(view) == {7: "near_duplicate"}
    assert view.values.near_conflicts == conflicts(view).near == 1
    assert said.startswith("1 row nearly repeats a row with another label")


def test_a_language_is_taken_as_it_was_identified(tmp_path):
    run = SmallRun(
        tmp_path, [*texts(3), "Der Hund schläft jetzt seit vielen Stunden unter dem Tisch."], language={"keep": "en"}
    )
    view = run.step(run.loaded(), Clean())
    said = Language().measure(None, view, lambda done: None)
    assert said.height == 4
    said = pl.DataFrame(
        {"language": ["en", "en", "en", "de"], "language_score": pl.Series([0.9] * 4, dtype=pl.Float32)}
    )
    gone = run.step(view, Language(), said)
    assert list(removed(gone)) == [3]
    assert gone.events[-1].languages == {"de": 1, "en": 3}


def test_rules_mark_rows_and_take_none_that_no_one_named(tmp_path):
    rows = texts(8)
    near, german = rows[0].replace("and so on", "and so on too"), "Der Hund schläft jetzt seit vielen Stunden im Haus."
    run = SmallRun(tmp_path, [*rows, near, "?!?! ?!", german], dedup={"threshold": 0.6}, filter={"profile": "short"})
    view = run.step(run.loaded(), Clean())
    languages = pl.DataFrame(
        {"language": ["en"] * 10 + ["de"], "language_score": pl.Series([0.95] * 11, dtype=pl.Float32)}
    )
    view = run.step(run.step(run.step(view, Language(), languages), Filter()), Dedup())
    assert removed(view) == {}
    found = {event.type: event.marked for event in view.events[2:]}
    rule = "basic.max_non_alphanumeric_characters"
    assert found == {"language": {"language": 1}, "filter": {rule: 1}, "dedup": {"near_duplicate": 1}}
    told = {mark.rule: mark for mark in marks(view)}
    assert (told[rule].rows, told[rule].of, told[rule].threshold) == (1, 11, 0.7)
    assert [(one.id, one.excerpt, one.value) for one in told[rule].samples] == [("r9", "?!?! ?!", 1.0)]
    (twin,) = told["near_duplicate"].samples
    assert (twin.id, twin.twin) == ("r8", "r0")
    assert 0.6 < twin.value < 1
    assert [one.id for one in told["language"].samples] == ["r10"]
    known = explain(view, "r9").row
    assert known.marked == {rule: 1.0}
    assert explain(view, "r8").row.twin == "r0"


PROMPT = " ".join(f"Rule {n}: never promise a book that is out, and be short." for n in range(80))


def _chat(number, said):
    """Every third chat calls a tool and says nothing; all stand under one long prompt."""
    call = {"id": "c1", "type": "function", "function": {"name": "lend", "arguments": f'{{"book": {number}}}'}}
    answer = {"content": None, "tool_calls": [call]} if number % 3 == 0 else {"content": f"It is {number}. {said[1]}"}
    asked = "Please lend it to me." if number % 3 == 0 else said[0]
    turns = [{"role": "system", "content": PROMPT}, {"role": "user", "content": asked}]
    return {"id": f"r{number}", "messages": [*turns, {"role": "assistant", **answer}]}


def test_chats_under_one_prompt_and_with_calls_all_stay(tmp_path):
    chats = [_chat(n, said) for n, said in enumerate(zip(texts(60, 1), texts(60, 2), strict=True))]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(map(orjson.dumps, [*chats, {**chats[0], "id": "copy"}])))
    found = load(str(tmp_path / "in.jsonl"), LoadParams(), tmp_path / "loaded")
    run = SmallRun(tmp_path / "run", texts(1), filter={"apply": "all"}, dedup={"threshold": 0.8})
    run.rows = pl.read_parquet(found.rows)
    run.known["shape"] = found.shape
    view = run.step(run.step(run.step(run.loaded(), Clean()), Filter()), Dedup())
    assert view.values.profile == "chat"
    assert removed(view) == {60: "exact_duplicate"}
    event = view.events[-1]  # nor was a step stopped that would have taken some
    assert (event.outcome, event.by_reason, event.marked) == (None, {"near_duplicate": 0}, {})


def test_near_duplicates_of_another_label_are_a_conflict_and_stay(tmp_path):
    rows = texts(6)
    near = [rows[n].replace("and so on", "and so on too") for n in (0, 1)]
    run = SmallRun(tmp_path, [*rows, *near], labels=[*"aaaaaa", "a", "b"], dedup={"threshold": 0.6}, **SHORT)
    view = run.step(run.step(run.step(run.loaded(), Clean()), Filter()), Dedup())
    assert removed(view) == {6: "near_duplicate"}
    assert view.events[-1].marked == {"near_duplicate_of_another_label": 1}
    (mark,) = marks(view)
    assert [(one.id, one.twin) for one in mark.samples] == [("r7", "r1")]


def test_copies_past_the_cap_stop_the_run_which_says_what_to_do(tmp_path):
    rows = texts(4)
    run = SmallRun(tmp_path, [*rows, *rows[:1] * 12], sources=[*"aaaa", *"b" * 12])
    with pytest.raises(InputError, match=r"clean would remove 12 of 16 rows.*--content-columns"):
        run.step(run.loaded(), Clean())
    wider = SmallRun(
        tmp_path / "b", [*rows, *rows[:1] * 12], sources=[*"aaaa", *"b" * 12], caps={"clean_fraction": 0.8}
    )
    assert wider.step(wider.loaded(), Clean()).events[-1].by_reason == {
        "exact_duplicate": 12,
        "normalised_duplicate": 0,
    }


def test_a_chosen_profile_is_said_with_its_reason_and_code_is_not_judged(tmp_path):
    code = [f"def f{n}(x):\n    y = g(x)\n    if y:\n        return [y, x]\n    return {n}\n" for n in range(6)]
    run = SmallRun(tmp_path, code, filter={"apply": "all"})
    view = run.step(run.step(run.loaded(), Clean()), Filter())
    assert (view.values.profile, removed(view)) == ("code", {})
    assert "profile code, because 100% of the rows look like code (--profile sets another)" in view.values.notes[-1]
    assert "do not judge what is read 6 as code" in view.values.notes[-1]


def test_a_step_past_its_cap_takes_nothing_and_says_why(tmp_path):
    run = SmallRun(tmp_path, [*texts(2), *("?!" * n for n in range(2, 8))], **SHORT)
    view = run.step(run.step(run.loaded(), Clean()), Filter())
    event = view.events[-1]
    assert (event.outcome, event.by_reason, removed(view)) == ("refused", {}, {})
    assert "filter would remove 6 of 8 rows, more than its cap of 60%" in event.reasons[0]
    assert view.has("annotations", "verdicts")


def test_no_step_empties_a_source(tmp_path):
    run = SmallRun(tmp_path, [*texts(6), "?!?!"], sources=[*"aaaaaa", "b"], **SHORT)
    view = run.step(run.step(run.loaded(), Clean()), Filter())
    assert "every row of the source 'b'" in view.events[-1].reasons[0]
    assert removed(view) == {}


def test_near_duplicates_and_rows_of_a_corpus_go_apart(tmp_path):
    rows = texts(6)
    near = rows[0].replace("and so on", "and so on too")
    run = SmallRun(tmp_path, [*rows, near], dedup={"threshold": 0.6}, **SHORT)
    view = run.step(run.step(run.loaded(), Clean()), Filter())
    known = view.ledger().select("row").head(1).with_columns(score=0.9, duplicate_of=_set(view.ledger()["id"], ["c#1"]))
    with_corpus = run.step(view, Dedup(), known)
    assert removed(with_corpus) == {0: "in_corpus"}  # what it nearly repeats is out, so the other stays
    assert removed(run.step(view, Dedup())) == {6: "near_duplicate"}


def test_rows_of_a_corpus_go_whatever_the_cap_and_a_refusal_of_the_others_leaves_them_out(tmp_path):
    rows = texts(4)
    near = [rows[3].replace("so on", words) for words in ("so on then", "so on too", "so on even")]
    settings = {"dedup": {"threshold": 0.6}, "caps": {"clean_fraction": 0.2}}
    run = SmallRun(tmp_path, [*rows, *near], sources=[*"aabbbbb"], **settings, **SHORT)
    view = run.step(run.step(run.loaded(), Clean()), Filter())
    ids = view.ledger()["id"]
    known = view.ledger().select("row").head(2).with_columns(score=0.9, duplicate_of=_set(ids, ["c#1", "c#2"]).head(2))
    left = run.step(view, Dedup(), known)
    assert removed(left) == {0: "in_corpus", 1: "in_corpus"}  # all of a source, and more than the cap
    event = left.events[-1]
    assert (event.outcome, event.by_reason, event.effects[0].rows) == ("refused", {"in_corpus": 2}, 2)
    assert "dedup would remove 3 of 5 rows, more than its cap of 20%" in event.reasons[0]


def test_the_anchor_is_drawn_by_the_seed_and_too_few_rows_are_refused(tmp_path):
    run = SmallRun(tmp_path / "a", texts(60), **SHORT)
    view = run.step(run.step(run.step(run.loaded(), Clean()), Filter()), Dedup())
    held = run.step(view, HoldOut())
    assert (len(held.anchor()), held.values.cleaned_rows, len(held.kept())) == (12, 60, 48)
    other = SmallRun(tmp_path / "b", texts(60), seed=1, **SHORT)
    again = other.step(other.step(other.loaded(), Clean()), HoldOut())
    assert again.anchor().tolist() != held.anchor().tolist()
    few = SmallRun(tmp_path / "c", texts(20))
    with pytest.raises(InputError, match="only 20 rows of 20 left after cleaning, at least 40"):
        few.event(few.step(few.loaded(), Clean()), HoldOut())
    for count, name in ((12, "d"), (9, "e")):
        notes = SmallRun(tmp_path / name, texts(count), filter={"profile": "notes"})
        view = notes.step(notes.loaded(), Clean())
        if count < 10:
            with pytest.raises(InputError, match="only 9 rows of 9 left after cleaning, at least 10"):
                notes.event(view, HoldOut())
        else:
            assert notes.step(view, HoldOut()).values.cleaned_rows == 12


def test_steps_that_have_nothing_to_do_are_not_due(tmp_path):
    view = SmallRun(tmp_path, texts(3)).loaded()
    assert not Decontaminate().due(view)
    assert Language().due(view)


def _set(series, values):
    return type(series)(series.name, values)
