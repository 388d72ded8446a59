"""``recryst run``, ``demo`` and ``resume``."""

import os
import signal
from pathlib import Path
from typing import Any

import click

from ...state.run import RunDirectory
from .claim import begin, located
from .options import DATA_OPTIONS, MODEL_OPTIONS, OUTPUT_OPTIONS, RUN_OPTIONS, ready, settled, with_options
from .progress import Reporter


@click.command()
@click.argument("source")
@with_options([*DATA_OPTIONS, *RUN_OPTIONS, *MODEL_OPTIONS, *OUTPUT_OPTIONS])
def run(
    source: str,
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Refine the rows of SOURCE, unattended, until the metrics stop moving.

    SOURCE is a JSONL(.gz/.zst), JSON, CSV, TSV or Parquet file, a folder or an archive of HTML, PDF, Markdown or text
    files, `-` for JSONL on standard input, or hf:OWNER/NAME[:CONFIG][@SPLIT] for a Hugging Face data set (fetched
    from the hub).

    The same command again resumes a run that did not finish.
    """
    config = settled(options)
    source = located(source)
    ready(config)
    reporter = Reporter(quiet)
    with begin(source, config, out, reporter.say) as directory:
        return carry_out(directory, reporter, as_json)


@click.command()
@with_options([*RUN_OPTIONS, *MODEL_OPTIONS, *OUTPUT_OPTIONS])
def demo(
    out: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Refine about 8,800 docstrings of the installed Python standard library; the module is the label."""
    from ...tools.docstrings import write_docstrings

    reporter = Reporter(quiet)
    options["label_column"] = "module"
    config = settled(options)
    ready(config)
    folder = Path("runs")
    folder.mkdir(exist_ok=True)
    path = (folder / "docstrings.jsonl").resolve()
    with reporter.step("docstrings"):
        made = path.with_suffix(f".{os.getpid()}.tmp")  # another demo may be reading the file
        write_docstrings(made)
        made.replace(path)
    with begin(str(path), config, out or folder / "demo", reporter.say) as directory:
        return carry_out(directory, reporter, as_json)


@click.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@with_options(OUTPUT_OPTIONS)
def resume(run_directory: Path, quiet: bool, as_json: bool) -> int:
    """Go on with RUN where its log ends; a finished run is only shown."""
    directory = RunDirectory.open(run_directory)
    with directory.lock():
        return carry_out(directory, Reporter(quiet), as_json)


def carry_out(directory: RunDirectory, reporter: Reporter, as_json: bool) -> int:
    """Carry out a run that this process owns from where its log ends, and show what it came to; returns the exit code.

    Raises:
        RecrystError: the run cannot go on.
    """
    from ..account.summary import summary
    from ..account.tables import show_summary
    from ..start import go
    from ..view import View

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not go(directory, reporter):
            return 0
    except KeyboardInterrupt:
        reporter.say(f"stopped; `recryst resume {directory.root}` goes on")
        return 130
    result = summary(View.open(directory.root))
    if as_json:
        click.echo(result.model_dump_json())
    elif not reporter.quiet:
        show_summary(directory, result)
    return 0
