"""Noise that people made: requests out of scope and postings in two groups, in sets that are otherwise sound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..experiment import Experiment, Finished, Measure, Record
from ..plots.loop import of_human
from ..table import Cell as Value
from ..table import Table
from .baselines import BASELINES
from .cells import Bench, Cell, Plan, refined, said_of_the_code
from .crude import LOOP, RANDOM, has_all_that_is_available, lacking, scores
from .faults import CLEAN, SIDE_SCHEMA, Crude
from .sets import crossposts, sound

SHARE = 0.1  # of the sound rows: how many requests out of scope stand among them
HUMAN = "human"
#: By set, what its noisy rows are called.
FAULTS = {"clinc": "out of scope", "newsgroups20": "cross-posted"}
_METHODS = (LOOP, RANDOM, *BASELINES)
_COLUMNS = ("set", "seed", "rows", "noisy", "method", "score before", "score after", "score without the noise",
            "removed", "noise found", "sound rows lost")  # fmt: skip
_NOTES = (
    "clinc: a tenth as many of the requests that its authors collected as out of scope (Larson et al. 2019) stand "
    "among the others, with the name of an intent by chance: people wrote the rows, the label is planted. "
    "newsgroups20: postings whose body stands in two groups, header apart, stand there once with each; the noisy one "
    "is that of the group that comes later by name, although neither is wrong: the test split knows a body under its "
    "first group alone. No other fault is planted.",
    "Score: macro-F1 on the set's own clean test split of logistic regression (C = 10) on MiniLM vectors. Noise found: "
    "the row is gone, or has the label that counts as true. Sound rows lost: groups of other rows that say the same, "
    "of which none is left with its label.",
)


@dataclass(frozen=True)
class _Noise:
    """What people wrote: a text, the label it stands with, the true one (None: no label is right)."""

    text: str
    label: str
    truth: str | None
    fault: str


def plan_of(sets: Sequence[str] = tuple(FAULTS), **options: Any) -> Plan:
    """The plan of those sets that have such noise."""
    return Plan([name for name in sets if name in FAULTS], (HUMAN,), **options)


def _bench(data: Path, folder: Path) -> Measure[Cell]:
    return partial(_measure, Bench(data, folder))


def _tables(found: Finished[Cell], plan: Plan, command: str) -> list[Table]:
    lines = tuple(line for one in found for line in _lines(*one))
    notes = (*_NOTES, *lacking(), said_of_the_code(found))
    return [Table("Noise that people made", _COLUMNS, lines, notes, command, of_human(found, _METHODS, FAULTS))]


def _measure(bench: Bench, cell: Cell, folder: Path) -> Record:
    begun = time.perf_counter()
    noisy = noised(bench, cell)
    made, how = refined(cell, noisy, folder)
    record = scores(bench, cell, noisy, made)
    noise = int((noisy.side["fault"] != "").sum())
    return {**record, "noisy": noise, **how, "seconds": time.perf_counter() - begun}


def noised(bench: Bench, cell: Cell) -> Crude:
    """The sound rows of a cell's set, drawn as other experiments draw them, and the noise among them."""
    clean = bench.crude(Cell(cell.set, CLEAN, cell.seed, cell.rows, cell.flips))
    random = np.random.default_rng([cell.seed, 0x4E])
    if cell.set == "clinc":
        there, labels = bench.labelled(cell.set).clean.foreign, sorted(set(clean.rows["label"]))
        chosen = random.choice(len(there), min(round(SHARE * clean.rows.height), len(there)), replace=False).tolist()
        drawn = [(there[at], labels[int(random.integers(len(labels)))]) for at in chosen]
        return _among(clean, [_Noise(text, label, None, FAULTS[cell.set]) for text, label in drawn], random)
    known = {sound(text) for text in clean.rows["text"]}
    held_out = {sound(text) for text, _ in bench.labelled(cell.set).clean.test}
    noise = []
    for text, first, other in crossposts(bench.data):
        if sound(text) not in held_out:
            noise += [] if sound(text) in known else [_Noise(text, first, first, "")]
            noise.append(_Noise(text, other, first, FAULTS[cell.set]))
    return _among(clean, noise, random)


def _among(clean: Crude, noise: Sequence[_Noise], random: np.random.Generator) -> Crude:
    """The rows of both in random order, with ids that tell nothing but that order."""
    order = random.permutation(clean.rows.height + len(noise)).tolist()
    table = [
        *zip(clean.rows["text"], clean.rows["label"], clean.side["truth"], clean.side["fault"], strict=True),
        *((one.text, one.label, one.truth, one.fault) for one in noise),
    ]
    mixed = [table[at] for at in order]
    rows = [(f"r{at}", text, label) for at, (text, label, _, _) in enumerate(mixed)]
    side = [(f"r{at}", fault, truth, f"r{at}") for at, (_, _, truth, fault) in enumerate(mixed)]
    schema = dict.fromkeys(("id", "text", "label"), pl.String())
    return Crude(pl.DataFrame(rows, schema, orient="row"), pl.DataFrame(side, SIDE_SCHEMA, orient="row"))


def _lines(cell: Cell, record: Record) -> list[tuple[Value, ...]]:
    """One line for each method that was measured."""
    lines: list[tuple[Value, ...]] = []
    for name in (one for one in _METHODS if one in record["methods"]):
        made = record["methods"][name]
        figures = made["score"], record["oracle"], made["removed"], made["recall"][FAULTS[cell.set]], made["clean_lost"]
        lines.append((cell.set, cell.seed, record["rows"], record["noisy"], name, record["crude"], *figures))
    return lines


#: Refines sets with human noise; the severity of its cells is ``HUMAN``, their sets are those of ``FAULTS``.
EXPERIMENT = Experiment[Plan, Cell](HUMAN, _bench, _tables, has_all_that_is_available)
