"""Clippings of one text: notes that hold the same article whole, cut, in another page's frame, or a little edited.

Candidates share runs of words, and are found by a sample of them: the MOD_m sketch of Broder 1997, "On the resemblance
and containment of documents". A pair is verified by true containment: the share of the shorter text's runs
that stand in the longer one. Resemblance (Jaccard) would miss a cut, which has little of the whole.

Notes that share a template hold the same runs, too, but differ *within* what they share, where a field is filled in
otherwise; notes that share a signature or a quotation have something else to say before or after it. A clipping that
was cut has nothing of its own, and a page's frame stands on other pages as well. That tells them apart.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np
import polars as pl

from ...state.params.preparation import DedupParams
from ...state.rows import Removal
from ..text.kinds import word_counts
from .edited import PASSAGE, EditedCopies, WithoutSubstitution, differences
from .minhash import ShingleSets, shingle_hashes, words_apart
from .ngrams import commonness
from .wording import is_negation

LEAST_WORDS = 40  # of a text that may lie within another; shorter ones are merged as near-duplicates alone
LEAST_SHARE = 0.2  # of the longer text: what is less of it is a quotation
_LONG = 0.9  # containment from which texts are merged that are too long to be aligned
_GAPS, _SUBSTITUTED, _OUTSIDE = 25, 100, 20  # words of the shorter text for which one may be so
_LEAST_SHARED = 0.2  # of the shorter text's runs, from which on a pair is verified
_ANCHORS = 16  # notes of those that hold a run of words, the longest, with which all of them are paired
_BEST = 4  # notes of a group that stay, the most complete, with which the others that stay are compared
_WHOLE = 0.95  # of the runs of the most complete, from which on a note is as complete
_MORE_OF_A_FRAME = 5  # runs: edits break some as well
_FRAME = 3  # notes that stay and hold a run, from which on it is a frame: a template, a signature, navigation
_MOST_RUNS = 20_000_000  # that pairs are sought by
_MOST_MEETINGS = 5_000_000  # of two notes in a run of words, which are held in memory
_NUMBER = re.compile(r"\d+")
# What Markdown says beside its words, and the marks of footnotes.
_MARKS = r"(?m)^ {0,3}(#{1,6} +|`{3,}[^`\n]*$)|\[\d+\]"


class _Pair(NamedTuple):
    one: int
    other: int
    score: float
    within: bool  # one lies within the other: the score is containment


def merged(text: pl.Series, rows: np.ndarray, params: DedupParams, left_out: np.ndarray | None = None) -> Removal:
    """Notes that are clippings of a text of which a more complete clipping stays.

    A text of ``LEAST_WORDS`` words lies within another where its runs of words are found there to at least the
    threshold, and it is not under ``LEAST_SHARE`` of it. Little may differ within what they share: one place in 25
    words, another word of content in one place in 100, no number. Both must hold without frames, what three notes
    have that stay, and then one word in 20 of the shorter text may stand outside of what they share. Shorter texts
    repeat one another as near-duplicates do (Jaccard to the threshold, no word of content in another's place). Edited
    copies count, too.

    Of a group stays the most complete note: the one with most runs of words that are no frame. Of those within a
    twentieth of it stays one with no more of a frame than the others, and of these the one of the commonest wording
    (``ngrams.commonness``), because edits make runs that stand nowhere else. A note goes only for one that stays and
    that it was itself compared with.

    Args:
        text: strings [n], normalised; what says nothing is compared with nothing.
        rows: their positions, uint32 [n], ascending.
        params: ``threshold``, ``ngram_size``.
        left_out: positions (uint32) that are out already.

    Returns:
        The rows to remove; their score is the containment, the Jaccard similarity or the share of the same words.
    """
    plain = text.str.replace_all(_MARKS, "").alias("text")
    runs = _runs(plain, params.ngram_size)
    if left_out is not None:
        runs = runs.filter(~pl.col("note").is_in(np.flatnonzero(np.isin(rows, left_out)).astype(np.uint32)))
    known, texts, none = _Known(plain, params), (text, plain), pl.Series(dtype=pl.UInt64)
    compared = _candidates(runs, len(plain))
    pairs = known.pairs(compared)
    again = _not_compared(pairs, compared, _gone(texts, runs, pairs, none), len(plain))
    pairs += known.pairs(again)
    frames = _frames(runs, _gone(texts, runs, pairs, none)[0])
    pairs = _borne_out(plain, pairs, frames, params)
    again = _not_compared(pairs, [*compared, *again], _gone(texts, runs, pairs, frames), len(plain))
    pairs += _borne_out(plain, known.pairs(again), frames, params)
    gone, _ = _gone(texts, runs, pairs, frames)
    entries = sorted(gone)
    score = np.array([gone[entry][0] for entry in entries], dtype=np.float64)
    kept = np.array([gone[entry][1] for entry in entries], dtype=np.int64)
    return Removal("merged", rows[entries].astype(np.uint32), score, params.threshold, rows[kept].astype(np.uint32))


def _runs(plain: pl.Series, size: int) -> pl.DataFrame:
    """The different runs of words of each text that says something: ``note`` uint32 and ``run``, a 64-bit hash."""
    hashes, ends = shingle_hashes(plain, size)
    notes = np.repeat(np.arange(len(ends), dtype=np.uint32), np.diff(ends, prepend=0))
    says = plain.str.contains(r"\w").fill_null(False).to_numpy()
    return pl.DataFrame({"note": notes, "run": hashes}).filter(says[notes]).unique(maintain_order=True)


def _candidates(runs: pl.DataFrame, size: int) -> list[tuple[int, int]]:
    """The pairs of so many notes that share enough of a sample of their runs: hashes without a remainder by m.

    All that hold a run are paired with the longest of them, so that a text that was clipped a hundred times makes no
    more pairs than notes times ``_ANCHORS``, and the sample is so small that the meetings fit into memory.
    """
    sizes = np.bincount(runs["note"].to_numpy(), minlength=size)
    part = max(1, runs.height // _MOST_RUNS)
    held = runs.filter(pl.col("run") % part == 0).with_columns(holders=pl.len().over("run"))
    held = held.filter(pl.col("holders") >= 2)
    finer = -(-int(held["holders"].clip(upper_bound=_ANCHORS).sum()) // _MOST_MEETINGS)
    if finer > 1:
        part *= finer
        held = held.filter(pl.col("run") % part == 0)
    held = held.with_columns(length=pl.lit(sizes).gather(pl.col("note")))
    held = held.sort("length", "note", descending=[True, False]).select(
        "note", "run", place=pl.int_range(pl.len(), dtype=pl.UInt32).over("run")
    )
    shared = (
        held.lazy()
        .join(held.lazy().filter(pl.col("place") < _ANCHORS), on="run", suffix="_other")
        .filter(pl.col("place") > pl.col("place_other"))
        .group_by(one=pl.min_horizontal("note", "note_other"), other=pl.max_horizontal("note", "note_other"))
        .agg(shared=pl.len() * part)
        .sort("one", "other")
        .collect()
    )
    one, other = shared["one"].to_numpy(), shared["other"].to_numpy()
    enough = shared["shared"].to_numpy() >= _LEAST_SHARED * np.minimum(sizes[one], sizes[other])
    return list(zip(one[enough].tolist(), other[enough].tolist(), strict=True))


def _not_compared(
    pairs: list[_Pair],
    compared: Collection[tuple[int, int]],
    ended: tuple[dict[int, tuple[float, int]], list[int]],
    size: int,
) -> list[tuple[int, int]]:
    """Of so many notes those that stay, each with the most complete that stay of its group, if never compared.

    Those that stay need not be among the longest: pages with more of a frame may be.
    """
    group, known, best, found = _groups(pairs, size), set(compared), dict[int, list[int]](), list[tuple[int, int]]()
    for note in ended[1]:
        before = best.setdefault(int(group[note]), [])
        found += [two for one in before if (two := (min(one, note), max(one, note))) not in known]
        if len(before) < _BEST:
            before.append(note)
    return found


class _Known:
    """Texts (strings [n]), compared by pairs."""

    def __init__(self, plain: pl.Series, params: DedupParams) -> None:
        self._plain, self._words = plain, word_counts(plain).to_numpy()
        self._size, self._threshold = params.ngram_size, params.threshold
        self._sets = ShingleSets(plain, params.ngram_size)
        self._edited = EditedCopies(plain, params.threshold)
        self._short = WithoutSubstitution(plain, params.ngram_size)

    def pairs(self, candidates: list[tuple[int, int]]) -> list[_Pair]:
        """Those of some pairs that are clippings of one text."""
        return [pair for one in candidates if (pair := self.pair(*one)) is not None]

    def pair(self, one: int, other: int) -> _Pair | None:
        """Two notes and how much of them is the same; None where they are no clippings of one text."""
        jaccard, contained = self.likeness(one, other)
        if min(self._words[one], self._words[other]) < LEAST_WORDS:
            alike = jaccard >= self._threshold and self._short.alike(one, other, self._threshold)
            if alike and not self._is_turned(one, other):
                return _Pair(one, other, jaccard, False)
        elif contained >= self._threshold and self._lies_within(one, other, contained):
            return _Pair(one, other, contained, True)
        share = self._edited.share(one, other)
        return _Pair(one, other, share, False) if share >= self._threshold else None

    def likeness(self, one: int, other: int) -> tuple[float, float]:
        """The Jaccard similarity of two texts, and the containment of the shorter one."""
        from .shingles import overlap

        mine, others = self._sets[one], self._sets[other]
        shared = int(overlap(mine, others))
        return shared / (len(mine) + len(others) - shared), shared / min(len(mine), len(others))

    def _lies_within(self, one: int, other: int, contained: float) -> bool:
        """Whether the shorter of two texts, so much of which is in the longer, is no quotation and no form."""
        words = min(self._words[one], self._words[other])
        if words < LEAST_SHARE * max(self._words[one], self._words[other]):
            return False
        found = differences(self._plain[one], self._plain[other], self._size)
        if found is None:
            return contained >= _LONG
        few = found.gaps <= words / _GAPS and found.substituted <= words // _SUBSTITUTED
        return bool(few and not found.turned)

    def _is_turned(self, one: int, other: int) -> bool:
        """Whether a number, a negation or an opposite tells two short texts apart."""
        found = differences(self._plain[one], self._plain[other], self._size)
        return found is not None and (found.turned or found.turned_outside)

    def adds_little(self, one: int, other: int) -> bool:
        """Whether the shorter of two texts lies within the other, and has little to say outside of it."""
        short, long = sorted((one, other), key=lambda note: (self._words[note], len(self._plain[note]), note))
        if not self._words[short] or self.likeness(one, other)[1] < self._threshold:
            return False
        found = differences(self._plain[short], self._plain[long], self._size)
        if found is None:
            return _keeps_facts(self._plain[short], self._plain[long], self._size)
        little = found.outside <= self._words[short] / _OUTSIDE
        return bool(little and not found.turned and not found.turned_outside)


def _keeps_facts(short: str, long: str, size: int) -> bool:
    """Whether each number and negation that the first of two texts too long to be aligned has of its own, in no run of
    so many words that both have, is among those of the other's own; and each negation of a few words of the other's."""
    both = pl.Series("text", [short, long], dtype=pl.String)
    hashes, ends = shingle_hashes(both, size)
    mine, others = (
        next(_apart(both[at : at + 1], there, size)) for at, there in enumerate(np.split(hashes, ends[:-1])[::-1])
    )
    facts, there = Counter(_facts(mine)), Counter(_facts(others))
    turned = Counter(word for word in _facts([one for one in others if len(one) < PASSAGE]) if not word.isdigit())
    return not facts - there and not turned - facts


def _facts(stretches: list[list[str]]) -> list[str]:
    """The numbers and the negations of some stretches of words."""
    words = [word for one in stretches for word in one]
    return [*_NUMBER.findall(" ".join(words)), *filter(is_negation, map(str.lower, words))]


def _borne_out(plain: pl.Series, pairs: list[_Pair], frames: pl.Series, params: DedupParams) -> list[_Pair]:
    """Those of the pairs that hold without ``frames``, runs (UInt64 [m]) that stand in other notes as well."""
    if not pairs:
        return []
    notes = np.unique([pair[:2] for pair in pairs])
    bare, place = (
        _bare(plain.gather(notes), frames, params.ngram_size),
        {int(note): at for at, note in enumerate(notes)},
    )
    known, found = _Known(bare, params), []
    for pair in pairs:
        one, other = place[pair.one], place[pair.other]
        if known.adds_little(one, other) if pair.within else bare[one] and bare[other]:
            found.append(pair)
    return found


def _bare(plain: pl.Series, frames: pl.Series, size: int) -> pl.Series:
    """Texts (strings [n]) without the words of ``frames``, runs of so many words (UInt64 [m])."""
    texts = [" ".join(chain.from_iterable(one)) for one in _apart(plain, frames.to_numpy(), size)]
    return pl.Series("text", texts, dtype=pl.String)


def _apart(plain: pl.Series, held: np.ndarray, size: int) -> Iterator[list[list[str]]]:
    """Of each of some texts (strings [n]) the stretches of words that stand in none of some runs of so many words.

    ``held``: the hashes of those runs, uint64 [m].
    """
    hashes, ends = shingle_hashes(plain, size)
    found = np.isin(hashes, held).astype(np.int64)
    for text, there in zip(words_apart(plain), np.split(found, ends[:-1]), strict=True):
        words = text.split()
        covered = np.convolve(there, np.ones(size, dtype=np.int64))[: len(words)].tolist()
        stretches = groupby(zip(words, covered, strict=True), key=lambda one: one[1] > 0)
        yield [[word for word, _ in stretch] for is_held, stretch in stretches if not is_held]


def _frames(runs: pl.DataFrame, gone: Collection[int]) -> pl.Series:
    """The runs that several notes hold that would not go for one another: UInt64 [m]."""
    stay = runs.filter(~pl.col("note").is_in(pl.Series(sorted(gone), dtype=pl.UInt32).implode()))
    return stay.group_by("run").len().filter(pl.col("len") >= _FRAME)["run"]


def _groups(pairs: list[_Pair], size: int) -> np.ndarray:
    """The group of each of so many notes: those that pairs tie together, and each other its own (int [size])."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    one, other = np.array([pair[:2] for pair in pairs], dtype=np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1])


def _gone(
    texts: tuple[pl.Series, pl.Series], runs: pl.DataFrame, pairs: list[_Pair], frames: pl.Series
) -> tuple[dict[int, tuple[float, int]], list[int]]:
    """The notes of ``pairs`` that go, each with the score of its pair with the one that stays for it, and that one; and
    those that stay, the most complete first.

    ``texts``: of the notes as they are, and as they are compared (strings [n] each).
    """
    beside: dict[int, list[tuple[float, int]]] = {}
    for pair in pairs:
        beside.setdefault(pair.one, []).append((pair.score, pair.other))
        beside.setdefault(pair.other, []).append((pair.score, pair.one))
    gone, stay = dict[int, tuple[float, int]](), dict[int, None]()
    for note in _by_completeness(texts, runs, pairs, frames):
        staying = [(score, other) for score, other in beside[note] if other in stay]
        if staying:
            gone[note] = max(staying, key=lambda one: (one[0], -one[1]))
        else:
            stay[note] = None
    return gone, list(stay)


def _by_completeness(
    texts: tuple[pl.Series, pl.Series], runs: pl.DataFrame, pairs: list[_Pair], frames: pl.Series
) -> list[int]:
    """The notes of ``pairs``, those that may stay before the others."""
    if not pairs:
        return []
    rows = np.unique([pair[:2] for pair in pairs])
    framed = pl.col("run").is_in(frames.implode())
    held = runs.group_by("note").agg(own=(~framed).sum().cast(pl.Int64), framed=framed.sum().cast(pl.Int64))
    size, wording = texts[0].gather(rows).str.len_chars(), commonness(texts[1].gather(rows))
    group = _groups(pairs, len(texts[0]))[rows]
    known = pl.DataFrame({"note": rows.astype(np.uint32), "group": group, "wording": wording, "size": size})
    known = known.join(held, on="note", maintain_order="left")
    whole = pl.col("own") >= _WHOLE * pl.col("own").max().over("group")
    clear = pl.col("framed") <= pl.col("framed").filter(whole).min().over("group") + _MORE_OF_A_FRAME
    merit = pl.when(whole).then(clear.cast(pl.Int64)).otherwise("own")
    order = known.sort(whole, merit, "wording", "size", "note", descending=[True, True, True, False, False])
    notes: list[int] = order["note"].to_list()
    return notes
