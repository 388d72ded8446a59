"""Texts longer than a model's window, read in windows.

A text that one window does not hold is read in further ones, each overlapping the one before by an eighth; where the
most that are read do not cover it, they are spread evenly over it. Its vector is the mean of theirs by their tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..neighbors import unit

MOST_WINDOWS = 8
_OVERLAP = 8  # that part of a window
#: The policy, as it stands in the names of encoders and so in the keys of caches.
POLICY = f"windows={MOST_WINDOWS} overlap=1/{_OVERLAP} mean"


@dataclass(frozen=True)
class Reading:
    """What of ``texts`` was read: so many of them ``long``er than one window, in so many ``windows``.

    ``tokens`` are those of all windows, ``first_tokens`` those of every text's first.
    """

    texts: int = 0
    long: int = 0
    windows: int = 0
    first_tokens: int = 0
    tokens: int = 0

    def __add__(self, other: Reading) -> Reading:
        return Reading(*(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def times(self) -> float:
        """The work, in that of reading first windows alone."""
        return round(self.tokens / max(1, self.first_tokens), 2)

    def said(self, max_tokens: int) -> str | None:
        """The policy and its cost in words; None where no text was longer than one window."""
        if not self.long:
            return None
        return (
            f"{self.long:,} of {self.texts:,} texts embedded {'is' if self.long == 1 else 'are'} longer than "
            f"{max_tokens} tokens: such a text is read in up to {MOST_WINDOWS} windows, {self.windows:,} in all, and "
            f"its vector is their mean; that is {self.times:.1f} times the work of the first window alone"
        )


class Windows:
    """The windows in which texts are read, one text after the other; each holds ``room`` tokens of a text.

    Where there is room for less than overlaps, every text counts as read in one (``apply`` is false).
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self.apply = room >= _OVERLAP
        self.of = list[int]()  # of each window after the first, its text
        self.tokens = list[int]()  # and its tokens
        self.first_tokens = list[int]()  # of each text, those of its first window

    def further(self, tokens: int) -> list[slice]:
        """The windows after the first of the next text, which has so many tokens."""
        starts = _starts(tokens, self._room) if self.apply else []
        parts = [slice(start, min(start + self._room, tokens)) for start in starts]
        self.of += [len(self.first_tokens)] * len(parts)
        self.tokens += [part.stop - part.start for part in parts]
        self.first_tokens.append(min(tokens, self._room) if self.apply else tokens)
        return parts

    @property
    def reading(self) -> Reading:
        """What is read of the texts."""
        texts, first = len(self.first_tokens), sum(self.first_tokens)
        return Reading(texts, len(set(self.of)), texts + len(self.of), first, first + sum(self.tokens))

    def mean(self, first: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Unit vectors of the texts (float32 [n, d]) from those of their first windows and of the others ([w, d]).

        That of a text of one window is left as it is, to the last bit.
        """
        of = np.array(self.of, dtype=np.int64)
        long = np.unique(of)
        whole = np.array(first)
        whole[long] *= np.array(self.first_tokens, dtype=np.float32)[long, None]
        np.add.at(whole, of, further * np.array(self.tokens, dtype=np.float32)[:, None])
        whole[long] = unit(whole[long])
        return whole


def _starts(tokens: int, room: int) -> list[int]:
    """The first token of each window after the first."""
    step = room - room // _OVERLAP
    count = -(-(tokens - room) // step)  # that cover the rest
    if count < MOST_WINDOWS:
        return [number * step for number in range(1, count + 1)]
    return [number * (tokens - room) // (MOST_WINDOWS - 1) for number in range(1, MOST_WINDOWS)]
