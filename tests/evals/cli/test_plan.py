"""Plans: the options of an experiment in a file, and what is said of one that is wrong."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import recryst.evals
from recryst.evals.cli import experiment
from recryst.evals.cli.cells import BY_CELLS
from recryst.evals.cli.plan import command_of, read_plan
from recryst.state.errors import UsageError

PLANS = Path(recryst.evals.__file__).parent / "plans"
DOCUMENTS = [Path(__file__).parents[3] / "docs" / name for name in ("results.md", "selection.md")]


def _read(text, command="crude"):
    plan = read_plan("plan.yaml", f"{text}experiment: {command}\n", list(BY_CELLS))
    return plan.options(click.Context(BY_CELLS[command], info_name=command))


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What an experiment would do: the options its command is called with, and the command line it is said to be."""

    def of(text, *words):
        found = {}

        def take(**options):
            found.update(options, command=command_of(click.get_current_context()))

        (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        for name, command in BY_CELLS.items():
            if f"experiment: {name}\n" in text:
                monkeypatch.setattr(command, "callback", take)
        result = CliRunner().invoke(experiment, ["plan.yaml", *words], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return found

    return of


def test_a_plan_stands_for_options_and_the_command_line_wins(asked, tmp_path):
    (tmp_path / "sets").mkdir()
    made = asked(
        f"experiment: crude\ndata: {tmp_path}\nset: [banking77, gsm8k]\nseverity: harsh\nseeds: 5\nrows: 300\n",
        "--data", "sets", "--jobs", "3",
    )  # fmt: skip
    assert made["data"] == Path("sets")
    assert made["sets"] == ("banking77", "gsm8k")
    assert made["severities"] == ("harsh",)
    assert (made["seeds"], made["rows"], made["flips"]) == (5, 300, "uniform")
    assert (made["out"], made["jobs"]) == (Path("plan-results"), 3)
    assert made["command"] == "recryst experiment plan.yaml --data sets"


def test_a_list_of_numbers_is_one_for_each(asked, tmp_path):
    made = asked(f"experiment: gate\nanchor: [100, 400]\ndraws: 3\ndata: {tmp_path}\n")
    assert (made["anchors"], made["draws"], made["severities"]) == ((100, 400), 3, ())


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
    ],
)
def test_a_wrong_plan_is_refused_with_file_line_and_key(text, said):
    with pytest.raises(UsageError) as error:
        _read(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- seeds\n", "plan.yaml must hold keys and values, not a list"),
        ("seeds: 1\n", "plan.yaml line 1: experiment: must be one of balance, classifiers, clean, crude"),
        ("seeds: 1\nexperiment: cruel\n", "plan.yaml line 2: experiment: must be one of .*got 'cruel'"),
    ],
)
def test_a_plan_names_its_experiment(text, said):
    with pytest.raises(UsageError, match=said):
        read_plan("plan.yaml", text, sorted(BY_CELLS))


def test_an_unreadable_plan_is_said_to_be_one(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the plan .*nowhere\.yaml.*`recryst experiment` lists"):
        CliRunner().invoke(experiment, [str(tmp_path / "nowhere.yaml")], standalone_mode=False, catch_exceptions=False)


def test_every_plan_that_comes_along_can_be_read_and_is_listed():
    listed = CliRunner().invoke(experiment, []).stdout.splitlines()
    assert [line.split()[0] for line in listed] == sorted(file.stem for file in PLANS.glob("*.yaml"))
    for file in PLANS.glob("*.yaml"):
        plan = read_plan(file.name, file.read_text("utf-8"), list(BY_CELLS))
        assert plan.options(click.Context(BY_CELLS[plan.experiment]))


def test_a_folder_of_the_same_name_hides_no_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate").mkdir()
    with pytest.raises(click.MissingParameter, match="data"):
        CliRunner().invoke(experiment, ["gate"], standalone_mode=False, catch_exceptions=False)


def test_the_plans_of_the_documents_are_plans(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATA").mkdir()
    documents = [file.read_text("utf-8") for file in DOCUMENTS]
    texts = [text for one in documents for text in re.findall(r"```yaml\n(# .*?\n)```", one, re.DOTALL)]
    assert len(texts) >= 2
    for text in texts:
        plan = read_plan("plan.yaml", text, list(BY_CELLS))
        assert plan.options(click.Context(BY_CELLS[plan.experiment]))
