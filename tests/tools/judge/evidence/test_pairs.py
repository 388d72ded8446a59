"""Evidence on pairs without labels: wrong, cut, empty and repeated answers stand out, sound ones do not."""

import gzip
import json

import numpy as np
import polars as pl
import pytest

from recryst.state.params.vectors import EmbedParams
from recryst.tools.judge.evidence import pairs
from recryst.tools.judge.evidence.answers import boilerplate, refusals
from recryst.tools.judge.evidence.pairs import (
    LIMITS,
    above_median,
    nearest_answer,
    pair_evidence,
    pairing_rank,
    suspects,
)
from recryst.tools.vectors import neighbors
from recryst.tools.vectors.embed import open_encoder
from recryst.tools.vectors.neighbors import unit

SWAPPED = np.arange(5, 65, 5)


def alone(size):
    return np.arange(size, dtype=np.uint32)


def name(at):
    """Two letters: numbers do not tell answers apart."""
    return chr(97 + at // 26) + chr(97 + at % 26)


def synthetic(size, width=24, noise=0.4, seed=0):
    """Questions and answers, float32 [size, width]: an answer is its question turned round, with noise."""
    rng = np.random.default_rng(seed)
    questions = unit(rng.standard_normal((size, width)).astype(np.float32))
    turn = np.linalg.qr(rng.standard_normal((width, width)))[0].astype(np.float32)
    off = noise * unit(rng.standard_normal((size, width)).astype(np.float32))
    return questions, unit(questions @ turn + off)


def swapped(answers, rows=SWAPPED):
    """``answers`` with those of ``rows`` passed round."""
    wrong = answers.copy()
    wrong[rows] = answers[np.roll(rows, 1)]
    return wrong


@pytest.fixture(scope="module")
def problems(shared_data):
    """150 real problems with their solutions, and the vectors of both."""
    with gzip.open(shared_data / "gsm8k" / "train.jsonl.gz") as lines:
        rows = [json.loads(next(lines)) for _ in range(150)]
    encoder = open_encoder(EmbedParams())
    asked, given = (pl.Series([row[key] for row in rows]) for key in ("question", "answer"))
    return asked, given, *(unit(np.asarray(encoder.encode(one.to_list()), np.float32)) for one in (asked, given))


def test_swapped_solutions_of_real_problems_rank_high(problems):
    _, _, questions, answers = problems
    rank = pairing_rank(questions, swapped(answers), alone(150), 0)
    sound = np.delete(rank, SWAPPED)
    assert np.median(rank[SWAPPED]) > 0.25
    assert (rank[SWAPPED] > 0.1).mean() > 0.8
    assert (sound < 0.05).mean() > 0.97


def test_a_crude_set_of_real_problems_gives_up_its_faults(problems):
    asked, given, questions, answers = problems
    text, vectors = given.to_list(), swapped(answers)
    for row in SWAPPED:
        text[row] = given[int(np.roll(SWAPPED, 1)[list(SWAPPED).index(row)])]
    cut, empty = np.arange(71, 89, 3), [91, 92]
    for row in cut:
        text[row] = text[row][: len(text[row]) // 2].rsplit(" ", 1)[0]
    for row in empty:
        text[row], vectors[row] = " \n", 0.0
    evidence = pair_evidence(asked, pl.Series(text), questions, vectors, alone(150), 0)
    why = suspects(evidence, LIMITS["middle"])
    accused = why.select(pl.any_horizontal(pl.all())).to_series().to_numpy()
    assert evidence["empty"].arg_true().to_list() == empty
    assert why["mispaired"].gather(SWAPPED).sum() >= 0.8 * len(SWAPPED)
    assert why["broken_off"].gather(cut).sum() >= 0.8 * len(cut)
    assert np.delete(accused, [*SWAPPED, *cut, *empty]).sum() <= 2


def test_ranks_are_shares_and_follow_the_seed():
    questions, answers = synthetic(400)
    rank = pairing_rank(questions, swapped(answers), alone(400), 3)
    assert rank.dtype == np.float64
    assert rank.min() >= 0
    assert rank.max() <= 1
    assert rank[SWAPPED].min() > np.delete(rank, SWAPPED).max()
    assert np.array_equal(rank, pairing_rank(questions, swapped(answers), alone(400), 3))
    assert not np.array_equal(rank, pairing_rank(questions, swapped(answers), alone(400), 4))


def test_a_copy_with_the_same_wrong_answer_does_not_vouch_for_it():
    questions, answers = synthetic(200, width=64)
    questions, wrong = (np.vstack([one, np.repeat(one[:1], 20, axis=0)]) for one in (questions, answers))
    copies = np.r_[0, np.arange(200, 220)]
    wrong[copies] = answers[7]
    together = alone(220)
    together[copies] = 0
    assert pairing_rank(questions, wrong, together, 0)[copies].min() > 0.2
    assert pairing_rank(questions, wrong, alone(220), 0)[copies].max() < 0.1  # what the groups are there to prevent


def test_rows_of_one_group_do_not_compete():
    """Thirty answers to one question: each is as good as the others, and none is worse for their number."""
    questions, answers = synthetic(120)
    questions[:30] = questions[0]
    answers[:30] = unit(answers[0] + 0.3 * unit(np.random.default_rng(1).standard_normal((30, 24)).astype(np.float32)))
    groups = alone(120)
    groups[:30] = 0
    assert pairing_rank(questions, answers, groups, 0)[:30].max() < 0.05


def test_the_size_of_a_block_does_not_matter(monkeypatch):
    questions, answers = synthetic(300)
    whole = pairing_rank(questions, answers, alone(300), 0)
    monkeypatch.setattr(pairs, "_BLOCK_VALUES", 130)
    assert np.allclose(pairing_rank(questions, answers, alone(300), 0), whole, atol=1e-9)


def test_a_set_too_small_to_learn_from_goes_by_the_likeness_of_question_and_answer():
    rng = np.random.default_rng(2)
    questions = unit(rng.standard_normal((70, 128)).astype(np.float32))
    answers = unit(questions + unit(rng.standard_normal((70, 128)).astype(np.float32)))
    rank = pairing_rank(questions, swapped(answers), alone(70), 0)
    assert np.median(rank[SWAPPED]) > 0.25
    assert np.delete(rank, SWAPPED).max() < 0.1


def test_answers_may_have_other_dimensions_than_questions():
    questions, answers = synthetic(400)
    rank = pairing_rank(questions, unit(swapped(answers)[:, :16]), alone(400), 0)
    assert np.median(rank[SWAPPED]) > 0.2 > np.median(np.delete(rank, SWAPPED))


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_hardly_any_rows_are_no_error(size):
    questions, answers = synthetic(4)
    assert len(pairing_rank(questions[:size], answers[:size], alone(size), 0)) == size
    text = pl.Series(["A word."] * size, dtype=pl.String)
    found = pair_evidence(text, text, questions[:size], answers[:size], alone(size), 0)
    assert found.height == size
    assert found.schema == {
        "short": pl.Boolean, "pairing_rank": pl.Float64, "broken_off": pl.Float64, "empty": pl.Boolean,
        "boilerplate": pl.Float64, "surprise": pl.Float64, "refusal": pl.Boolean,
    }  # fmt: skip
    assert found.null_count().sum_horizontal().item() == 0


def test_a_single_group_is_accused_of_nothing():
    questions, answers = synthetic(50)
    assert not pairing_rank(questions, answers, np.zeros(50, np.uint32), 0).any()


def test_the_probe_reads_the_answer_of_the_nearest_kept_question(monkeypatch):
    questions, answers = synthetic(500)
    anchor = slice(400, 500)
    found = nearest_answer(questions[:400], answers[:400], questions[anchor], answers[anchor])
    best = (questions[anchor] @ questions[:400].T).argmax(axis=1)
    assert found == pytest.approx((answers[best] * answers[anchor]).sum(axis=1), abs=1e-6)
    monkeypatch.setattr(neighbors, "_QUERIES", 7)
    monkeypatch.setattr(neighbors, "_COLUMNS", 33)
    assert found == pytest.approx(nearest_answer(questions[:400], answers[:400], questions[anchor], answers[anchor]))
    assert not nearest_answer(questions[:0], answers[:0], questions[anchor], answers[anchor]).any()
    assert len(nearest_answer(questions, answers, questions[:0], answers[:0])) == 0


def test_the_probe_gains_where_wrong_answers_go_and_not_where_any_rows_go():
    questions, answers = synthetic(900, width=6)
    rng = np.random.default_rng(5)
    wrong = rng.permutation(800)[:160]
    kept = answers[:800].copy()
    kept[wrong] = answers[np.roll(wrong, 1)]

    def probe(rows):
        return nearest_answer(questions[rows], kept[rows], questions[800:], answers[800:])

    everything = np.arange(800)
    gain = probe(np.setdiff1d(everything, wrong)) - probe(everything)
    chance = probe(np.setdiff1d(everything, rng.permutation(800)[:160])) - probe(everything)
    assert gain.mean() > 4 * gain.std(ddof=1) / 10
    assert chance.mean() < gain.mean() / 3


def test_one_answer_to_unrelated_questions_is_boilerplate():
    questions, _ = synthetic(60)
    asked = pl.Series([f"question {name(at)}" for at in range(60)])
    answers = [f"Answer {name(at)} is of its own." for at in range(60)]
    for at, mark in zip((3, 14, 25, 36), ("", " 17", "!", "  5."), strict=True):
        answers[at] = "Click HERE to subscribe, and never miss it" + mark
    for at in range(40, 60):
        answers[at] = "Yes."
    for at, text in zip(
        (5, 6, 7), ("点击此处订阅我们的通讯", "点击此处订阅我们的通讯。", "点击此处订阅我们的通讯！"), strict=True
    ):
        answers[at] = text
    share = boilerplate(asked, pl.Series(answers), questions)
    assert share[[3, 14, 25, 36]] == pytest.approx(4 / 60)
    assert share[[5, 6, 7]] == pytest.approx(3 / 60)
    assert not np.delete(share, [3, 14, 25, 36, 5, 6, 7]).any()


def test_an_answer_that_instances_of_one_task_share_is_none():
    questions, _ = synthetic(60)
    asked = pl.Series([f"is it good? {name(at)}" if at < 20 else f"about {name(at)}" for at in range(60)])
    answers = pl.Series(
        ["The sentiment of it is positive."] * 20 + [f"Of its own: {name(at)}." for at in range(20, 60)]
    )
    assert boilerplate(asked, answers, questions)[:20] == pytest.approx(20 / 60)  # vectors that have nothing in common
    questions[:20] = unit(questions[0] + 0.5 * questions[:20])
    assert not boilerplate(asked, answers, questions).any()


def test_copies_of_one_question_are_no_sign_of_boilerplate():
    questions, _ = synthetic(40)
    asked = pl.Series(["How do I do it?"] * 10 + [f"about {name(at)}" for at in range(30)])
    answers = pl.Series(["First this, and then the other."] * 10 + [f"Of its own: {name(at)}." for at in range(30)])
    assert not boilerplate(asked, answers, questions).any()


def test_refusals_are_told_by_how_they_open():
    answers = [
        "I'm sorry, but I can't help with that.", "As an AI language model, I have no body.", "I cannot say.",
        "抱歉，我无法回答。", "Sorry is a word.", "The as an AI joke.", "I can not only sing but dance.", None, "",
    ]  # fmt: skip
    assert refusals(pl.Series(answers)).to_list() == [True, True, True, True, False, False, True, False, False]


def test_distances_from_the_median_are_robust():
    assert above_median(np.array([1.0, 2.0, 3.0, 4.0, 1000.0])).round(3).tolist() == [
        -1.349,
        -0.674,
        0.0,
        0.674,
        672.467,
    ]
    assert above_median(np.array([2.0, 2.0, 2.0, 9.0])).tolist() == [0.0, 0.0, 0.0, 0.0]
    assert above_median(np.zeros(0)).tolist() == []
