"""The clean sets as they lie in the data folder."""

import pytest

from recryst.evals.loop import sets

pytestmark = pytest.mark.shared_data

# Rows to train on, of the test split, and classes.
SIZES = {"banking77": (9992, 3079, 77), "clinc": (14998, 4500, 150), "newsgroups20": (4500, 1500, 20),
         "wikitext2": (1790, 596, 39)}  # fmt: skip


@pytest.mark.parametrize("name", sets.LABELLED)
def test_a_labelled_set_holds_no_row_twice_and_none_of_its_test_split(name, shared_data):
    clean = sets.LABELLED[name](shared_data)
    assert clean.name == name
    texts = [sets.sound(text) for text, _ in (*clean.train, *clean.test)]
    assert len(set(texts)) == len(texts)
    labels = {label for _, label in clean.train}
    assert {label for _, label in clean.test} == labels
    assert len(clean.foreign) >= 1000
    assert not {sets.sound(text) for text in clean.foreign} & set(texts)
    if name in SIZES:
        assert (len(clean.train), len(clean.test), len(labels)) == SIZES[name]
    else:  # the docstrings are those of the Python that runs
        assert len(clean.train) > 2500
        assert len(labels) > 15


def test_no_question_stands_in_two_subsets_of_alpaca(shared_data):
    subsets = [sets.PAIRS[f"alpaca-{source}"](shared_data).pairs for source in sets.ALPACA]
    assert [len(pairs) for pairs in subsets] == [2981, 3000, 3000]
    questions = [sets.sound(question) for pairs in subsets for question, _ in pairs]
    assert len(set(questions)) == len(questions)
    assert all(answer for pairs in subsets for _, answer in pairs)


def test_gsm8k_is_questions_and_answers(shared_data):
    clean = sets.gsm8k(shared_data)
    assert len(clean.pairs) == 7473
    assert all("####" in answer for _, answer in clean.pairs)
    assert not any("####" in answer for _, answer in clean.foreign)
