"""Texts longer than a model's window, read in windows.

A text that one window does not hold is read in further ones, each overlapping the one before by an eighth; where the
most that are read do not cover it, they are spread evenly over it. Its vector is the mean of theirs by their tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .neighbors import unit

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MOST_WINDOWS = 8
_OVERLAP = 8  # that part of a window
#: The policy, as it stands in the names of encoders and so in the keys of caches.
POLICY = f"windows={MOST_WINDOWS} overlap=1/{_OVERLAP} mean"
_AT_ONCE = 16  # texts whose tokens are held


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


class Windows(NamedTuple):
    """The windows after the first of some texts, in their order, and what was read.

    ``of`` int64 [w]: the text of each window; ``text``: strings [w]; ``tokens`` float32 [w]; ``first_tokens`` float32
    [n]: those of the first window of every text.
    """

    of: np.ndarray
    text: list[str]
    tokens: np.ndarray
    first_tokens: np.ndarray

    @property
    def reading(self) -> Reading:
        """What is read of the texts."""
        texts, first = len(self.first_tokens), int(self.first_tokens.sum())
        long = len(np.unique(self.of))
        return Reading(texts, long, texts + len(self.of), first, first + int(self.tokens.sum()))

    def mean(self, first: np.ndarray, further: np.ndarray) -> np.ndarray:
        """Unit vectors of the texts (float32 [n, d]) from those of their first windows and of the others ([w, d]).

        That of a text of one window is left as it is, to the last bit.
        """
        long = np.unique(self.of)
        whole = np.array(first)
        whole[long] *= self.first_tokens[long, None]
        np.add.at(whole, self.of, further * self.tokens[:, None])
        whole[long] = unit(whole[long])
        return whole


def further_windows(model: SentenceTransformer, texts: Sequence[str]) -> Windows:
    """What a model does not read of ``texts`` when it reads what its window holds.

    Nothing where the model has no limit, or its tokeniser does not tell where in a text a token stands.
    """
    of, windows, tokens, first = list[int](), list[str](), list[int](), list[int]()
    tokenizer: Any = getattr(model, "tokenizer", None)
    limit = model.max_seq_length if getattr(tokenizer, "is_fast", False) else None
    room = 0 if limit is None else limit - tokenizer.num_special_tokens_to_add()
    if room < _OVERLAP:
        return Windows(np.empty(0, np.int64), [], np.empty(0, np.float32), np.ones(len(texts), np.float32))
    for at in range(0, len(texts), _AT_ONCE):
        group = list(texts[at : at + _AT_ONCE])
        spelled = tokenizer(
            group, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False,
            return_attention_mask=False, return_token_type_ids=False,
        )  # fmt: skip
        for text, places in zip(group, spelled["offset_mapping"], strict=True):
            for start in _starts(len(places), room):
                end = min(start + room, len(places))
                of.append(len(first))
                windows.append(text[places[start][0] : places[end - 1][1]])
                tokens.append(end - start)
            first.append(min(len(places), room))
    return Windows(np.array(of, np.int64), windows, np.array(tokens, np.float32), np.array(first, np.float32))


def _starts(tokens: int, room: int) -> list[int]:
    """The first token of each window after the first."""
    step = room - room // _OVERLAP
    count = -(-(tokens - room) // step)  # that cover the rest
    if count < MOST_WINDOWS:
        return [number * step for number in range(1, count + 1)]
    return [number * (tokens - room) // (MOST_WINDOWS - 1) for number in range(1, MOST_WINDOWS)]
