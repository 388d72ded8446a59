"""The longest run of words that two texts share, in compiled loops.

The module needs Numba, so it is imported by the functions that use it. Runs are found by 64-bit hashes and confirmed by
the characters: two words that merely have the same hash are not the same.
"""

from typing import NamedTuple

import numpy as np

from ...text.compiled import kernel
from ...text.ngrams import BASE, Words, character

#: Words that are compared for one text are bounded by so many for each of its own. Two texts that repeat the same few
#: words over and over have as many runs in common as words of one times words of the other; then runs are cut short.
_EFFORT = 256
_ONE, _BYTE, _EIGHT = np.uint64(1), np.uint64(7), np.uint64(3)


class GramIndex(NamedTuple):
    """Where runs of words begin, by the hash of the run: ``at[places[k]:places[k + 1]]`` for ``keys[k]``.

    ``keys`` uint64 [k], ascending; ``places`` int64 [k + 1]; ``at`` int64 [p], word numbers; ``bits`` uint8: a bit for
    every key, at its hash ``shift``ed right, so that most hashes that are no key are known by one look.
    """

    keys: np.ndarray
    places: np.ndarray
    at: np.ndarray
    bits: np.ndarray
    shift: np.uint64


class Known(NamedTuple):
    """Texts that others are held against: their words, and an index of their n-grams and of those that are shorter.

    ``text_of`` int32 [m]: the text of a word; ``listed`` bool [m]: the n-gram that begins at a word is in ``grams``.
    ``longest``: words of the longest text in ``whole``; ``alphabet``: that of ``words_of``.
    """

    words: Words
    text_of: np.ndarray
    listed: np.ndarray
    grams: GramIndex
    whole: GramIndex
    longest: int
    alphabet: np.ndarray


def index_of(hashes: np.ndarray, at: np.ndarray) -> GramIndex:
    """The index of runs by their hashes (uint64 [p]) and first words (int64 [p]), sorted by both."""
    begins = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]))
    keys = hashes[begins]
    # Sixteen bits a key: one look in sixteen at a hash that is no key leads to a search.
    width = max(3, int(16 * len(keys)).bit_length())
    shift = np.uint64(64 - width)
    places = (keys * BASE) >> shift
    bits = np.zeros(1 << width >> 3, dtype=np.uint8)
    np.bitwise_or.at(bits, places >> _EIGHT, np.left_shift(1, places & _BYTE).astype(np.uint8))
    return GramIndex(keys, np.append(begins, len(at)).astype(np.int64), np.array(at), bits, shift)


@kernel()
def _perhaps(bits: np.ndarray, shift: np.uint64, key: np.uint64) -> bool:
    """Whether the bit of a key is set."""
    place = (key * BASE) >> shift
    return bool((np.uint64(bits[place >> _EIGHT]) >> (place & _BYTE)) & _ONE)


@kernel()
def _places(keys: np.ndarray, places: np.ndarray, key: np.uint64) -> tuple[int, int]:
    """From where to where in the index the runs of a key stand."""
    number = np.searchsorted(keys, key)
    if number < len(keys) and keys[number] == key:
        return places[number], places[number + 1]
    return 0, 0


@kernel()
def _same(one: Words, at: int, other: Words, to: int, alphabet: np.ndarray) -> bool:
    """Whether two words are the same, by their characters."""
    if one.hashes[at] != other.hashes[to]:
        return False
    left, right = one.start[at], other.start[to]
    while left < one.end[at] and right < other.end[to]:
        code, left = character(one.data, left)
        code_other, right = character(other.data, right)
        if alphabet[code] != alphabet[code_other]:
            return False
    return bool(left == one.end[at] and right == other.end[to])


@kernel()
def _better(words: int, of: int, best: np.ndarray, by_share: bool) -> bool:
    """Whether ``words`` of a known text of ``of`` words are a better match: more, or a larger share of it and more."""
    if by_share and words * best[1] != best[0] * of:
        return bool(words * best[1] > best[0] * of)
    return bool(words > best[0])


@kernel()
def _line_perhaps(
    hashes: np.ndarray, opens: np.ndarray, word: int, stop: int, least: int, bits: np.ndarray, shift: np.uint64
) -> bool:
    """Whether a shorter known text may be whole lines from ``word``; ``stop`` is where the longest would end."""
    run = np.uint64(0)
    for after in range(word + 1, stop + 1):
        run = run * BASE + hashes[after - 1]
        if after - word >= least and (after == len(hashes) or opens[after]) and _perhaps(bits, shift, run):
            return True
    return False


@kernel()
def _whole(words: Words, word: int, stop: int, known: Known, least: int, by_share: bool, best: np.ndarray) -> None:
    """Take the best of the shorter known texts that are whole lines of a text from ``word``, the first of its line."""
    hashes, opens, theirs, run = words.hashes, words.opens, known.words, np.uint64(0)
    for after in range(word + 1, min(stop, word + known.longest) + 1):
        run = run * BASE + hashes[after - 1]
        length = after - word
        if length < least or not (after == stop or opens[after]) or not _better(length, length, best, by_share):
            continue
        for place in range(*_places(known.whole.keys, known.whole.places, run)):
            to = known.whole.at[place]
            known_length = theirs.first[known.text_of[to] + 1] - to
            if known_length == length and _same_words(words, word, theirs, to, length, 1, known.alphabet) == length:
                best[:4] = length, length, word, to
                break


@kernel()
def _same_words(one: Words, at: int, other: Words, to: int, most: int, step: int, alphabet: np.ndarray) -> int:
    """How many words from ``at`` are those from ``to``, forwards or backwards."""
    count = 0
    while count < most and _same(one, at + step * count, other, to + step * count, alphabet):
        count += 1
    return count


@kernel()
def _same_hashes(one: np.ndarray, at: int, other: np.ndarray, to: int, most: int, step: int) -> int:
    """As ``_same_words``, by their hashes alone."""
    count = 0
    while count < most and one[at + step * count] == other[to + step * count]:
        count += 1
    return count


@kernel()
def _run(
    words: Words, span: tuple[int, int], known: Known, meet: tuple[int, int], size: int, share: float, best: np.ndarray
) -> None:
    """Take the run through a word of the text ``span`` and a known word, which ``meet``, if it is the best."""
    at, to = meet
    theirs, by_share = known.words, share > 0
    low, high = theirs.first[known.text_of[to]], theirs.first[known.text_of[to] + 1]
    # A run that another listed n-gram leads into was followed from there.
    if at > span[0] and to > low and known.listed[to - 1] and _same(words, at - 1, theirs, to - 1, known.alphabet):
        return
    most = min(span[1] - at, high - to, max(size, best[4]))
    after = _same_hashes(words.hashes, at, theirs.hashes, to, most, 1)
    best[4] -= after
    most = min(at - span[0], to - low, max(0, best[4]))
    before = _same_hashes(words.hashes, at - 1, theirs.hashes, to - 1, most, -1)
    best[4] -= before
    if before + after < share * (high - low) or not _better(before + after, high - low, best, by_share):
        return
    after = _same_words(words, at, theirs, to, after, 1, known.alphabet)
    if after < size:
        return
    length = after + _same_words(words, at - 1, theirs, to - 1, before, -1, known.alphabet)
    if length >= share * (high - low) and _better(length, high - low, best, by_share):
        best[:4] = length, high - low, at + after - length, to + after - length


@kernel()
def longest(words: Words, known: Known, size: int, least: int, min_share: float) -> np.ndarray:
    """The longest run of words that each text shares with a known one.

    A run goes as far as the words agree, and counts if one of its n-grams is listed. A known text of fewer than
    ``size`` words is shared where it is whole lines of the text.

    Args:
        words: of n texts.
        known: what they are held against, indexed for n-grams of the same ``size``.
        least: words that a shorter text must have.
        min_share: share of the known text's words that a run must have; then the run with the largest share is taken,
            the longest of equals. 0: the longest run. Of equals the first is taken.

    Returns:
        int64 [n, 4]: words of the run, words of the known text, and the words where it begins, in ``words`` and in
        ``known.words``; the first is 0 where nothing is shared.
    """
    found = np.zeros((len(words.first) - 1, 5), np.int64)  # and the words that may still be compared
    # Not looked up in the tuples at every word: Numba counts the references to each array of a tuple it hands on.
    hashes, opens, first, bits, shift = words.hashes, words.opens, words.first, known.grams.bits, known.grams.shift
    whole_bits, whole_shift, longest_whole = known.whole.bits, known.whole.shift, known.longest
    keys, places, begins = known.grams.keys, known.grams.places, known.grams.at
    text_of, known_first = known.text_of, known.words.first
    leaving = BASE ** np.uint64(size)
    for text in range(len(found)):
        best = found[text]
        span = (first[text], first[text + 1])
        best[1], best[4] = 1, _EFFORT * (span[1] - span[0])
        rolling = np.uint64(0)
        for word in range(span[0], span[1]):
            end = min(span[1], word + longest_whole)
            if opens[word] and _line_perhaps(hashes, opens, word, end, least, whole_bits, whole_shift):
                _whole(words, word, span[1], known, least, min_share > 0, best)
            rolling = rolling * BASE + hashes[word]
            if word - span[0] >= size:
                rolling -= leaving * hashes[word - size]
            if word - span[0] >= size - 1 and _perhaps(bits, shift, rolling):
                at = word - size + 1
                for place in range(*_places(keys, places, rolling)):
                    to = begins[place]
                    low, high = known_first[text_of[to]], known_first[text_of[to] + 1]
                    most = min(at - span[0], to - low) + min(span[1] - at, high - to)
                    if _better(most, high - low, best, min_share > 0):
                        _run(words, span, known, (at, to), size, min_share, best)
    return found[:, :4].copy()
