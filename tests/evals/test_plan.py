"""Plans: the options of an experiment in a file, and what is said of one that is wrong."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.loop.cells import Plan
from recryst.evals.plan import command_of, planned
from recryst.state.errors import UsageError

DOCUMENT = Path(__file__).parents[2] / "docs/results.md"


def _read(tmp_path, text, command="crude"):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return planned(click.Context(evals.commands[command], info_name=command), path)


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What a command would do: the options it is called with, and the command line that it is said to be."""

    def of(command, *words):
        found = {}

        def take(**options):
            found.update(options, command=command_of(click.get_current_context()))

        monkeypatch.setattr(evals.commands[command], "callback", take)
        result = CliRunner().invoke(evals, [command, *words], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return found

    return of


def test_a_plan_stands_for_options_and_the_command_line_wins(asked, tmp_path):
    (tmp_path / "plan.yaml").write_text(
        f"data: {tmp_path}\nset: [banking77, gsm8k]\nseverity: harsh\nseeds: 5\nrows: 300\n", encoding="utf-8"
    )
    made = asked("crude", "--plan", str(tmp_path / "plan.yaml"), "--seeds", "2")
    assert made["data"] == tmp_path
    assert made["sets"] == ("banking77", "gsm8k")
    assert made["severities"] == ("harsh",)
    assert (made["seeds"], made["rows"], made["flips"], made["out"]) == (2, 300, "uniform", None)
    assert made["command"] == (
        f"recryst eval crude --data {tmp_path} --set banking77 --set gsm8k --seeds 2 --rows 300 --severity harsh"
    )


def test_a_list_of_numbers_is_one_for_each(asked, tmp_path):
    (tmp_path / "plan.yaml").write_text("anchor: [100, 400]\ndraws: 3\n", encoding="utf-8")
    made = asked("gate", "--data", str(tmp_path), "--plan", str(tmp_path / "plan.yaml"))
    assert (made["anchors"], made["draws"], made["severities"]) == ((100, 400), 3, ("middle",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: 1\nsevrity: mild\n", "plan.yaml line 2: unknown key 'sevrity'; did you mean 'severity'?"),
        ("# why\nanchor: 100\n", "plan.yaml line 2: unknown key 'anchor'; did you mean"),  # of another experiment
        ("\nset: [banking77, bank]\n", "plan.yaml line 2: set: 'bank' is not one of"),
        ("seeds: 2.5\n", "plan.yaml line 1: seeds: '2.5' is not a valid integer range. (got 2.5)"),
        ("seeds: true\n", "plan.yaml line 1: seeds: 'True' is not a valid integer"),
        ("seeds: 0\n", "plan.yaml line 1: seeds: 0 is not in the range x>=1"),
        ("seeds: [1, 2]\n", "plan.yaml line 1: seeds: takes one value, not a list"),
        ("rows:\n", "plan.yaml line 1: rows: must be a value (got None)"),
        ("set: {a: 1}\n", "plan.yaml line 1: set: must be a value or a list of values"),
        ("data: nowhere\n", "plan.yaml line 1: data: Directory 'nowhere' does not exist"),
        ("seeds: 1\nseeds: 2\n", "plan.yaml line 2: not valid YAML: 'seeds' stands there twice"),
        ("seeds: 1\n set: [\n", "plan.yaml line 2: not valid YAML"),
        ("- seeds\n", "plan.yaml must hold keys and values, not a list"),
    ],
)
def test_a_wrong_plan_is_refused_with_file_line_and_key(tmp_path, text, said):
    with pytest.raises(UsageError) as error:
        _read(tmp_path, text)
    assert said in str(error.value)


def test_an_unreadable_plan_is_said_to_be_one(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the plan .*nowhere\.yaml"):
        planned(click.Context(evals.commands["clean"]), tmp_path / "nowhere.yaml")
    assert _read(tmp_path, "") == {}


def test_the_plans_of_the_documents_are_plans(tmp_path, monkeypatch):
    """Each names its experiment in its first line, and measures what stands beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATA").mkdir()
    examples = re.findall(r"```yaml\n# (\w+)\.yaml: recryst eval (\w+) .*?\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert {name for _, name, _ in examples} == {"crude", "gate"}
    for _, name, text in examples:
        made = _read(tmp_path, text, name)
        assert made["data"] == "DATA"
        if name == "crude":
            cells = Plan(made["sets"], made["severities"], int(made["seeds"])).cells()
            assert f"{len(cells)} runs" in DOCUMENT.read_text()
