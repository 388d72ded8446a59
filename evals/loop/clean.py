"""Clean sets: what the unattended loop takes from them, and what that costs."""

import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ..experiment import Experiment, Finished, Measure, Record
from ..plots.loop import of_clean
from ..table import Cell as Value
from ..table import Table
from .cells import Bench, Cell, Plan, refined, said_of_the_code
from .crude import Learned
from .found import Outcome, found, same_groups

_COLUMNS = ("set", "seed", "rows", "score before", "score after", "points lost", "removed", "non-duplicate rows lost")
_NOTES = (
    "The sets of the experiment `crude` without any fault, long tail of classes included. Score: macro-F1 on the set's "
    "own test split of logistic regression (C = 10) on MiniLM vectors; points: hundredths of it. Rows that say the "
    "same, word by word or at a Jaccard similarity of 0.8 (word 5-grams), are lost where none of them is left.",
)


def _bench(data: Path, folder: Path) -> Measure[Cell]:
    return partial(_measure, Bench(data, folder))


def _tables(found: Finished[Cell], plan: Plan, command: str) -> list[Table]:
    lines, notes = tuple(_line(*one) for one in found), (*_NOTES, said_of_the_code(found))
    return [Table("What the loop takes from clean sets", _COLUMNS, lines, notes, command, of_clean(found))]


def _measure(bench: Bench, cell: Cell, folder: Path) -> Record:
    begun = time.perf_counter()
    clean = bench.crude(cell)
    made, how = refined(cell, clean, folder)
    scores: tuple[float | None, float | None] = (None, None)
    if cell.labelled:
        learned = Learned(bench, cell, clean)
        scores = learned.score(Outcome(frozenset(clean.rows["id"]))), learned.score(made)
    return {
        **asdict(found(clean, made, same_groups(clean).tolist())),
        **{"rows": clean.rows.height, "before": scores[0], "after": scores[1]},
        **how,
        "seconds": time.perf_counter() - begun,
    }


def _line(cell: Cell, record: Record) -> tuple[Value, ...]:
    before, after = record["before"], record["after"]
    lost = None if before is None else 100 * (before - after)
    return cell.set, cell.seed, record["rows"], before, after, lost, record["removed"], record["clean_lost"]


#: Refines sets without faults; the severity of its cells is ``CLEAN``.
EXPERIMENT = Experiment[Plan, Cell]("clean", _bench, _tables)
