"""What a person said of single rows, and what follows from it. Functions of a view, for the loop and for the audit.

A person's word counts for more than any evidence: no step takes out a row that a person keeps or labels, and the label
that they give it is its label in all later evidence.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from ...state.actions import Edit, EditRows
from ...state.decision import RowAnswer, RowNote
from ...state.errors import UsageError
from ...state.phrases import counted
from ...state.rows import Removal, remove_rows
from ...tools.write.reasons import in_words
from ..account.notes import notes_on
from ..view import View
from .proposals import OwnEdit, Refusal

_SCHEMA = {"row": pl.UInt32, "answer": pl.String, "label": pl.String}
REASON = "person"
_FOR_GOOD = ("clean", "decontaminate")  # the stages that take out copies, rows without content, and benchmarks


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


def check_note(view: View, note: RowNote) -> None:
    """Whether a note can stand on a row.

    Raises:
        UsageError: there is no such row, or nobody looks at it yet; or the note says nothing, or replaces none.
    """
    ledger = view.ledger()
    if note.row >= ledger.height:
        raise UsageError("there is no such row; nothing was done")
    if ledger["split"][note.row] == "sealed":
        raise UsageError("that row is sealed until the rounds are over; nothing was done")
    if note.replaces is None and not note.text.strip():
        raise UsageError("a note says something; nothing was done")
    if note.replaces is not None and note.replaces not in {one.event for one in notes_on(view, note.row)}:
        raise UsageError("the note that this would take the place of stands on that row no more; nothing was done")


def own_edit(view: View, params: OwnEdit) -> tuple[EditRows, str]:
    """What a person wants to do with rows, as an action on those of them that it can be done with, and why it cannot
    with the others; "" where there are none.

    Raises:
        Refusal: it can be done with none of them.
    """
    rows = np.unique(np.asarray(params.rows, dtype=np.uint32))
    why_not = _why_not(view, params.edit, rows, params.label)
    left = tuple(row for row in rows.tolist() if row not in why_not)
    first = next(iter(why_not.items()), None)
    if not left and first is not None:
        raise Refusal(f"{_named(view, first[0])} {first[1]}; nothing was done")
    if (params.edit == "label") != bool(params.label):
        raise Refusal("a label is named to relabel rows, and for nothing else")
    said = "" if first is None else f"without {counted(len(why_not), 'row')}: {_named(view, first[0])} {first[1]}"
    return EditRows(edit=params.edit, rows=left, label=params.label), said


def check_edit(view: View, action: EditRows) -> None:
    """Whether an action on single rows can be done with all of them.

    Raises:
        UsageError: it cannot with some; the first is named.
    """
    for row, why in _why_not(view, action.edit, np.asarray(action.rows, dtype=np.uint32), action.label).items():
        raise UsageError(f"{_named(view, row)} {why}; nothing was done")


def unknown_label(view: View, label: str) -> str | None:
    """Why a label that a person gives cannot be given: no row has it, and the nearest is named; None where one has."""
    if label in (known := view.labels().drop_nulls().unique().to_list()):
        return None
    near = difflib.get_close_matches(label, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; an answer in review.csv may name a new one"
    return f"no row has the label {label!r}{hint}"


def _named(view: View, row: int) -> str:
    ids = view.ledger()["id"]
    return f"row {ids[row] if row < len(ids) else row}"


def _why_not(view: View, edit: Edit, rows: np.ndarray, label: str | None) -> Mapping[int, str]:
    """The rows (positions, uint32 [n]) with which something cannot be done, and why, as the rest of a sentence."""
    ledger, labels, protected = view.ledger(), view.labels(), set(pinned(view).tolist())
    wrong = None
    if edit == "label":
        wrong = "cannot: no label column was named" if view.values.label_column is None else None
        if wrong is None and (unknown := unknown_label(view, label or "")):
            wrong = f"cannot: {unknown}"
    found = dict[int, str]()
    for row in rows.tolist():
        line = ledger.row(row, named=True) if row < ledger.height else None
        gone = line is not None and line["status"] == "removed"
        if line is None:
            found[row] = "is not in the data"
        elif line["split"] != "train":
            found[row] = "is held out to measure with, and stays as it is while the run goes on"
        elif line["origin"] != "input" and edit != "drop":
            found[row] = "was written by a language model: it can be dropped, and nothing else"
        elif (edit == "restore") != gone:
            found[row] = "was removed; restore it first" if gone else "was not removed"
        elif gone and line["stage"] in _FOR_GOOD:
            found[row] = f"stays out: {in_words(line['reason'])}"
        elif edit == "protect" and row in protected:
            found[row] = "is protected already"
        elif edit == "label" and (wrong or labels[row] == label):
            found[row] = wrong or "has that label already"
    return found


def with_edit(view: View, action: EditRows) -> pl.DataFrame:
    """What a person said, as ``answers``, once an action on single rows is in force; a row that is kept keeps the label
    that it has by then."""
    rows = np.asarray(action.rows, dtype=np.uint32)
    rows = rows[rows < view.values.ingested]
    own, now = view.frame("rows", "label")["label"].gather(rows), view.labels().gather(rows)
    lines = pl.DataFrame({"row": rows, "answer": "keep", "label": now.set(own.eq_missing(now), None)})
    if action.edit == "drop":
        lines = lines.with_columns(answer=pl.lit("remove"), label=pl.lit(None, dtype=pl.String))
    elif action.edit == "label":
        lines = lines.with_columns(label=pl.lit(action.label))
    if action.edit != "drop":
        lines = lines.with_columns(answer=pl.when(pl.col("label").is_null()).then("answer").otherwise(pl.lit("label")))
    before = answers(view).filter(~pl.col("row").is_in(rows))
    return pl.concat([before, lines.cast(_SCHEMA)]).sort("row")  # type: ignore[arg-type]


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
