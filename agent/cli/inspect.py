"""``recryst open``, ``audit``, ``explain`` and ``quantise``."""

from pathlib import Path
from typing import get_args

import click
import orjson

from ...state.errors import IntegrityError
from ...state.params.final_model import ModelFormat
from ...state.phrases import counted, printable

_RUN = click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@_RUN
@click.option("--no-browser", is_flag=True, help="Only show the address.")
def open(run_directory: Path, no_browser: bool) -> None:
    """Show RUN, finished or still running, on a page in the browser, served by this machine to itself alone.

    The page looks and changes nothing; `recryst chat RUN --page` acts.
    """
    from ...state.run import RunDirectory
    from ..page.serve import look

    look(RunDirectory.open(run_directory).root, click.echo, not no_browser)


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
                    "builds": report.builds,
                    "taken": report.taken,
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
        if report.failures and report.builds:
            click.echo(printable(report.builds))
        click.echo("taken as logged, because nothing derives it (docs/audit.md):")
        for one in report.taken:
            click.echo(f"  {printable(one)}")
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
    from ..account.explain import explain as explain_row
    from ..account.explain import told
    from ..view import View

    found = explain_row(View.open(run_directory), row_id)
    if as_json:
        click.echo(orjson.dumps(found.plain()))
        return
    for line in told(found):
        click.echo(printable(line))


@click.command()
@click.argument("model_directory", metavar="MODEL_DIR", type=click.Path(path_type=Path))
@click.option("--to", "target", type=click.Choice(get_args(ModelFormat)), required=True, help="Format.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write.  [default: MODEL_DIR-FORMAT]")
@click.option("--text", type=click.Path(path_type=Path, exists=True), help="A text file to measure perplexity on.")
@_JSON
def quantise(model_directory: Path, target: str, out: Path | None, text: Path | None, as_json: bool) -> None:
    """Export the causal language model in MODEL_DIR in another format and read it back.

    nf4 and int8 are made by bitsandbytes, for Transformers; f16, q8_0 and q4_0 are GGUF, with a Modelfile for Ollama.
    With --text, the perplexity before and after is measured on that text, and how often both models take the same
    token for the next.
    """
    from ...tools.model.checkpoint import weight_bytes
    from ...tools.model.perplexity import evaluate
    from ...tools.model.quantise import export

    out = out or model_directory.with_name(f"{model_directory.name}-{target}")
    export(model_directory, target, out)  # type: ignore[arg-type]
    source, size = weight_bytes(model_directory), weight_bytes(out)
    figures = {"path": str(out), "format": target, "size_bytes": size, "source_bytes": source}
    said = f"{out}: {source / 1e6:.2f} MB → {size / 1e6:.2f} MB"
    if text is not None:
        lines = text.read_text(encoding="utf-8", errors="replace").split("\n\n")
        before, after = (evaluate(folder, lines, 128) for folder in (model_directory, out))
        agreement = after.agreement(before)
        figures |= {"perplexity_before": before.perplexity, "perplexity_after": after.perplexity}
        figures |= {"agreement": agreement}
        said += f", perplexity {before.perplexity:.2f} → {after.perplexity:.2f}, same next token {agreement:.1%}"
    click.echo(orjson.dumps(figures) if as_json else said)
