"""The caps: what no step may take away, whoever asked for it."""

import math

import numpy as np
import polars as pl

from ...state.rows import Removal, kept_rows, remove_rows, synthetic_rows


def refusal(
    step: str, kept: np.ndarray, removed: np.ndarray, fraction: float, key: str, sources: pl.Series | None
) -> str | None:
    """The sentence that refuses a removal, or None when it is within its cap.

    Args:
        step: name of the step, for the sentence.
        kept: positions standing before it, uint32 [n].
        removed: positions it would remove, uint32 [m].
        fraction: share of ``kept`` it may remove; ``key`` is the setting that says so.
        sources: source of every row by position, or None where there is no source column.
    """
    if len(removed) > fraction * len(kept):
        return (
            f"{step} would remove {len(removed):,} of {len(kept):,} rows, more than its cap of {fraction:.0%} "
            f"({key}); nothing was removed"
        )
    if sources is not None and len(removed):
        before = sources.gather(kept).drop_nulls().unique()
        after = sources.gather(np.setdiff1d(kept, removed)).drop_nulls().unique()
        lost = sorted(set(before) - set(after))
        if lost:
            return f"{step} would remove every row of the source {lost[0]!r}; nothing was removed"
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
