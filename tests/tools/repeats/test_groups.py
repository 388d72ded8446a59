"""Which rows belong together, and an anchor that no group stands half in."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.params.preparation import AnchorParams, DedupParams
from recryst.tools.judge.select import anchor_size, choose_anchor
from recryst.tools.repeats.groups import Together, continuations, openings, row_groups

WORDS = [f"word{n}" for n in range(400)]


def prose(seed, count=24):
    return " ".join(np.random.default_rng(seed).choice(WORDS, count))


def chat(*turns, system=None):
    said = [f"### {'User' if at % 2 == 0 else 'Assistant'}:\n{turn}" for at, turn in enumerate(turns)]
    return "\n\n".join(([f"### System:\n{system}"] if system else []) + said)


def grouped(texts, **more):
    text = pl.Series(texts, dtype=pl.String)
    more = {name: pl.Series(values, dtype=pl.String) for name, values in more.items()}
    return row_groups(Together(text, text, **more), DedupParams()).tolist()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=300), st.floats(0.01, 0.49), st.integers(0, 9))
def test_no_group_stands_on_both_sides(groups, fraction, seed):
    rows, groups = np.arange(len(groups), dtype=np.uint32) * 3, np.array(groups, dtype=np.uint32)
    params = AnchorParams(fraction=fraction)
    anchor = choose_anchor(rows, params, seed, groups)
    inside = np.isin(rows, anchor)
    assert set(groups[inside]) & set(groups[~inside]) == set()
    wanted, sizes = anchor_size(len(rows), params), np.bincount(groups)
    assert len(anchor) <= wanted
    outside = [size for group, size in enumerate(sizes) if size and group not in groups[inside]]
    assert all(size > wanted - len(anchor) for size in outside)  # no group more would have fitted
    assert np.array_equal(anchor, choose_anchor(rows, params, seed, groups))
    assert (np.diff(anchor.astype(int)) > 0).all()


@given(st.integers(1, 400), st.integers(0, 9))
def test_rows_of_their_own_are_drawn_as_if_there_were_no_groups(count, seed):
    rows, params = np.arange(count, dtype=np.uint32), AnchorParams()
    alone = choose_anchor(rows, params, seed)
    assert len(alone) == anchor_size(count, params)
    assert np.array_equal(alone, choose_anchor(rows, params, seed, rows + 7))


def test_each_row_is_as_likely_to_be_held_out_whatever_the_size_of_its_group():
    groups = np.repeat(np.arange(400), np.random.default_rng(0).integers(1, 6, 400))
    rows = np.arange(len(groups), dtype=np.uint32)
    size = np.bincount(groups)[groups]
    drawn = np.concatenate([choose_anchor(rows, AnchorParams(), seed, groups) for seed in range(200)])
    share = {n: np.isin(size[drawn], n).sum() / (size == n).sum() / 200 for n in range(1, 6)}
    fraction = AnchorParams().fraction
    assert all(abs(found - fraction) < 0.1 * fraction for found in share.values())


def test_an_unrolled_conversation_is_one_group():
    """Case of h2oai/h2o-llmstudio#422: each row holds the conversation up to one of its answers."""
    turns = [[prose(100 * number + turn, 9) for turn in range(8)] for number in range(12)]
    texts = [chat(*said[: 2 * end], system="You answer.") for said in turns for end in range(1, 5)]
    assert grouped(texts) == [4 * (row // 4) for row in range(48)]
    order = np.random.default_rng(0).permutation(48)
    mixed = np.array(grouped([texts[row] for row in order]))
    for number in range(12):
        assert len(set(mixed[order // 4 == number])) == 1
    assert len(set(mixed)) == 12


def test_a_greeting_or_a_system_prompt_in_common_is_no_conversation_in_common():
    system = "You are a helpful assistant, who answers truthfully, at length, and never without a joke. " * 3
    texts = [chat("Hi", "Hello!", prose(n), prose(n + 50), system=system) for n in range(40)]
    assert grouped(texts) == list(range(40))


def test_one_question_answered_twice_is_one_group():
    question = "How many ways are there to seat seven guests at a round table with nine chairs?"
    texts = [*(chat(question, prose(n)) for n in range(3)), *(chat(prose(n), prose(n + 1)) for n in range(10, 20, 2))]
    assert grouped(texts) == [0, 0, 0, 3, 4, 5, 6, 7]
    bare = [f"{question}\n\n{prose(n)}" for n in range(3)]
    assert grouped(bare, asked=[question] * 3) == [0, 0, 0]
    assert grouped(bare, asked=["short"] * 3) == [0, 1, 2]


def test_an_instruction_over_many_inputs_is_a_template():
    instruction = "Translate the following sentence into German, and keep its tone and its length."
    texts = [
        f"### Instruction:\n{instruction}\n\n### Input:\n{prose(n)}\n\n### Response:\n{prose(n + 90)}"
        for n in range(60)
    ]
    assert grouped(texts) == list(range(60))
    assert openings(pl.Series(texts))[0] == f"Instruction:\n{instruction}\n\n### Input:\n{prose(0)}"


def test_near_duplicates_and_what_they_are_like_are_one_group():
    words = prose(0, 60).split()
    nearly, further = [*words[:-1], "other"], ["another", *words[1:-1], "other"]
    assert grouped([" ".join(words), prose(1), " ".join(nearly), prose(2), " ".join(further)]) == [0, 1, 0, 3, 0]


def test_a_value_of_the_group_column_holds_its_rows_together_and_a_missing_one_does_not():
    texts = [prose(n) for n in range(7)]
    assert grouped(texts, column=["a", "b", None, "a", None, "", ""]) == [0, 1, 2, 0, 4, 5, 6]
    assert grouped([None, "", None, prose(1)], column=["a", None, "a", None]) == [0, 1, 0, 3]


def test_groups_that_share_a_row_are_one():
    same = prose(5, 40)
    texts = [prose(0), same, f"{same} and on", prose(1)]
    assert grouped(texts, column=["x", "x", "y", "y"]) == [0, 0, 0, 0]


@settings(max_examples=60)
@given(st.lists(st.text("ab", max_size=5), max_size=25))
def test_a_row_is_found_to_go_on_from_any_row_that_it_begins_with(ends):
    start = "x" * 64
    texts = [start + end for end in ends]
    row, other = continuations(pl.Series(texts, dtype=pl.String))
    found = dict(zip(row.tolist(), other.tolist(), strict=True))
    for at, text in enumerate(texts):
        shorter = [one for one in texts if text.startswith(one) and one != text]
        if at in found:
            assert texts[found[at]] in (text, max(shorter, key=len, default=text))
        else:
            assert shorter == []
    for text in set(texts):  # of equals one stands first
        firsts = [at for at, one in enumerate(texts) if one == text and texts[found.get(at, at)] != text]
        assert len(firsts) <= 1


def test_many_rows_in_bounded_time():
    count = 20_000
    rng = np.random.default_rng(0)
    words = np.array(WORDS)
    texts = [" ".join(words[rng.integers(0, len(words), 30)]) for _ in range(count)]
    column = pl.Series(rng.integers(0, count // 3, count)).cast(pl.String)
    groups = row_groups(Together(pl.Series(texts), pl.Series(texts), column), DedupParams())
    assert len(set(groups.tolist())) == column.n_unique()


def test_nothing_is_in_no_group():
    assert grouped([]) == []


@pytest.mark.parametrize("fraction", [0.1, 0.3])
def test_a_group_larger_than_the_anchor_is_never_in_it(fraction):
    groups = np.array([0] * 60 + list(range(60, 100)))
    anchor = choose_anchor(np.arange(100, dtype=np.uint32), AnchorParams(fraction=fraction), 3, groups)
    assert anchor.min() >= 60
    assert len(anchor) == 100 * fraction
