"""The configuration of a smaller set: by a strategy of the literature, and by what a run is to end with."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from .section import Option, Section

SelectionStrategy = Literal[
    "furthest", "closest", "random", "semdedup", "d4", "k_center", "facility_location", "density", "quality",
    "density_quality", "hierarchical", "dsir", "nearest",
]  # fmt: skip

#: Those that a run can hold against its probes: they need vectors and clusters alone.
LoopStrategy = Literal[
    "furthest", "closest", "semdedup", "d4", "k_center", "facility_location", "density", "hierarchical",
]  # fmt: skip


def _portion(value: object) -> object:
    """``10%`` as 0.1; any other number as it is, and a whole one as rows."""
    share = _share(value)
    if share is not value and isinstance(share, float) and not 0 < share <= 1:
        raise ValueError("must be above 0% and at most 100%")
    if isinstance(share, float) and not share.is_integer() and share > 1:
        raise ValueError("must be a share, as in 10% or 0.1, or a whole number of rows")
    return share


class SelectParams(Section):
    """A smaller set from a larger one, by a strategy of the literature."""

    strategy: SelectionStrategy = Field("random", description="which rows stay; docs/selection.md lists them")
    keep: Annotated[float | int, BeforeValidator(_portion)] = Field(
        0.1, gt=0, description="how many rows stay: a share (10% or 0.1) or a number of rows"
    )
    k: int | None = Field(
        None, ge=1, description="clusters, where the table has no column `cluster`; none: as the tool `cluster` has it"
    )
    levels: tuple[int, ...] = Field(
        (), description="hierarchical: clusters of each level, falling, as in [1500, 300, 60]; none: by the rows"
    )
    resampled: int = Field(10, ge=0, description="hierarchical: rounds of resampling on each level but the first")
    target: str | None = Field(
        None, description="dsir: a file of texts; nearest: a table with a `vector` column; what the rows are to be like"
    )


def _share(value: object) -> object:
    """``1%`` as 0.01."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            return value
    return value


def _below_one(value: float | None) -> float | None:
    if value is not None and not 0 <= value < 1:
        raise ValueError("must be a share from 0 to below 1, as in 1% or 0.01")
    return value


class OutcomeParams(Section):
    """What a run is to end with, instead of thresholds. Rows go for it when the rounds are over, and no cap binds it.

    How many rows are at fault is not known, but estimated: a row is in doubt where evidence of any kind, as it was last
    gathered, is past its weakest limit. The evidence overlooks faults and doubts good rows.
    """

    keep: Annotated[int | None, Option("run", metavar="ROWS")] = Field(
        None,
        ge=1,
        description="training rows to end with, at most; with --like those nearest to the endorsed rows, else what the "
        "probes like best of some choices and a random one",
    )
    target_noise: Annotated[
        float | None, BeforeValidator(_share), AfterValidator(_below_one), Option("run", metavar="SHARE", text=True)
    ] = Field(
        None,
        description="share of the training rows (1% or 0.01) that the evidence still doubts at the end, at most: an "
        "estimate, which counts no fault that the evidence overlooks; the most suspect go",
    )

    strategies: tuple[LoopStrategy, ...] = Field(
        (), description="with `keep`: strategies of docs/selection.md that are measured beside the run's own choices"
    )
    repeat: int = Field(
        1,
        ge=1,
        le=4,
        description="how often a training row may stand, at most: rows of clusters below the mean size are repeated, "
        "which the column recryst_repeat says and the final model reads; 1: none is",
    )

    @property
    def asked(self) -> bool:
        """Whether rows are to go for it."""
        return self.keep is not None or self.target_noise is not None
