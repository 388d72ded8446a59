"""Texts as sparse counts: of the pieces of their words (WordPiece), and of words that stand side by side.

Each distinct word of a batch goes through the tokeniser once, which takes a fraction of the time that the texts
would take.
BERT splits a text at blanks and around each punctuation mark before it looks for pieces; splitting it there changes
nothing, and the pieces are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ....state.errors import InputError

if TYPE_CHECKING:
    import scipy.sparse as sp
    from tokenizers import Tokenizer

_MARK = r"\p{P}$+<=>^`|~"  # what BERT takes for punctuation: also all of ASCII that is no letter, digit or blank
_WORD = rf"[^\p{{Z}}\t\n\r{_MARK}]+|[{_MARK}]"
_MOST_CHARACTERS = 1 << 17  # read of a text
_WORDS_AT_ONCE = 1 << 14  # that go through the tokeniser: what it returns for one takes a kilobyte
_BATCH_BYTES = 1 << 24
_BATCH_ROWS = 1 << 15


@dataclass(frozen=True)
class Pieces:
    """A WordPiece tokeniser and a vector for each of its pieces (float32 [v, e]).

    Best are the full model's own vectors of the pieces as texts (``texts``); its input embeddings cost nothing.
    """

    tokenizer: Tokenizer
    vectors: np.ndarray

    @staticmethod
    def of_model(folder: Path) -> Pieces:
        """The tokeniser and the input embeddings of the BERT in ``folder`` (``tokenizer.json``, ``model.safetensors``).

        Raises:
            InputError: one of them is missing or not what it should be.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(folder / "model.safetensors", framework="numpy") as weights:
                vectors = weights.get_tensor("embeddings.word_embeddings.weight")
            tokenizer = read_tokenizer((folder / "tokenizer.json").read_text("utf-8"))
        except (OSError, SafetensorError, ValueError) as error:
            raise InputError(f"{folder} is not a saved BERT model: it needs its weights and its tokeniser") from error
        return Pieces(tokenizer, np.asarray(vectors, dtype=np.float32))

    def texts(self) -> list[str]:
        """Each piece as a text (strings [v]), for the full model; what is no part of a word is empty."""
        pieces = (self.tokenizer.id_to_token(number) or "" for number in range(len(self.vectors)))
        return ["" if piece.startswith("[") and len(piece) > 1 else piece.removeprefix("##") for piece in pieces]


@dataclass(frozen=True)
class Words:
    """The words of n texts.

    ``pieces`` sparse [n, v]: how often each occurs, times ``scale`` (float32 [n]), which is one over the square root of
    their number (``counts``, float32 [n]). ``pairs`` (int64 [q]) of neighbouring words, and in which text each stands
    (``rows``, int64 [q]).
    """

    pieces: sp.csr_array
    counts: np.ndarray
    scale: np.ndarray
    pairs: np.ndarray
    rows: np.ndarray

    @staticmethod
    def of(texts: pl.Series, tokenizer: Tokenizer, vocabulary: int) -> Words:
        """Split texts (their first 131,072 characters) into words; each distinct word goes through the tokeniser once.

        A pair is the last piece of a word and the first of the next; before a text's first word stands ``vocabulary``.
        """
        import scipy.sparse as sp

        found = texts.str.head(_MOST_CHARACTERS).str.extract_all(_WORD)
        ends = np.cumsum(found.list.len().to_numpy(), dtype=np.int64)
        coded = found.explode().drop_nulls().to_arrow().dictionary_encode()
        codes = coded.indices.to_numpy().astype(np.int64)
        cut = list(_ids(coded.dictionary.to_pylist(), tokenizer))
        sizes = np.fromiter(map(len, cut), np.int64, len(cut))
        flat, offsets = np.fromiter(chain.from_iterable(cut), np.int64, sizes.sum()), np.append(0, np.cumsum(sizes))
        of_words = _csr(flat, offsets, vocabulary)
        counts = np.asarray(_csr(codes, np.append(0, ends), len(sizes)) @ sizes.astype(np.float32))
        scale = 1 / np.sqrt(np.maximum(counts, 1))
        pieces = sp.diags_array(scale) @ (_csr(codes, np.append(0, ends), len(sizes)) @ of_words)
        rows = np.repeat(np.arange(len(texts)), np.diff(ends, prepend=0))
        real = sizes[codes] > 0  # a control character has no piece
        codes, rows = codes[real], rows[real]
        first, last = flat[offsets[:-1][codes]], flat[offsets[1:][codes] - 1]
        before = np.append(vocabulary, last[:-1])[: len(codes)]
        before[np.flatnonzero(np.diff(rows, prepend=-1))] = vocabulary
        return Words(pieces.tocsr(), counts, scale, before * vocabulary + first, rows)

    def among(self, pairs: np.ndarray) -> sp.csr_array:
        """How often each of ``pairs`` (int64 [p], ascending) occurs, times ``scale``: sparse [n, p]."""
        import scipy.sparse as sp

        at = np.searchsorted(pairs, self.pairs)
        there = np.append(pairs, -1)[at] == self.pairs
        rows = self.rows[there]
        return sp.csr_array((self.scale[rows], (rows, at[there])), shape=(len(self.scale), len(pairs)))


def _ids(words: list[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """The pieces of each word."""
    for start in range(0, len(words), _WORDS_AT_ONCE):
        part = words[start : start + _WORDS_AT_ONCE]
        yield from (one.ids for one in tokenizer.encode_batch_fast(part, add_special_tokens=False))


def _csr(columns: np.ndarray, offsets: np.ndarray, width: int) -> sp.csr_array:
    """Ones at ``columns`` (int64) of the rows that ``offsets`` (int64 [n + 1]) part."""
    import scipy.sparse as sp

    return sp.csr_array((np.ones(len(columns), np.float32), columns, offsets), shape=(len(offsets) - 1, width))


def batches(texts: pl.Series) -> Iterator[slice]:
    """Runs of texts that together have few bytes and few rows; a longer text stands alone."""
    ends = np.cumsum(texts.str.len_bytes().to_numpy(), dtype=np.int64)
    start = 0
    while start < len(texts):
        before = ends[start - 1] if start else 0
        end = int(np.searchsorted(ends, before + _BATCH_BYTES, side="right"))
        end = min(max(end, start + 1), start + _BATCH_ROWS)
        yield slice(start, end)
        start = end


def read_tokenizer(told: str) -> Tokenizer:
    """A tokeniser from its JSON, that neither pads nor cuts off.

    Raises:
        ValueError: it is none.
    """
    from tokenizers import Tokenizer

    try:
        made = Tokenizer.from_str(told)
    except Exception as error:  # that is what the library raises
        raise ValueError("not a tokeniser") from error
    made.no_padding()
    made.no_truncation()
    return made
