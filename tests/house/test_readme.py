"""Every command that README and docs show is one the command line, or the Makefile, understands; the Python is run."""

import contextlib
import csv
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(console|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


def lines(markdown: str) -> Iterator[str]:
    """The command lines of the fenced blocks; in a ``console`` block the rest is output."""
    for language, block in FENCE.findall(markdown):
        for line in block.replace("\\\n", " ").splitlines():
            if language == "sh":
                yield line
            elif line.startswith("$ "):
                yield line.removeprefix("$ ")


def commands(line: str) -> list[list[str]]:
    """The commands of a shell line as lists of words, without assignments, redirections and comments."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found: list[list[str]] = [[]]
    redirected = False
    for word in words:
        if word in {"|", "||", "&", "&&", ";"}:
            found.append([])
        elif word in {">", ">>", "<"}:
            redirected = True
        elif redirected:
            redirected = False
        elif found[-1] or not ASSIGNMENT.match(word):
            found[-1].append(word)
    return [command for command in found if command]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob(".*/skills/*/SKILL.md"))]
SHOWN = [command for page in PAGES for line in lines(page.read_text("utf-8")) for command in commands(line)]


def parse(command: click.Command, words: list[str], parent: click.Context | None = None) -> None:
    """Check ``words`` (the command's name, then its arguments) as the command line would, without running anything.

    The files that arguments name are made first, in the current folder, because what is asked is the spelling.

    Raises:
        click.UsageError: the command line refuses them.
    """
    name, *arguments = words
    context = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
    values, rest, _ = command.make_parser(context).parse_args(list(arguments))
    if isinstance(command, click.Group):
        if rest:
            sub_name, sub_command, sub_arguments = command.resolve_command(context, rest)
            assert sub_command is not None
            parse(sub_command, [str(sub_name), *sub_arguments], context)
        return
    for parameter in command.get_params(context):
        value = values.get(parameter.name)
        if isinstance(parameter.type, click.Path) and parameter.type.exists and isinstance(value, str | tuple | list):
            for item in [value] if isinstance(value, str) else value:
                make(item, folder=not parameter.type.file_okay)
    with contextlib.suppress(click.exceptions.Exit):  # --help and --version end there
        command.make_context(name, arguments, parent)


def make(path: str, folder: bool) -> None:
    """An empty file or folder at a relative path."""
    assert not Path(path).is_absolute(), f"the README names {path}, which is on no reader's disk"
    if folder:
        Path(path).mkdir(parents=True, exist_ok=True)
    else:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()


def of(program: str) -> list[list[str]]:
    """The shown commands that start with ``program``."""
    return [command for command in SHOWN if Path(command[0]).name == program]


def test_the_readme_shows_the_ways_in() -> None:
    assert ["make", "demo"] in SHOWN
    assert of("recryst"), "the README shows no recryst command"


@pytest.mark.parametrize("words", of("recryst"), ids=" ".join)
def test_recryst_command_is_understood(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recryst.agent.cli import cli

    monkeypatch.chdir(tmp_path)
    try:
        parse(cli, ["recryst", *words[1:]])
    except click.ClickException as error:
        pytest.fail(f"`{shlex.join(words)}`: {error.format_message()}")


def test_the_settings_of_a_client_start_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recryst.agent.cli import cli

    monkeypatch.chdir(tmp_path)
    [example] = re.findall(
        r"^```json\n(.*?)^```", (ROOT / "docs" / "mcp.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    [server] = json.loads(example)["mcpServers"].values()
    parse(cli, [server["command"], *server["args"]])


@pytest.mark.parametrize("words", of("make"), ids=" ".join)
def test_make_target_exists(words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
    assert asked <= targets


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with Path("intents.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["text", "intent"])
        table.writerows([f"how do I {('pay', 'cancel')[n % 2]} order {n}?", "ab"[n % 2]] for n in [*range(60), 0, 1])
    [script] = PYTHON.findall((ROOT / "README.md").read_text("utf-8"))
    ran: dict[str, object] = {}
    exec(compile(script, "README.md", "exec"), ran)
    assert "removed by clean: exact_duplicate" in capsys.readouterr().out
    assert set(ran["removed"]["reason"]) == {"exact_duplicate"}  # type: ignore[index]
    assert Path("runs/table/report.html").is_file()
