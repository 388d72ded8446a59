"""ROUGE-L against a pool: every verdict is rouge_score's, whatever was left out of the comparison."""

import gzip
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from recryst.tools.repeats.rouge import RougePool

THRESHOLD = 0.7
SCORER = RougeScorer(["rougeL"])


def published(one: str, other: str) -> float:
    return SCORER.score(one, other)["rougeL"].fmeasure


def check(texts: list[str], pool: list[str], threshold: float = THRESHOLD) -> int:
    """Compare every verdict; returns how many texts repeat another."""
    ours = RougePool(threshold, pool)
    expected = [max(published(text, other) for other in pool) > threshold for text in texts]
    assert [ours.repeats(text) for text in texts] == expected
    return sum(expected)


def altered(text: str, chance: random.Random) -> str:
    """A near copy: some words left out, put in or moved."""
    words = text.split()
    for _ in range(chance.randint(0, max(1, len(words) // 3))):
        at = chance.randrange(len(words)) if words else 0
        match chance.randrange(3):
            case 0 if words:
                words.pop(at)
            case 1:
                words.insert(at, chance.choice(["please", "now", "The", "not"]))
            case _:
                chance.shuffle(words[at : at + 3])
    return " ".join(words)


@pytest.mark.shared_data
def test_verdicts_on_real_pairs_are_those_of_rouge_score(shared_data):
    with (shared_data / "self_instruct" / "seed_tasks.jsonl").open() as file:
        seeds = [json.loads(line)["instruction"] for line in file]
    with gzip.open(shared_data / "alpaca" / "alpaca.jsonl.gz", "rt") as file:
        rows = [json.loads(line)["instruction"] for line in file]
    chance = random.Random(0)
    others = chance.sample(rows, 40)
    pool = seeds[:60] + chance.sample(rows, 40)
    near = [altered(text, chance) for text in chance.sample(pool, 40)]
    assert 10 < check(others + near, pool) < 60  # 80 × 100 pairs, on both sides of the threshold


words = st.lists(st.sampled_from(["a", "b", "c", "The", "x1", "é", "-", "İ", "K", ""]), max_size=14).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.lists(words, min_size=1, max_size=6), st.lists(words, min_size=1, max_size=6), st.floats(0, 0.99))
def test_verdicts_on_any_pair_are_those_of_rouge_score(texts, pool, threshold):
    check(texts, pool, threshold)


def test_a_score_on_the_threshold_falls_to_the_same_side():
    """Seven of ten words in common is 0.7, or a little more once it is computed in floats."""
    for total in range(1, 36):
        for common in range(total + 1):
            one = [f"w{n}" for n in range(total)]
            other = one[:common] + [f"v{n}" for n in range(total - common)]
            check([" ".join(one)], [" ".join(other)], common / total)


def test_what_is_added_counts_from_then_on():
    pool = RougePool(THRESHOLD)
    assert not pool.repeats("write a poem about rain")
    pool.add(["write a poem about rain"])
    assert pool.repeats("Write a poem about the rain!")
