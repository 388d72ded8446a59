"""Edited copies: rows that repeat another word for word, but for a few words dropped, put in, swapped or misspelt.

One edit takes a word n-gram shingle in n with it, so that a copy with a word in twelve changed has a Jaccard similarity
of 5-grams near 0.4. Here the words themselves are aligned, by their edit distance (Levenshtein 1966). What the edits
are decides, not only how many they are: a word in another's place says something else ("built-in" for "frozen"), a
misspelling does not.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl
from rapidfuzz.distance import OSA, Indel

from ...state.params.preparation import DedupParams
from ...state.rows import Removal
from ..program import settle_sklearn
from ..read.content import segments
from ..text.kinds import word_counts
from .lsh import MAX_REPRESENTATIVES, matches
from .minhash import Parts, shingle_hashes, signatures, words_apart
from .ngrams import NgramCounts
from .wording import is_negation, opposites, same_facts

#: By which shingles candidates among longer texts are sought: one edit in eight words leaves more than half of them.
_PAIRS_OF_WORDS = {"ngram_size": 2, "threshold": 0.54, "target_rows": None}
_ONE_IN = 8  # words; of fewer words one edit is allowed
_LEAST_WORDS = 5
_LONG = 40  # words, from which some of content may be more or less
_MOST_CHARACTERS = 20_000  # of a text that is aligned: the alignment of n words takes n² bits
PASSAGE = 10  # words that stand in one text alone, from which on they are a part that was cut away
_LEAST_LETTERS, _MOST_LETTERS = 4, 64  # of a word that may be misspelt
_AKIN = 3  # letters at one end that words with another affix have in common
_APART = 2  # places at most between which a word was moved
_PUNCTUATION = ".,;:!?\"'()[]{}`’‘“”…"
_DIGITS = re.compile(r"\d+")
#: Words of manner and of courtesy that change no request and no statement, beside the stop words.
_PARTICLES = """
actually basically honestly hopefully just kindly literally maybe okay ok oh perhaps quite really simply somehow thank
thanks very hello hey hi
"""
_ASKING = ("how", "why", "what", "which", "else")  # stop words that do
_SPARE = 4  # words: longer texts begin so far below, so that no pair falls between
_BASE = np.uint64(0x9E3779B97F4A7C15)  # of the hash of a sequence, Σ hash · baseⁱ modulo 2⁶⁴; any odd number has
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))  # an inverse


class _Placed(NamedTuple):
    """A word, its place (or where it would stand) in the first of two texts, and which of the gaps it stands in."""

    word: str
    place: int
    gap: int


class EditedCopies(Parts):
    """Whether of each part of two rows the words are the same but for a few edits that change nothing that is said.

    Harmless is a slip (a word that differs inside by few letters, where one of the two stands nowhere else), a word
    that moved, a function word more or less. In a text of 40 words a word of content more or less, alone in its place,
    is taken for damage where there are as many harmless edits: alone it may be the whole difference ("a byte string").
    """

    def __init__(self, content: pl.Series, threshold: float) -> None:
        """``content``: strings, [n], as ``content.content_of`` gives them. ``threshold``: the share of the words of two
        texts that must be the same."""
        self._content, self._threshold = content, threshold
        self._words = NgramCounts(content, 1)

    def alike(self, one: int, other: int, threshold: float) -> bool:
        """Whether rows have as many parts, and each is the same or an edited copy; ``threshold`` is the caller's."""
        return self.share(one, other) >= self._threshold

    def share(self, one: int, other: int) -> float:
        """The share of the words of two rows that is the same, of the part in which it is least; 0 where one is no
        edited copy of the other."""
        first, second = (segments(self._content[row]) for row in (one, other))
        if len(first) != len(second):
            return 0.0
        return min((self._share(*pair) for pair in zip(first, second, strict=True) if pair[0] != pair[1]), default=1.0)

    def _share(self, one: str, other: str) -> float:
        """The share of the words of two texts that is the same; 0 where too many differ or they say two things."""
        if max(len(one), len(other)) > _MOST_CHARACTERS:
            return 0.0
        mine, others = _words(one), _words(other)
        size = max(len(mine), len(others))
        most = max(1, size // _ONE_IN)
        if size < _LEAST_WORDS or abs(len(mine) - len(others)) > most:
            return 0.0
        if Indel.distance(mine, others, score_cutoff=2 * most) > 2 * most:  # a word dropped and one put in
            return 0.0
        old, new, slips, unsure = list[_Placed](), list[_Placed](), 0, 0
        for gap in _gaps(mine, others):
            slip = next((pair for pair in product(*gap) if _is_slip(pair[0].word, pair[1].word)), None)
            if slip is not None:
                sure = self._stands_nowhere_else(slip)
                slips, unsure = slips + sure, unsure + (not sure)
                gap[0].remove(slip[0])
                gap[1].remove(slip[1])
            if _is_substituted(gap, _has_content):
                return 0.0
            old += gap[0]
            new += gap[1]
        moved, single = _moved(old, new)
        edits = slips + unsure + len(moved) + len(single)
        if edits > most or any(map(_is_vital, single)) or (size < _LONG and not all(map(_may_move, moved))):
            return 0.0
        of_content = Counter(one.gap for one in single if _has_content(one))
        doubtful = unsure + len(of_content)
        harmless = slips + len(moved) + len({one.gap for one in single} - set(of_content))
        if doubtful and (size < _LONG or max(of_content.values(), default=1) > 1 or doubtful > harmless):
            return 0.0
        return 1.0 - edits / size

    def _stands_nowhere_else(self, slip: tuple[_Placed, _Placed]) -> bool:
        """Whether one of two words, of letters alone, stands nowhere else in the set."""
        words = [one.word for one in slip]
        return all(map(str.isalpha, words)) and int(self._words.of(pl.Series(words))[0].min()) <= 1


class WithoutSubstitution(Parts):
    """The parts of rows, none of the short ones with a word of content in another's place.

    At its end such a word takes one shingle of 5 words in eight with it: "do I need a socket converter in Sweden" and
    "… in France" are alike to 0.8, and what they ask is not the same. Numbers are left to the shingles.
    """

    def alike(self, one: int, other: int, threshold: float) -> bool:
        """As ``Parts.alike``; false, too, where a word of a short part stands in another's place."""
        if not super().alike(one, other, threshold):
            return False
        pairs = zip(*(segments(self._content[row] or "") for row in (one, other)), strict=True)
        return not any(_has_substitution(*pair) for pair in pairs if pair[0] != pair[1])


def _has_substitution(one: str, other: str) -> bool:
    """Whether one of two short texts has a word of content where the other has another, no slip and no number."""
    if max(len(one), len(other)) > _LONG * _MOST_LETTERS:
        return False
    mine, others = _words(one), _words(other)
    return max(len(mine), len(others)) < _LONG and any(
        _is_substituted(gap, lambda one: _has_content(one) and not _DIGITS.search(one.word))
        and not any(_is_slip(old.word, new.word) for old, new in product(*gap))
        for gap in _gaps(mine, others)
    )


class Differences(NamedTuple):
    """What two texts differ by, within what they share and outside of it: before the first run of words that they have
    in common, and after the last."""

    gaps: int  # places within where words of content stand in one of them alone
    substituted: int  # those of them where others stand in the other
    turned: bool  # whether within one of them has a number or an opposite in another's place, or a negation more
    outside: int  # words of the first text that stand outside
    turned_outside: bool  # the same as ``turned``, of what stands before and after


def differences(one: str, other: str, run: int) -> Differences | None:
    """What two texts differ by; a ``run`` of words is so many that are the same.

    What stands in one text alone at an end, or is a passage within, is a cut: its numbers and negations turn nothing.

    None where they share no run, or one of them is too long to be aligned.
    """
    if max(len(one), len(other)) > _MOST_CHARACTERS:
        return None
    mine, others = _words(one), _words(other)
    same = [step for step in Indel.opcodes(mine, others) if step.tag == "equal"]
    long = [step for step in same if step.src_end - step.src_start >= run]
    if not long:
        return None
    first, last = long[0], long[-1]
    within = mine[first.src_start : last.src_end], others[first.dest_start : last.dest_end]
    gaps = list(_gaps(*within))
    found = [gap for gap in gaps if any(map(_has_content, (*gap[0], *gap[1])))]
    other_word = [
        gap
        for gap in found
        if _is_substituted(gap, _has_content) and not any(_is_slip(old.word, new.word) for old, new in product(*gap))
    ]
    before = _edge(mine[: first.src_start][::-1], others[: first.dest_start][::-1])
    after = _edge(mine[last.src_end :], others[last.dest_end :])
    numbers = [[_DIGITS.findall(" ".join(one.word for one in side)) for side in gap] for gap in found]
    turned = any(old and new and old != new for old, new in numbers) or _is_turned(gaps)
    outside = len(mine) - len(within[0])
    return Differences(len(found), len(other_word), turned, outside, any(map(_is_turned_at, (before, after))))


def _edge(mine: Sequence[str], others: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Of what two texts have at one end, the nearest word first, what stands in each other's place.

    Much more of the other than of the first is what was cut away there, and its nearest words alone are compared.
    """
    fewest = min(len(mine), len(others))
    is_cut = len(others) >= fewest + PASSAGE
    return mine[: max(fewest, PASSAGE)], others[:fewest] if is_cut else others


def _is_turned_at(edge: tuple[Sequence[str], Sequence[str]]) -> bool:
    """As ``_is_turned``, of what two texts have at one end; each has a number that the other has not."""
    numbers = [Counter(_DIGITS.findall(" ".join(side))) for side in edge]
    if numbers[0] - numbers[1] and numbers[1] - numbers[0]:
        return True
    near = [Counter(side[: PASSAGE - 1]) for side in edge]
    alone = [(near[at] - near[1 - at]).elements() for at in (0, 1)]
    return _is_turned([([_Placed(word, 0, 0) for word in alone[0]], [_Placed(word, 0, 0) for word in alone[1]])])


def _is_turned(gaps: list[tuple[list[_Placed], list[_Placed]]]) -> bool:
    """Whether between the words that two texts share one has a negation more, or a word and its opposite meet."""
    short = [[side if len(side) < PASSAGE else [] for side in gap] for gap in gaps]
    old, new = ([one for gap in short for one in gap[at] if is_negation(one.word)] for at in (0, 1))
    if _moved(old, new)[1]:
        return True
    return any(_are_opposed(one.word, other.word) for gap in short for one, other in product(*gap))


def _are_opposed(one: str, other: str) -> bool:
    """Whether two words, neither a negation nor a slip of the other, say the opposite of one another."""
    akin = {one, other} <= opposites() or one[:_AKIN] == other[:_AKIN] or one[-_AKIN:] == other[-_AKIN:]
    if not akin or not (one.isalpha() and other.isalpha()) or is_negation(one) or is_negation(other):
        return False
    return not _is_slip(one, other) and not _say_the_same(one, other)


@lru_cache(maxsize=4096)
def _say_the_same(one: str, other: str) -> bool:
    return bool(same_facts(pl.Series([one]), pl.Series([other])).all())


def edited_copies(content: pl.Series, rows: np.ndarray, params: DedupParams, order: np.ndarray) -> Removal:
    """Rows that are edited copies of a row before them, in keep order, that stays.

    Candidates are, of texts in which one edit is allowed, those that are the same without one word each (deletion
    neighbourhoods: Bocek, Hunt and Stiller 2007, "Fast similarity search in large dictionaries"); of longer ones those
    that share pairs of words (MinHash and LSH).

    Args:
        content: strings [n], as ``content.content_of`` gives them.
        rows: their positions, uint32 [n].
        params: ``threshold``: the share of words that two texts must share; ``num_perm``.
        order: entries (int64) in keep order (``dedup.keep_order``); those left out are compared with nothing.

    Returns:
        The rows to remove, with the share of their words that ``duplicate_of`` has, too.
    """
    content = content.fill_null("")
    known = EditedCopies(content, params.threshold)
    words = word_counts(content).to_numpy()[order]
    says = (content.str.strip_chars() != "").to_numpy()[order]
    twins = _same_but_for_a_word(content, order[says & (words < 2 * _ONE_IN)], known)
    longer = order[says & (words >= 2 * _ONE_IN - _SPARE)]
    longer = longer[~np.isin(longer, list(twins))]
    stay = np.isin(longer, list(twins.values()))
    params = params.model_copy(update=_PAIRS_OF_WORDS)
    signs = signatures(content, params)
    twins |= {
        match.entry: match.kept
        for match in matches(
            (content, known),
            (signs[:0], signs),
            np.concatenate([longer[stay], longer[~stay]]),
            params,
            int(stay.sum()),
            closed=False,
        )
    }
    entries = np.array(sorted(twins, key=rows.__getitem__), dtype=np.int64)
    kept = np.array([twins[entry] for entry in entries.tolist()], dtype=np.int64)
    shared = [known.share(entry, twins[entry]) for entry in entries.tolist()]
    return Removal("near_duplicate", rows[entries], np.array(shared, dtype=np.float64), params.threshold, rows[kept])


def _same_but_for_a_word(content: pl.Series, order: np.ndarray, known: EditedCopies) -> dict[int, int]:
    """Each of some short texts (int64 [m], in keep order) that is an edited copy of an earlier one that stays, and that
    one."""
    bare = content.gather(order).str.to_lowercase().str.replace_all(rf"[{re.escape(_PUNCTUATION)}]", " ")
    hashes, ends = shingle_hashes(bare, 1)
    sizes = np.diff(ends, prepend=0)
    table = np.zeros((len(order), int(sizes.max(initial=0))), dtype=np.uint64)
    table[np.arange(table.shape[1]) < sizes[:, None]] = hashes
    before = np.cumsum(table * (_BASE ** np.arange(table.shape[1], dtype=np.uint64)), axis=1, dtype=np.uint64)
    whole = before[:, -1:]
    without = np.concatenate([np.zeros_like(whole), before[:, :-1]], axis=1) + (whole - before) * _INVERSE
    there = np.concatenate([np.ones_like(whole, dtype=bool), table != 0], axis=1)
    neighbours = pl.DataFrame(
        {
            "hash": np.concatenate([whole, without], axis=1)[there],
            "place": np.repeat(np.arange(len(order)), there.sum(axis=1)),
        }
    )
    alike = neighbours.unique().filter(pl.len().over("hash") > 1).sort("place", "hash")
    earlier, twins = dict[int, list[int]](), dict[int, int]()
    for (place,), held in alike.group_by("place", maintain_order=True):
        buckets = held["hash"].to_list()
        candidates = sorted({one for bucket in buckets for one in earlier.get(bucket, ())})
        entry = int(order[place])
        twin = next((one for one in order[candidates].tolist() if known.alike(entry, one, 0.0)), None)
        if twin is not None:
            twins[entry] = twin
            continue
        for bucket in buckets:
            if len(offered := earlier.setdefault(bucket, [])) < MAX_REPRESENTATIVES:
                offered.append(int(place))
    return twins


@lru_cache(maxsize=1024)
def _words(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without the punctuation around them; what is nothing else stays."""
    apart = text if text.isascii() else words_apart(pl.Series([text]))[0]
    return tuple(word.strip(_PUNCTUATION) or word for word in apart.lower().split())


def _gaps(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[list[_Placed], list[_Placed]]]:
    """Between the words that two texts share, in order: those of the one alone and those of the other alone."""
    old, new, gap = list[_Placed](), list[_Placed](), 0
    for step in Indel.opcodes(one, other):
        at = step.src_start
        if step.tag == "equal":
            yield old, new
            old, new, gap = [], [], gap + 1
        elif step.tag == "delete":
            old += [_Placed(word, at + n, gap) for n, word in enumerate(one[at : step.src_end])]
        else:
            new += [_Placed(word, at, gap) for word in other[step.dest_start : step.dest_end]]
    yield old, new


def _is_substituted(gap: tuple[list[_Placed], list[_Placed]], says: Callable[[_Placed], bool]) -> bool:
    """Whether one word that ``says`` something stands in the place of another, and none of them only moved."""
    return all(any(map(says, side)) for side in gap) and not _moved(*gap)[0]


def _moved(old: list[_Placed], new: list[_Placed]) -> tuple[list[_Placed], list[_Placed]]:
    """The words that only moved, and those that are in one text alone."""
    moved, single = list[_Placed](), list(new)
    for one in old:
        there = (other for other in single if other.word == one.word and abs(other.place - one.place) <= _APART)
        if (other := next(there, None)) is not None:
            single.remove(other)
            moved.append(one)
        else:
            single.append(one)
    return moved, single


def _is_slip(one: str, other: str) -> bool:
    """Whether few letters, inside of them, tell two words apart."""
    if one[0] != other[0] or one[-1] != other[-1] or _DIGITS.findall(one) != _DIGITS.findall(other):
        return False
    longest = max(len(one), len(other))
    slips = 1 + (longest >= 2 * _LEAST_LETTERS)
    return _LEAST_LETTERS <= longest <= _MOST_LETTERS and OSA.distance(one, other, score_cutoff=slips) <= slips


def _is_vital(one: _Placed) -> bool:
    """Whether a word is a negation or has a number in it."""
    return is_negation(one.word) or _DIGITS.search(one.word) is not None


def _may_move(one: _Placed) -> bool:
    """Whether a short text says the same with this word in its neighbour's place."""
    return one.word.replace("'", "").isalpha() and not is_negation(one.word)


def _has_content(one: _Placed) -> bool:
    return one.word not in _function_words()


@cache
def _function_words() -> frozenset[str]:
    settle_sklearn()
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS | set(_PARTICLES.split())) - set(_ASKING) - opposites()
