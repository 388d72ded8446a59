"""Crude sets: how much of what their faults cost the unattended loop wins back, beside single tools and chance."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from ...tools.judge.learned import macro_f1, recovered
from ..experiment import Experiment, Finished, Measure, Record
from ..table import Table
from .baselines import BASELINES, Rows, at_random, available
from .cells import Bench, Cell, Plan, refined, said_of_the_code
from .faults import Crude
from .found import Outcome, faults_out, found, labels_of, oracle, positions, same_groups
from .results import tables

LOOP, RANDOM, FAULTS_OUT = "loop", "random", "faults out"


def has_all_that_is_available(record: Record) -> bool:
    """Also what was not installed when the cell was measured."""
    return LOOP in record["methods"] and (
        len(record["methods"]) == 1 or {FAULTS_OUT, *available()} <= set(record["methods"])
    )


def _bench(data: Path, folder: Path) -> Measure[Cell]:
    return partial(_measure, Bench(data, folder))


def _tables(found: Finished[Cell], plan: Plan, command: str) -> list[Table]:
    notes = [*_notes(plan), said_of_the_code(found)]
    return tables(found, [LOOP, FAULTS_OUT, RANDOM, *BASELINES], notes, command)


def _measure(bench: Bench, cell: Cell, folder: Path) -> Record:
    begun = time.perf_counter()
    crude = bench.crude(cell)
    made, how = refined(cell, crude, folder)
    record = scores(bench, cell, crude, made) if cell.labelled else _found_alone(crude, made)
    return {**record, **how, "seconds": time.perf_counter() - begun}


def _found_alone(crude: Crude, made: Outcome) -> Record:
    return {"rows": crude.rows.height, "methods": {LOOP: asdict(found(crude, made, same_groups(crude).tolist()))}}


def scores(bench: Bench, cell: Cell, crude: Crude, made: Outcome) -> Record:
    """The score of every method on the test split, the share of the gap that it recovers, and what it found."""
    learned = Learned(bench, cell, crude)
    outcomes = {LOOP: made, FAULTS_OUT: faults_out(crude), **baselines(learned, crude.rows.height - len(made.kept))}
    worst, best = learned.score(Outcome(frozenset(crude.rows["id"]))), learned.score(oracle(crude))
    groups = same_groups(crude).tolist()
    methods = {}
    for name, one in outcomes.items():
        score = learned.score(one)
        share = recovered(score, worst, best)
        methods[name] = {"score": score, "recovered": share, **asdict(found(crude, one, groups))}
    return {"rows": crude.rows.height, "crude": worst, "oracle": best, "methods": methods}


class Learned:
    """A crude labelled set, embedded, and what a model learns from a part of it."""

    def __init__(self, bench: Bench, cell: Cell, crude: Crude) -> None:
        clean = bench.labelled(cell.set)
        self.crude, self.seed = crude, cell.seed
        self.vectors = bench.vectors(crude.rows["text"].to_list())
        self.test, self.truth = clean.test, [label for _, label in clean.clean.test]

    def score(self, made: Outcome) -> float:
        """Macro-F1 on the test split of a model of the rows that an outcome keeps, with the labels it gives them."""
        kept, labels = positions(self.crude, made.kept), labels_of(self.crude, made)
        return macro_f1(self.vectors[kept], [labels[at] for at in kept], self.test, self.truth)


def baselines(learned: Learned, removed: int) -> dict[str, Outcome]:
    """What each baseline that is available keeps, and chance where it takes ``removed`` rows."""
    crude = learned.crude
    labels = np.unique(crude.rows["label"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    rows = Rows(crude.rows["text"], learned.vectors, labels, learned.seed)
    kept = {RANDOM: at_random(removed, rows), **{name: BASELINES[name](rows) for name in available()}}
    return {name: Outcome(frozenset(crude.rows["id"].filter(mask))) for name, mask in kept.items()}


def _notes(plan: Plan) -> Sequence[str]:
    notes = [
        "Recovered share: (score − crude) / (oracle − crude), the score being macro-F1 on the set's own clean test "
        "split of logistic regression (C = 10) on MiniLM vectors; oracle: the crude set without planted rows and "
        "copies, with the true labels. Loop: an unattended run with rules and default settings; faults out: no row "
        "with a fault and no copy, no label put right, the most that removal can do; random: as many rows out by "
        "chance as the loop takes.",
        f"Wrong labels: {plan.flips}. Faults at middle severity: 12 % wrong labels, 10 % exact and 10 % edited copies, "
        "10 % rows of another domain, 4 % gibberish, 4 % boilerplate; pairs: 8 % answers swapped, 6 % broken off, 3 % "
        "gibberish, 4 % boilerplate, 2 % empty, 5 % off-topic, 16 % copies. Mild: 0.4 of it, harsh: 1.8.",
    ]
    return [*notes, *lacking()]


def lacking() -> list[str]:
    """A note on each baseline that is not installed."""
    return [
        f"{name} is not installed here (`pip install {name}`): cells measured without it lack its figures."
        for name in BASELINES
        if name not in available()
    ]


#: Makes sets crude, refines them, and holds what is left against the truth.
EXPERIMENT = Experiment[Plan, Cell]("crude", _bench, _tables, has_all_that_is_available)
