"""Clippings of one text are merged into the most complete; notes that only look alike are not."""

import numpy as np
import polars as pl
import pytest

from recryst.state.params.preparation import DedupParams
from recryst.tools.repeats import clippings
from recryst.tools.repeats.clippings import merged

ARTICLE = (
    "The harbour was dredged for the first time since the war, and what came up with the mud was put on show in "
    "the old customs house. Fishermen had warned the council that the channel would silt up again within a decade"
    " unless the breakwater was lengthened. Nobody listened until a ferry ran aground in calm water on a summer "
    "evening. Divers brought up anchors, a brass bell and two crates of unopened bottles, none of which the "
    "museum had asked for. The mayor promised a decision by the autumn and asked for patience. An engineer who "
    "had worked on the first survey said that the figures of that time were still lying in a drawer, unread, and "
    "that they told the whole story already."
)
OTHER = (
    "Sourdough needs time more than skill. Feed the starter the evening before, and let it stand where it is "
    "neither cold nor hot. Mix flour and water first, wait an hour, and only then add salt, because salt slows "
    "the yeast down. Fold the dough every half hour until it holds its shape, and leave it in the cold overnight."
)
FRAME = "Read our weekly newsletter for more stories like this one and tell your friends about it today."
TEMPLATE = (
    "Weekly review. What went well this week and what do I want to do more of? {} What did not go well, and why, "
    "in one or two honest sentences? {} The one thing that matters most next week, and what I will say no to "
    "because of it: {} The inbox is empty, the calendar of the next two weeks is read, the waiting list is "
    "chased, projects have a next action."
)
SIGNATURE = (
    "-- Tony Ryan, editor of Astronomy and Space, the new international magazine, available from Astronomy "
    "Ireland, Box 2888, Dublin, six issues by surface mail or by air, cards accepted, give number and date, name "
    "and address, world's largest society of its kind per capita unless you know better, and we would like to "
    "hear of it in that case."
)


def gone(*texts):
    """Which of some notes go, into which, and with what score."""
    found = merged(pl.Series("text", texts, dtype=pl.String), np.arange(len(texts), dtype=np.uint32), DedupParams())
    return {
        int(row): (int(kept), float(score))
        for row, kept, score in zip(found.rows, found.duplicate_of, found.score, strict=True)
    }


def words(count, seed=0):
    """So many made-up words, all different."""
    letters = np.array(list("bcdfghklmnprstvw"))
    return ["".join(one) for one in letters[np.random.default_rng(seed).integers(16, size=(count, 8))]]


def edited(text):
    return text.replace("promised", "promissed").replace("calm ", "").replace("unread, ", "")


def test_the_whole_stays_for_what_was_cut_framed_and_edited():
    cut, page = " ".join(ARTICLE.split()[20:75]), f"{FRAME} {ARTICLE}"
    bread = f"{FRAME} {OTHER}", f"{OTHER} {FRAME} And so on."
    found = gone(cut, page, ARTICLE, edited(ARTICLE), *bread, FRAME, TEMPLATE)
    assert found[0] == (2, 1.0)
    assert found[1][0] == found[3][0] == 2, "a note with more of a frame, or with edits, stays in the whole one's place"
    assert found[3][1] < 1.0
    assert found.keys() == {0, 1, 3, 5}
    assert found[5][0] == 4, "what little stands outside of both is no reason to keep both"


def test_a_cut_that_overlaps_no_other_note_enough_stays():
    apart = ARTICLE.split()
    assert gone(" ".join(apart[:60]), " ".join(apart[40:])) == {}


@pytest.mark.parametrize("times", [32, 33, 100])
def test_a_text_clipped_often_becomes_one_note(times):
    text, own = words(200), words(6 * times, seed=1)
    assert len(gone(*(" ".join(text + own[6 * at : 6 * at + 6]) for at in range(times)))) == times - 1


def test_many_cuts_go_for_the_whole():
    text = words(200)
    found = gone(*(" ".join(text[at // 2 : at // 2 + 150 + at % 2]) for at in range(40)), " ".join(text))
    assert {kept for kept, _ in found.values()} == {40}
    assert len(found) == 40


def test_what_stays_is_compared_with_more_than_the_longest():
    text, own = words(200), words(6 * 40, seed=1)
    pages = [" ".join([*words(30, seed=2 + at % 2), *text, *own[6 * at : 6 * at + 6]]) for at in range(20)]
    notes = [" ".join(text + own[6 * at : 6 * at + 6]) for at in range(20, 40)]
    sites = [" ".join([*words(30, seed=2 + at % 2), *words(60, seed=4 + at)]) for at in range(8)]
    found = gone(*pages, *notes, *sites)
    assert len(found) == 39
    assert {kept for kept, _ in found.values()} < set(range(20, 40))


def test_notes_that_meet_in_too_many_runs_are_found_by_a_smaller_sample(monkeypatch):
    monkeypatch.setattr(clippings, "_MOST_MEETINGS", 20_000)
    texts = [words(200, seed=group) + words(6, seed=100 * group + at) for group in range(1, 4) for at in range(20)]
    assert len(gone(*map(" ".join, texts))) == 57


TURNED = {
    "a negation": (ARTICLE, ARTICLE.replace("had worked", "had not worked")),
    "a negation at the edge": (ARTICLE, f"Not all of it is true: {ARTICLE}"),
    "an opposite": (f"{ARTICLE} {OTHER} Sales increased in May.", f"{ARTICLE} {OTHER} Sales decreased in May."),
    "an opposite within": tuple(f"{OTHER} Sales {verb} in May. {ARTICLE}" for verb in ("increased", "decreased")),
    "a number before": (f"Report 2024-05-01 {ARTICLE}", f"Report 2024-05-02 {ARTICLE}"),
    "a number after": (f"{ARTICLE} The total is 300 euros", f"{ARTICLE} The total is 900 euros"),
    "a short text": tuple(f"{' '.join(ARTICLE.split()[:34])} total {euros} euros" for euros in (300, 900)),
}


@pytest.mark.parametrize("texts", TURNED.values(), ids=TURNED)
def test_notes_that_say_something_else_stay(texts):
    assert gone(*texts) == {}


LONG = " ".join(words(2_500, seed=9))  # above the characters that are aligned


@pytest.mark.parametrize(
    ("one", "other"),
    [("owes 300 euros", "owes 900 euros"), ("owes money", "owes no money"), ("owes no money", "owes money")],
)
def test_long_notes_with_another_number_or_negation_stay(one, other):
    assert gone(f"{LONG} {one} {LONG[::-1]}", f"{LONG} {other} {LONG[::-1]}") == {}


@pytest.mark.parametrize("long", ["", LONG], ids=["aligned", "long"])
def test_what_is_merely_cut_goes_whatever_was_cut_away(long):
    away = f"In 1999 nobody had 300 euros, and 12 of them did not even have a boat to row. {OTHER}"
    assert len(gone(f"{away} {ARTICLE} {long} {away}", f"{ARTICLE} {long}")) == 1
    within = f"{ARTICLE} {long} {away} {SIGNATURE} {long[::-1]}"
    assert len(gone(within, within.replace(f"{away} ", ""))) == 1


@pytest.mark.parametrize(
    "texts",
    [
        (TEMPLATE.format("Tea.", "Rain.", "Sleep."), TEMPLATE.format("Bread.", "Noise.", "Letters.")),
        (*(TEMPLATE.format(one, "", "") for one in ("", "I wrote twice to the bank.", "The walk was long.")), TEMPLATE),
        (f"Was the press kit of the last flight ever released? {SIGNATURE}", f"What is that object? {SIGNATURE}"),
        (ARTICLE, ARTICLE.replace("two crates", "3 crates").replace("a decade", "10 years"), "12"),
        (" ".join(ARTICLE.split()[:42]), f"{OTHER} {ARTICLE} {TEMPLATE} {SIGNATURE} " + " ".join(map(str, range(60)))),
        ("do I need a socket converter in Sweden", "do I need a socket converter in France"),
        ("", "", " \n", "---"),
    ],
    ids=["filled in", "a template and what fills it", "a signature", "another number", "a quotation",
         "short", "nothing"],
)  # fmt: skip
def test_notes_that_only_look_alike_stay(texts):
    assert gone(*texts) == {}


def test_what_is_out_already_is_no_twin_and_marks_of_markdown_do_not_count():
    marked = "## The harbour\n\n" + ARTICLE.replace(". Nobody", ".[12]\n\n### A ferry\n\nNobody")
    texts, rows = pl.Series("text", [ARTICLE, marked, ARTICLE]), np.array([3, 5, 9], dtype=np.uint32)
    found = merged(texts, rows, DedupParams())
    assert (found.rows.tolist(), found.score.min() > 0.9, found.threshold) == ([5, 9], True, 0.8)
    out = merged(texts, rows, DedupParams(), left_out=np.array([3], dtype=np.uint32))
    assert (out.rows.tolist(), out.duplicate_of.tolist()) in (([9], [5]), ([5], [9]))
