"""Whether new rows make the rows they join more alike: the check that stops synthesis before a cluster collapses.

Models that learn from models lose the tails of the distribution first (Shumailov et al. 2024, Nature 631); adding to
real rows rather than replacing them bounds the loss (Gerstgrasser et al. 2024, arXiv 2404.01413). Two kinds of figure
are taken, each of the real and new rows together over that of the real rows alone:

- *spread*: the mean cosine distance of a cluster's rows to its centroid;
- *distinct-1* and *distinct-2*: distinct words and word pairs per word (Li et al. 2016, arXiv 1510.03055). They fall as
  a text grows, so both sides are cut to the same number of words.

The bounds are ours, measured on Alpaca's clusters: a half of one beside its other half stays above them, a tenth of one
repeated beside it falls below (docs/decisions/0007-synthetic-rows.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..repeats.rouge import tokens_of

LEAST_SPREAD = 0.85
LEAST_DISTINCT = 0.83
_SHUFFLES = 10


@dataclass(frozen=True)
class Diversity:
    """Real and new rows together over the real ones alone; 1 says that nothing changed."""

    spread: float
    distinct_1: float
    distinct_2: float

    @property
    def narrows(self) -> bool:
        """Whether any of the figures is below its bound."""
        return self.spread < LEAST_SPREAD or min(self.distinct_1, self.distinct_2) < LEAST_DISTINCT


def diversity(
    real: Sequence[str], new: Sequence[str], real_cosines: np.ndarray, new_cosines: np.ndarray, seed: int
) -> Diversity:
    """How much of a cluster's diversity is left once new rows have joined it.

    Args:
        real: the texts of its real rows, or of a sample of them; ``new``: those of the new rows.
        real_cosines: cosine of its real rows to the centroid, float [n]; ``new_cosines``: of the new ones, [m].
        seed: of the shuffles that decide which words count where the texts are cut.
    """
    together = np.concatenate([real_cosines, new_cosines])
    alone = float((1 - real_cosines).mean())
    spread = float((1 - together).mean()) / alone if alone > 0 else 1.0
    own, added = ([tokens_of(text) for text in texts] for texts in (real, new))
    room = sum(map(len, own))
    found = []
    for shuffle in range(_SHUFFLES):
        order = np.random.default_rng([seed, shuffle]).permutation(len(own) + len(added))
        rows = [own[at] if at < len(own) else added[at - len(own)] for at in order]
        found.append([_distinct(rows, size, room) / max(1, _distinct(own, size, room)) for size in (1, 2)])
    one, two = np.mean(found, axis=0).round(6).tolist()
    return Diversity(round(spread, 6), one, two)


def _distinct(rows: Sequence[Sequence[str]], size: int, room: int) -> int:
    """Distinct n-grams of ``size`` words in the first ``room`` words of ``rows``."""
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        taken = row[:room]
        seen.update(zip(*(taken[at:] for at in range(size)), strict=False))
        room -= len(taken)
        if room <= 0:
            break
    return len(seen)
