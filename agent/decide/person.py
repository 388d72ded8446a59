"""What a person said of single rows, and what follows from it. Functions of a view, for the loop and for the audit.

A person's word counts for more than any evidence: no step takes out a row that a person keeps or labels, and the label
that they give it is its label in all later evidence.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.decision import RowAnswer
from ...state.errors import UsageError
from ...state.rows import Removal, remove_rows
from ..view import View

_SCHEMA = {"row": pl.UInt32, "answer": pl.String, "label": pl.String}
REASON = "person"


@dataclass(frozen=True)
class Said:
    """Ledger and changed labels once every answer is in force, and how many rows were kept, removed or labelled.

    ``changes``: rows that had another status or label before.
    """

    ledger: pl.DataFrame
    relabelled: pl.DataFrame
    tally: dict[str, int]
    changes: int


def answers(view: View) -> pl.DataFrame:
    """What a person said, the last word on each row: ``row`` uint32, ascending; ``answer`` and ``label`` strings."""
    return view.frame("answers") if view.has("answers") else pl.DataFrame(schema=_SCHEMA)


def pinned(view: View) -> np.ndarray:
    """Positions of the rows that a person keeps or labels, uint32 [n], ascending."""
    return answers(view).filter(pl.col("answer") != "remove")["row"].to_numpy()


def with_answer(view: View, said: RowAnswer) -> pl.DataFrame:
    """What a person said, with one more answer.

    Raises:
        UsageError: the row is no row of the input that stands, it is held out (while a run goes on those stay as they
            are), or the rows have no labels.
    """
    ledger = view.ledger()
    if said.row >= view.values.ingested or ledger["status"][said.row] != "kept":
        raise UsageError("that is no row of the input that stands; nothing was done")
    if ledger["split"][said.row] != "train":
        raise UsageError("that row is held out to measure with; answer it in review.csv, for another run")
    if said.answer == "label" and view.values.label_column is None:
        raise UsageError("the rows have no labels: no label column was named; nothing was done")
    line = pl.DataFrame([(said.row, said.answer, said.label)], schema=_SCHEMA, orient="row")
    return pl.concat([answers(view).filter(pl.col("row") != said.row), line]).sort("row")


def resolved(view: View, said: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Answers by ``id`` as answers by row, and how many are lost, because their rows do not stand.

    An answer on a row that went as a copy is one on the row that stays for it, which has an answer of its own first.
    """
    ledger = view.ledger()
    places = ledger.select("id", "row", "status", "stage", "duplicate_of")
    stays = places.select(stays="id", there="row")
    found = said.join(places, on="id", how="left", maintain_order="left")
    found = found.join(stays, left_on="duplicate_of", right_on="stays", how="left", maintain_order="left")
    copy = (pl.col("status") == "removed") & (pl.col("stage") == "clean")
    found = found.with_columns(own=pl.col("status") == "kept", row=pl.when(copy).then("there").otherwise("row"))
    found = found.filter(pl.col("own") | copy.fill_null(False)).filter(pl.col("row").is_not_null())
    found = found.sort("own", descending=True, maintain_order=True).unique("row", keep="first", maintain_order=True)
    return found.select("row", "answer", "label").cast(_SCHEMA).sort("row"), said.height - found.height  # type: ignore[arg-type]


def in_force(view: View, said: pl.DataFrame, stage: str) -> Said:
    """The run's rows and labels once what a person ``said`` (as ``answers``) is in force.

    A row that is kept has the label that it came with, whatever an action had made of it.
    """
    ledger, own = view.ledger(), view.frame("rows", "label")["label"]
    before = (
        view.frame("relabelled")
        if view.has("relabelled")
        else pl.DataFrame(schema={"row": pl.UInt32, "label": own.dtype})
    )
    goes = said.filter(pl.col("answer") == "remove")["row"].to_numpy()
    goes = goes[(ledger["status"].gather(goes) == "kept").to_numpy()]
    named = said.filter(pl.col("answer") == "label").select("row", "label")
    after = pl.concat([before.filter(~pl.col("row").is_in(said["row"].implode())), named]).sort("row")
    tally = {name: int((said["answer"] == name).sum()) for name in ("keep", "remove", "label")}
    was, now = (own.clone().scatter(given["row"], given["label"]) for given in (before, after))
    changes = len(goes) + int(was.ne_missing(now).sum())
    return Said(remove_rows(ledger, Removal(REASON, goes), stage, view.seq), after, tally, changes)


def waiting(view: View) -> int:
    """How many rows would have another status or label if what a person said were in force."""
    return in_force(view, answers(view), "apply").changes if view.has("answers") else 0
