"""How usual a wording is: counts as a dictionary has them, and which of two texts is the sound one."""

from collections import Counter
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.params.preparation import DedupParams
from recryst.tools.noise import edited
from recryst.tools.repeats.dedup import keep_order
from recryst.tools.repeats.minhash import SignedRows
from recryst.tools.repeats.ngrams import NgramCounts, commonness

texts = st.lists(st.lists(st.sampled_from(["a", "B", "the", "Ünder"]), max_size=9).map(" ".join), max_size=20)


@given(texts)
def test_pairs_are_counted_as_a_dictionary_does(text):
    words = [["^", *one.lower().split(), "$"] for one in text]
    known = Counter(pair for one in words for pair in pairwise(one))
    counts, ends = NgramCounts(pl.Series(text, dtype=pl.String), 2).of(pl.Series(text, dtype=pl.String))
    wanted = [[known[pair] for pair in pairwise(one)] for one in words]
    assert [part.tolist() for part in np.split(counts, ends[:-1])][: len(text)] == wanted
    means = [np.log(one).mean() for one in wanted]
    assert commonness(pl.Series(text, dtype=pl.String)) == pytest.approx(means, abs=1e-4)


def test_a_word_alone_is_its_letters():
    counted = NgramCounts(pl.Series(["A word, and a word.", "word", None]), 1)
    assert counted.of(pl.Series(["word", "words", "a"]))[0].tolist() == [3, 0, 2]


def test_of_two_texts_the_sound_one_stays():
    random = np.random.default_rng(5)
    subjects, verbs, goods = ["the cat", "a dog", "my aunt", "the old man"], ["sees", "finds", "likes"], ["fish", "tea"]
    sound = [f"{a} {b} {c} on {d}s" for a in subjects for b in verbs for c in goods for d in ("monday", "friday")]
    text = pl.Series([edited(one, random) for one in sound] + sound)
    signed = SignedRows(text, np.arange(len(text), dtype=np.uint32), np.empty((len(text), 0), dtype=np.uint32))
    place = np.argsort(keep_order(signed, DedupParams(which_to_keep="commonest")))
    assert (place[len(sound) :] < place[: len(sound)]).mean() > 0.9
