"""``recryst push``: the curated rows and the final model to a hub, each with its card."""

import sys
from pathlib import Path

import click

from ...state.errors import IntegrityError, UsageError
from ...state.events import Event, StepEvent
from ...state.log import read_log
from ...state.phrases import counted, without_controls
from ...state.run import RunDirectory
from ...tools.write.figures import size
from ...tools.write.hub.upload import Parcel, address_of, check_name, connect, upload
from .progress import Reporter

_LISTED = 7  # files of a repository that are shown one by one before a person says yes


@click.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("repository", metavar="REPO")
@click.option("--public/--private", default=False, help="Who may see a repository that is made.  [default: private]")
@click.option("--endpoint", metavar="URL", help="Address of the hub.  [default: HF_ENDPOINT, or huggingface.co]")
@click.option("--yes", is_flag=True, help="Send without asking.")
def push(run_directory: Path, repository: str, public: bool, endpoint: str | None, yes: bool) -> int:
    """Send the curated rows of RUN and its final model, each with its card, to the repositories REPO of a hub.

    REPO reads OWNER/NAME: one repository of that name for the data set, another for the model. What is sent must be
    what the log says was written. The token is that of HF_TOKEN or of `hf auth login`. A push that was interrupted can
    be called again.
    """
    check_name(repository)
    parcels = _parcels(RunDirectory.open(run_directory))
    api = connect(endpoint)
    for one in parcels:
        files = f"{counted(len(one.files), 'file')}, {size(one.size)}"
        kind = f"{'public' if public else 'private'} {one.kind}"
        click.echo(f"{address_of(api, repository, one)} ({kind}): {files}", err=True)
        for line in _listed(one):
            click.echo(f"  {line}", err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("nothing was sent, for nobody is there to say yes: add --yes")
        if not click.confirm("Send all of it?", err=True):
            click.echo("nothing was sent", err=True)
            return 1
    reporter = Reporter()
    try:
        for one in parcels:
            with reporter.step(f"push {one.kind}", one.size, "bytes") as advance:
                upload(api, repository, one, not public, advance)
            click.echo(address_of(api, repository, one))
    except KeyboardInterrupt:
        click.echo("stopped; the same command sends the rest", err=True)
        return 130
    return 0


def _listed(parcel: Parcel) -> list[str]:
    """The files of a parcel with their sizes, as many as fit on a screen beside those of another."""
    sizes = {name: path.stat().st_size for name, (path, _) in sorted(parcel.files.items())}
    shown = list(sizes)[: _LISTED if len(sizes) > _LISTED + 1 else None]
    lines = [f"{without_controls(name)}: {size(sizes.pop(name))}" for name in shown]
    return [*lines, f"{counted(len(sizes), 'more file')}: {size(sum(sizes.values()))}"] if sizes else lines


def _parcels(run: RunDirectory) -> list[Parcel]:
    """The data set of a finished run, and its final model where it has one, by the files and hashes in its log.

    Raises:
        UsageError: the run is not finished.
        IntegrityError: the log is not whole, or a file is not what it says.
    """
    from ..audit.files import check_card, check_written, written

    events, _ = read_log(run.log)
    steps = [event for event in events if isinstance(event, StepEvent)]
    if not steps or steps[-1].type != "publish":
        raise UsageError(f"{run.root} is not finished: `recryst resume {run.root}` goes on with it")
    wrong = [*(said for _, said in check_written(run, events)), *check_card(run, events)]
    if said := next(filter(None, wrong), None):
        raise IntegrityError(f"nothing was sent: {said}")
    last = {file.path: (run.root / file.path, file.sha) for file in written(events)}
    curated, card = f"{run.curated.name}/", run.card.name
    rows = {name: file for name, file in last.items() if name == card or name.startswith(curated)}
    return [Parcel("dataset", rows), *_model(run, events, last)]


def _model(run: RunDirectory, events: list[Event], last: dict[str, tuple[Path, str]]) -> list[Parcel]:
    """The final model or classifier with its card; empty where the run has none."""
    from ...state.values import fold

    values = fold(events).values
    final = values.final_model or next(reversed(values.classifiers), None)
    if final is None:
        return []
    folder, card = f"{run.model.name}/{final.name}/", f"{run.model.name}/{run.card.name}"
    files = {name.removeprefix(folder): file for name, file in last.items() if name.startswith(folder)}
    if card in last:  # a run of an earlier build has none
        files[run.card.name] = last[card]
    return [Parcel("model", files)]
