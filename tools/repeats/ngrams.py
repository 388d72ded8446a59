"""How usual the wording of a text is in its set: how often its words, and its pairs of words, stand there."""

import numpy as np
import polars as pl

from ..text.batches import batches
from ..threads import in_threads
from .minhash import BATCH_BYTES, shingle_hashes

_LEAST_BITS, _MOST_BITS = 16, 26  # of a table of counts: 256 KB to 256 MB
_BYTES_A_PLACE = 4  # of text: about a word
_UNIT = 1 << 16  # parts of 1 to which a logarithm is rounded


class NgramCounts:
    """How often each run of so many words stands in some texts; by hashes, so that two may be counted as one."""

    def __init__(self, text: pl.Series, size: int) -> None:
        """``text``: strings, [n], perhaps a memory map; it is read in batches. ``size``: words in a run, in lower case.

        A word alone is its letters; in longer runs it is what stands between blanks, and the ends of a text are words.
        """
        self._size = size
        bits = (int(text.str.len_bytes().sum() or 0) // _BYTES_A_PLACE).bit_length()
        self._counts = np.zeros(1 << min(max(bits, _LEAST_BITS), _MOST_BITS), dtype=np.uint32)

        def work(batch: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
            return np.unique(self._places(text.slice(*batch))[0], return_counts=True)

        for at, times in in_threads(work, batches(text, BATCH_BYTES)):
            self._counts[at] += times.astype(np.uint32)

    def _places(self, text: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        if self._size == 1:
            text = text.str.replace_all(r"[^\p{L}]+", " ")
        else:
            text = pl.select(pl.concat_str(pl.lit("^ "), text.fill_null(""), pl.lit(" $"))).to_series()
        hashes, ends = shingle_hashes(text, self._size)
        return (hashes & np.uint64(len(self._counts) - 1)).astype(np.int64), ends

    def of(self, text: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """The counts of the runs of some texts (uint32), in order, and where those of each text end (int64 [n])."""
        places, ends = self._places(text)
        return self._counts[places], ends


def commonness(text: pl.Series) -> np.ndarray:
    """The mean logarithm of how often the pairs of neighbouring words of each text stand in all of them: float [n].

    A word that was dropped, put in, moved or misspelt leaves pairs that stand nowhere else, so that of two texts that
    differ in little else the sound one is the commoner.
    """
    pairs = NgramCounts(text, 2)

    def work(batch: tuple[int, int]) -> np.ndarray:
        counts, ends = pairs.of(text.slice(*batch))
        sizes = np.diff(ends, prepend=0)
        logs = np.rint(np.log(counts) * _UNIT).astype(np.int64)  # whole, so that on any processor sums are the same
        return np.asarray(np.add.reduceat(logs, ends - sizes) / (sizes * _UNIT))

    return np.concatenate([np.empty(0), *in_threads(work, batches(text, BATCH_BYTES))])
