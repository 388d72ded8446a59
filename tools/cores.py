"""How many processor cores are there to use."""

import os


def cores() -> int:
    """The cores that this process may run on, or fewer where ``OMP_NUM_THREADS`` says so."""
    may = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    said = os.environ.get("OMP_NUM_THREADS", "")
    return min(may, int(said)) if said.isdecimal() and int(said) else may
