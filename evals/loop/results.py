"""The tables of the experiment on crude sets, from its finished cells."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from statistics import fmean

from ..experiment import Record
from ..plots.loop import of_crude, of_pairs
from ..table import Cell as Value
from ..table import Table
from .cells import Cell
from .faults import LABELLED_RATES, PAIR_RATES

Records = Sequence[tuple[Cell, Record]]
_LOOP = "loop"
_GARBLED = "edited alone"


def tables(records: Records, methods: Sequence[str], notes: Sequence[str], command: str) -> list[Table]:
    """Recovered shares, scores, and faults found of the labelled sets; faults found of the pairs."""
    labelled = [(cell, record) for cell, record in records if cell.labelled]
    pairs = [(cell, record) for cell, record in records if not cell.labelled]
    made = []
    if labelled:
        shares, scores = _shares(labelled, methods), _scores(labelled, methods)
        columns = ("set", "severity", "rows", "crude", "oracle", "loop", "least of a seed", *methods[1:])
        plot = of_crude(labelled, methods)
        made.append(Table("Recovered share", columns, shares, tuple(notes), command, plot))
        made.append(Table("Scores", ("set", "severity", "seed", "crude", "oracle", *methods), scores, (), command))
        columns = ("set", "severity", "method", "removed", "precision", *LABELLED_RATES, "clean rows lost", _GARBLED)
        made.append(Table("Faults found, labelled sets", columns, _by_method(labelled, methods), _FOUND, command))
    if pairs:
        faults = (*PAIR_RATES, "mean", "least", "clean rows lost", _GARBLED)
        columns = ("set", "severity", "seed", "removed", "precision", *faults)
        plot = of_pairs(pairs, tuple(PAIR_RATES), _LOOP)
        made.append(Table("Faults found, pairs", columns, _pairs(pairs), (*notes[1:], *_FOUND), command, plot))
    return made


_FOUND = (
    "Shares of the rows that have the fault, or of all rows (removed). A wrong label, or another fault, is found where "
    "no row that has it is left, copies of it included; a copy where it stands beside no other row of its family. "
    "Clean rows lost: groups of rows that say the same of which none is left, of those without a fault. Precision: of "
    "the removed rows those that a fault or a copy gave cause for. Edited alone: of the families with an edited copy "
    "of which a row is left, those of which only edited ones are.",
)


def _shares(records: Records, methods: Sequence[str]) -> tuple[tuple[Value, ...], ...]:
    """One line for each set and severity, the mean over its seeds; then for each severity the mean over the sets."""
    lines: list[tuple[Value, ...]] = []
    for (name, severity), part in _grouped(records, lambda cell: (cell.set, cell.severity)):
        lines.append((name, severity, *_share_line(part, methods, "rows", "crude", "oracle")))
    for (severity,), part in _grouped(sorted(records, key=lambda one: one[0].severity), lambda cell: (cell.severity,)):
        if len({cell.set for cell, _ in part}) > 1:
            lines.append(("all", severity, None, None, None, *_share_line(part, methods)))
    return tuple(lines)


def _share_line(part: Records, methods: Sequence[str], *names: str) -> tuple[Value, ...]:
    shares = {name: _known(record["methods"].get(name, {}).get("recovered") for _, record in part) for name in methods}
    means: list[Value] = [fmean(shares[name]) if shares[name] else None for name in methods]
    figures: list[Value] = [fmean(record[name] for _, record in part) for name in names]
    return (*figures, means[0], min(shares[methods[0]], default=None), *means[1:])


def _scores(records: Records, methods: Sequence[str]) -> tuple[tuple[Value, ...], ...]:
    return tuple(
        (
            *(cell.set, cell.severity, cell.seed, record["crude"], record["oracle"]),
            *(record["methods"].get(name, {}).get("score") for name in methods),
        )
        for cell, record in records
    )


def _by_method(records: Records, methods: Sequence[str]) -> tuple[tuple[Value, ...], ...]:
    """One line for each set, severity and method: means over the seeds."""
    lines: list[tuple[Value, ...]] = []
    for (name, severity), part in _grouped(records, lambda cell: (cell.set, cell.severity)):
        for method in methods:
            measured = [record["methods"][method] for _, record in part if method in record["methods"]]
            if measured:
                lines.append((name, severity, method, *_found_line(measured, LABELLED_RATES)))
    return tuple(lines)


def _found_line(measured: Sequence[Record], faults: Iterable[str]) -> tuple[Value, ...]:
    return (
        _mean(one["removed"] for one in measured),
        _mean(one["precision"] for one in measured),
        *(_mean(one["recall"].get(fault) for one in measured) for fault in faults),
        _mean(one["clean_lost"] for one in measured),
        _mean(one.get("garbled") for one in measured),
    )


def _pairs(records: Records) -> tuple[tuple[Value, ...], ...]:
    """One line for each cell, with the mean and the least recall of its kinds."""
    lines: list[tuple[Value, ...]] = []
    for cell, record in records:
        *figures, lost, garbled = _found_line([record["methods"][_LOOP]], PAIR_RATES)
        recall = list(record["methods"][_LOOP]["recall"].values())
        lines.append(
            (cell.set, cell.severity, cell.seed, *figures, _mean(recall), min(recall, default=None), lost, garbled)
        )
    return tuple(lines)


def _grouped(records: Records, key: Callable[[Cell], tuple[str, ...]]) -> Iterable[tuple[tuple[str, ...], Records]]:
    return [(name, list(part)) for name, part in groupby(records, lambda one: key(one[0]))]


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return fmean(known) if known else None
