"""Answers that break off are told from the way the other answers of their set end."""

import numpy as np
import polars as pl
import pytest

from recryst.tools.judge.evidence.endings import broken_off
from recryst.tools.vectors.neighbors import unit

NOUNS = ["dog", "house", "river", "teacher", "garden", "letter", "window", "song", "table", "mountain", "bread", "king"]
VERBS = ["finds", "paints", "leaves", "remembers", "follows", "carries", "opens", "describes"]


def sentence(rng):
    one, two, three = rng.choice(NOUNS, 3, replace=False)
    return f"The {one} {rng.choice(VERBS)} a {two} that was in the {three}"


def paragraphs(count, stop=".", seed=0):
    """Answers of three sentences each, with ``stop`` after every one but what the caller takes away."""
    rng = np.random.default_rng(seed)
    return [f"{sentence(rng)}. {sentence(rng)}. {sentence(rng)}{stop}" for _ in range(count)]


def score(answers, questions=None, seed=0):
    rng = np.random.default_rng(7)
    if questions is None:
        questions = unit(rng.standard_normal((len(answers), 8)).astype(np.float32))
    return broken_off(pl.Series(answers, dtype=pl.String), questions, np.arange(len(answers), dtype=np.uint32), seed)


def test_cut_answers_stand_out_where_answers_are_closed():
    answers = paragraphs(200)
    for at, end in enumerate((" in the", " that was", " a gar", " and it paints a", " and the riv", " in", ",")):
        answers[at * 20] = answers[at * 20].removesuffix(".") + end
    found = score(answers)
    cut = np.arange(7) * 20
    assert found[cut].min() > 0.65
    assert not np.delete(found, cut).any()


def test_where_nothing_is_closed_only_an_end_that_is_none_counts():
    answers = paragraphs(200, stop="")
    answers[20] += " in the"
    found = score(answers)
    assert np.delete(found, 20).max() < 0.2
    assert found[20] > np.delete(found, 20).max()


def test_the_measure_is_not_of_english():
    words = ["дом", "река", "сад", "письмо", "окно", "песня", "гора", "хлеб"]
    rng = np.random.default_rng(2)

    def russian():
        one, two = rng.choice(words, 2, replace=False)
        return f"Там есть {one} и потом будет {two}. Это не {two} а только {one}."

    answers = [russian() for _ in range(150)]
    answers[30] = answers[30].removesuffix(".") + " и потом"
    answers[60] = answers[60].removesuffix(".") + " а"
    found = score(answers)
    assert found[[30, 60]].min() > 0.65
    assert not np.delete(found, [30, 60]).any()


def test_scripts_without_blanks_are_read_by_the_character():
    rng = np.random.default_rng(3)
    things = ["花园", "河流", "老师", "窗户", "面包", "歌曲"]
    answers = [
        f"这是一个{rng.choice(things)}。我们的{rng.choice(things)}。他有{rng.choice(things)}。" for _ in range(150)
    ]
    answers[10] = answers[10] + "我们的"
    found = score(answers)
    assert found[10] > 0.5
    assert not np.delete(found, 10).any()


def test_code_numbers_lists_and_single_words_are_left_alone():
    others = [
        "def f(x):\n    y = x + 1\n    return y", "42", "Paris", "positive", "apples, pears, plums, cherries",
        "1. bread\n2. song\n3. window", "- dog\n- king\n- river", "(see above)", '"The King of a River"', "",
        "Read it at https://example.org/a-song-of-the", "```\nx\n```", None, "  ", "+---+----+\n| a | of |\n+---+----+",
    ]  # fmt: skip
    assert score(paragraphs(100) + others * 3)[100:].max() <= 0.65


def test_a_program_may_end_anywhere():
    answers = [f"def f{at}(that):\n    that = that + {at}\n    print(that)" for at in range(60)]
    answers[::6] = [answer.replace("print(that)", "return that") for answer in answers[::6]]
    assert not score(answers + paragraphs(100))[:60].any()


def test_names_in_a_row_need_no_stop_where_other_phrases_do():
    rng = np.random.default_rng(8)
    names = ["".join(rng.choice(list("bdfgklmnprst"), 6)) for _ in range(240)]
    phrases = [f"The {rng.choice(NOUNS)} of {rng.choice(NOUNS)} {name}" for name in names[:120]]
    answers = [phrase + "." * (at % 6 > 0) for at, phrase in enumerate(phrases)]
    answers += [", ".join(names[at : at + 4]) for at in range(120, 240, 4)]
    found = score(answers)
    assert np.median(found[:120:6]) > 2 * np.median(found[120:])


def test_what_is_opened_and_not_closed_is_a_break():
    answers = [*paragraphs(50), "Here:\n```\nx = 1\n", "First:\n1. bread\n2.", "So:\n- dog\n-"]
    assert score(answers)[50:].tolist() == [1.0, 1.0, 1.0]


def test_an_answer_that_leaves_the_form_of_the_set_is_cut():
    rng = np.random.default_rng(4)
    answers = [f"{sentence(rng)}\nSo it is {rng.integers(99)}\n#### {rng.integers(99)}" for _ in range(100)]
    answers[9] = answers[9].split("\n#")[0]
    found = score(answers)
    assert found[9] > 0.9
    assert not np.delete(found, 9).any()


def test_what_was_asked_says_whether_a_stop_is_needed():
    """A quarter of the questions ask for titles, which end in a name without a stop; elsewhere that is a cut."""
    rng = np.random.default_rng(5)
    answers = [f"{sentence(rng)} of {chr(97 + at // 26) * 2}{chr(97 + at % 26)}" for at in range(300)]
    questions = unit(rng.standard_normal((300, 8)).astype(np.float32))
    questions[::4] = unit(np.eye(8, dtype=np.float32)[:1] + 0.1 * questions[::4])
    cut = np.arange(1, 300, 20)
    for at in np.setdiff1d(np.arange(300), [*range(0, 300, 4), *cut]):
        answers[at] += "."
    found = score(answers, questions)
    assert np.median(found[cut]) > 3 * np.median(found[::4])


def test_the_same_seed_gives_the_same_scores_and_no_answers_give_none():
    answers = paragraphs(60)
    answers[3] += " and the"
    assert np.array_equal(score(answers), score(answers))
    assert len(score([])) == 0
    assert score(["The end"]).tolist() == [0.0]
    assert score([None, "", " "]).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("mark", [".", "!", "?", "。", "…", ".”", ")", "»", "؟", "।", "🙂"])
def test_closing_marks_of_many_scripts_close(mark):
    assert not score(paragraphs(40, stop=mark)).any()
