"""The experiments that are made of cells: each command reads its options into a plan."""

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ..embedding.dimensions import NAMES as SMALLER
from ..embedding.dimensions import DimensionsPlan
from ..embedding.student import NAMES as FITTED
from ..embedding.student import StudentPlan
from ..experiment import Experiment
from ..labelling.sets import NAMES as LABEL_SETS
from ..loop.faults import CLEAN, FLIPS, SEVERITIES
from ..loop.sets import LABELLED, NAMES
from ..retrieval.notes import NotesPlan
from ..selection.balance import BalancePlan
from ..selection.mixtures import NAMES as MIXTURES
from ..selection.pruning import STRATEGIES, PruningPlan
from ..selection.study import MODELS, StudyPlan
from ..selection.study import STRATEGIES as SELECTING
from ..table import Table
from ..training.classifiers import ClassifiersPlan
from ..training.final import FinalPlan
from ..training.repetition import EPOCHS, RepetitionPlan
from ..training.repetition import NAMES as REPEATED
from ..training.stages import NAMES as STAGED
from ..training.stages import StagesPlan
from .plan import command_of
from .printing import data_option, printing

_A_PORTION = re.compile(r"\d+(\.\d+)?%|\d+")
BY_CELLS: dict[str, click.Command] = {}  # experiment → its command
_OPTIONS = [
    click.option("--out", type=click.Path(path_type=Path),
                 help="Keep the cells there, with cells.parquet, tables.md and the plot; finished ones are read back.  "
                 "[default: the plot alone, in this folder]"),
    click.option("--jobs", type=click.IntRange(1),
                 help="Cells measured at a time, each in a process with one thread.  [default: one, in this process]"),
]  # fmt: skip
_SEEDS = click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Of each, from seed 0 on.")
_ON_SETS = [
    click.option("--set", "sets", multiple=True, type=click.Choice(NAMES), help="Which set.  [default: all]"),
    _SEEDS,
    click.option("--rows", type=click.IntRange(50), help="Rows of each clean set, at most.  [default: 3,000 or 4,000]"),
]  # fmt: skip
_SEVERITY = click.option("--severity", "severities", multiple=True, type=click.Choice(tuple(SEVERITIES)),
                         help="How many faults.  [default: middle]")  # fmt: skip
_FLIPS = click.option("--flips", default=FLIPS[0], show_default=True, type=click.Choice(FLIPS),
                      help="Which class a wrong label names: any, or the nearest.")  # fmt: skip


class _Portion(click.ParamType[str]):
    """A share, as in 10%, or a number of rows; it stays as it was written."""

    name = "portion"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _A_PORTION.fullmatch(str(value)) or not 0 < float(str(value).rstrip("%")) <= (
            100 if "%" in str(value) else float("inf")
        ):
            self.fail(f"{value!r} is no share, as in 10%, and no number of rows", param, ctx)
        return str(value)


Made = tuple[Experiment[Any, Any], Any]  # and its plan


def _by_cells(make: Callable[..., Made]) -> click.Command:
    """The command of the same name that measures the plan which ``make`` reads from its options.

    An option that may be given several times and was not given is left to the plan.
    """

    @wraps(make)
    def run(out: Path | None, jobs: int | None, data: Path = Path(), **options: Any) -> list[Table]:
        from ...agent.cli.progress import Reporter

        experiment, plan = make(**{name: value for name, value in options.items() if value != ()})
        command = command_of(click.get_current_context())
        with Reporter().step(experiment.name, len(plan.cells()), "cells") as advance:
            return experiment.run(data, plan, out, command, advance, jobs)

    command = printing(_with(_OPTIONS, run))
    BY_CELLS[str(command.name)] = command
    return command


def _with(options: list[Callable[[Any], Any]], run: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        run = option(run)
    return run


def _on_sets(make: Callable[..., Made]) -> Callable[..., Made]:
    """With the options of the experiments that make whole runs of several sets."""
    return _with(_ON_SETS, make)


def _of_data(make: Callable[..., Made]) -> click.Command:
    """As ``_by_cells``, of the data sets in a folder."""
    return _by_cells(data_option(make))


@_of_data
@_on_sets
@_SEVERITY
@_FLIPS
def crude(**options: Any) -> Made:
    """Crude sets: how much of what known faults cost a run wins back, beside single tools and chance."""
    from ..loop.cells import Plan
    from ..loop.crude import EXPERIMENT

    return EXPERIMENT, Plan(**options)


@_of_data
@_on_sets
def clean(**options: Any) -> Made:
    """Clean sets: what a run takes from them, and what that costs."""
    from ..loop.cells import Plan
    from ..loop.clean import EXPERIMENT

    return EXPERIMENT, Plan(**options, severities=(CLEAN,))


@_of_data
@_on_sets
def human(**options: Any) -> Made:
    """Noise that people made: requests out of scope, and postings in two groups; is it found, and is that better?"""
    from ..loop.human import EXPERIMENT, plan_of

    return EXPERIMENT, plan_of(**options)


@_of_data
@_on_sets
@_SEVERITY
def policies(**options: Any) -> Made:
    """Who decides: what rules, chance, a blind script and no loop recover of crude sets, and in how many rounds."""
    from ..loop.policies import EXPERIMENT, plan_of

    return EXPERIMENT, plan_of(**options)


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(tuple(LABELLED)), help="Which set.  [default: all]")
@_SEVERITY
@click.option("--anchor", "anchors", multiple=True, type=click.IntRange(20), metavar="ROWS",
              help="Rows held out, as far as there are twice as many.  [default: a fifth of the rows]")  # fmt: skip
@click.option("--draws", default=12, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--rows", default=2000, show_default=True, type=click.IntRange(100), help="Rows of each run, at most.")
@_FLIPS
def gate(**options: Any) -> Made:
    """Planted actions: how often the gate rolls a harmful one back and keeps a useful one."""
    from ..loop.gate import EXPERIMENT, GatePlan

    return EXPERIMENT, GatePlan(**options)


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(MIXTURES), help="Which set.  [default: all]")
@click.option("--seeds", default=BalancePlan.seeds, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--keep", default=BalancePlan.keep, show_default=True, type=click.FloatRange(0, 1, min_open=True),
              help="Share of the rows that stays.")  # fmt: skip
def balance(**options: Any) -> Made:
    """Long tails: how evenly flat and hierarchical k-means take the classes, and what that teaches."""
    from ..selection.balance import EXPERIMENT

    return EXPERIMENT, BalancePlan(**options)


@_of_data
@click.option("--k", "ks", multiple=True, type=click.IntRange(2), help="Clusters.  [default: 50 and 500]")
@click.option("--keep", "keeps", multiple=True, type=click.FloatRange(0, 1, min_open=True),
              help="Share of the digits that stays.  [default: 0.1 and 0.5]")  # fmt: skip
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(STRATEGIES),
              help="Which digits of a cluster stay.  [default: all three]")  # fmt: skip
@click.option("--seeds", default=PruningPlan.seeds, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--epochs", default=PruningPlan.epochs, show_default=True, type=click.IntRange(1), help="Of training.")
def pruning_mnist(**options: Any) -> Made:
    """Pruned digits: what LeNet-5 learns from those furthest from their centroid, closest to it, or any."""
    from ..selection.pruning import EXPERIMENT

    return EXPERIMENT, PruningPlan(**options)


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(SMALLER), help="Which set.  [default: all]")
@click.option("--seeds", default=DimensionsPlan.seeds, show_default=True, type=click.IntRange(1), help="Draws of each.")
@click.option(
    "--rows", default=DimensionsPlan.rows, show_default=True, type=click.IntRange(50), help="Of each, at most."
)
def dimensions(**options: Any) -> Made:
    """Vectors of fewer dimensions or bits: the neighbours they keep, and what they teach."""
    from ..embedding.dimensions import EXPERIMENT

    return EXPERIMENT, DimensionsPlan(**options)


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(FITTED), help="Which set.  [default: all]")
@click.option("--seeds", default=StudentPlan.seeds, show_default=True, type=click.IntRange(1), help="Draws of each.")
def student(**options: Any) -> Made:
    """Static students: what classifiers learn from their vectors, by how far they agree with their model."""
    from ..embedding.student import EXPERIMENT

    return EXPERIMENT, StudentPlan(**options)


_TOKENS = "Tokens that each training spends."


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(REPEATED), help="Which set.  [default: both]")
@click.option("--epochs", "epochs", multiple=True, type=click.IntRange(1),
              help=f"Passes over the set.  [default: {', '.join(map(str, EPOCHS))}]")  # fmt: skip
@click.option("--seeds", default=RepetitionPlan.seeds, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--tokens", default=RepetitionPlan.tokens, show_default=True, type=click.IntRange(1000), help=_TOKENS)
def repetition(**options: Any) -> Made:
    """Repeated texts: what a budget of tokens teaches when it is spent on fewer of them, on purpose or by accident."""
    from ..training.repetition import EXPERIMENT

    return EXPERIMENT, RepetitionPlan(**options)


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(STAGED), help="Which set.  [default: all]")
@click.option("--seeds", default=StagesPlan.seeds, show_default=True, type=click.IntRange(1), help="Draws of each.")
@click.option("--tokens", default=StagesPlan.tokens, show_default=True, type=click.IntRange(1000), help=_TOKENS)
def stages(**options: Any) -> Made:
    """Stages: what a small language model learns from text with a stage of cleaning and without it."""
    from ..training.stages import EXPERIMENT

    return EXPERIMENT, StagesPlan(**options)


@_of_data
@click.option("--tokens", default=FinalPlan.tokens, show_default=True, type=click.IntRange(1000), help=_TOKENS)
@click.option("--width", default=FinalPlan.width, show_default=True, type=click.IntRange(128), help="A multiple of 64.")
@click.option("--layers", default=FinalPlan.layers, show_default=True, type=click.IntRange(2),
              help="Of the dense model.")  # fmt: skip
def final_model(**options: Any) -> Made:
    """The final model: what each format that it is exported in costs, and each way to a smaller one."""
    from ..training.final import EXPERIMENT

    return EXPERIMENT, FinalPlan(**options)


@_of_data
@_SEEDS
@click.option("--epochs", default=ClassifiersPlan.epochs, show_default=True, type=click.IntRange(1),
              help="Passes in which a teacher learns.")  # fmt: skip
@click.option("--rows", default=ClassifiersPlan.rows, show_default=True, type=click.IntRange(100),
              help="To train on, at most.")  # fmt: skip
def classifiers(**options: Any) -> Made:
    """Classifiers: what a distilled or pruned one keeps of its teacher, and how small it is."""
    from ..training.classifiers import EXPERIMENT

    return EXPERIMENT, ClassifiersPlan(**options)


@_of_data
@click.option("--set", "sets", multiple=True, type=click.Choice(LABEL_SETS), help="Which set.  [default: all]")
@click.option("--nli-model", help="An NLI model of transformers, by name or folder.  [default: no zero-shot labels]")
@click.option("--llm", help="A language model: anthropic:NAME, openai:NAME or ollama:NAME.  [default: none]")
def labels(**options: Any) -> Made:
    """Labels by a taxonomy: how many rows each stage labels, and how many of those rightly."""
    from ..labelling.stages import EXPERIMENT, LabelsPlan

    return EXPERIMENT, LabelsPlan(**options)


@_of_data
@click.option("--texts", default=NotesPlan.texts, show_default=True, type=click.IntRange(60),
              help="Postings, three files of each.")  # fmt: skip
@click.option("--seeds", default=NotesPlan.seeds, show_default=True, type=click.IntRange(1), help="Draws.")
def notes(**options: Any) -> Made:
    """Clippings: what questions find before and after they are merged, and whether the right ones are."""
    from ..retrieval.notes import EXPERIMENT

    return EXPERIMENT, NotesPlan(**options)


@_by_cells
@click.option("--input", "inputs", multiple=True, required=True, metavar="FILE", help="What to select from.")
@click.option("--test", metavar="FILE", help="Rows to score on.  [default: a fifth of each input, by seed]")
@click.option("--strategy", "strategies", multiple=True, type=click.Choice(SELECTING),
              help="Which rows stay.  [default: random, furthest, semdedup, d4, hierarchical]")  # fmt: skip
@click.option("--keep", "keeps", multiple=True, type=_Portion(), metavar="PORTION",
              help="How many rows stay: a share (10%) or a number.  [default: 10% and 50%]")  # fmt: skip
@click.option("--model", "models", multiple=True, type=click.Choice(tuple(MODELS)),
              help="What learns from them.  [default: logistic with a label column, else ngram]")  # fmt: skip
@click.option("--seeds", default=StudyPlan.seeds, show_default=True, type=click.IntRange(1), help="Runs of each.")
@click.option("--text-column", metavar="NAME", help="The column with the text.  [default: by its name]")
@click.option("--label-column", metavar="NAME", help="The column with the label.  [default: none]")
@click.option("--target", metavar="FILE", help="What the rows are to be like, for nearest and dsir.")
def study(**options: Any) -> Made:
    """Your own files: what a model learns from the rows that each strategy keeps, at each size."""
    from ..selection.study import EXPERIMENT, plan_of

    return EXPERIMENT, plan_of(**options)
