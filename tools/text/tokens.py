"""The words of texts: spaCy's English tokens, as flat arrays.

spaCy's tokeniser looks at each run of non-blank characters by itself, so a run is tokenised once, and its tokens are
remembered. A run of ASCII letters is one token unless spaCy has a rule for it, and with a comma or the like two.

Blank is what ``str.isspace`` says. Runs of more than ``_LONGEST_PIECE`` characters are cut before they are tokenised.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from ..program import without, without_commands

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Gopher's eight

#: Blank characters, and what stands between the brackets of a regular expression for them.
BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
BLANK = r"\s\x1C-\x1F"

# What a token is, as bits.
LETTER = 1  # has a letter
SYMBOLS = 2  # has nothing but punctuation, symbols and control characters
ENDS = 4  # may end a sentence
CLOSES = 8  # goes with the sentence before, if that has ended

_RUN = rf"[^{BLANK}]+"
_RUN_OR_BLANK = rf"{_RUN}|[{BLANK}]{{2,}}|[{BLANK}--\x20]"  # one space alone is no token of spaCy's
_MARKED = r"""^[A-Za-z]+[,;:!?)"]$|^[A-Za-z]*[a-z]\.$"""  # a word and a mark that spaCy takes off
_LONGEST_PIECE = 1000
_PIECES_AT_ONCE = 4096
_MOST_RUNS = 1 << 20  # distinct runs remembered; beyond it all are forgotten, so that memory is bounded


@dataclass(frozen=True)
class Tokens:
    """The runs and the tokens of n texts; those of text ``i`` are ``offsets[i] : offsets[i + 1]``.

    Of runs there are a hash of the lower-cased run (uint64), its characters (int64) and whether it has a letter (bool);
    of tokens a hash (uint64), characters (int64), the kind as bits (uint8) and which stop word it is (uint8, bit ``i``:
    ``STOP_WORDS[i]``).
    """

    run_hashes: np.ndarray
    run_lengths: np.ndarray
    run_letters: np.ndarray
    run_offsets: np.ndarray
    hashes: np.ndarray
    lengths: np.ndarray
    kinds: np.ndarray
    stops: np.ndarray
    offsets: np.ndarray


class Tokeniser:
    """Splits texts into words, and remembers the tokens of the runs it has met, which only saves time."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._known = pl.DataFrame(schema={"hash": pl.UInt64, "run": pl.Int64})
        self._runs = _run_table(pl.Series([], dtype=pl.String))
        self._tokens = _token_table(pl.Series([], dtype=pl.String))
        self._counts = np.zeros(0, dtype=np.int64)  # tokens of each run

    def __call__(self, text: pl.Series, blanks: bool = False) -> Tokens:
        """The words of texts (strings, [n]); a null has none.

        With ``blanks`` the blank space between two runs is a token too, as spaCy has it, but for a single space.
        """
        if len(self._counts) > _MOST_RUNS:
            self._forget()
        found = text.fill_null("").str.extract_all(_RUN_OR_BLANK if blanks else _RUN)
        run_offsets = np.concatenate([[0], np.cumsum(found.list.len().to_numpy(), dtype=np.int64)])
        runs = self._numbers(found.explode().drop_nulls())  # a text without a run explodes to a null
        counts, first = self._counts[runs], (np.cumsum(self._counts) - self._counts)[runs]
        ends = np.cumsum(counts)
        at = np.repeat(first - (ends - counts), counts) + np.arange(int(counts.sum()))
        hashes, lengths, kinds, stops = (column[at] for column in self._tokens)
        run_hashes, run_lengths, run_letters = (column[runs] for column in self._runs)
        offsets = np.concatenate([[0], ends])[run_offsets]
        return Tokens(run_hashes, run_lengths, run_letters, run_offsets, hashes, lengths, kinds, stops, offsets)

    def _numbers(self, runs: pl.Series) -> np.ndarray:
        """The number of each run (int64 [r]); those not met before are tokenised."""
        frame = pl.DataFrame({"text": runs, "hash": runs.hash()})
        new = frame.join(self._known, on="hash", how="anti").unique("hash", maintain_order=True)
        if new.height:
            self._learn(new)
        return frame.select("hash").join(self._known, on="hash", how="left", maintain_order="left")["run"].to_numpy()

    def _learn(self, new: pl.DataFrame) -> None:
        known = len(self._counts)
        tokens, counts = _tokenised(new["text"])
        numbers = pl.int_range(known, known + new.height, dtype=pl.Int64, eager=True)
        self._known = pl.concat([self._known, pl.DataFrame({"hash": new["hash"], "run": numbers})])
        self._runs = _longer(self._runs, _run_table(new["text"]))
        self._tokens = _longer(self._tokens, _token_table(tokens))
        self._counts = np.concatenate([self._counts, counts])


@cache
def shared_tokeniser() -> Tokeniser:
    """The tokeniser of this process, so that each batch finds the runs of those before."""
    return Tokeniser()


def _longer(columns: Iterable[np.ndarray], more: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(pair) for pair in zip(columns, more, strict=True))


def _run_table(runs: pl.Series) -> tuple[np.ndarray, ...]:
    """Hashes and lengths of runs in lower case, and which have a letter."""
    lower = runs.str.to_lowercase()
    length, letters = lower.str.len_chars().cast(pl.Int64), runs.str.contains(r"\p{L}")
    return lower.hash().to_numpy(), length.to_numpy(), letters.to_numpy()


def _token_table(tokens: pl.Series) -> tuple[np.ndarray, ...]:
    """Hashes, lengths, kinds and stop words of tokens."""
    token = pl.col("token").str
    ends = pl.col("token").is_in(_spacy_package().pipeline.Sentencizer.default_punct_chars)
    kinds = {
        LETTER: token.contains(r"\p{L}"),
        SYMBOLS: token.contains(r"^[\p{P}\p{S}\p{Cc}]+$"),
        ENDS: ends,
        CLOSES: ends | token.contains(r"^\p{P}+$"),
    }
    stops = {1 << bit: pl.col("token") == word for bit, word in enumerate(STOP_WORDS)}
    table = tokens.alias("token").to_frame().select(
        hash=pl.col("token").hash(), length=token.len_chars().cast(pl.Int64), kind=_bits(kinds), stop=_bits(stops)
    )  # fmt: skip
    return tuple(column.to_numpy() for column in table.get_columns())


def _bits(flags: dict[int, pl.Expr]) -> pl.Expr:
    return pl.sum_horizontal(flag.cast(pl.UInt8) * bit for bit, flag in flags.items()).cast(pl.UInt8)


def _tokenised(runs: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """The tokens of distinct runs one after the other (strings, [t]), and how many each has (int64 [r])."""
    own_rule = list(_spacy().rules)
    whole = runs.str.contains("^[A-Za-z]+$") & ~runs.is_in(own_rule)
    whole |= runs.str.contains(rf"^[{BLANK}]") | runs.str.contains("IS_ALPHA", literal=True)  # spaCy fails on its name
    words, marks = runs.str.head(-1), runs.str.tail(1)
    marked = runs.str.contains(_MARKED) & ~runs.is_in(own_rule) & ~words.is_in(own_rule)
    counts = np.where(marked.to_numpy(), 2, 1)
    parts = np.flatnonzero(~(whole | marked).to_numpy())
    split, counts[parts] = _split(runs.gather(parts).to_list())
    # In the order of the runs; a mark comes behind its word, since the sort is stable.
    at = [np.flatnonzero(whole.to_numpy()), *[np.flatnonzero(marked.to_numpy())] * 2, np.repeat(parts, counts[parts])]
    tokens = pl.concat(
        [runs.filter(whole), words.filter(marked), marks.filter(marked), pl.Series(split, dtype=pl.String)]
    )
    return tokens.gather(np.argsort(np.concatenate(at), kind="stable")), counts


def _split(runs: list[str]) -> tuple[list[str], np.ndarray]:
    """``_tokenised`` of runs that spaCy must look at."""
    pieces = [run[at : at + _LONGEST_PIECE] for run in runs for at in range(0, len(run), _LONGEST_PIECE)]
    owners = np.repeat(np.arange(len(runs)), [-(-len(run) // _LONGEST_PIECE) for run in runs])
    tokens: list[str] = []
    counts = np.zeros(len(pieces), dtype=np.int64)
    for start in range(0, len(pieces), _PIECES_AT_ONCE):
        chunk = pieces[start : start + _PIECES_AT_ONCE]
        found = _spacy_tokens(chunk)
        line_ends = np.flatnonzero([token == "\n" for token in found])
        counts[start : start + len(chunk)] = np.diff(line_ends, prepend=-1) - 1
        tokens += [token for token in found if token != "\n"]
    return tokens, np.bincount(owners, weights=counts, minlength=len(runs)).astype(np.int64)


def _spacy_tokens(pieces: list[str]) -> list[str]:
    """The tokens of texts without blank space, a line end after those of each: it keeps one from seeing the other."""
    text = "".join(f"{piece}\n" for piece in pieces)
    tokeniser = _spacy()
    with tokeniser.vocab.memory_zone():
        ends = np.cumsum(tokeniser(text).to_array("LENGTH"), dtype=np.int64).tolist()
    return [text[start:end] for start, end in pairwise([0, *ends])]


@cache
def _spacy_package() -> Any:
    """spaCy; in a program of ours without PyTorch and without its commands, which take long and split no text."""
    with without("torch"), without_commands():
        import spacy
        import spacy.pipeline
    return spacy


@cache
def _spacy() -> Any:
    """spaCy's tokeniser of English, made to do no more than split.

    The vocabulary of a blank ``English`` works out a dozen properties of each new token, none of which is asked for
    here, and its tokeniser takes in all rules anew for each search that is put in another's place. Its prefixes are
    anchored, yet searched for everywhere; its suffixes are short, yet searched for from the first character, which is
    quadratic in a run of symbols. The results stay the same.
    """
    spacy = _spacy_package()
    from spacy.lang.en import English

    rules, util = English.Defaults, spacy.util
    suffix, tail = util.compile_suffix_regex(rules.suffixes).search, 8

    def suffix_search(text: str) -> Any:
        start = len(text) - tail
        match = suffix(text, max(start, 0))
        # A match from where the search began may be the end of a longer one: a row of dots.
        return suffix(text) if match is not None and match.start() == start else match

    return spacy.tokenizer.Tokenizer(
        spacy.vocab.Vocab(),
        rules=rules.tokenizer_exceptions,
        prefix_search=util.compile_prefix_regex(rules.prefixes).match,
        suffix_search=suffix_search,
        infix_finditer=util.compile_infix_regex(rules.infixes).finditer,
        token_match=rules.token_match,
        url_match=rules.url_match,
    )
