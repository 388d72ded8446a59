"""Measures of a text's quality: one number each, which the rules of ``filters`` bound.

They are taken once and kept, so that other thresholds need no new pass over the text. What ``gopher``, ``c4`` and
``fineweb`` count follows the papers (Rae et al. 2021, arXiv 2112.11446, §A.1.1 and Table A1; Raffel et al. 2020, arXiv
1910.10683, §2.2; Penedo et al. 2024, arXiv 2406.17557, §3.6) and agrees with Hugging Face's datatrove: words are
spaCy's English tokens. ``basic`` is the house's own: what is junk in any text of any language, counted on words split
at blank space.
"""

import numpy as np
import polars as pl

from ...state.phrases import Advance, silent
from .batches import batches
from .lines import Lines, Measured, line_measures, ratio, split
from .segments import maxima, occurrences, repeated_ngrams, sums
from .tokens import LETTER, STOP_WORDS, SYMBOLS, Tokeniser, Tokens, shared_tokeniser

_BATCH_BYTES = 1 << 22
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: hashes of words times its powers add up to that of an n-gram

# The heading of a rendered turn ("### Response:"): a form, not something the row says.
_HEADING = r"(?m)^### \w+:"

_TOP, _REPEATED = (2, 3, 4), (5, 6, 7, 8, 9, 10)  # words in the n-grams that Gopher looks at

MEASURES = {
    "basic.words": "words, split at blank space",
    "basic.characters": "characters",
    "basic.empty_answers": "1 where the answer, or the last turn of a conversation, is empty",
    "basic.replacement_characters": "share of characters that are U+FFFD, the mark of a wrong decoding",
    "basic.non_alphanumeric_characters": "share of non-blank characters that are neither letter, mark nor digit",
    "basic.alpha_words": "share of words with a letter",
    "basic.repeated_word": "share of words that repeat the most frequent word (its occurrences but one)",
    "basic.longest_word": "characters of the longest word",
    "basic.duplicate_lines": "share of lines that repeat an earlier one",
    "basic.top_pair_characters": "share of characters in the repeated word pair that covers most",
    "gopher.words": "words that are not symbols alone",
    "gopher.mean_word_length": "characters per word that is not symbols alone",
    "gopher.symbol_ratio": "`#` or ellipses per word, whichever are more",
    "gopher.bullet_lines": "share of lines that start with a bullet (`•` or `-`)",
    "gopher.ellipsis_lines": "share of lines that end with an ellipsis",
    "gopher.alpha_words": "share of words with a letter",
    "gopher.stop_words": f"how many of {', '.join(STOP_WORDS)} occur, in lower case",
    "gopher.duplicate_lines": "share of lines that repeat an earlier one",
    "gopher.duplicate_paragraphs": "share of paragraphs that repeat an earlier one",
    "gopher.duplicate_line_characters": "share of characters in lines that repeat an earlier one",
    "gopher.duplicate_paragraph_characters": "share of characters in paragraphs that repeat an earlier one",
    **{f"gopher.top_{n}gram_characters": f"share of characters in the most frequent {n}-gram of words" for n in _TOP},
    **{f"gopher.duplicate_{n}gram_characters": f"share of characters in repeated {n}-grams" for n in _REPEATED},
    "c4.sentences": "sentences in the lines that C4's line rules keep",
    "c4.lorem_ipsum": "lines with `lorem ipsum`, of those that C4's line rules keep",
    "c4.curly_brackets": "lines with `{`, of those that C4's line rules keep",
    "c4.boilerplate_lines": "share of lines that mention JavaScript, cookies, a policy or terms of use, as in C4",
    "fineweb.line_punctuation": "share of lines that end with the punctuation of a sentence",
    "fineweb.short_lines": "share of lines of at most 30 characters",
    "fineweb.duplicate_line_characters": "share of characters in lines that repeat an earlier one",
    "fineweb.newlines_per_word": "line ends per word",
}


def annotate(text: pl.Series, empty_answer: pl.Series | None = None, advance: Advance = silent) -> pl.DataFrame:
    """Every measure of every text (strings, [n]; a null is empty): Float32 columns named as ``MEASURES``, n rows.

    Each row depends on its own text alone. The headings of rendered turns are left out of the ``basic`` measures; the
    other families read the text as it is. Where nothing is there to divide by, a measure is 0. ``empty_answer``: bool,
    [n], null where a row has no answer; known from the data, because a rendered answer that ends with a heading looks
    like an empty one.
    """
    tokeniser = shared_tokeniser()
    measured = [pl.DataFrame(schema=dict.fromkeys(MEASURES, pl.Float32))]
    for start, size in batches(text, _BATCH_BYTES):
        measured.append(_measure(text.slice(start, size).fill_null("").alias("text"), tokeniser))
        advance(size)
    table = pl.concat(measured)
    if empty_answer is None:
        return table
    return table.with_columns(empty_answer.fill_null(False).cast(pl.Float32).alias("basic.empty_answers"))


def _measure(text: pl.Series, tokeniser: Tokeniser) -> pl.DataFrame:
    words = tokeniser(text)
    body = text.str.replace_all(_HEADING, "")
    found = {
        "basic.empty_answers": np.zeros(len(text)),
        **_basic(body, words if body.equals(text) else tokeniser(body)),
        **_gopher(text, words),
        **line_measures(text, words, tokeniser),
    }
    return pl.DataFrame({name: found[name].astype(np.float32) for name in MEASURES})


def _basic(text: pl.Series, words: Tokens) -> Measured:
    column = pl.col("text").str
    counts = text.to_frame().select(
        characters=column.len_chars(),
        replacement=column.count_matches("\ufffd", literal=True),
        symbols=column.count_matches(r"[^\s\p{L}\p{M}\p{N}]"),
    )
    characters, replacement, symbols = (counts.to_series(at).to_numpy() for at in range(3))
    count = np.diff(words.run_offsets)
    raw = split(text)
    lines = Lines(raw.line.str.strip_chars(), raw.offsets)
    visible = (lines.line != "").to_numpy()
    starts, ends = words.run_offsets[:-1], words.run_offsets[1:]
    top_word = maxima(occurrences(words.run_hashes, starts, ends), words.run_offsets)
    pairs = words.run_hashes * _FACTOR
    pairs[:-1] += words.run_hashes[1:]
    often = occurrences(pairs, starts, ends - 1)
    lengths = words.run_lengths + 1 + np.append(words.run_lengths[1:], 0)
    top_pair = maxima(np.where(often > 1, often * lengths, 0), words.run_offsets)
    return {
        "basic.words": count,
        "basic.characters": characters,
        "basic.replacement_characters": ratio(replacement, characters),
        "basic.non_alphanumeric_characters": ratio(symbols, sums(words.run_lengths, words.run_offsets)),
        "basic.alpha_words": ratio(sums(words.run_letters, words.run_offsets), count),
        "basic.repeated_word": ratio(np.maximum(top_word - 1, 0), count),
        "basic.longest_word": maxima(words.run_lengths, words.run_offsets),
        "basic.duplicate_lines": ratio(sums(lines.repeats() & visible, lines.offsets), sums(visible, lines.offsets)),
        "basic.top_pair_characters": np.minimum(ratio(top_pair, characters), 1),
    }


def _gopher(text: pl.Series, words: Tokens) -> Measured:
    """Gopher's rules on words, those on repetition among them."""
    count = np.diff(words.offsets)
    plain = words.kinds & SYMBOLS == 0
    plain_count = sums(plain, words.offsets)
    hashes = text.str.count_matches("#", literal=True).to_numpy()
    ellipses = text.str.count_matches(r"\.\.\.|…").to_numpy()
    stops = sum((sums(words.stops >> bit & 1, words.offsets) > 0).astype(np.int64) for bit in range(len(STOP_WORDS)))
    return {
        "gopher.words": plain_count,
        "gopher.mean_word_length": ratio(sums(words.lengths * plain, words.offsets), plain_count),
        "gopher.symbol_ratio": ratio(np.maximum(hashes, ellipses), count),
        "gopher.alpha_words": ratio(sums(words.kinds & LETTER, words.offsets), count),
        "gopher.stop_words": np.asarray(stops),
        **_ngrams(words, text.str.len_chars().to_numpy()),
    }


def _ngrams(words: Tokens, characters: np.ndarray) -> Measured:
    """Characters in repeated n-grams, as shares of ``characters`` (int [n]).

    The most frequent n-gram is the first of those that occur equally often, counted with the spaces between its words
    and even if it occurs once. Repeated n-grams are taken from left to right, none overlapping the one before, and
    counted without spaces.
    """
    starts, ends = words.offsets[:-1], words.offsets[1:]
    behind = np.concatenate([[0], np.cumsum(words.lengths)])
    keys = words.hashes.copy()
    found = {}
    for n in range(2, _REPEATED[-1] + 1):
        keys *= _FACTOR
        keys[: 1 - n] += words.hashes[n - 1 :]
        within = behind[n:] - behind[:-n]
        lengths = np.append(within, np.zeros(len(behind) - len(within), dtype=np.int64))
        if n in _TOP:
            often = occurrences(keys, starts, ends - n + 1)
            first, times = _most_frequent(often, words.offsets)
            covered = times * (lengths[first] + n - 1)
            found[f"gopher.top_{n}gram_characters"] = ratio(covered, characters)
        elif n in _REPEATED:
            covered = sums(lengths[:-1] * repeated_ngrams(keys, starts, ends - n + 1, n), words.offsets)
            found[f"gopher.duplicate_{n}gram_characters"] = ratio(covered, characters)
    return found


def _most_frequent(often: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of the greatest of ``often`` (int64 [t]) in each segment, the first of equals, and its value.

    Both int64 [n]; where there is nothing above 0 they are ``t`` and 0.
    """
    places = len(often) - np.arange(len(often))  # the earlier the greater, and below 2³² in a batch
    best = maxima(np.where(often > 0, (often << np.int64(32)) + places, 0), offsets)
    return len(often) - (best & 0xFFFFFFFF), best >> 32
