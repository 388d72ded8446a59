"""The removed rows of a run as it stands: why each went, and what stays in its place."""

import polars as pl

from ...tools.write.removed import EVIDENCE, Gone
from ...tools.write.shown import RemovedRow
from ..view import View

SAMPLE = 20  # removed rows that a report shows
_EXCERPT = 300


def gone(view: View) -> Gone:
    """The removed rows, those that a language model wrote among them."""
    lines = view.ledger().filter(pl.col("status") == "removed")
    lines = lines.rename({"reason": "rule", "duplicate_of": "twin"})
    beside = pl.DataFrame(schema={"row": pl.UInt32, "span": pl.String, "twin_text": pl.String})
    if view.has("matches"):
        beside = view.frame("matches").select("row", "span", twin_text="text")
    lines = lines.join(beside.with_columns(stage=pl.lit("decontaminate")), on=["row", "stage"], how="left")
    return Gone(lines.select(EVIDENCE.names()), view.ledger()["id"], view.texts())


def removed_sample(view: View) -> tuple[RemovedRow, ...]:
    """Some removed rows, drawn from every reason in turn; long texts are cut."""
    drawn = gone(view).sample(SAMPLE, view.seed(11)).with_columns(pl.col(pl.String).str.slice(0, _EXCERPT))
    return tuple(RemovedRow(**line) for line in drawn.iter_rows(named=True))
