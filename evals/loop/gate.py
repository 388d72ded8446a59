"""The gate: how often a harmful planted action is rolled back and a useful one kept, by severity and held-out rows."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from ...agent.steps.probed import confirmed_rows
from ...agent.steps.rows.removals import LedgerChange
from ...agent.view import View
from ...tools.judge.learned import normal
from ..experiment import Experiment, Measure, Record
from ..plots.loop import of_gate
from ..runs import until_decision
from ..table import Cell as Value
from ..table import Table
from .cells import Bench, Cell, Plan, settings
from .crude import Learned
from .draws import drawn
from .faults import UNIFORM
from .planted import EXEMPT, HARMFUL, USEFUL, Known, Plant, Planted, judged, taught
from .sets import LABELLED

DEFAULT = 0  # the anchor's size as a user has it
_MOST = 0.49  # of the cleaned rows, that may be held out
#: Kind → its actions, and how often each is drawn anew in a run; there is one right action, and many wrong ones.
_KINDS = {"harmful": (HARMFUL, 3), "useful": (USEFUL, 1), "exception": (EXEMPT, 1)}
_KEPT = "kept"
Measured = tuple["GateCell", Record]
Trial = dict[str, Any]  # of a record


@dataclass(frozen=True)
class GatePlan:
    """What is measured: of each labelled set ``draws`` of about ``rows`` rows, by severity and by size of the anchor.

    All draws of a set come from one that is planted once, so that its texts are embedded once; each is held out anew.
    """

    sets: Sequence[str] = tuple(LABELLED)
    severities: Sequence[str] = ("middle",)
    anchors: Sequence[int] = (DEFAULT,)
    draws: int = 12
    rows: int = 2000
    flips: str = UNIFORM

    def cells(self) -> list["GateCell"]:
        """Every size of the anchor with every cell, those of a set one after the other."""
        cells = Plan(self.sets, self.severities, self.draws, self.rows, self.flips).cells()
        return [GateCell(**asdict(cell), anchor=anchor) for anchor in self.anchors for cell in cells]


@dataclass(frozen=True)
class GateCell(Cell):
    """A draw from a set, and how many of its rows are held out."""

    anchor: int

    @property
    def folder(self) -> str:
        """The name of its folder, below that of its anchor."""
        return f"anchor-{self.anchor or 'default'}/{super().folder}"


def _bench(data: Path, folder: Path) -> Measure[GateCell]:
    return partial(_measure, _Pool(Bench(data, folder)))


class _Pool:
    """The sets that are drawn from, planted at middle severity and embedded; one at a time stays in memory."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._name = bench, ""

    def of(self, cell: Cell) -> Learned:
        """The planted set that a cell draws from."""
        if self._name != cell.set:
            whole = replace(cell, severity="middle", seed=0, rows=None)
            self._learned, self._name = Learned(self._bench, whole, self._bench.crude(whole)), cell.set
        return self._learned


def _measure(pool: _Pool, cell: GateCell, folder: Path) -> Record:
    begun = time.perf_counter()
    whole = pool.of(cell)
    crude = drawn(whole.crude, cell.severity, cell.rows or whole.crude.rows.height, cell.seed)
    changed: dict[str, Any] = {"score": {"bootstraps": 2}}  # bears on clusterings alone, and costs most
    if cell.anchor:
        changed["anchor"] = {"fraction": _MOST, "max_rows": cell.anchor}
    embedded = normal(whole.crude.rows["text"].to_list()), whole.vectors
    view = until_decision(crude.write(folder).resolve(), folder / "run", settings(cell, **changed), embedded)
    known = Known.of(view, crude)
    judge = _Judge(view, known, whole)
    return {
        "held_out": len(view.anchor()),
        "confirmed": int(confirmed_rows(view).sum()),
        "kept": len(known.rows),
        "spoilt": float(known.spoilt.mean()),
        "trials": {
            kind: [judge.trial(kind, plant, again) for plant in plants for again in range(times)]
            for kind, (plants, times) in _KINDS.items()
        },
        "seconds": time.perf_counter() - begun,
    }


@dataclass
class _Judge:
    """A run before its first decision, what is true of its rows, and a model that never sees its held-out rows."""

    view: View
    known: Known
    learned: Learned

    @cached_property
    def _before(self) -> float:
        return self.learned.score(taught(self.view, LedgerChange(self.view.ledger())))

    def trial(self, kind: str, plant: Plant, again: int) -> Trial:
        """A planted action, the verdict on it, and where that is not what the kind wants, what is true of it."""
        planted = plant(self.view, self.known, np.random.default_rng([self.view.config.seed, again]))
        verdict = judged(self.view, planted)
        trial: Trial = {"name": planted.name, "of": planted.of, "rows": planted.change.rows, "truth": None}
        if verdict is None:
            return trial | {"outcome": "refused", "gain": None, "needed": None, "reason": planted.change.refused}
        wrong = (verdict.outcome == _KEPT) == (kind == "harmful")
        return trial | {
            "outcome": verdict.outcome,
            "gain": verdict.gain,
            "needed": verdict.needed,
            "reason": "; ".join(verdict.reasons),
            "truth": self._truth(planted) if wrong and kind != "exception" else None,
        }

    def _truth(self, planted: Planted) -> float:
        """How the score on the clean test split moves, in points, of a model of the training rows."""
        return 100 * (self.learned.score(taught(self.view, planted.change)) - self._before)


def tables(found: Sequence[Measured], plan: GatePlan, command: str) -> list[Table]:
    """How often each action was kept; the same set by set; and the verdicts that were wrong, one by one."""
    made = [Table("Planted actions at the gate", _BY_ACTION, tuple(_by_action(found)), _NOTES, command, of_gate(found))]
    names = list(dict.fromkeys(cell.set for cell, _ in found))
    by_set = tuple(_by_set(found, names))
    made.append(Table("Kept, by set", ("severity", "anchor", "action", *names), by_set, (), command))
    made.append(Table("Verdicts that were not what they should be", _WRONG, tuple(_wrong(found)), _TRUTH, command))
    return made


_BY_ACTION = ("severity", "anchor", "held out", "kind", "action", "trials", "kept", "rolled back or refused",
              "share of rows", "mean gain", "mean needed")  # fmt: skip
_WRONG = ("severity", "anchor", "set", "draw", "action", "of", "rows", "outcome", "gain", "needed", "truth",
          "why")  # fmt: skip


_NOTES = (
    "Each run is of another part of a crude set and with another seed, unattended with default settings (but 2 "
    "bootstraps of a clustering) up to its first decision; the planted action is one more look beside the run's "
    "own candidates. Harmful ones are drawn three times in a run. One class: any of them as likely as another; "
    "one theme: a cluster in which faulty rows are no more frequent than in all rows. Faulty: wrong labels, rows "
    "of another domain, gibberish and boilerplate, copies of them included. Held out: mean number of rows.",
    "A harmful action should be rolled back, a useful one kept. Near-duplicates are the gate's exception: they "
    "need not gain. The last line asks what else would pass that test.",
)
_TRUTH = (
    "Truth: by how many points (hundredths) macro-F1 on the set's own clean test split moves, of logistic regression "
    "(C = 10) on the training rows with the action and without it. Above 0 a kept harmful action did no harm there.",
)


def _trials(found: Iterable[Measured]) -> list[tuple[tuple[str, str], str, Measured, Trial]]:
    """All trials: severity and anchor, kind, where from, and the trial."""
    return [
        ((cell.severity, str(cell.anchor or "a fifth")), kind, (cell, record), trial)
        for cell, record in found
        for kind, trials in record["trials"].items()
        for trial in trials
    ]


def _grouped(found: Sequence[Measured]) -> dict[tuple[str, str, str, str], list[tuple[Measured, Trial]]]:
    """Trials by severity, anchor, kind and action, in the order of their first."""
    groups: dict[tuple[str, str, str, str], list[tuple[Measured, Trial]]] = {}
    for (severity, anchor), kind, of, trial in _trials(found):
        groups.setdefault((severity, anchor, kind, trial["name"]), []).append((of, trial))
    return groups


def _by_action(found: Sequence[Measured]) -> Iterable[tuple[Value, ...]]:
    for (severity, anchor, kind, name), part in _grouped(found).items():
        held_out = round(fmean(record["held_out"] for (_, record), _ in part))
        kept = sum(trial["outcome"] == _KEPT for _, trial in part)
        share = fmean(trial["rows"] / record["kept"] for (_, record), trial in part)
        figures = [_mean(trial[figure] for _, trial in part) for figure in ("gain", "needed")]
        yield (severity, anchor, held_out, kind, name, len(part), kept, len(part) - kept, share, *figures)


def _by_set(found: Sequence[Measured], names: Sequence[str]) -> Iterable[tuple[Value, ...]]:
    for (severity, anchor, _, name), part in _grouped(found).items():
        counts = []
        for at in names:
            here = [trial["outcome"] == _KEPT for (cell, _), trial in part if cell.set == at]
            counts.append(f"{sum(here)} of {len(here)}" if here else None)
        yield (severity, anchor, name, *counts)


def _wrong(found: Sequence[Measured]) -> Iterable[tuple[Value, ...]]:
    for (severity, anchor), kind, (cell, _), trial in _trials(found):
        if kind != "exception" and (trial["outcome"] == _KEPT) == (kind == "harmful"):
            figures = [trial[name] for name in ("name", "of", "rows", "outcome", "gain", "needed", "truth", "reason")]
            yield (severity, anchor, cell.set, cell.seed, *figures)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


#: Plants actions in runs that stand before their first decision, and asks the gate.
EXPERIMENT = Experiment[GatePlan, GateCell]("gate", _bench, tables)
