"""``recryst mcp``."""

import os
from pathlib import Path
from typing import Any

import click

from ...state.canonical import Json
from ...state.config import Config
from .chat import with_a_person
from .options import MODEL_OPTIONS, ready, with_options

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.option("--runs", "folder", type=_FOLDER, default="runs", show_default=True, help="Folder that the runs lie in.")
@click.option("--data", type=_FOLDER, help="Folder whose files new runs may read.  [default: no run can be begun]")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="A recryst.yaml for new runs.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting of new runs.")
@click.option("--no-train", is_flag=True, help="New runs leave out the final model.")
@with_options(MODEL_OPTIONS)
def mcp(folder: Path, data: Path | None, **options: Any) -> None:
    """Serve runs to other programs' agents, over standard input and output (Model Context Protocol).

    An agent may look at the runs below --runs, begin one on what lies below --data, and put actions forward. Only a
    person approves, whom its program asks. What an agent reads goes to whichever model it works with: which rows those
    were is noted in RUNS/mcp.jsonl.
    """
    from ..mcp.server import need_sdk, serve

    need_sdk()
    from ..mcp.runs import Runs

    def chosen(asked: Json) -> Config:
        return with_a_person({**options, **asked})

    ready(chosen({}))
    try:
        rested = serve(Runs(folder, data, chosen))
    except KeyboardInterrupt:
        rested = False
    if not rested:
        os._exit(0)  # in the middle of a step, which nothing else stops; what was recorded before stands
