"""The caps: what no step may take away, whoever asked for it."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl

from ...state.rows import Removal, kept_rows, remove_rows, synthetic_rows


def refusal(
    step: str, kept: np.ndarray, removed: np.ndarray, fraction: float, key: str, parts: Mapping[str, pl.Series | None]
) -> str | None:
    """The sentence that refuses a removal, or None when it is within its cap.

    Args:
        step: name of the step, for the sentence.
        kept: positions standing before it, uint32 [n].
        removed: positions it would remove, uint32 [m].
        fraction: share of ``kept`` it may remove; ``key`` is the setting that says so.
        parts: what may not lose all of its rows, by its name ("source", "class"): that of every row by position, null
            where it has none; None where there is no such column.
    """
    if len(removed) > fraction * len(kept):
        return (
            f"{step} would remove {len(removed):,} of {len(kept):,} rows, more than its cap of {fraction:.0%} "
            f"({key}); nothing was removed"
        )
    for name, part in parts.items():
        if part is not None and len(removed):
            before = part.gather(kept).drop_nulls().unique()
            after = part.gather(np.setdiff1d(kept, removed)).drop_nulls().unique()
            if lost := sorted(set(before) - set(after)):
                return f"{step} would remove every row of the {name} {lost[0]!r}; nothing was removed"
    return None


def synthetic_bound(real: int, fraction: float) -> int:
    """How many synthetic rows may stand beside ``real`` ones so that they are at most ``fraction`` of all."""
    return math.floor(fraction * real / (1 - fraction) + 1e-9)


def within_share(ledger: pl.DataFrame, fraction: float, event: int) -> pl.DataFrame:
    """``ledger`` without the synthetic rows that are too many beside the real ones: the last of them go.

    Real rows are never touched, and none is brought back.
    """
    synthetic = synthetic_rows(ledger)
    bound = synthetic_bound(len(kept_rows(ledger)) - len(synthetic), fraction)
    return remove_rows(ledger, Removal("over_share", synthetic[bound:], threshold=fraction), "act", event)
