"""The language model as critic: it reads rows of each cluster, has no tools, and its weight is bounded by the figures.

A judgement of rows can be swayed by what the rows say. So the verdict moves at most one step from what the rules read
in the figures: text alone can neither delete a cluster nor protect one. A judgement that would move it is asked again
about other rows of the cluster; where the two disagree, or there are no other rows, the figures stand and the cluster
is marked for review.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ....state.decision import Critique, Issue, VerdictKind
from ....state.phrases import Advance, silent
from ....state.report import ClusterEvidence, ClusterReport
from ...llm import Request
from ...llm.ask import asked, reader, schema
from ...llm.client import Model
from ...llm.datamark import marked, opaque

TextOf = Callable[[np.ndarray], pl.Series]  # the texts (strings [n]) of positions (uint32 [n])
ModelIssue = Literal["mixed", "near_duplicates", "noisy", "low_quality", "instructions_to_the_judge", "none"]

_ShortText = Annotated[str, Field(max_length=600)]

#: How much of a cluster a verdict takes away: nothing, some rows, all of them.
_LEVEL: dict[VerdictKind, int] = {"keep": 0, "split": 0, "thin": 1, "trim": 1, "drop": 2}


class Judgement(BaseModel):
    """The model's answer on one cluster. The reasons come first, so that they are written first."""

    model_config = ConfigDict(extra="forbid")

    reasons: list[_ShortText] = Field(min_length=1, max_length=6)
    theme: str = Field(max_length=120)
    coherence: int = Field(ge=1, le=5)
    quality: int = Field(ge=1, le=5)
    issues: list[ModelIssue] = Field(max_length=6)
    verdict: VerdictKind


def critique(
    model: Model,
    report: ClusterReport,
    rules: tuple[Critique, ...],
    text_of: TextOf,
    advance: Advance = silent,
) -> tuple[Critique, ...]:
    """One critique per cluster of the report, in its order: the rules' where the model has no usable answer.

    The model is asked two questions per cluster at most. ``rules``: the rules critic's verdicts, in the same order.
    """
    questions = [question(cluster, 0, text_of) for cluster in report.clusters]
    first = model.ask_many(questions, reader(Judgement), advance)
    doubted = [
        at
        for at, judged in enumerate(first)
        if judged is not None and bounded(rules[at].verdict, judged.verdict) != rules[at].verdict
    ]
    others = [at for at in doubted if examples(report.clusters[at], 1)]
    questions = [question(report.clusters[at], 1, text_of) for at in others]
    second = model.ask_many(questions, reader(Judgement), advance)
    again = dict(zip(others, second, strict=True))
    return tuple(combined(rules[at], judged, at in doubted, again.get(at)) for at, judged in enumerate(first))


def question(cluster: ClusterEvidence, half: int, text_of: TextOf) -> Request:
    """The question about one cluster, shown by one half of its example rows; the halves share no row."""
    rows = examples(cluster, half)
    figures = {"size": cluster.size, "cohesion": cluster.cohesion, "near_duplicates": cluster.near_duplicates}
    texts = [marked(text) for text in text_of(np.asarray(rows, dtype=np.uint32)).to_list()]
    shown = {"figures": figures, "rows": [{"id": opaque(half, i, *texts), "text": t} for i, t in enumerate(texts)]}
    return asked("critique", shown, schema(Judgement))


def examples(cluster: ClusterEvidence, half: int) -> list[int]:
    """Positions of the rows that stand for a cluster: half 0 has the medoid; boundary and random rows are dealt out.

    Half 1 is empty where there are too few of them.
    """
    dealt = [list(dict.fromkeys(rows)) for rows in (cluster.boundary, cluster.random)]
    chosen = [cluster.medoid] if half == 0 else []
    for rows in dealt:
        chosen += rows[half::2]
    other = {cluster.medoid} if half else {row for rows in dealt for row in rows[1::2]} - {cluster.medoid}
    return [row for row in dict.fromkeys(chosen) if row not in other]


def bounded(rules: VerdictKind, judged: VerdictKind) -> VerdictKind:
    """The model's verdict, moved back to what the figures bear.

    Where they call for nothing the model can have some rows taken and not all; where they call for some, it changes
    nothing; where they call for all, it can spare some. So rows alone neither delete a cluster nor protect one.
    """
    own = _LEVEL[rules]
    level = min(max(_LEVEL[judged], min(own, 1)), max(own, 1))
    if level == own and own > 0:
        return rules
    return judged if level == _LEVEL[judged] else "trim"


def combined(rules: Critique, judged: Judgement | None, asked_twice: bool, again: Judgement | None) -> Critique:
    """The critique of one cluster from the figures' verdict and up to two judgements of its rows.

    A judgement that is in doubt reaches people, as theme and words, and nothing of it reaches who decides.
    """
    if judged is None:
        return rules
    verdict = bounded(rules.verdict, judged.verdict)
    agree = not asked_twice or (again is not None and bounded(rules.verdict, again.verdict) == verdict)
    found = set(judged.issues) | set(again.issues if again else ())
    suspicious = "instructions_to_the_judge" in found
    by_model: dict[str, Any] = {"by": "model", "theme": judged.theme, "said": tuple(judged.reasons)}
    if suspicious or not agree:  # a cluster whose rows speak to its judge is judged by its figures
        why = "rows of it speak to their judge" if suspicious else "judgements of other rows do not bear the first out"
        reasons = (*rules.reasons, f"{why}: the figures decide")
        return rules.model_copy(update={**by_model, "reasons": reasons, "review": True})
    seen: set[Issue] = set(rules.issues) - {"none"}
    seen |= {issue for issue in judged.issues if issue in ("mixed", "near_duplicates", "noisy", "low_quality")}
    figures = tuple(
        f"the model sees {name} {value} of 5"
        for name, value in (("coherence", judged.coherence), ("quality", judged.quality))
    )
    return Critique(
        **by_model,
        cluster=rules.cluster,
        reasons=rules.reasons + figures,
        issues=tuple(sorted(seen)) or ("none",),
        verdict=verdict,
        coherence=judged.coherence,
        quality=judged.quality,
        review=_LEVEL[judged.verdict] != _LEVEL[rules.verdict],
    )
