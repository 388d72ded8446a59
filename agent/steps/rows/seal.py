"""Sealing rows: they are drawn beside the anchor, and a hash in the log commits the run to what they say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....state.canonical import sha256_json
from ....tools.judge.select import choose_sealed, sealed_size
from ...view import View


class Sealed(NamedTuple):
    """The sealed rows, positions uint32 [m], ascending, and their hash; or why there are none."""

    rows: np.ndarray
    sha256: str | None = None
    why_not: str | None = None

    @property
    def said(self) -> str:
        """The same for a person."""
        if self.sha256 is None:
            return f"no row is sealed for a last look: {self.why_not}"
        return f"{len(self.rows):,} rows are sealed until the rounds are over (SHA-256 {self.sha256[:12]}…)"


def seal(view: View, rows: np.ndarray, groups: np.ndarray, divided: bool) -> Sealed:
    """Draw the sealed rows, by whole groups.

    Args:
        view: the run before anything is held out.
        rows: cleaned positions that are not in the anchor, uint32 [n], ascending.
        groups: the group of every row of the input, integers [ingested].
        divided: the anchor holds parts of groups, so that no row is apart from the others.
    """
    params, cleaned = view.config.sealed, len(view.kept())
    wanted, nothing = sealed_size(cleaned, params), rows[:0]
    if not params.fraction:
        return Sealed(nothing, why_not="sealed.fraction is 0")
    if wanted < params.min_rows:
        share = f"{params.fraction:.0%} of {cleaned:,} cleaned rows"
        return Sealed(nothing, why_not=f"{share} are fewer than {params.min_rows:,} (sealed.min_rows), and say little")
    if divided:
        return Sealed(nothing, why_not="nearly all rows belong together")
    chosen = choose_sealed(rows, wanted, view.config.seed, groups[rows])
    if len(chosen) < params.min_rows:
        few = f"of {wanted:,} rows only {len(chosen):,} fit without dividing a group"
        return Sealed(nothing, why_not=f"{few}, fewer than {params.min_rows:,} (sealed.min_rows)")
    return Sealed(chosen, sealed_sha256(view, chosen))


def sealed_sha256(view: View, rows: np.ndarray) -> str:
    """SHA-256 of what positions (uint32 [m]) are, in canonical JSON: their ids, contents, and labels in the input."""
    parts = (view.ledger()["id"], view.contents(), view.frame("rows", "label")["label"])
    return sha256_json([part.gather(rows).to_list() for part in parts])
