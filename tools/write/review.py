"""The review list: a table for a person, who fills in its last column, and the way back.

A cell that a spreadsheet would take for a formula begins with an apostrophe, which is taken off again when the table is
read back (CWE-1236).
"""

import csv
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import polars as pl

from ...state.errors import InputError, storage_error
from ...state.params.preparation import LoadParams
from ...state.phrases import printable
from ...state.store import whole_file
from ..read.records import Quarantine, Reading
from ..read.sources import read_source
from .shown import InDoubt

COLUMNS = ("id", "text", "label", "suggested", "why", "evidence", "cluster", "answer")
#: What stands in the column ``answer``, or is typed in conversation.
ANSWERS = "keep, remove or label NAME"
_SAID = {"id": pl.String, "answer": pl.String, "label": pl.String}
_FORMULA = frozenset("=+-@\t\r")


def write_review(rows: Sequence[InDoubt], target: Path) -> None:
    """Write rows in doubt as CSV in UTF-8 with a mark at its beginning, by which spreadsheets tell the encoding.

    Raises:
        StorageError: the disk is full or not writable; no half file is left.
    """
    with whole_file(target) as made, made.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows([guarded(cell) for cell in _cells(row)] for row in rows)


def _cells(row: InDoubt) -> tuple[str, ...]:
    """The cells of one row, in the order of ``COLUMNS``."""
    figures = " ".join(f"{name}={value:.4g}" for name, value in row.evidence.items())
    cluster = "" if row.cluster is None else str(row.cluster)
    return row.id, printable(row.text), row.label or "", row.suggested or "", row.words, figures, cluster, ""


def guarded(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; ``unguarded`` gives it back."""
    return f"'{cell}" if cell[:1] in _FORMULA or _is_guarded(cell) else cell


def unguarded(cell: str) -> str:
    """A cell as it was before ``guarded``."""
    return cell[1:] if _is_guarded(cell) else cell


def _is_guarded(cell: str) -> bool:
    return cell[:1] == "'" and cell[1:2] in _FORMULA | {"'"}


def said_of_row(words: str, suggested: str | None) -> tuple[str, str | None]:
    """What an answer in words says: ``keep``, ``remove`` or ``label`` and which; that alone: the suggested one.

    Raises:
        ValueError: it is none of them.
    """
    answer, _, name = words.strip().partition(" ")
    name = name.strip()
    match answer.casefold().rstrip(":"), name or suggested:
        case "keep" | "remove" as plain, _ if not name:
            return plain, None
        case "label", str(label) if label:
            return "label", label
        case "label", _:
            raise ValueError("which label? none is suggested here: label NAME")
    raise ValueError(f"an answer is {ANSWERS}, not {printable(words)[:60]!r}")


def read_answers(source: str) -> tuple[pl.DataFrame, list[str]]:
    """What a person answered in a review list, and what they should know of how it was read.

    Returns:
        ``id``, ``answer`` (``keep``, ``remove``, ``label``) and ``label`` (null where none is given), strings; rows
        without an answer are left out.

    Raises:
        InputError: it cannot be read, holds no answer, one that says nothing, or two of one row; the row is named.
        StorageError: the file cannot be opened.
    """
    found: dict[str, tuple[str, str | None]] = {}
    try:
        with Path(os.devnull).open("wb") as nowhere:
            reading = Reading(LoadParams(), Quarantine(nowhere), every_split=True)
            with closing(read_source(source, reading)) as batches:
                for batch in batches:
                    for row in batch.table.to_pylist():
                        _add(found, row, source)
    except OSError as error:
        raise storage_error(error, source, "reading the answers") from error
    except InputError as error:
        raise InputError(f"review.answers: {error}") from error
    if not found:
        raise InputError(f"review.answers: {source} holds no answer: fill its column `answer` with {ANSWERS}")
    if lost := reading.quarantine.count:
        raise InputError(f"review.answers: {source}: {lost} lines cannot be read, {reading.quarantine.first}")
    lines = [(row_id, answer, label) for row_id, (answer, label) in found.items()]
    return pl.DataFrame(lines, schema=_SAID, orient="row"), reading.told()


def _add(found: dict[str, tuple[str, str | None]], row: dict[str, object], source: str) -> None:
    """Put what one line says beside the others."""
    cells = {name: unguarded(str(value)) for name, value in row.items() if value is not None}
    if "id" not in row or "answer" not in row:
        raise InputError(f"{source} has no column {'answer' if 'id' in row else 'id'}; a review list has both")
    words, row_id = cells.get("answer", ""), cells.get("id", "")
    if not words.strip():
        return
    try:
        said = said_of_row(words, cells.get("suggested") or None)
    except ValueError as error:
        raise InputError(f"{source}: the row {row_id!r}: {error}") from error
    if found.setdefault(row_id, said) != said:
        raise InputError(f"{source}: the row {row_id!r} is answered twice, and not alike")
