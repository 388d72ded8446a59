"""``recryst demo``: real text with planted faults, refined; and how much of what the faults cost is won back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...state.store import whole_file, write_whole
from .claim import begin
from .options import MODEL_OPTIONS, OUTPUT_OPTIONS, RUN_OPTIONS, ready, settled, with_options
from .progress import Reporter
from .run import carry_out

if TYPE_CHECKING:
    import polars as pl

    from ...tools.planted import Planted
    from ...tools.write.shown import Summary
    from ..view import View

_FOLDER = Path("runs")
_PLOT = "won-back.svg"
_TRAINING = "train.tokens=80000"  # under 20 seconds of two slow cores: what the demo shows is the rows


@click.command()
@click.option("--as-is", is_flag=True, help="Plant no faults, and keep nothing apart to score with.")
@click.option("--rows", type=click.IntRange(min=200), metavar="N", help="Draw so many docstrings.  [default: all]")
@with_options([*RUN_OPTIONS, *MODEL_OPTIONS, *OUTPUT_OPTIONS])
def demo(
    as_is: bool,
    rows: int | None,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Refine docstrings of the installed Python standard library; the module is the label.

    Known faults are planted first, by the run's seed, into those of the modules with at least 60, and a quarter of
    these is kept apart; with --as-is all, about 8,800, are refined as they stand. At the end a
    classifier trained on the refined rows is scored on those, beside one of the rows as planted, one of the rows
    without any planted fault, and one of as many rows removed by chance.

    In runs/ lie docstrings.jsonl, which is refined, docstrings.truth.jsonl, which tells every fault, and
    docstrings.test.jsonl, which was kept apart; the run reads neither of the last two.
    """
    reporter = Reporter(quiet)
    options["label_column"] = "module"
    config = settled(options, [_TRAINING, *([] if as_is else ["load.id_column=id"])])
    ready(config)
    if as_is:
        path, planted = _written_as_is(rows, config.seed, reporter), None
    else:
        path, planted = _written_planted(rows, config.seed, reporter)
    default = _FOLDER / ("demo-as-is" if as_is else "demo")
    with begin(str(path), config, out or default, reporter.say) as directory:
        if planted is None:
            return carry_out(directory, reporter, as_json)
        return carry_out(directory, reporter, as_json, lambda view, result: _ended(view, result, planted, reporter))


def _docstrings(rows: int | None, seed: int, large_only: bool = False) -> tuple[pl.DataFrame, list[str]]:
    """The docstrings asked for (id, text, module, kind), and the modules that are large among all.

    ``large_only``: of no others. Where most classes have a handful of rows, faults cannot be told from variety.
    """
    import polars as pl

    from ...tools.docstrings import read_docstrings
    from ...tools.planted import large_modules, sampled

    found = pl.DataFrame(read_docstrings())
    large = large_modules(found)
    if large_only:
        found = found.filter(pl.col("module").is_in(large))
    return sampled(found, rows, seed), large


def _written_as_is(rows: int | None, seed: int, reporter: Reporter) -> Path:
    """Write the docstrings as they stand; returns where."""
    with reporter.step("docstrings"):
        return _write("docstrings-as-is.jsonl", _docstrings(rows, seed)[0])


def _written_planted(rows: int | None, seed: int, reporter: Reporter) -> tuple[Path, Planted]:
    """Write the docstrings with planted faults, and in files beside them the truth and the test split.

    Returns:
        What the run reads, and everything.
    """
    from ...tools.docstrings import read_code
    from ...tools.planted import RATES, announced, kept_apart, plant

    reporter.say(f"planted into the docstrings by seed {seed}: {announced()}; --as-is leaves them out")
    with reporter.step("docstrings"):
        found, large = _docstrings(rows, seed, large_only=True)
        code = read_code(round(RATES["source code"] * found.height), seed)
        planted = plant(found, kept_apart(found, large, seed), code, seed)
        path = _write("docstrings.jsonl", planted.rows)
        truth, test = _write("docstrings.truth.jsonl", planted.truth), _write("docstrings.test.jsonl", planted.test)
    shown = [one.relative_to(Path.cwd()) if one.is_relative_to(Path.cwd()) else one for one in (path, truth, test)]
    reporter.say(
        f"{planted.rows.height:,} rows in {shown[0]}; the run does not read {shown[1]} (every fault) and {shown[2]} "
        f"({planted.test.height:,} docstrings kept apart to score with)"
    )
    return path, planted


def _write(name: str, table: pl.DataFrame) -> Path:
    """Write a table as JSON Lines into ``runs/``; another demo may be reading the file that stood there.

    Raises:
        StorageError: the disk is full or not writable.
    """
    path = (_FOLDER / name).resolve()
    with whole_file(path, temporary=path.with_suffix(f".{os.getpid()}.tmp")) as made:
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_ndjson(made)
    return path


def _ended(view: View, result: Summary, planted: Planted, reporter: Reporter) -> tuple[Summary, list[str]]:
    """Score the run, draw the plot into its folder; the summary with the scores, and what is said of them."""
    from ...tools.write.bars import bars_svg, bars_text
    from ..account.won_back import DemoSummary, in_words, won_back

    with reporter.step("compare", planted.rows.height + planted.test.height, "texts") as advance:
        found = won_back(view, planted, advance)
    plot = view.run.root / _PLOT
    write_whole(plot, bars_svg(f"Macro-F1 on {found.test_rows:,} docstrings kept apart", found.bars))
    lines = ["", *bars_text(found.bars), "", in_words(found), f"{'plot':<14} {plot}"]
    return DemoSummary(**dict(result), won_back=found, plot=str(plot)), lines
