"""The comparisons there are, and the table of those that are asked for."""

import importlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from ...state.errors import UsageError
from ..table import Table
from .pairs import COLUMNS, Line, Plan, versioned

#: Comparison → the module with a function of that name.
LINES = {
    **dict.fromkeys(("short_texts", "long_texts"), "texts"),
    **dict.fromkeys(("kmeans", "neighbours"), "rows"),
    "minhash": "documents",
    **dict.fromkeys(("banking", "static"), "labelled"),
    "whole": "whole",
}
_OF_DATA = ("banking", "static", "whole")
_COMPUTED_BY = ("recryst", "numpy", "scikit-learn", "numba")


def run(names: Sequence[str], plan: Plan) -> Table:
    """The comparisons of these names, one after the other; where there are none, all that the data at hand allow.

    Raises:
        UsageError: one of them is of a data set, and there is no folder of those.
    """
    if plan.data is None and (lacking := [name for name in names if name in _OF_DATA]):
        raise UsageError(f"{lacking[0]} is measured on data sets: name their folder with --data")
    wanted = names or [name for name in LINES if plan.data is not None or name not in _OF_DATA]
    lines = [line for name in wanted for line in _lines(name, plan)]
    where = (
        f"{', '.join(versioned(package) for package in _COMPUTED_BY)}, Python {platform.python_version()}; "
        f"{processor()}, {os.cpu_count()} processors, {platform.system()}. Seconds are medians of {plan.repeats} "
        "pairs, ours and the peer in turn; how many times faster is the median over the pairs."
    )
    notes = [where, *dict.fromkeys(f"`{line.name}`: {line.note}" for line in lines)]
    options = "".join(f" --only {name}" for name in names)
    data = "" if plan.data is None else " --data DATA"
    command = f"recryst eval speed{data} --rows {plan.rows} --repeats {plan.repeats}{options}"
    return Table("Speed beside named peers", COLUMNS, tuple(line.cells() for line in lines), tuple(notes), command)


def _lines(name: str, plan: Plan) -> Sequence[Line]:
    # Loaded only now: the command line has to name the comparisons before it knows whether one is wanted.
    module = importlib.import_module(f".{LINES[name]}", __package__)
    lines: Sequence[Line] = getattr(module, name)(plan)
    return lines


def processor() -> str:
    """The name of the processor, as the system gives it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8", errors="replace").splitlines() if listed.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
