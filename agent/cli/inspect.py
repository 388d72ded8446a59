"""``recryst audit`` and ``recryst explain``."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from ...state.errors import IntegrityError
from ...state.visible import printable
from ...state.words import counted

_RUN = click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@_RUN
@click.option("--head", help="The log head printed when the run ended; detects a log that was cut or rewritten.")
@_JSON
def audit(run_directory: Path, head: str | None, as_json: bool) -> None:
    """Verify the chain and every file of RUN, and derive every decision again. Exit code 6 if anything differs."""
    from ..audit import audit as audit_run

    report = audit_run(run_directory, head)
    if as_json:
        click.echo(
            orjson.dumps(
                {
                    "verified": report.verified,
                    "failures": report.failures,
                    "finished": report.finished,
                    "log_head": report.head,
                }
            )
        )
    else:
        verified = ", ".join(f"{count} {what}" for what, count in report.verified.items())
        click.echo(f"verified: {verified or 'nothing'}")
        click.echo(f"log head: {report.head}")
        for failure in report.failures:
            click.echo(f"FAILED: {printable(failure)}")
        if not report.finished:
            click.echo("the run is unfinished: its log ends before the report")
        if not report.failures:
            click.echo("the log is whole, and every decision follows from its evidence")
            if head is None:
                click.echo("(compare the log head with the one printed when the run ended, or pass it as --head)")
    if report.failures:
        raise IntegrityError(f"{run_directory} does not pass the audit: {counted(len(report.failures), 'failure')}")


@click.command()
@_RUN
@click.argument("row_id")
@_JSON
def explain(run_directory: Path, row_id: str, as_json: bool) -> None:
    """Tell why the row ROW_ID of RUN stayed or went: its line in the ledger, and every step that touched it."""
    from ..explain import explain as explain_row
    from ..explain import told

    found = explain_row(run_directory, row_id)
    if as_json:
        click.echo(orjson.dumps(found))
        return
    for line in told(found):
        click.echo(printable(line))
