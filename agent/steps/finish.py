"""What a run leaves: the curated rows, those that went, the report and the cards."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from ...state import events
from ...state.canonical import sha256_file
from ...state.errors import storage_error
from ...state.phrases import Advance, silent
from ...state.rows import check_ledger, counts
from ...state.values import Values
from ...tools.judge.selection.repeated import repeats
from ...tools.write.export import Curated, ExportResult, Synthetic, content_sha256, originals, splits_of
from ...tools.write.export import export as export_rows
from ...tools.write.removed import write_removed
from ..account.publish import pages, write_pages
from ..account.removed import gone
from ..account.summary import peak_memory_mb
from ..session import Session
from ..view import View
from .base import Draft, Step
from .repeats import are_clippings
from .rows.notes import write_kept_notes


@dataclass(frozen=True)
class Written:
    """Files that a step wrote (path below the run directory → SHA-256), and what was measured of them."""

    files: Mapping[str, str]
    fields: Mapping[str, object] = field(default_factory=dict)


def files_below(root: Path, *folders: str) -> dict[str, str]:
    """The files below folders of a run, or such files themselves, with their hashes."""
    paths = [path for folder in folders for path in (root / folder, *sorted((root / folder).rglob("*")))]
    return {path.relative_to(root).as_posix(): sha256_file(path) for path in paths if path.is_file()}


class Export(Step[Written]):
    """Write the curated rows, and those that went; notes as Markdown, too."""

    name = "export"

    def total(self, view: View) -> int | None:
        return view.ledger().height

    def measure(self, session: Session, view: View, advance: Advance) -> Written:
        check_ledger(view.ledger(), view.values.ingested)
        result = write_curated(view, view.run.curated, advance)
        files = {f"{view.run.curated.name}/{name}": sha for name, sha in result.files.items()}
        write_gone(view, view.run.removed)
        others, notes = files_below(view.run.root, view.run.removed.name), view.run.notes
        if are_clippings(view):
            others |= files_below(view.run.root, *(f"{notes.name}/{name}" for name in write_kept_notes(view, notes)))
            os.sync()  # once for all of them
        return Written({**files, **others}, fields={"rows": result.rows})

    def logged(self, view: View, event: events.Export) -> Written:
        tally = view.ledger().filter(pl.col("status") != "removed").group_by("split").len()
        rows = {**dict.fromkeys(splits_of(view.ledger()), 0), **dict(tally.iter_rows())}
        # In the folder of notes a person may put what they like.
        own = f"file:{view.run.notes.name}/"
        notes = [one.kind.removeprefix("file:") for one in event.effects if one.kind.startswith(own)]
        files = files_below(view.run.root, view.run.curated.name, view.run.removed.name, *notes)
        return Written(files, fields={"rows": rows})

    def derive(self, view: View, measured: Written, advance: Advance = silent) -> Draft:
        ledger = view.ledger()
        check_ledger(ledger, view.values.ingested)
        return Draft(
            values=Values(curated_sha256=content_sha256(_curated(view))),
            inputs=(
                *("ledger", "originals", "text", "assignments", "row_labels", "synthetic", "synthetic_originals"),
                "relabelled",
            ),
            fields={"counts": counts(ledger), **measured.fields},
            files=measured.files,
            lines=_of_repeats(view),
        )


def _of_repeats(view: View) -> tuple[tuple[str, str], ...]:
    """What the terminal says of rows that are repeated; nothing where none is."""
    found = repeated(view)
    if found is None:
        return ()
    often, total = int((found["repeat"] > 1).sum()), int(found["repeat"].sum())
    return ((f"export: {often:,} of {found.height:,} training rows are repeated, {total:,} in all", ""),)


def _curated(view: View) -> Curated:
    """The curated rows of a run, as they follow from its ledger and its originals."""
    synthetic = None
    if view.has("synthetic", "synthetic_originals"):
        synthetic = Synthetic(view.path("synthetic_originals"), view.frame("synthetic"))
    labels = view.frame("row_labels") if view.has("row_labels") else None
    clusters = view.frame("assignments").select("row", "cluster")
    changed = view.relabelled()
    return Curated(
        view.path("originals"),
        view.ledger(),
        view.texts().fill_null(""),
        clusters,
        labels=labels,
        relabelled=changed if changed.height else None,
        synthetic=synthetic,
        repeats=repeated(view),
    )


def repeated(view: View) -> pl.DataFrame | None:
    """How often each kept training row is to be read (``row`` uint32, ``repeat`` int32), in order of position; None
    where none is repeated. A row that a model wrote stands once, so that synthetic rows stay under their share."""
    if view.config.outcome.repeat == 1:
        return None
    rows = pl.DataFrame({"row": view.kept()}).join(view.frame("assignments", "row", "cluster"), on="row", how="left")
    rows = rows.sort("row")
    times = repeats(rows["cluster"].fill_null(-1).to_numpy(), view.config.outcome.repeat)
    if view.has("synthetic"):
        times[rows["row"].is_in(view.frame("synthetic")["row"].implode()).to_numpy()] = 1
    return rows.select("row", repeat=pl.Series(times))


def write_curated(view: View, folder: Path, advance: Advance = silent) -> ExportResult:
    """Write the curated rows of a run into ``folder``."""
    return export_rows(_curated(view), folder, advance)


def write_gone(view: View, folder: Path) -> None:
    """Write the removed rows of a run into ``folder``, made if absent, as ``removed-00000.parquet``.

    Raises:
        StorageError: the disk is full or not writable.
    """
    synthetic = view.path("synthetic_originals") if view.has("synthetic", "synthetic_originals") else None
    batches = originals(view.path("originals"), synthetic)
    first = next(batches)

    def parted() -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        for batch in chain([first], batches):
            yield batch.column("row").to_numpy(zero_copy_only=False), batch.drop_columns(["row"])

    try:
        if folder.exists():  # what a killed process left
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise storage_error(error, folder, "writing the removed rows to") from error
    schema = first.drop_columns(["row"]).schema
    write_removed(gone(view), parted(), schema, folder / "removed-00000.parquet")


class Publish(Step[Written]):
    """Write the report and the cards, which name the head of the log as it stands here."""

    name = "publish"
    unit = "pages"
    takes = "the peak of the memory"

    def measure(self, session: Session, view: View, advance: Advance) -> Written:
        peak = peak_memory_mb()
        write_pages(pages(view, peak), view.run)
        return Written(_pages(view), fields={"peak_memory_mb": peak})

    def logged(self, view: View, event: events.Publish) -> Written:
        return Written(_pages(view), fields={"peak_memory_mb": event.peak_memory_mb})

    def derive(self, view: View, measured: Written, advance: Advance = silent) -> Draft:
        return Draft(fields=measured.fields, files=measured.files)


def _pages(view: View) -> dict[str, str]:
    run = view.run
    return files_below(
        run.root, *(page.relative_to(run.root).as_posix() for page in (run.report, run.card, run.model_card))
    )
