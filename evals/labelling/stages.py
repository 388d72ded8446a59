"""The stages of labelling, alone and one after the other: how many rows each labels, and how many of those rightly."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ...agent.llm.open import open_model
from ...agent.steps.label import by_model
from ...state.params.llm import LabelParams
from ...state.settings import parse_config
from ...state.values import LabelLesson
from ...tools.judge.evidence.folds import FOLDS, group_folds
from ...tools.judge.labels import by_rules, zero_shot
from ...tools.judge.learned import probabilities
from ...tools.judge.weak import by_classifier
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Cell, Table
from .sets import NAMES, Truthed, truthed

_BY_DEFAULT = 0.9  # of them, what a run asks for
PRECISIONS = (0.8, _BY_DEFAULT, 0.95)
_MODEL_ROWS = 500  # rows that a model is asked of
_ABSENT = "not at hand"
_Taught = dict[float, tuple[pl.Series, LabelLesson]]  # by the precision that is asked for


@dataclass(frozen=True)
class LabelsPlan:
    """What is measured: the sets, and which models stand at hand."""

    sets: Sequence[str] = NAMES
    nli_model: str | None = None
    llm: str | None = None

    def cells(self) -> list["LabelsCell"]:
        """One for each set."""
        return [LabelsCell(name, self.nli_model, self.llm) for name in self.sets]


@dataclass(frozen=True)
class LabelsCell:
    """One set, and the models that stand at hand."""

    set: str
    nli_model: str | None
    llm: str | None

    @property
    def folder(self) -> str:
        """The name of its folder, which keeps what a language model answers."""
        return self.set.replace(", ", "-").replace(" ", "-")


def _bench(data: Path, folder: Path) -> Measure[LabelsCell]:
    def measure(cell: LabelsCell, at: Path) -> Record:
        found = truthed(cell.set, data, folder)
        ruled = by_rules(found.text, found.taxonomy)["domain"]
        taught = _taught(found, ruled)
        return {
            "stages": list(_stages(found, ruled, taught, cell, at)),
            "promises": list(_promises(found, ruled, taught)),
        }

    return measure


def _tables(found: Finished[LabelsCell], plan: LabelsPlan, command: str) -> list[Table]:
    lines = tuple((cell.set, *line) for cell, record in found for line in record["stages"])
    promised = tuple((cell.set, *line) for cell, record in found for line in record["promises"])
    notes = (
        "Coverage: share of the rows asked that a stage labels; precision: share of those labels that are true; "
        "macro-F1: over the names of the taxonomy on the rows asked, where a row without a label is missed.",
        "The classifier is taught by the rows that the rules label, and asked of those that they leave open; it labels "
        "none in which keywords of several names stand.",
    )
    columns = ("set", "stage", "rows asked", "coverage", "precision", "macro-F1")
    return [Table("Labels by a taxonomy, stage by stage", columns, lines, notes, command), _kept(promised)]


def _taught(found: Truthed, ruled: pl.Series) -> _Taught:
    """What the classifier says of the rows that the rules leave open."""
    return {
        precision: by_classifier(found.text, found.vectors, ruled, found.taxonomy.domains, precision, seed=0)
        for precision in PRECISIONS
    }


def _stages(
    found: Truthed, ruled: pl.Series, taught: _Taught, cell: LabelsCell, folder: Path
) -> Iterator[tuple[Cell, ...]]:
    """A line for each stage."""
    every, open_rows = np.arange(len(ruled)), ruled.is_null().arg_true().to_numpy()
    yield "rules", *_scores(found, ruled, every)
    for precision, (said, _) in taught.items():
        yield f"classifier, precision {precision:g}", *_scores(found, said, open_rows)
    both = ruled.fill_null(taught[_BY_DEFAULT][0])
    yield f"rules, then classifier ({_BY_DEFAULT:g})", *_scores(found, both, every)
    left = both.is_null().arg_true().to_numpy()
    drawn = np.sort(np.random.default_rng(0).permutation(left)[:_MODEL_ROWS])
    models = {
        "zero-shot": _by_nli(found, drawn, cell.nli_model),
        "language model": _by_llm(found, drawn, cell.llm, folder),
    }
    for stage, labels in models.items():
        if labels is None:
            yield f"{stage}, on what is left open", _ABSENT, None, None, None
        else:
            whole = pl.Series([None] * len(ruled), dtype=pl.String).scatter(drawn, labels)
            yield f"{stage}, on what is left open", *_scores(found, whole, drawn)


def _by_nli(found: Truthed, rows: np.ndarray, model: str | None) -> pl.Series | None:
    if model is None:
        return None
    return zero_shot(found.text.gather(rows), found.taxonomy, model, LabelParams().min_margin)["domain"]


def _by_llm(found: Truthed, rows: np.ndarray, llm: str | None, folder: Path) -> pl.Series | None:
    model = open_model(folder, parse_config({"llm": {"model": llm}}, "--llm"), [])
    return None if model is None else by_model(model, found.text.gather(rows).to_list(), found.taxonomy)["domain"]


def _scores(found: Truthed, said: pl.Series, asked: np.ndarray) -> tuple[int, float, float | None, float]:
    """Rows asked, coverage, precision and macro-F1 of labels (strings [n], null for none)."""
    from sklearn.metrics import f1_score

    said, truth = said.gather(asked), found.truth.gather(asked)
    given = said.is_not_null()
    right = (said == truth).fill_null(False).filter(given)
    names = [entry.name for entry in found.taxonomy.domains]
    score = f1_score(
        truth.fill_null("").to_list(), said.fill_null("").to_list(), labels=names, average="macro", zero_division=0.0
    )
    precision = None if right.is_empty() else round(float(np.mean(right.to_numpy())), 3)
    return len(asked), round(float(np.mean(given.to_numpy())), 3), precision, round(float(score), 3)


def _promises(found: Truthed, ruled: pl.Series, taught: _Taught) -> Iterator[tuple[Cell, ...]]:
    """What rows that did not teach the classifier promise of it, and what it keeps on the rows that are open."""
    open_rows = ruled.is_null().to_numpy()
    known = np.flatnonzero(~open_rows)
    names = [entry.name for entry in found.taxonomy.domains]
    codes = ruled.gather(known).replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    fold, right = group_folds(known, FOLDS, 0), np.zeros(len(known), dtype=bool)
    for part in range(FOLDS):
        out = fold == part
        guess = probabilities(found.vectors[known[~out]], codes[~out], found.vectors[known[out]], len(names), 1.0)
        right[out] = guess.argmax(axis=1) == codes[out]
    forced = probabilities(found.vectors[known], codes, found.vectors[open_rows], len(names), 1.0).argmax(axis=1)
    truth = found.truth.filter(pl.Series(open_rows))
    true = (pl.Series(names).gather(forced) == truth).fill_null(False)
    yield "by lot", None, round(float(right.mean()), 3), round(float(np.mean(true.to_numpy())), 3)
    for precision, (said, lesson) in taught.items():
        _, _, kept, _ = _scores(found, said, np.flatnonzero(open_rows))
        yield "by keyword", precision, None if lesson.right is None else round(lesson.right, 3), kept


def _kept(lines: tuple[tuple[Cell, ...], ...]) -> Table:
    notes = (
        "Promised: of examples that did not teach the classifier, the share that it names as the rules do, past the "
        "lead from which it labels; kept: the share of its labels on open rows that are true. By lot: a fifth of the "
        "examples left out at random, at any lead. By keyword: as a run does.",
    )
    columns = ("set", "left out", "asked for", "promised", "kept")
    return Table("What the classifier promises, and keeps", columns, lines, notes)


#: Labels sets by taxonomies that were written by hand from the names of their classes alone.
EXPERIMENT = Experiment[LabelsPlan, LabelsCell]("labels", _bench, _tables)
