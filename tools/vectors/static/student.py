"""A static student of an embedding model: a text's vector from its words alone, in a few microseconds.

The student adds up one vector for each piece of a word and one for each pair of words that stand side by side, divides
by the square root of the number of pieces, adds the mean vector, and scales to length one. All are fitted on texts
whose vectors the full model gave, as in Tokenlearn (Minish Lab 2025). A piece that the sample lacks follows by a linear
map from a table of all pieces, such as Model2Vec (Tulkens and van Dongen 2024) keeps. Both are one ridge regression,
solved by its dual (Saunders, Gammerman and Vovk 1998): exact, and in proportion to the sample, not to the vocabulary.

Nothing here is random, and arithmetic is kept to one thread: equal input gives equal bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from ....state.errors import InputError, IntegrityError
from ....state.params.vectors import NeighborParams
from ....state.store import write_whole
from ..neighbors import neighbor_graph, unit
from .pieces import Pieces, Words, batches, read_tokenizer

if TYPE_CHECKING:
    import scipy.sparse as sp
    from tokenizers import Tokenizer

#: The most texts that ``fit`` takes: its time grows with their cube, its memory with their square (4 bytes a pair).
MOST_TEXTS = 12_000

#: Agreement on 500 texts that were not in the sample, from which on a student may stand for its model: the smallest
#: tenth at which 92 % of the macro-F1 of a logistic regression and of 1-NN stayed in every draw of CLINC150, of the
#: standard library's docstrings and of 20 Newsgroups. In those of Banking77, not used to find it, 95 % did
#: (`recryst experiment student`).
ACCEPTED = 0.5

_FORMAT = "recryst-static-1"
_OWN = np.float32(0.3)  # how much is asked of a piece before it leaves what the table says of it,
_MAP = np.float32(0.1)  # and of the linear map from the table
_PAIR = np.float32(0.5)  # what a pair of words counts beside a piece
_LEAST_PAIRS = 3  # times that a pair is in the sample
_UNFITTED = 0.3  # share of a text's pieces beyond which it is borderline: with the full model's vector it finds a
# tenth to a seventh more of its neighbours again, and there are few such texts (3 to 5 % of a varied set of 2,000)
_SHORT = 0.6  # length of a vector, before it is scaled to one, below which the text is borderline
_FEWEST = 2  # pieces known from the sample, of a text that is not borderline
_GRAM_ROWS = 1024


class Encoded(NamedTuple):
    """What the student makes of n texts: ``vectors`` float32 [n, d], unit length, and which texts it should not be
    trusted with (``borderline``, bool [n]): pieces that the sample lacked, next to no pieces, or none that say much."""

    vectors: np.ndarray
    borderline: np.ndarray


@dataclass(frozen=True)
class StaticModel:
    """A fitted student, of v pieces and p pairs of words.

    ``vectors`` float32 [v, d] of the pieces; ``fitted`` bool [v], those in the sample; ``pairs`` int64 [p], ascending,
    with ``pair_vectors`` float32 [p, d]; ``mean`` float32 [d].
    """

    tokenizer: Tokenizer
    vectors: np.ndarray
    fitted: np.ndarray
    pairs: np.ndarray
    pair_vectors: np.ndarray
    mean: np.ndarray

    def encode(self, texts: Sequence[str] | pl.Series) -> Encoded:
        """Vectors of texts (strings [n], a null counts as empty), in their order, in batches.

        A text's vector does not depend on its neighbours. One without a word has the sample's mean.
        """
        column = pl.Series(texts, dtype=pl.String).fill_null("")
        out = np.empty((len(column), len(self.mean)), dtype=np.float32)
        borderline = np.empty(len(column), dtype=bool)
        for batch in batches(column):
            words = Words.of(column[batch], self.tokenizer, len(self.vectors))
            sums = words.pieces @ self.vectors + words.among(self.pairs) @ self.pair_vectors + self.mean
            known = words.pieces @ self.fitted.astype(np.float32) / words.scale  # the number of pieces
            few = known < np.maximum(_FEWEST - 0.5, (1 - _UNFITTED) * words.counts - 0.01)
            borderline[batch] = few | (np.linalg.norm(sums, axis=1) < _SHORT)
            out[batch] = unit(sums)
        return Encoded(out, borderline)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over all that decides a vector."""
        digest = hashlib.sha256(f"{_FORMAT}\n{self.tokenizer.to_str()}\n".encode())
        for name, array in self._arrays().items():
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("vectors", "fitted", "pairs", "pair_vectors", "mean")
        return {name: np.asarray(getattr(self, name)) for name in names}

    def save(self, file: Path) -> None:
        """Write the student as safetensors, its tokeniser (JSON) and its hash in the header.

        Raises:
            StorageError: the disk is full or not writable.
        """
        from safetensors.numpy import save

        told = {"format": _FORMAT, "tokenizer": self.tokenizer.to_str(), "sha256": self.sha256}
        write_whole(file, save(self._arrays(), told))

    @staticmethod
    def load(file: Path) -> StaticModel:
        """The student that ``save`` wrote.

        Raises:
            InputError: the file cannot be read.
            IntegrityError: it is not one that ``save`` wrote, or was changed since.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(file, framework="numpy") as saved:
                told = saved.metadata() or {}
                arrays = {name: saved.get_tensor(name) for name in saved.keys()}  # noqa: SIM118 - no mapping
            model = StaticModel(read_tokenizer(told["tokenizer"]), **arrays)
            sound = told["format"] == _FORMAT and told["sha256"] == model.sha256
        except OSError as error:
            raise InputError(f"cannot read the static model {file}: fit it again") from error
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"{file} is not a static model: fit it again") from error
        if not sound:
            raise IntegrityError(f"{file} was changed after it was written: fit it again")
        return model


def fit(texts: Sequence[str] | pl.Series, vectors: np.ndarray, pieces: Pieces) -> StaticModel:
    """The student of the model that gave ``vectors``.

    Args:
        texts: the sample, strings [m], drawn as the texts are that will be encoded.
        vectors: float32 [m, d], the full model's, unit length.
        pieces: the tokeniser, and what is known of a piece that is not in the sample.

    Raises:
        InputError: there are too few texts or too many, or a vector for each is not there.
    """
    from scipy.linalg import cho_factor, cho_solve
    from threadpoolctl import threadpool_limits

    column = pl.Series(texts, dtype=pl.String).fill_null("")
    if not 2 <= len(column) <= MOST_TEXTS or len(vectors) != len(column):
        raise InputError(f"a static model is fitted on 2 to {MOST_TEXTS} texts with a vector each: sample as many")
    words = Words.of(column, pieces.tokenizer, len(pieces.vectors))
    pairs, times = np.unique(words.pairs, return_counts=True)
    pairs = pairs[times >= _LEAST_PAIRS]
    beside = words.among(pairs)
    seen = np.bincount(words.pieces.indices, minlength=len(pieces.vectors))
    table = _rare_first(pieces.vectors, seen, len(column))
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    # The results of a threaded product depend on the number of threads.
    with threadpool_limits(1):
        mapped = words.pieces @ table
        gram = _gram(words.pieces, beside, mapped)
        gram[np.diag_indices_from(gram)] += 1
        solved = cho_solve(
            cho_factor(gram.T, overwrite_a=True, check_finite=False), vectors - mean
        )  # .T: as LAPACK has it
        solved = np.ascontiguousarray(solved, dtype=np.float32)
        own = np.asarray(words.pieces.T @ solved) / _OWN + table @ (mapped.T @ solved / _MAP)
    known = seen > 0
    unknown = pieces.tokenizer.token_to_id("[UNK]")
    if unknown is not None:
        known[unknown] = False
    return StaticModel(pieces.tokenizer, own, known, pairs, _PAIR**2 / _OWN * np.asarray(beside.T @ solved), mean)


def agreement(student: np.ndarray, full: np.ndarray, k: int = 10) -> float:
    """The share of the ``k`` nearest rows by cosine that are the same by both, for rows that were not in the sample.

    Args:
        student: float32 [n, d], unit length; ``full``: float32 [n, e], of the same texts. Time grows with n².

    Raises:
        InputError: there are not more than ``k`` rows.
    """
    if len(full) <= k:
        raise InputError(f"the agreement of {k} neighbours needs more than {k} rows: hold out more")
    params = NeighborParams(k=k, exact_rows=max(100, len(full)))
    mine, theirs = (neighbor_graph(rows, params, 0).indices for rows in (student, full))
    return float((mine[:, :, None] == theirs[:, None, :]).any(axis=2).mean())


def _rare_first(vectors: np.ndarray, seen: np.ndarray, texts: int) -> np.ndarray:
    """The table of pieces, centred on those in the sample, each as long as it is rare there: float32 [v, e].

    A common piece says little: the inverse document frequency (Spärck Jones 1972), 1 where no text has the piece.
    """
    rarity = np.log((1 + texts) / (1 + seen)) / np.log(1 + texts)
    known = vectors[seen > 0]
    centred = vectors - (known.mean(axis=0, dtype=np.float64).astype(np.float32) if len(known) else 0)
    return np.asarray(unit(centred) * rarity.astype(np.float32)[:, None])


def _gram(pieces: sp.csr_array, pairs: sp.csr_array, mapped: np.ndarray) -> np.ndarray:
    """What each two texts have in common, float32 [m, m]."""
    out = np.asarray(mapped @ mapped.T)
    out /= _MAP
    for start in range(0, len(out), _GRAM_ROWS):
        block = slice(start, start + _GRAM_ROWS)
        out[block] += (pieces[block] @ pieces.T).toarray() / _OWN
        out[block] += (pairs[block] @ pairs.T).toarray() * (_PAIR**2 / _OWN)
    return out
