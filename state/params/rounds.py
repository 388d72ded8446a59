"""The configuration of the rounds: what is called out, what a gain is, what no action may pass, when the loop ends."""

from typing import Annotated, Literal

from pydantic import Field

from .section import Option, Section


class CritiqueParams(Section):
    """The rules critic's thresholds."""

    min_cohesion: float = Field(0.25, description="mean cosine to the centroid below which a cluster is `mixed`")
    min_silhouette: float = Field(-0.02, description="mean silhouette below which a cluster is `mixed`")
    max_near_duplicates: float = Field(0.3, description="share of rows with a neighbour above `semantic.cosine`")
    max_outliers: float = Field(0.2, description="share of sparse rows above which a cluster is `noisy`")
    max_low_quality: float = Field(0.5, description="share of rows near a quality rule's limit: `low_quality`")
    samples: int = Field(5, ge=1, description="medoid, boundary and random rows kept as evidence per cluster")
    max_pairs: int = Field(50, ge=0, le=500, description="pairs of rows a language model is asked `same theme?`")


class ProbeParams(Section):
    """The small models that tell what the kept rows teach."""

    kind: Literal["auto", "labels", "pairs", "text"] = Field(
        "auto", description="what the probes learn; auto: labels where most rows have one, else answers, else text"
    )
    seeds: int = Field(3, ge=1, description="text: trainings on different draws of the same rows")
    max_bytes: int = Field(1_000_000, ge=1000, le=300_000_000, description="text: bytes each training draws, at most")


class ObjectiveParams(Section):
    """How large a gain must be to pay, and what the quality of a clustering is made of. See docs/objective.md."""

    structure: float = 0.25
    balance: float = 0.1
    stability: float = 0.1
    min_gain: float = Field(0.002, ge=0, description="smallest gain that pays, however small the noise")
    noise_multiplier: float = Field(2.0, ge=0, description="standard errors a gain must exceed, at least")
    price: float = Field(
        0.05,
        ge=0,
        description="what all kept rows are worth: an action that takes a tenth of them must gain a tenth of it",
    )


class CapsParams(Section):
    """Bounds in code that no policy and no model can pass."""

    step_fraction: float = Field(0.35, gt=0, le=1, description="share of the kept rows one action may remove")
    total_fraction: float = Field(0.5, gt=0, le=1, description="share of the cleaned rows all actions may remove")
    synthetic_fraction: float = Field(0.3, ge=0, le=0.5, description="share of the training rows that may be synthetic")
    clean_fraction: float = Field(0.6, gt=0, le=1, description="share of the rows the filters or near-dedup may remove")


class StopParams(Section):
    """When the loop ends."""

    max_rounds: Annotated[int, Option("run")] = Field(8, ge=1, description="rounds at most")
    max_minutes: Annotated[float | None, Option("run")] = Field(
        None, gt=0, description="minutes after which no further round starts"
    )
    patience: int = Field(3, ge=1, description="rounds that must hold still")
    min_rows: int = Field(
        40, ge=10, description="cleaned rows below which there is nothing to cluster; of notes 10, where this is 40"
    )


class ReviewParams(Section):
    """The rows in doubt, which a person is asked about when the run ends, and what a person has answered."""

    max_rows: int = Field(50, ge=0, description="rows in doubt that are listed when the run ends, at most")
    answers: Annotated[str | None, Option("run", file=True)] = Field(
        None, description="an answered review.csv: rows that a person keeps, removes or labels anew"
    )
