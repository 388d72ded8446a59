"""Noise that people made: requests out of scope and postings in two groups, in sets that are otherwise sound."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ...state.phrases import Advance, silent
from ..plots.loop import of_human
from ..table import Cell as Value
from ..table import Table
from .baselines import BASELINES
from .cells import Bench, Cell, Plan, Record, measured, place, refined, said_of_the_code
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


def run(data: Path, plan: Plan, out: Path | None = None, command: str = "", advance: Advance = silent) -> Table:
    """Refine sets with human noise, and hold what is left against what is known of it; severities are passed over.

    Args:
        out: keep the runs there, and read finished cells back; a temporary folder otherwise.
        advance: told the cells finished.

    Raises:
        InputError: a set is not in the data folder.
        UsageError: ``out`` holds cells of other rows.
    """
    with place(out, HUMAN) as folder:
        bench = Bench(data, folder)
        records = measured(
            cells(plan), folder, lambda cell, at: _measure(bench, cell, at), has_all_that_is_available, advance
        )
    lines = tuple(line for one in records for line in _lines(*one))
    notes = (*_NOTES, *lacking(), said_of_the_code(records))
    return Table("Noise that people made", _COLUMNS, lines, notes, command, of_human(records, _METHODS, FAULTS))


def cells(plan: Plan) -> list[Cell]:
    """The cells of the sets that have such noise."""
    return Plan([name for name in plan.sets if name in FAULTS], (HUMAN,), plan.seeds, plan.rows, plan.flips).cells()


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
