"""Which rows an action would take out, bring back or relabel: what a person sees before they approve it."""

import polars as pl

from ...state.actions import Action, EditRows
from ..steps.rows.removals import changed, changed_labels
from ..view import View

_EXCERPT = 300
_SPARE = ("status", "stage", "reason", "score", "threshold", "duplicate_of")


def going(view: View, action: Action) -> tuple[pl.DataFrame, str | None]:
    """The rows whose line or label an action would change, or that it protects, as the action itself finds them, the
    surest first; and why its caps would refuse it. ``becomes``: removed, back, relabelled or protected; ``to``: the new
    label; ``twin_text``: of the row that stays in its place."""
    found = changed(view, action)
    before, after = view.ledger(), found.ledger
    moved = before["status"].head(before.height).ne_missing(after["status"].head(before.height))
    lines = after.head(before.height).filter(moved).select("row", "id", *_SPARE)
    becomes = pl.when(pl.col("status") == "removed").then(pl.lit("removed")).otherwise(pl.lit("back"))
    lines = lines.with_columns(becomes=becomes)
    if found.relabelled is not None:
        old = changed_labels(view).rename({"label": "had"})
        new = found.relabelled.join(old, on="row", how="left").filter(pl.col("label").ne_missing(pl.col("had")))
        named = after.join(new.select("row", to="label"), on="row", how="inner").select("row", "id", *_SPARE, "to")
        lines = pl.concat([lines, named.with_columns(becomes=pl.lit("relabelled"))], how="diagonal")
    if isinstance(action, EditRows) and action.edit == "protect":
        named = before.filter(pl.col("row").is_in(action.rows)).select("row", "id", *_SPARE)
        lines = named.with_columns(becomes=pl.lit("protected"))
    if "to" not in lines.columns:
        lines = lines.with_columns(to=pl.lit(None, dtype=pl.String))
    at = lines["row"].to_numpy()
    texts = view.frame("rows", "text")["text"]
    names = pl.DataFrame({"duplicate_of": before["id"], "twin_text": texts.head(before.height).str.slice(0, _EXCERPT)})
    lines = lines.with_columns(text=view.text(at).str.slice(0, _EXCERPT), label=view.labels().gather(at))
    lines = lines.join(names, on="duplicate_of", how="left", maintain_order="left")
    return lines.sort("score", "row", nulls_last=True), found.refused
