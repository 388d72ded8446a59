"""Who decides: the rules, chance, a script that looks at no figure, or nobody; on one crude set, behind one gate."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from ...state import events
from ...state.store import write_whole
from ...tools.judge.learned import recovered
from ..experiment import Experiment, Measure, Record
from ..plots.loop import of_policies
from ..runs import FinishedRun, refine
from ..table import Cell as Value
from ..table import Table
from .cells import Bench, Cell, Plan, settings
from .crude import Learned
from .faults import Crude
from .found import Outcome, found, oracle, outcome, same_groups
from .sets import LABELLED

RULES, CHANCE, SCRIPT, NOBODY = POLICIES = ("rules", "random", "script", "no loop")
#: A method after the other, of each what takes most rows, whatever was measured of it.
ORDER = "decide: {order: [relabel, remove_suspects, remove_marked, deduplicate, prune, refilter, change_k]}\n"
_DRAWS = Path(__file__).with_name("random_choice.py")
_ONLY_DECIDES: dict[str, Any] = {"critic": "rules", "quality": {"teacher_rows": 0}}
Records = Sequence[tuple[Cell, Record]]


def plan_of(sets: Sequence[str] = tuple(LABELLED), **options: Any) -> Plan:
    """The plan without sets that have no labels: there is no score to be recovered there."""
    return Plan([name for name in sets if name in LABELLED], **options)


def _bench(data: Path, folder: Path) -> Measure[Cell]:
    return partial(_measure, Bench(data, folder))


def _measure(bench: Bench, cell: Cell, folder: Path) -> Record:
    begun = time.perf_counter()
    crude = bench.crude(cell)
    source, script = crude.write(folder).resolve(), folder / "order.yaml"
    write_whole(script, ORDER.encode())
    deciders = {RULES: None, CHANCE: _DRAWS, SCRIPT: script.resolve()}
    runs = {name: _refined(cell, source, folder / name, decider) for name, decider in deciders.items()}
    learned = Learned(bench, cell, crude)
    worst, best = learned.score(Outcome(frozenset(crude.rows["id"]))), learned.score(oracle(crude))
    groups = same_groups(crude).tolist()
    methods = {name: _figures(learned, outcome(run), groups) | _rounds(run) for name, run in runs.items()}
    first = _before_the_loop(runs[RULES], crude)
    methods[NOBODY] = _figures(learned, first, groups) | {"rounds": 0, "kept": 0, "converged": None}
    for one in methods.values():
        one["recovered"] = recovered(one["score"], worst, best)
    seconds = time.perf_counter() - begun
    return {"rows": crude.rows.height, "crude": worst, "oracle": best, "methods": methods, "seconds": seconds}


def _refined(cell: Cell, source: Path, root: Path, decider: Path | None) -> FinishedRun:
    """An unattended run; ``decider``: a script that takes the decisions, and nothing else."""
    changed = {} if decider is None else {"llm": {"model": f"scripted:{decider}"}, **_ONLY_DECIDES}
    return refine(source, root, settings(cell, **changed))


def _before_the_loop(run: FinishedRun, crude: Crude) -> Outcome:
    """What the first separation leaves: nothing that a decision has changed."""
    first = run.of_type(events.Decide)[0]
    gone = run.view.at(first.seq).ledger().filter(status="removed")["id"]
    return Outcome(frozenset(crude.rows["id"]) - frozenset(gone))


def _figures(learned: Learned, made: Outcome, groups: Sequence[int]) -> Record:
    """What a model learns of an outcome, and what was lost for it."""
    lost = found(learned.crude, made, groups)
    return {"score": learned.score(made), "removed": lost.removed, "clean_lost": lost.clean_lost}


def _rounds(run: FinishedRun) -> Record:
    """How many rounds were measured and how many kept, and whether the run ended because nothing moved any more."""
    tried = [event.record.outcome for event in run.of_type(events.Measure)]
    return {"rounds": len(tried), "kept": tried.count("kept"), "converged": run.view.values.converged}


def tables(records: Records, plan: Plan, command: str) -> list[Table]:
    """What each policy recovers and in how many rounds: the means over the seeds, by set, and over all sets."""
    columns = ("set", "severity", "policy", "score", "recovered", "least of a seed", "rounds", "kept", "converged",
               "removed", "clean rows lost")  # fmt: skip
    lines, severities = list[tuple[Value, ...]](), dict.fromkeys(cell.severity for cell, _ in records)
    names = dict.fromkeys(cell.set for cell, _ in records)
    for severity in severities:
        for name in (*names, *(["all"] if len(names) > 1 else [])):
            part = [one for cell, one in records if cell.severity == severity and name in (cell.set, "all")]
            lines += [(name, severity, policy, *_line(part, policy)) for policy in POLICIES]
    return [Table("Who decides", columns, tuple(lines), _NOTES, command, of_policies(records, POLICIES))]


_NOTES = (
    "Recovered: (score − crude) / (oracle − crude), the score being macro-F1 on the set's own clean test split of "
    "logistic regression (C = 10) on MiniLM vectors. Random: any available candidate, as likely as another; stop is "
    "among them, new rows are not. Script: one method after the other, of each the candidate that takes most rows, "
    "whatever was measured of it. No loop: what the first separation leaves. The gate is the same for all: what "
    "does not pay is rolled back. Rounds: actions tried; kept: of them; converged: share of the runs that stopped "
    "before the rounds allowed (8) were done.",
)


def _line(part: Sequence[Record], policy: str) -> tuple[Value, ...]:
    found = [record["methods"][policy] for record in part]
    shares = [one["recovered"] for one in found if one["recovered"] is not None]
    figures = ("rounds", "kept", "converged", "removed", "clean_lost")
    means = [_mean(one[figure] for one in found) for figure in figures]
    return (fmean(one["score"] for one in found), _mean(shares), min(shares, default=None), *means)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return fmean(known) if known else None


#: Refines crude labelled sets under each policy, and holds what is left against the truth.
EXPERIMENT = Experiment[Plan, Cell]("policies", _bench, tables)
