"""How long a run will still take: the steps to come by their usual cost, scaled by what those done took here.

A forecast is an estimate for the eyes: nothing is decided by it and none is logged. What a language model's answers
and a person's take is in none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from ..steps.base import Step
from ..steps.cycle import DESCRIBE, FINISH, PREPARE
from ..view import View

_ROUNDS = 4  # that a run by rules takes until nothing pays any more, as a rule
_ROW_BYTES = 200  # of a row, before the input is read
_EVEN = 5.0  # seconds of work after which this machine's own pace counts as much as the usual one


class Size(NamedTuple):
    """What a run works on: rows, and bytes of text."""

    rows: int
    text: int


class _Cost(NamedTuple):
    """Seconds on two cores: in any case, per thousand rows, per megabyte of text."""

    always: float = 0.1
    rows: float = 0.0
    text: float = 0.0

    def of(self, size: Size) -> float:
        return self.always + self.rows * size.rows / 1e3 + self.text * size.text / 1e6


_USUAL = {
    "load": _Cost(0.4, 0.02, 0.05),
    "clean": _Cost(0.3, 0.02, 0.1),
    "filter": _Cost(2.0, 0.1, 0.5),
    "dedup": _Cost(1.5, 0.1, 0.5),
    "hold_out": _Cost(0.3, 0.1),
    "embed": _Cost(2.0, 1.0, 5.0),
    "cluster": _Cost(0.5, 0.1),
    "score": _Cost(0.5, 0.1),
    "baseline": _Cost(1.0, 0.5),
    "appraise": _Cost(0.5, 0.4),
    "measure": _Cost(0.3, 0.2),
    "open_sealed": _Cost(0.3, 0.5),
    "draw": _Cost(0.5, 0.2),
    "publish": _Cost(1.0, 0.02),
}
_ROUND = _Cost(0.5, 0.6)  # any round but the first
_TOKENS, _FORMAT = 3000.0, 6.0  # trained on in a second; seconds to quantise to a format and measure it


def seconds_left(view: View, step: str) -> float | None:
    """Seconds from the start of a step to the end of the run.

    None where the size of the input is not known yet, or where a person decides how long the run goes on.
    """
    size = None if view.config.approve else _size(view)
    if size is None:
        return None
    whole, left = _usual(view, PREPARE[0].name, 0, size), _usual(view, step, view.state.round, size)
    took = sum(getattr(event, "seconds", 0.0) for event in view.events)
    return left * (took + _EVEN) / (max(whole - left, 0.0) + _EVEN)


def _size(view: View) -> Size | None:
    """Of the rows read; before that, of the file or the folder they will be read from."""
    if view.has("rows"):
        found = pq.read_metadata(view.path("rows"))
        return Size(found.num_rows, sum(found.row_group(at).total_byte_size for at in range(found.num_row_groups)))
    source = Path(view.source)
    files = [source] if source.is_file() else source.rglob("*") if source.is_dir() else []
    text = sum(file.stat().st_size for file in files if file.is_file())
    return Size(text // _ROW_BYTES, text) if text else None


def _usual(view: View, step: str, at: int, size: Size) -> float:
    """The usual cost of a step in round ``at`` and of all that come after it, in seconds."""
    prepare, describe, finish = (_each(view, steps, size) for steps in (PREPARE, DESCRIBE, FINISH))
    ends = _from(finish, step)
    if step in finish:
        return ends
    expected = max(min(_ROUNDS, view.config.stop.max_rounds), at, 1)
    if at > 1:
        return (expected - at + 0.5) * _ROUND.of(size) + ends
    rounds = (expected - 1) * _ROUND.of(size)
    first = 0.0 if step not in {**prepare, **describe} else _from(describe, step)
    return _from(prepare, step) * (step in prepare) + first + rounds + ends


def _from(costs: dict[str, float], step: str) -> float:
    """The sum from a step on, of all where it is not among them."""
    names = list(costs)
    return sum(costs[name] for name in names[names.index(step) if step in costs else 0 :])


def _each(view: View, steps: Sequence[Step[Any]], size: Size) -> dict[str, float]:
    """Step → its usual cost in this run."""
    config = view.config
    costs = {one.name: _USUAL.get(one.name, _Cost()).of(size) for one in steps}
    if config.load.vector_column is not None and "embed" in costs:
        costs["embed"] = 0.0
    if "train" in costs and config.train.enabled:
        costs["train"] = config.train.tokens / _TOKENS
        costs["quantise"] = _FORMAT * len(config.quantise.formats)
    return costs
