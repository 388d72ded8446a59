"""``recryst refilter``: what other thresholds would change in a run, and a new run with them."""

import sys
from pathlib import Path

import click
import orjson
import yaml

from ...state.canonical import Json
from ...state.errors import InputError, UsageError
from ...state.params.preparation import OFF
from ...state.phrases import printable
from ...state.run import RunDirectory
from ...state.settings import read_yaml
from ..account.preview import EXAMPLES, Preview, preview
from ..steps.measured import hand_over_vectors
from ..view import View
from .options import ready
from .progress import Reporter


@click.command()
@click.argument("run_directory", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--set",
    "settings",
    multiple=True,
    required=True,
    metavar="RULE=VALUE",
    help="A rule and its threshold, as in gopher.max_symbol_ratio=0.05; `off` switches it off.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Directory of the new run.  [default: RUN-refiltered]")
@click.option("--yes", is_flag=True, help="Begin the new run without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print what would change as one JSON object, and do nothing.")
def refilter(run_directory: Path, settings: tuple[str, ...], out: Path | None, yes: bool, as_json: bool) -> int | None:
    """Show what other thresholds of the quality rules would change in RUN; then, if you say so, run with them.

    Every rule's value was noted for every row, so nothing is computed again to show it. RUN itself stays as it is: the
    new thresholds begin a run of their own, which takes over the embeddings.
    """
    found = preview(View.open(run_directory), dict(_change(setting) for setting in settings))
    if as_json:
        click.echo(orjson.dumps(_plain(found), option=orjson.OPT_INDENT_2))
        return None
    _show(found)
    if found.refused:
        click.echo(f"The caps would refuse it: {printable(found.refused)}", err=True)
        return None
    if not found.going.height and not found.coming.height:
        return None
    target = out or run_directory.with_name(f"{run_directory.name}-refiltered")
    if yes or (sys.stdin.isatty() and click.confirm(f"Begin a new run in {target}?", err=True)):
        return _begin(run_directory, target, found)
    if not sys.stdin.isatty():
        click.echo(f"Nothing was changed; --yes begins a new run in {target}.", err=True)
    return None


def _change(setting: str) -> tuple[str, float | None]:
    """The rule and the threshold of ``RULE=VALUE``."""
    rule, equals, raw = setting.partition("=")
    try:
        value = read_yaml(raw)
    except yaml.YAMLError:
        value = raw
    if equals and (value is None or value is False or value == OFF) and raw.strip():
        return rule.strip(), None
    if not equals or isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"--set {setting[:60]!r} needs the form RULE=NUMBER, or RULE=off")
    return rule.strip(), float(value)


def _plain(found: Preview) -> Json:
    return {
        "profile": found.profile,
        "thresholds": found.thresholds,
        "rules": [rule.model_dump() for rule in found.rules],
        "going": found.going.height,
        "coming_back": found.coming.height,
        "going_examples": found.going.head(EXAMPLES).to_dicts(),
        "coming_back_examples": found.coming.head(EXAMPLES).to_dicts(),
        "refused": found.refused,
    }


def _show(found: Preview) -> None:
    """The rules and some of the rows, on the terminal."""
    for rule in found.rules:
        was, will = (
            f"{'off' if limit.limit is None else format(limit.limit, 'g')}, {limit.fails:,} rows fail"
            for limit in (rule.before, rule.after)
        )
        click.echo(f"{rule.rule}: {was}  →  {will}")
    for rows, what in ((found.going, "would go"), (found.coming, "would come back")):
        click.echo(f"\n{rows.height:,} rows {what}" + (f", the first {EXAMPLES}:" if rows.height > EXAMPLES else ""))
        for row in rows.head(EXAMPLES).to_dicts():
            said = " ".join((row["text"] or "").split())
            click.echo(
                printable(f"  {row['id']}  {row['rule']} {row['value']:g} (limit {row['limit']:g})  {said[:90]}")
            )
    click.echo()


def _begin(root: Path, target: Path, found: Preview) -> int:
    """A run of the same input with the new thresholds, which takes over the embeddings of the old one."""
    from .claim import begin
    from .run import carry_out

    source, config = RunDirectory.open(root).read_settings()
    if source == "-":
        raise UsageError(
            f"{root} read standard input, which cannot be read again; the thresholds are for a new run of it"
        )
    chosen = config.filter.model_copy(update={"profile": found.profile, "thresholds": found.thresholds})
    if not source.startswith("hf:") and not Path(source).exists():
        raise InputError(f"{source}, which {root} read, does not exist any more")
    config, reporter = config.model_copy(update={"filter": chosen}), Reporter()
    ready(config)
    with begin(source, config, target, reporter.say) as directory:
        hand_over_vectors(View.open(root), directory.root)
        return carry_out(directory, reporter, as_json=False)
