"""How fine the clusters should be, by asking whether two rows share a theme.

A language model's pairwise answers settle the granularity of a clustering with few questions (Zhang et al. 2023,
ClusterLLM, section 3.2). Medoids of neighbouring clusters that share a theme argue for fewer clusters; medoid and
boundary row of one cluster that do not, for more.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ....state.decision import Granularity
from ....state.phrases import Advance, silent
from ....state.report import ClusterReport
from ...llm import Request
from ...llm.ask import asked, reader, schema
from ...llm.client import Model
from ...llm.datamark import marked, opaque
from .model_critic import TextOf

_SHOWN = 300  # characters of a row


class SameTheme(BaseModel):
    """The model's answer on one pair."""

    model_config = ConfigDict(extra="forbid")

    reasons: str = Field(max_length=400)
    same: bool


def granularity(
    model: Model,
    report: ClusterReport,
    text_of: TextOf,
    max_pairs: int,
    advance: Advance = silent,
) -> Granularity | None:
    """What up to ``max_pairs`` answers say of the number of clusters; None where nothing could be asked.

    Half the pairs are medoids of the closest neighbouring clusters, half are medoid and outermost boundary row of the
    least cohesive clusters.
    """
    between, within = pairs(report, max_pairs)
    every = [*between, *within]
    answers = model.ask_many([_question(pair, text_of) for pair in every], reader(SameTheme), advance)
    near = [(pair, a.same) for pair, a in zip(between, answers[: len(between)], strict=True) if a is not None]
    inside = [a.same for a in answers[len(between) :] if a is not None]
    if not near and not inside:
        return None
    return Granularity(
        between_asked=len(near),
        between_same=sum(same for _, same in near),
        within_asked=len(inside),
        within_different=sum(not same for same in inside),
    )


def pairs(report: ClusterReport, max_pairs: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of positions: medoids of neighbouring clusters, closest first, and medoid with boundary, loosest first."""
    real = {c.cluster: c for c in report.clusters if c.cluster >= 0}
    by_separation = sorted(
        (c for c in real.values() if c.nearest_cluster in real), key=lambda c: (c.separation or 0.0, c.cluster)
    )
    between: dict[frozenset[int], tuple[int, int]] = {}
    for cluster in by_separation:
        assert cluster.nearest_cluster is not None
        other = real[cluster.nearest_cluster]
        between.setdefault(frozenset((cluster.cluster, other.cluster)), (cluster.medoid, other.medoid))
    loose = sorted(real.values(), key=lambda c: (c.cohesion, c.cluster))
    within = [(c.medoid, c.boundary[0]) for c in loose if c.boundary and c.boundary[0] != c.medoid]
    half = max_pairs // 2
    return list(between.values())[: max_pairs - min(half, len(within))], within[:half]


def _question(pair: tuple[int, int], text_of: TextOf) -> Request:
    texts = [marked(text, _SHOWN) for text in text_of(np.asarray(pair, dtype=np.uint32)).to_list()]
    shown = {"rows": [{"id": opaque("pair", at, *texts), "text": text} for at, text in enumerate(texts)]}
    return asked("same_theme", shown, schema(SameTheme))
