"""Evidence on pairs of question and answer that carry no label: whether they belong together, and a probe for them.

All figures of a row come from the other rows of its own set: no label, no language model.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...text.kinds import word_counts
from ...vectors.neighbors import nearest, unit
from .answers import boilerplate, refusals
from .endings import broken_off
from .folds import FOLDS, group_folds
from .ridge import ridge
from .surprise import surprise

SHORT = 3  # words up to which an answer tells little of its question: "Yes", "Paris", "42"

_BLOCK_VALUES = 1 << 22  # cosines held at a time: 16 MB
_TIE = 1e-6  # cosines nearer than this to each other are equal: a product's last digits depend on its blocks


@dataclass(frozen=True)
class PairLimits:
    """From where a pair's evidence makes it suspect.

    ``rank``: the pairing rank; ``short_rank``: that of an answer of three words at most; ``surprise``: of an answer
    that is beaten by 2 % of the others besides. An empty answer, boilerplate, and an answer that is likelier broken off
    than not always do.
    """

    rank: float
    short_rank: float
    surprise: float


#: Three strengths. On six instruction sets made crude the middle one took 0 to 3 % of the sound rows.
LIMITS = {
    "firm": PairLimits(0.15, 0.40, 6.0),
    "middle": PairLimits(0.12, 0.30, 5.0),
    "keen": PairLimits(0.06, 0.15, 4.0),
}
_LIKELIER_THAN_NOT = 0.5  # probability from which an answer counts as broken off, at any strength
_DOUBTFUL = 0.02  # rank from which an answer that surprises does not fit either


def suspects(evidence: pl.DataFrame, limits: PairLimits) -> pl.DataFrame:
    """Why each row of ``evidence`` (as ``pair_evidence`` gives it, [n]) is suspect: Boolean columns, [n].

    ``empty``, ``boilerplate``, ``mispaired`` (its answer belongs elsewhere), ``broken_off``, ``gibberish``.
    """
    rank = pl.col("pairing_rank")
    return evidence.select(
        "empty",
        boilerplate=pl.col("boilerplate") > 0,
        mispaired=rank > pl.when("short").then(limits.short_rank).otherwise(limits.rank),
        broken_off=pl.col("broken_off") > _LIKELIER_THAN_NOT,
        gibberish=(pl.col("surprise") > limits.surprise) & (rank > _DOUBTFUL),
    )


def pair_evidence(
    questions: pl.Series,
    answers: pl.Series,
    question_vectors: np.ndarray,
    answer_vectors: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> pl.DataFrame:
    """What the set says about each of its pairs, a row per pair, in order.

    Args:
        questions: strings [n]; ``answers``: strings [n], null as empty.
        question_vectors: float32 [n, d], unit rows; ``answer_vectors``: the same of the answers.
        groups: uint32 [n]; copies of one another share a number.

    Returns:
        ``short`` bool: the answer has three words at most, and its rank tells less.
        ``pairing_rank`` float64 in [0, 1], high: the answer fits other questions better.
        ``broken_off`` float64 in [0, 1]: how likely the answer ends before its end.
        ``empty`` bool.
        ``boilerplate`` float64 in [0, 1]: the share of the set that has the same answer to unrelated questions.
        ``surprise`` float64: how far the answer's bits per byte lie above the set's median, in robust deviations.
        ``refusal`` bool, which accuses nobody.
    """
    blank = answers.cast(pl.String).fill_null("").str.strip_chars().str.len_bytes() == 0
    bits = surprise(answers, groups, seed)
    return pl.DataFrame(
        {
            "short": word_counts(answers) <= SHORT,
            "pairing_rank": pairing_rank(question_vectors, answer_vectors, groups, seed),
            "broken_off": broken_off(answers, question_vectors, groups, seed),
            "empty": blank,
            "boilerplate": boilerplate(questions, answers, question_vectors),
            "surprise": above_median(bits),
            "refusal": refusals(answers),
        }
    )


def above_median(values: np.ndarray) -> np.ndarray:
    """How far each value (float [n]) lies above the median, in robust standard deviations (1.4826 · MAD), float64 [n].

    Source: Rousseeuw & Croux 1993. All 0 where more than half of the values are equal.
    """
    if not len(values):
        return np.zeros(0)
    off = values - np.median(values)
    scale = 1.4826 * np.median(np.abs(off))
    return np.asarray(off / scale) if scale > 0 else np.zeros(len(values))


def pairing_rank(questions: np.ndarray, answers: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """How many other pairings fit better than the row's own, as a share: float64 [n] in [0, 1], 0 best.

    A ridge regression (Hoerl & Kennard 1970) from question vectors to answer vectors, as maps between two embedding
    spaces are learned (Mikolov et al. 2013, arXiv 1309.4168), says where a question's answer should lie; it is
    shrunk towards "where the question lies", which is what a small set goes by. Learned on four fifths of the groups
    it ranks, on the fifth, a row's own answer among all answers to its question, and its own question among all
    questions to its answer; the mean of both is the rank. That such a rank finds answers given to the wrong question
    is this product's own finding.

    Rows of one group never vouch for each other: they share a fold and do not compete. Where a row has nothing to be
    learned from or to compete with, its rank is 0. An empty answer whose vector is zero fits nothing.

    Args:
        questions: float32 [n, d], unit rows; ``answers``: float32 [n, e]. With d ≠ e it is shrunk towards zero.
        groups: uint32 [n]; copies of one another share a number.
    """
    ranks = np.zeros(len(questions))
    groups = np.asarray(groups)
    fold = group_folds(groups, FOLDS, seed)
    for number in range(FOLDS):
        learned, rows = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(learned) or not len(rows):
            continue
        fitted = ridge(np.asarray(questions)[learned], np.asarray(answers)[learned], towards=1.0)
        expected = unit(np.asarray(questions)[rows] @ fitted)
        own = np.asarray(answers)[rows]
        ranks[rows] = _beaten(expected, own, groups[rows])
    return ranks


def _beaten(left: np.ndarray, right: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """By which share of the pairings with other groups a row's own pairing of ``left`` and ``right`` is beaten.

    The mean over its ``left`` with others' ``right`` and its ``right`` with others' ``left``; float32 [m, d] each.

    Returns:
        float64 [m]; 0 where there is no other group.
    """
    size = len(left)
    own = np.einsum("ij,ij->i", left, right) + _TIE
    beaten = np.zeros(size, dtype=np.int64)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    alone = len(sizes) == size
    step = max(1, _BLOCK_VALUES // max(1, size))
    for start in range(0, size, step):
        block = slice(start, start + step)
        cosines = left[block] @ right.T
        if not alone:
            cosines[group[block, None] == group] = -np.inf
        beaten[block] += np.count_nonzero(cosines > own[block, None], axis=1)
        beaten += np.count_nonzero(cosines > own, axis=0)
    return np.asarray(beaten / np.maximum(1, 2 * (size - sizes[group])))


def nearest_answer(
    kept_questions: np.ndarray, kept_answers: np.ndarray, anchor_questions: np.ndarray, anchor_answers: np.ndarray
) -> np.ndarray:
    """The cosine between a held-out row's answer and the answer of the kept question nearest to its own, float64 [m].

    A nearest-neighbour learner (Cover & Hart 1967) whose loss is read in the space of the answers: it answers as the
    kept rows do, so a wrong answer that is kept costs wherever it is the nearest. That it sees a cleaning of pairs,
    and refuses a random removal, is this product's own finding.

    Args:
        kept_questions: float32 [n, d], unit rows; ``kept_answers``: float32 [n, e], unit rows.
        anchor_questions: float32 [m, d]; ``anchor_answers``: float32 [m, e], unit rows.

    Returns:
        0 for every row where nothing is kept.
    """
    if not len(kept_questions) or not len(anchor_questions):
        return np.zeros(len(anchor_questions))
    at = nearest(kept_questions, anchor_questions, 1)[0][:, 0]
    given = np.asarray(kept_answers)[at].astype(np.float64)
    return np.asarray(np.einsum("ij,ij->i", given, np.asarray(anchor_answers).astype(np.float64)))
