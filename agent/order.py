"""The order of the steps, for the graph that walks it and for the audit that follows it."""

from __future__ import annotations

import itertools
from typing import Any

from ..state.config import Config
from ..state.run import RunState
from .steps.lessons import has_teacher

PREPARE = ("load", "clean", "language", "filter", "dedup", "decontaminate", "hold_out")
DESCRIBE = ("embed", "quality", "cluster", "reduce", "score", "baseline", "ablate", "critique", "decide", "approve")
EXPERIMENT = ("act", "measure")
OVERRIDE = ("keep", "undo")  # what a person may do instead
FINISH = ("train", "quantise", "label", "export", "publish")

_NEXT = {
    **dict(itertools.pairwise((*PREPARE, *DESCRIBE))),
    **dict(itertools.pairwise((*EXPERIMENT, "embed"))),
    **dict.fromkeys(OVERRIDE, "embed"),
    **dict(itertools.pairwise(FINISH)),
}


def answered(values: dict[str, Any]) -> str:
    """The step after ``approve``, by the answer among the run's ``values``; a run without a person has none."""
    match values.get("answer"):
        case "keep":
            return "keep"
        case "undo":
            return "undo"
        case "choose":
            return "approve"
    return "train" if values.get("stop_reason") else "act"


def following(config: Config, state: RunState) -> str | None:
    """The step whose event comes next in the log; None after the last. Steps with nothing to do leave no event."""
    step = _after(state.last, state) if state.last else PREPARE[0]
    while step is not None and _idle(step, config, state):
        step = _after(step, state)
    return step


def _after(step: str, state: RunState) -> str | None:
    return answered(state.values) if step == "approve" else _NEXT.get(step)


def _idle(step: str, config: Config, state: RunState) -> bool:
    """Whether a step has nothing to do, as it finds by itself in the loop."""
    values = state.values
    if step == "language":
        return not config.load.readable
    if step == "decontaminate":
        return not config.decontaminate.against
    if step == "quality":
        if (learned := values.get("quality")) is None:
            return config.quality.like is None and not has_teacher(config)
        return not learned["used"] or values["quality_of"] == state.artefacts["vectors"]
    if step == "baseline":
        return "objective" in values
    if step == "ablate":
        return not config.ablate or "ablated" in values
    if step == "approve":
        return not config.approve
    return step == "label" and config.label.taxonomy is None
