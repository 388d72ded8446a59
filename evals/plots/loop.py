"""The plots of the experiments on whole runs, from their finished cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from ..experiment import Record
from ..loop.cells import Cell
from .panels import Dots, Panel, Plot, bounds

if TYPE_CHECKING:
    from ..loop.gate import GateCell

Records = Sequence[tuple[Cell, Record]]
_FARTHEST = (-1.0, 1.6)  # recovered shares that are drawn in place
_WHOLE = (-4.0, 104.0)  # an axis of percentages, with room for dots at its ends
_AS_BEFORE = (("as before", 0.0),)
_LOST = "sound rows lost"
_SEEDS = "A dot is a seed, the stroke their mean."
_KINDS = {
    "harmful": "Harmful: to be rolled back",
    "useful": "Useful: to be kept",
    "exception": "Near-duplicates: need not gain",
}


def of_crude(records: Records, methods: Sequence[str]) -> Plot:
    """Recovered shares of labelled sets, by set and method; the first method is what it is about."""
    panels = []
    for title, part in _by_set(records):
        shares = {name: [one["methods"].get(name, {}).get("recovered") for one in part] for name in methods}
        panels.append((title, _present(shares)))
    every = [0.0, 1.0, *(point for _, dots in panels for one in dots.values() for point in one.points)]
    low, high = bounds([min(max(one, _FARTHEST[0]), _FARTHEST[1]) for one in every])
    drawn = tuple(
        Panel(title, "recovered share of the gap", low, high, dots, (("crude", 0.0), ("oracle", 1.0)))
        for title, dots in panels
    )
    there = tuple(name for name in methods if any(name in dots for _, dots in panels))
    note = f"{_SEEDS} 0: a model of the crude set; 1: of the set without its faults. A triangle lies beyond."
    return Plot("crude", "Crude sets: how much is won back", (("", there),), drawn, note, frozenset(methods[:1]))


def of_pairs(records: Records, faults: tuple[str, ...], method: str) -> Plot:
    """The share of each kind of fault that a method finds in pairs, and what it takes beside them."""
    panels = []
    for title, part in _by_set(records):
        found = [one["methods"][method] for one in part]
        shares = {fault: [_percent(one["recall"].get(fault)) for one in found] for fault in faults}
        shares[_LOST] = [_percent(one["clean_lost"]) for one in found]
        panels.append(Panel(title, "% of the rows", *_WHOLE, _present(shares)))
    groups = (("Faults found", faults), ("Do no harm", (_LOST,)))
    return Plot("crude-pairs", "Crude pairs: what is found", groups, tuple(panels), _SEEDS, frozenset(faults))


def of_clean(records: Records) -> Plot:
    """What the loop takes from clean sets: points of the score, and rows."""
    sets = list(dict.fromkeys(cell.set for cell, _ in records))
    by_set = {name: [record for cell, record in records if cell.set == name] for name in sets}
    cost = {name: [_cost(one) for one in part] for name, part in by_set.items()}
    removed = {name: [_percent(one["removed"]) for one in part] for name, part in by_set.items()}
    lost = {name: [_percent(one["clean_lost"]) for one in part] for name, part in by_set.items()}
    panels = [_shares("Rows removed", "% of the rows", removed)]
    panels.append(_shares("Sound rows lost", "% of different rows", lost))
    if known := _all(cost):
        axis = bounds([0.0, *known], 1.0)
        panels.insert(0, Panel("Score lost", "points of macro-F1 lost", *axis, _present(cost), _AS_BEFORE))
    return Plot("clean", "Clean sets: what a run takes", (("", tuple(sets)),), tuple(panels), _SEEDS, frozenset(sets))


def of_policies(records: Records, policies: Sequence[str]) -> Plot:
    """The score by policy and set, between that of the crude set and that of the oracle."""
    panels = []
    for title, part in _by_set(records):
        worst, best = (fmean(one[name] for one in part) for name in ("crude", "oracle"))
        dots = _present({name: [one["methods"][name]["score"] for one in part] for name in policies})
        low, high = bounds([worst, best, *(point for line in dots.values() for point in line.points)], 0.01)
        marks = (("crude", worst), ("oracle", best)) if worst <= best else (("oracle", best), ("crude", worst))
        panels.append(Panel(title, "macro-F1 on the test split", low, high, dots, marks))
    title = "Who decides: the score on the clean test split"
    return Plot("policies", title, (("", tuple(policies)),), tuple(panels), _SEEDS, frozenset(policies[:1]))


def of_gate(found: Sequence[tuple[GateCell, Record]]) -> Plot:
    """How often each planted action is kept, by severity and held-out rows; dots are sets."""
    groups: dict[str, dict[str, None]] = {kind: {} for kind in _KINDS}
    panels = []
    for severity, anchor in dict.fromkeys((cell.severity, cell.anchor) for cell, _ in found):
        part = [(cell, record) for cell, record in found if (cell.severity, cell.anchor) == (severity, anchor)]
        verdicts: dict[str, dict[str, list[bool]]] = {}
        for cell, record in part:
            for kind, trials in record["trials"].items():
                for trial in trials:
                    groups[kind][trial["name"]] = None
                    of = verdicts.setdefault(trial["name"], {}).setdefault(cell.set, [])
                    of.append(trial["outcome"] == "kept")
        dots = {name: _kept(list(sets.values())) for name, sets in verdicts.items()}
        held_out = round(fmean(record["held_out"] for _, record in part))
        title = f"{severity}, {held_out:,} rows held out"
        panels.append(Panel(title, "kept, % of the trials", *_WHOLE, dots))
    lines = tuple((_KINDS[kind], tuple(names)) for kind, names in groups.items() if names)
    note = "A dot is a set, the stroke all trials of all sets."
    strong = frozenset(groups["harmful"]) | frozenset(groups["useful"])
    return Plot("gate", "The gate: how often a planted action is kept", lines, tuple(panels), note, strong)


def of_human(records: Records, methods: Sequence[str], faults: dict[str, str]) -> Plot:
    """Real noise, by set: the score beside that of the noisy set, and which rows went."""
    panels = []
    for title, part in _by_set(records):
        fault = faults[part[0]["cell"]["set"]]
        known = {name: [one for one in part if name in one["methods"]] for name in methods}
        gained = {name: [100 * (one["methods"][name]["score"] - one["crude"]) for one in known[name]] for name in known}
        found = {name: [_percent(one["methods"][name]["recall"][fault]) for one in known[name]] for name in known}
        lost = {name: [_percent(one["methods"][name]["clean_lost"]) for one in known[name]] for name in known}
        most = 100 * fmean(one["oracle"] - one["crude"] for one in part)
        axis = bounds([0.0, most, *_all(gained)], 1.0)
        marks = tuple(sorted([*_AS_BEFORE, ("without noise", most)], key=lambda mark: mark[1]))
        panels += [
            Panel(f"{title}: score", "points of macro-F1 gained", *axis, _present(gained), marks),
            _shares(f"{title}: noise found", f"% of the {fault} rows", found),
            _shares(f"{title}: sound rows lost", "% of different sound rows", lost),
        ]
    there = tuple(name for name in methods if any(name in panel.dots for panel in panels))
    title = "Noise that people made: is it found, and is that better?"
    return Plot("human", title, (("", there),), tuple(panels), _SEEDS, frozenset(methods[:1]))


def _cost(record: Record) -> float | None:
    return None if record["before"] is None else 100 * (record["before"] - record["after"])


def _shares(title: str, axis: str, figures: Mapping[str, Sequence[float | None]]) -> Panel:
    """A panel of percentages, which begins at 0 and ends at 1 or beyond the largest."""
    high = max([1.0, *(1.08 * one for one in _all(figures))])
    return Panel(title, axis, -0.04 * high, min(high, _WHOLE[1]), _present(figures))


def _all(figures: Mapping[str, Sequence[float | None]]) -> list[float]:
    return [one for line in figures.values() for one in line if one is not None]


def _kept(sets: Sequence[Sequence[bool]]) -> Dots:
    every = [one for verdicts in sets for one in verdicts]
    return Dots(tuple(100 * fmean(one) for one in sets), 100 * fmean(every))


def _by_set(records: Records) -> list[tuple[str, list[Record]]]:
    """The records of each set and severity, under a title; the severity is named where there are several."""
    severities = {cell.severity for cell, _ in records}
    parts: dict[str, list[Record]] = {}
    for cell, record in records:
        title = f"{cell.set}, {cell.severity}" if len(severities) > 1 else cell.set
        parts.setdefault(title, []).append(record)
    return list(parts.items())


def _present(figures: Mapping[str, Sequence[float | None]]) -> dict[str, Dots]:
    """Dots of the lines that have a figure."""
    known = {name: tuple(one for one in line if one is not None) for name, line in figures.items()}
    return {name: Dots(points) for name, points in known.items() if points}


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
