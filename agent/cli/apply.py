"""One tool on one table, from a file to a file: what ``recryst tool`` does.

A tool that works row by row, or takes rows out, sees the texts in a memory map and the table goes by in batches, so
that memory does not grow with the file. Any other tool is given the whole frame.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ...state.canonical import Json
from ...state.errors import InputError, UsageError, storage_error
from ...state.params.preparation import CleanParams, LoadParams
from ...state.phrases import counted
from ...tools.read.columns import JSON_TEXT, as_text, is_json_text
from ...tools.read.load import LoadResult, load
from ...tools.table_tool import Noted, TableTool
from ...tools.text.batches import MappedTexts
from ...tools.text.clean import normalise
from ...tools.write.choices import Choices, choices
from ...tools.write.choices import said as block
from ...tools.write.removed import Gone, evidence, write_removed
from ...tools.write.tables import Layout, check_target, own_notes, table_writer
from .progress import Reporter

_BATCH_ROWS = 1024
_PROFILE_ROWS = 10_000  # that a profile is chosen by
_HEAVY = 0.02  # share of the rows from which a rule that takes them has something said of it
_EQUAL = ("exact_duplicate", "normalised_duplicate")  # nothing that such rows say is lost
_REMEDIES = {
    "language": "name their language too in --set keep=[…]",
    "dedup": "set a higher threshold, --set threshold=0.95",
    "decontaminate": "set a higher --set ngram_size=N",
}


@dataclass(frozen=True)
class Job:
    """What a tool is to do: read ``source``, write ``target``.

    ``removed``: a file for the rows taken out, each with its evidence. ``annotate``: take none out, and add the tool's
    columns. ``text_column``: the column that holds the text; None: recognise it. ``content_columns``: those by
    which rows differ; None: recognise them. ``vector_column``: the column that holds vectors; None: ``vector``.
    ``seed``: of tools that draw.
    """

    source: str
    target: Path | None
    removed: Path | None = None
    annotate: bool = False
    text_column: str | None = None
    content_columns: Sequence[str] | None = None
    vector_column: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Applied:
    """What became of the rows; ``removed`` counts them by reason, bytes are those of the texts in UTF-8; ``notes``:
    what was guessed, which rules take many rows, and what is to be known of how it was done."""

    tool: str
    rows_in: int
    rows_out: int
    quarantined: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    text_bytes_in: int | None = None
    text_bytes_out: int | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    choices: Choices | None = None


def apply(tool: TableTool, params: Any, job: Job, reporter: Reporter) -> Applied | Json:
    """Carry out ``job``; a tool that measures a table and makes none returns its figures.

    Raises:
        UsageError: the tool cannot do what the job asks, or its output would take the place of its input.
        RecrystError: as ``load`` and the tool say.
    """
    _check(tool, job)
    started = time.perf_counter()
    whole = tool.annotate is None and tool.removals is None
    result = _on_whole(tool, params, job, reporter) if whole else _in_stream(tool, params, job, reporter)
    if isinstance(result, Applied):
        return replace(result, seconds=round(time.perf_counter() - started, 3))
    return result


def _check(tool: TableTool, job: Job) -> None:
    if job.annotate and tool.annotate is None:
        raise UsageError(f"{tool.name} has no columns to add: leave out --annotate")
    if job.removed is not None and (tool.removals is None or job.annotate):
        raise UsageError(f"{tool.name}{' --annotate' if job.annotate else ''} takes no row out: leave out --removed")
    if job.target is None and tool.on_table is None:
        raise _lacks_target(tool)
    written = [path for path in (job.target, job.removed) if path is not None]
    for path in written:
        check_target(path)
        if path.resolve() == Path(job.source).resolve():
            raise UsageError(f"{path} is the input; name another file for the output")
    if len(written) == 2 and written[0].resolve() == written[1].resolve():
        raise UsageError(f"{written[0]} cannot hold both the rows that stay and those taken out")


def _lacks_target(tool: TableTool) -> UsageError:
    return UsageError(f"`recryst tool {tool.name}` makes a table: give it an OUT file (.parquet or .jsonl)")


def _in_stream(tool: TableTool, params: Any, job: Job, reporter: Reporter) -> Applied:
    assert job.target is not None
    try:
        # Beside the output, because /tmp is memory on many systems.
        with tempfile.TemporaryDirectory(dir=job.target.parent, prefix=".recryst-") as name:
            folder = Path(name)
            loaded = _load(job, folder, reporter)
            texts = MappedTexts(loaded.rows, folder / "texts.arrow")
            loaded.rows.unlink()
            params, notes = _settled(params, texts.texts, loaded.shape)
            chosen = _said(loaded, reporter, getattr(params, "profile", ""))
            gone = _taken_out(tool, params, job, texts, reporter)
            notes += _heavy(gone, tool.name, loaded.ingested)
            for note in notes:
                reporter.say(f"note: {note}", "yellow")
            if job.removed is not None:
                _write_removed(gone, job.removed, loaded, texts)
            if tool.name == "clean" and (said := _several_values(loaded, texts)):
                reporter.say(said, "yellow")
            done = _write_rest(tool, params, job, loaded, texts, gone, reporter)
            return replace(done, notes=tuple(notes), choices=chosen)
    except OSError as error:
        raise storage_error(error, error.filename or job.target.parent, f"working on {job.source}, at") from error


def _settled(params: Any, texts: pl.Series, shape: str) -> tuple[Any, list[str]]:
    """The parameters with a profile that is ``auto`` chosen once for the table, by texts spread evenly over it; and
    what is to be said of the choice."""
    if getattr(params, "profile", None) != "auto":
        return params, []
    from ...tools.text.filters import choose_profile

    sample = texts.gather_every(max(1, len(texts) // _PROFILE_ROWS))
    profile, why = choose_profile(sample, shape)
    said = f"profile {profile}, because {why} (--set profile=NAME sets another)"
    return params.model_copy(update={"profile": profile}), [said]


def _heavy(gone: pl.DataFrame, tool: str, rows: int) -> list[str]:
    """What is said of each rule, but equality, that takes more than ``_HEAVY`` of the rows: it may take good ones."""
    counts = gone.filter(~pl.col("rule").is_in(_EQUAL)).group_by("rule").len().sort("rule").iter_rows()
    return [
        f"{rule} takes {number:,} of {rows:,} rows ({number / rows:.1%}): look at them with --removed FILE; if they "
        f"are good, {_REMEDIES.get(tool, '--set {rule}=off').format(rule=rule)}"
        for rule, number in counts
        if number > _HEAVY * rows
    ]


def _load(job: Job, folder: Path, reporter: Reporter) -> LoadResult:
    with reporter.step("load") as advance:
        params = LoadParams(text_column=job.text_column, content_columns=tuple(job.content_columns or ()))
        loaded = load(job.source, params, folder, advance)
    if loaded.quarantined:
        with loaded.quarantine.open("rb") as file:
            first = orjson.loads(file.readline())
        lines = counted(loaded.quarantined, "broken line")
        reporter.say(f"{lines} left out, the first at line {first['line']}: {first['reason']}", "yellow")
    return loaded


def _said(loaded: LoadResult, reporter: Reporter, profile: str = "") -> Choices:
    """What the rows were taken for, said to the person."""
    found = choices(replace(loaded, notes=tuple(own_notes(loaded))), profile=profile)
    for said, style in block(found):
        reporter.say(said, style)
    return found


def _several_values(loaded: LoadResult, texts: MappedTexts) -> str:
    """How many texts stand with several values of a content column that looks like a label; empty where none does."""
    if loaded.label_like is None:
        return ""
    name, hashes = loaded.label_like[0], list[pl.DataFrame]()
    column = loaded.row_column if name == "row" and loaded.row_column else name
    for start, batch in _batches(loaded.originals):
        text = normalise(texts.texts.slice(start, batch.num_rows), CleanParams())
        at = batch.schema.get_field_index(column)
        value = pl.Series(as_text(batch.column(at), batch.schema.field(at)), dtype=pl.String)
        hashes.append(pl.DataFrame({"text": text.hash(), "value": value.hash()}).filter(text.is_not_null()))
        texts.release()
    values = pl.concat(hashes).group_by("text").agg(pl.col("value").n_unique())["value"]
    several, largest = int((values > 1).sum()), int(values.max() or 0)  # type: ignore[arg-type]
    if not several:
        return ""
    most = "2 values" if largest == 2 else f"up to {largest:,} values"
    stand = "text stands" if several == 1 else "texts stand"
    return f"`{name}` looks like a label: {several:,} {stand} with {most}, and no such row is a copy of another"


def _taken_out(tool: TableTool, params: Any, job: Job, texts: MappedTexts, reporter: Reporter) -> pl.DataFrame:
    """The rows the tool takes out, ascending, as ``removed.EVIDENCE``."""
    removals = []
    if tool.removals is not None and not job.annotate:
        with reporter.step(tool.name, len(texts.texts)) as advance:

            def told(done: int) -> None:
                texts.release()
                advance(done)

            removals = tool.removals(texts.rows, params, told)
    return evidence(removals, texts.ids, tool.name)


def _write_removed(gone: pl.DataFrame, target: Path, loaded: LoadResult, texts: MappedTexts) -> None:
    """Write the rows that are taken out: as they came, and why."""
    layout = Layout(loaded)

    def originals() -> Iterator[tuple[np.ndarray, pa.RecordBatch]]:
        for start, batch in _batches(loaded.originals):
            yield np.arange(start, start + batch.num_rows), layout.fill(batch)
            texts.release()

    write_removed(Gone(gone, texts.ids, texts.texts), originals(), layout.schema, target)


def _write_rest(
    tool: TableTool,
    params: Any,
    job: Job,
    loaded: LoadResult,
    texts: MappedTexts,
    gone: pl.DataFrame,
    reporter: Reporter,
) -> Applied:
    """Write the rows that stay, batch by batch, with the tool's columns where they are asked for."""
    assert job.target is not None
    stays = np.ones(loaded.ingested, dtype=bool)
    stays[gone["row"].to_numpy()] = False
    annotate, layout = _layout(tool, params, job, loaded, texts)
    bytes_in = bytes_out = 0
    with reporter.step("write", loaded.ingested) as advance, table_writer(job.target, layout.schema) as write:
        for start, batch in _batches(loaded.originals):
            text = texts.texts.slice(start, batch.num_rows)
            bytes_in += _size(text)
            rows = texts.rows.slice(start, batch.num_rows)
            annotation = None if annotate is None else annotate(rows, params)
            if annotation is not None and "text" in annotation.columns:
                text = annotation["text"]
            chosen = stays[start : start + batch.num_rows]
            bytes_out += _size(text.filter(pl.Series(chosen)))
            write(layout.fill(batch, annotation).filter(pa.array(chosen)))
            texts.release()
            advance(batch.num_rows)
    by_reason = gone.group_by("rule").len().sort("len", "rule", descending=[True, False])
    removed = dict(by_reason.iter_rows())
    return Applied(tool.name, len(stays), int(stays.sum()), loaded.quarantined, removed, bytes_in, bytes_out)


def _size(text: pl.Series) -> int:
    return int(text.str.len_bytes().sum())


def _layout(
    tool: TableTool, params: Any, job: Job, loaded: LoadResult, texts: MappedTexts
) -> tuple[Callable[[pl.DataFrame, Any], pl.DataFrame] | None, Layout]:
    """The tool's annotation if it is to be written, and the columns of the table with it.

    Where the tool takes rows out, its columns are written on demand; but a text made anew always is.
    """
    if tool.annotate is not None:
        first = tool.annotate(texts.rows.head(1), params)
        if job.annotate or tool.removals is None or "text" in first.columns:
            return tool.annotate, Layout(loaded, first)
    return None, Layout(loaded)


def _batches(originals: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The originals table row group by row group, as it was loaded: the position of the first row, and the rows."""
    file, start = pq.ParquetFile(originals), 0
    for group in range(file.num_row_groups):
        for batch in file.read_row_group(group).to_batches(_BATCH_ROWS):
            yield start, batch
            start += batch.num_rows


def _on_whole(tool: TableTool, params: Any, job: Job, reporter: Reporter) -> Applied | Json:
    assert tool.on_table is not None
    frame, as_json, quarantined, chosen = _frame(tool, job, reporter)
    renamed = _renamed(frame, job)
    frame = frame.rename(renamed)
    if tool.needs and tool.needs not in frame.columns:
        has = ", ".join(frame.columns)
        raise InputError(f"{job.source} has no column {tool.needs!r}, which {tool.name} works on; it has {has}")
    with reporter.step(tool.name):
        result = tool.on_table(frame, params, job.seed)
    if isinstance(result, dict):
        return result
    result, notes = result if isinstance(result, Noted) else (result, [])
    for note in notes:
        reporter.say(f"note: {note}", "yellow")
    if job.target is None:
        raise _lacks_target(tool)
    result = result.rename({now: name for name, now in renamed.items()})
    table = result.to_arrow(compat_level=pl.CompatLevel.oldest())
    schema = pa.schema([one.with_metadata(JSON_TEXT) if one.name in as_json else one for one in table.schema])
    with table_writer(job.target, schema) as write:
        for batch in table.cast(schema).to_batches(_BATCH_ROWS):
            write(batch)
    gone = frame.height - result.height
    removed = {tool.name: gone} if gone else {}
    said = tuple(notes)
    return Applied(tool.name, frame.height, result.height, quarantined, removed, notes=said, choices=chosen)


def _renamed(frame: pl.DataFrame, job: Job) -> dict[str, str]:
    """How columns are to be called while the tool works, so that the one that holds the vectors is ``vector``."""
    named = job.vector_column
    if named in (None, "vector"):
        return {}
    if named not in frame.columns:
        has = ", ".join(frame.columns)
        raise InputError(f"{job.source} has no column {named!r} (--vector-column); it has {has}")
    aside = {"vector": "vector (not in use)"} if "vector" in frame.columns else {}
    return {**aside, str(named): "vector"}


def _frame(tool: TableTool, job: Job, reporter: Reporter) -> tuple[pl.DataFrame, set[str], int, Choices | None]:
    """The whole table, which of its columns hold JSON text, how many rows were quarantined, and what was chosen.

    Parquet that has the column the tool works on is taken as it is, any other input as it is loaded, with its ``text``
    and an ``id``.
    """
    path = Path(job.source)
    if path.suffix == ".parquet" and path.is_file() and job.text_column is None:
        try:
            schema = pq.read_schema(path)
            if tool.needs in schema.names or tool.needs != "text":
                return pl.read_parquet(path), _json_columns(schema), 0, None
        except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error
    with tempfile.TemporaryDirectory() as folder:
        loaded = _load(job, Path(folder), reporter)
        chosen = _said(loaded, reporter)
        fields = Layout(loaded).schema
        originals = pl.read_parquet(loaded.originals).drop("row")
        originals.columns = fields.names
        rows = pl.read_parquet(loaded.rows, columns=["id", "text"])
    added = [rows["text"], *([] if "id" in originals.columns else [rows["id"]])]
    return originals.with_columns(added), _json_columns(fields) - {"text"}, loaded.quarantined, chosen


def _json_columns(schema: pa.Schema) -> set[str]:
    return {one.name for one in schema if is_json_text(one)}
