"""A run as Python sees it: what it kept, what it removed and why, its report, its audit."""

from __future__ import annotations

import html
import json
import os
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ...state.errors import UsageError
from ...state.log import last_step
from ...state.run import RunDirectory
from ...tools.write.shown import InDoubt, Summary
from ..view import View

if TYPE_CHECKING:
    from ..audit import AuditReport
    from .explain import Explanation


class Run:
    """One run, read from its folder at ``path`` whenever something is asked for.

    In a notebook it shows its report.

    Raises:
        UsageError: there is no run in that folder; later, where something is asked for that the run has not come to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._directory = RunDirectory.open(self.path)

    @property
    def finished(self) -> bool:
        """Whether it has ended; ``resume`` goes on with one that has not."""
        return last_step(self._directory.log) == "publish"

    @property
    def curated(self) -> pl.DataFrame:
        """The kept rows to train on: the columns of the input untouched, then those of Recryst (``recryst_id``, …)."""
        return self._split("train")

    @property
    def anchor(self) -> pl.DataFrame:
        """The kept rows that were held out to measure with: a validation set of the same columns."""
        return self._split("anchor")

    @property
    def sealed(self) -> pl.DataFrame:
        """The kept rows that nothing looked at before the rounds were over: a test set of the same columns."""
        return self._split("sealed")

    @property
    def removed(self) -> pl.DataFrame:
        """The removed rows, each with its ``text`` and the ``stage``, ``reason`` and evidence of its removal.

        Raises:
            UsageError: the rows were not read yet.
        """
        view = View.open(self.path)
        if not view.has("ledger"):
            raise UsageError(f"{self.path} has not read its rows yet")
        gone = view.ledger().filter(pl.col("status") == "removed")
        text = view.frame("rows", "row", "text")
        columns = ("id", "text", "stage", "reason", "score", "threshold", "duplicate_of", "origin")
        return gone.join(text, on="row", how="left", maintain_order="left").select(columns)

    @property
    def review(self) -> pl.DataFrame:
        """The rows in doubt that the run lists for a person, the most informative first: ``id``, ``text``, ``label``,
        ``suggested``, ``why``, ``words``, ``evidence`` and ``cluster``; empty where nothing is in doubt."""
        found = self.summary.review
        rows = [] if found is None else [row.model_dump(exclude={"evidence"}) for row in found.listed]
        figures = [] if found is None else [json.dumps(row.evidence) for row in found.listed]
        columns = {
            name: pl.Int64 if name == "cluster" else pl.String for name in InDoubt.model_fields if name != "evidence"
        }
        return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
            evidence=pl.Series(figures, dtype=pl.String)
        )

    @property
    def report(self) -> Path:
        """The page that tells the whole run; one file, works offline."""
        return self._ended().report

    @property
    def summary(self) -> Summary:
        """What the run came to, as ``recryst run --json`` prints it."""
        from .summary import summary

        return summary(View.open(self._ended().root))

    def audit(self, head: str | None = None) -> AuditReport:
        """Verify the log and every file, and derive every decision again.

        Args:
            head: the log head noted when the run ended; detects a log that was cut or rewritten.
        """
        from ..audit import audit

        return audit(self.path, head)

    def explain(self, row_id: str) -> Explanation:
        """Why one row stayed or went: its line in the ledger, and every step that touched it."""
        from .explain import explain

        return explain(View.open(self.path), row_id)

    def resume(self, quiet: bool = False) -> Run:
        """Go on where the log ends; a finished run is left as it is. Returns the run.

        Raises:
            LockedError: another process works on it.
        """
        from ..start import resume

        resume(self._directory, quiet)
        return self

    def _ended(self) -> RunDirectory:
        if not self.finished:
            raise UsageError(f"{self.path} has not ended yet: its resume(), or `recryst resume {self.path}`, goes on")
        return self._directory

    def _split(self, split: str) -> pl.DataFrame:
        """The exported rows of one split, from one file or, with labels, from a file in each folder."""
        files = sorted(self._ended().curated.rglob("*.parquet"))
        chosen = [file for file in files if file.name.removeprefix("part-").startswith(f"{split}-")]
        return pl.read_parquet(chosen or files[:1], n_rows=None if chosen else 0, hive_partitioning=False)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {'finished' if self.finished else 'unfinished'})"

    def _repr_html_(self) -> str:
        said = f"<p>{html.escape(repr(self))}</p>"
        if not self.finished:
            return said
        address = html.escape(urllib.parse.quote(os.path.relpath(self.report)))  # a notebook serves what lies below it
        return f'{said}<iframe src="{address}" width="100%" height="600" style="border: 0"></iframe>'
