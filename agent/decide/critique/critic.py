"""Who judges the clusters: the rules, or a language model bounded by them."""

from collections.abc import Callable

import numpy as np
import polars as pl

from ....state.config import Config
from ....state.decision import Critique, Granularity
from ....state.phrases import Advance
from ....state.report import ClusterReport
from ...llm.client import Model
from . import rules_critic as rules


def critique(
    report: ClusterReport,
    config: Config,
    model: Model | None,
    text_of: Callable[[np.ndarray], pl.Series],
    advance: Advance,
) -> tuple[tuple[Critique, ...], Granularity | None]:
    """A critique per cluster of a report, and what pairs of rows say of the number of clusters (None: not asked).

    The auditor calls this too, with the recorded model. ``text_of``: from positions (uint32, [n]) to strings, [n].
    """
    by_rules = rules.critique(report, config.critique)
    # Without text the rows are vectors of something else, and there is nothing to read.
    if config.backend("critic") == "rules" or model is None or not config.load.readable:
        return by_rules, None
    from . import granularity
    from . import model_critic as llm

    critiques = llm.critique(model, report, by_rules, text_of, advance)
    if report.algorithm != "kmeans" or not config.critique.max_pairs:
        return critiques, None
    return critiques, granularity.granularity(model, report, text_of, config.critique.max_pairs, advance)
