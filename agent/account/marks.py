"""What the rules that no one named would take out of a run: how many rows each, and some of them."""

import numpy as np
import polars as pl

from ...state.events import Language, Separation
from ...tools.text import filters, language
from ...tools.text.kinds import word_counts
from ...tools.write.shown import Mark, Sample
from ..view import View

SAMPLES = 10  # rows shown of each rule
_EXCERPT = 160  # characters of a row


def marks(view: View) -> tuple[Mark, ...]:
    """One entry for each rule that marks rows and takes none out, in the order of the steps; most rows first."""
    found: list[Mark] = []
    for event in view.events:
        if isinstance(event, Language | Separation) and event.marked:
            at = view.at(event.seq + 1)
            each = [_mark(at, event.type, rule, rows) for rule, rows in event.marked.items()]
            found += sorted(each, key=lambda mark: (-mark.rows, mark.rule))
    return tuple(found)


def _mark(view: View, stage: str, rule: str, rows: int) -> Mark:
    """``view``: the run as it stood after the step."""
    kept = view.kept()
    marked, threshold = _marked(view, stage, rule, kept)
    shown = marked[np.linspace(0, marked.height - 1, min(SAMPLES, marked.height)).astype(int)]
    at = shown["row"].to_numpy()
    texts, ids = view.text(at).str.slice(0, _EXCERPT), view.ledger()["id"].gather(at)
    samples = [
        Sample(id=id, excerpt=" ".join(text.split()), value=value, twin=twin)
        for id, text, value, twin in zip(ids, texts, shown["value"], shown["twin"], strict=True)
    ]
    return Mark(stage=stage, rule=rule, rows=rows, of=len(kept), threshold=threshold, samples=tuple(samples))


def _marked(view: View, stage: str, rule: str, kept: np.ndarray) -> tuple[pl.DataFrame, float | None]:
    """The kept rows that a rule marks, ascending: row, value, twin; and the rule's threshold."""
    twin: pl.Series | None = None
    if stage == "dedup":
        twins = view.frame("near_duplicates").filter(pl.col("row").is_in(kept))
        twins = twins.filter(pl.col("other_label") == (rule != "near_duplicate")).sort("row")
        rows, values, twin = twins["row"], twins["score"], twins["duplicate_of"]
        threshold = view.config.dedup.threshold
    elif stage == "language":
        found = view.frame("languages")[kept]
        removal = language.outside(found, word_counts(view.text(kept)), kept, view.config.language)
        rows, values = pl.Series(removal.rows), pl.Series(removal.score)
        threshold = view.config.language.min_score
    else:
        fails = view.frame("verdicts", rule)[rule].gather(kept).to_numpy()
        bound = filters.bounds(view.values.profile, view.values.thresholds)[rule]
        rows, values = (
            pl.Series(kept[fails]),
            view.frame("annotations", bound.measure)[bound.measure].gather(kept[fails]),
        )
        threshold = bound.value
    nothing = pl.repeat(None, len(rows), dtype=pl.String, eager=True)
    return pl.DataFrame(
        {"row": rows, "value": values.cast(pl.Float64), "twin": nothing if twin is None else twin}
    ), threshold
