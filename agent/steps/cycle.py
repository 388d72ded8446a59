"""The table of steps: the one place that says which there are, in what order, and what follows an answer.

The graph is built from it, and the audit follows it. A new step is one module and one line here.
"""

import itertools
from typing import Any

from ..view import View
from .ablate import Ablate
from .approve import KEEP, UNDO, Approve
from .base import Step
from .clean import Clean, Filter, Language
from .deciding.decide import Decide
from .describe import Cluster, Critique, Embed, Score
from .experiment import Act, Baseline, Measure
from .final.quantise import Quantise
from .final.train import Train
from .finish import Export, Publish
from .label import Label
from .load import Load
from .maps import Draw, Reduce
from .quality.score import Quality
from .repeats import Decontaminate, Dedup, HoldOut
from .rows.answers import Answers, Apply
from .rows.appraise import Appraise
from .rows.evidence import Evidence
from .rows.held_out import JudgeHeldOut
from .rows.pairs import EmbedPairs
from .rows.review import Review
from .rows.sealed import OpenSealed
from .rows.select import Select

PREPARE: tuple[Step[Any], ...] = (
    Load(), Clean(), Answers(), Language(), Filter(), Dedup(), Decontaminate(), HoldOut(),
)  # fmt: skip
DESCRIBE: tuple[Step[Any], ...] = (
    Embed(), EmbedPairs(), Quality(), Cluster(), Reduce(), Score(), Baseline(), Ablate(), Evidence(), Critique(),
    Appraise(), Decide(), Approve(),
)  # fmt: skip
EXPERIMENT: tuple[Step[Any], ...] = (Act(), Measure())
OVERRIDE: tuple[Step[Any], ...] = (KEEP, UNDO, Apply())  # what a person may do instead
FINISH: tuple[Step[Any], ...] = (
    Select(), OpenSealed(), JudgeHeldOut(), Review(), Train(), Quantise(), Label(), Export(), Draw(), Publish(),
)  # fmt: skip

STEPS: dict[str, Step[Any]] = {step.name: step for step in (*PREPARE, *DESCRIBE, *EXPERIMENT, *OVERRIDE, *FINISH)}
#: Step → the step after it; None ends the run. After ``approve`` it depends on the answer.
EDGES: dict[str, str | None] = {}
for _chain in ((*PREPARE, *DESCRIBE), (*EXPERIMENT, DESCRIBE[0]), FINISH):
    EDGES |= {before.name: after.name for before, after in itertools.pairwise(_chain)}
EDGES |= {step.name: DESCRIBE[0].name for step in OVERRIDE} | {FINISH[-1].name: None}
ANSWERS = (EXPERIMENT[0].name, FINISH[0].name, "approve", *(step.name for step in OVERRIDE))


def answered(view: View) -> str:
    """The step after ``approve``, by the answer among the run's values; a run without a person has none."""
    match view.values.answer:
        case "keep" | "undo" | "apply" as override:
            return override
        case "choose" | "review" | "note":
            return "approve"
    return FINISH[0].name if view.values.stop_reason else EXPERIMENT[0].name


def following(view: View) -> Step[Any] | None:
    """The step whose event comes next in the log; None after the last. A step that is not due leaves no event."""
    name = _after(view, view.state.last) if view.state.last else PREPARE[0].name
    while name is not None and not STEPS[name].due(view):
        name = _after(view, name)
    return None if name is None else STEPS[name]


def _after(view: View, name: str) -> str | None:
    return answered(view) if name == "approve" else EDGES[name]
