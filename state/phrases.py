"""Words for people, the same on the terminal, in a conversation, in the report and on the card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_CLUSTERS_NAMED = 8
_WHICH_STAYS = {
    "first": "the first",
    "longest": "the longest",
    "best_quality": "the best",
    "nearest": "the one closest to the centre",
    "furthest": "the one furthest from the centre",
}


def counted(number: int, noun: str) -> str:
    """``1 cluster``, ``2 clusters``: a number and its noun, whose plural ends in s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def number(value: float | None, digits: int = 4) -> str:
    """A figure with a fixed number of decimals and a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def action_in_words(action: str, params: dict[str, Any]) -> str:
    """An action of a round, or a person's ``keep`` or ``undo``. Clusters beyond the first 8 are only counted."""
    if action == "prune" and params["strategy"] == "deduplicate":
        until = f", until {counted(params['target_rows'], 'row')} are left" if "target_rows" in params else ""
        stays = _WHICH_STAYS[params["which_to_keep"]]
        return f"of rows that say the same (cosine {params['cosine']:g} or more) keep {stays}{until}"
    if action == "prune":
        where, strategy = _clusters(params["clusters"]), params["strategy"]
        if strategy == "drop":
            return f"remove {where}"
        how = {"keep_closest": "those closest to the centre", "keep_furthest": "those furthest from the centre"}
        share = f"{100 * params['keep_fraction']:.3g}%"
        return f"keep {share} of the rows of {where}, {how.get(strategy, 'chosen at random')}"
    if action == "change_k":
        values = " ".join(f"{name}={value}" for name, value in params.items() if name != "algorithm")
        return f"cluster anew: {params['algorithm']} {values}"
    if action == "refilter" and "quality_below" in params:
        return f"remove rows near a quality rule's limit that score below {params['quality_below']:.2f}"
    if action == "refilter":
        bounds = " ".join(
            f"{name}={'off' if value is None else f'{value:g}'}" for name, value in params["thresholds"].items()
        )
        return f"filter again with {bounds or 'the bounds in force'}"
    if action == "synthesise":
        return f"synthesise {counted(sum(params['counts']), 'row')} in {_clusters(params['clusters'])}"
    return {
        "stop": "stop and write the curated data",
        "keep": "keep the trial that was rolled back",
        "undo": "take the last change back",
    }.get(action, action.replace("_", " "))


def _clusters(numbers: Sequence[int]) -> str:
    named, more = ", ".join(map(str, numbers[:_CLUSTERS_NAMED])), len(numbers) - _CLUSTERS_NAMED
    return f"cluster{'' if len(numbers) == 1 else 's'} {named}" + (f" and {more} more" if more > 0 else "")
