"""``recryst run`` and ``resume``."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...state.run import RunDirectory
from .claim import begin, located
from .options import DATA_OPTIONS, MODEL_OPTIONS, OUTPUT_OPTIONS, RUN_OPTIONS, ready, settled, with_options
from .progress import Reporter

if TYPE_CHECKING:
    from ...tools.write.shown import Summary
    from ..view import View

    Ending = Callable[[View, Summary], tuple[Summary, list[str]]]


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
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@with_options(OUTPUT_OPTIONS)
def resume(run_directory: Path, quiet: bool, as_json: bool) -> int:
    """Go on with RUN where its log ends; a finished run is only shown."""
    directory = RunDirectory.open(run_directory)
    with directory.lock():
        return carry_out(directory, Reporter(quiet), as_json)


def carry_out(directory: RunDirectory, reporter: Reporter, as_json: bool, ending: "Ending | None" = None) -> int:
    """Carry out a run that this process owns from where its log ends, and show what it came to; returns the exit code.

    Args:
        ending: gives the summary something more, and lines that are shown after it.

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
        view = View.open(directory.root)
        result, lines = summary(view), list[str]()
        if ending is not None:
            result, lines = ending(view, result)
    except KeyboardInterrupt:
        reporter.say(f"stopped; `recryst resume {directory.root}` goes on")
        return 130
    if as_json:
        click.echo(result.model_dump_json())
    elif not reporter.quiet:
        show_summary(directory, result)
        for one in lines:
            click.echo(one)
    return 0
