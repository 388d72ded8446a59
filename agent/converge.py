"""When the loop stops: nothing moves any more, nothing is left to try, or a budget is spent."""

from __future__ import annotations

from ..state.config import ObjectiveParams, StopParams
from ..state.decision import RoundRecord

LABELS_AGREE = 0.95  # adjusted mutual information on the rows kept in both rounds
KEEP_AGREES = 0.99  # Cohen's κ of the keep-sets
REJECTED = "rejected by a person"  # why a round was refused that says nothing about the data


def held_still(record: RoundRecord, params: ObjectiveParams) -> bool:
    """Whether labels, keep-set and objective of the data in force stayed put over this round."""
    if record.outcome != "kept" or record.after is None:
        return True
    return (
        record.label_agreement >= LABELS_AGREE
        and record.keep_agreement >= KEEP_AGREES
        and abs(record.after.value - record.before.value) <= max(params.min_gain, record.before.noise_sd)
    )


def converged(history: tuple[RoundRecord, ...], stop: StopParams, objective: ObjectiveParams) -> bool:
    """Whether the last ``patience`` rounds all held still; those a person rejected were never tried."""
    last = [record for record in history if record.reasons != (REJECTED,)][-stop.patience :]
    return len(last) == stop.patience and all(held_still(record, objective) for record in last)
