"""What the documents show is so: links lead somewhere, and the example files are what they say."""

import re
from pathlib import Path
from typing import get_args

import pytest

from recryst.agent.decide.suspects import STRENGTHS
from recryst.agent.decide.verdict import COVERAGE_TOLERANCE
from recryst.agent.llm.scripted import DEFAULTS
from recryst.agent.registry import offered
from recryst.state import errors
from recryst.state.actions import ACTION_NAMES
from recryst.state.config import Config
from recryst.state.params.rounds import ObjectiveParams
from recryst.state.report import ProbeName
from recryst.state.settings import load_config, read_yaml
from recryst.tools.judge.evidence.mislabelled import SMALL_CLASS
from recryst.tools.judge.taxonomy import read_taxonomy
from recryst.tools.text.filters import bounds
from recryst.tools.write.shown import Round, Summary

ROOT = Path(__file__).parents[2]
SKILL = ROOT / ".claude" / "skills" / "recryst" / "SKILL.md"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), SKILL]
DOCUMENTED = ("README.md", "docs/models.md", "docs/objective.md")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_the_example_taxonomy_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "labels.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "taxonomy.yaml").write_text(example, encoding="utf-8")
    taxonomy = read_taxonomy(tmp_path / "taxonomy.yaml")
    assert [entry.name for entry in taxonomy.domains] == ["cards", "transfers"]


def test_the_example_settings_are_settings(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "separation.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "recryst.yaml").write_text(example, encoding="utf-8")
    config = load_config(tmp_path / "recryst.yaml")
    rules = bounds(config.filter.profile, config.filter.thresholds)
    assert (rules["gopher.max_symbol_ratio"].value, rules["fineweb.max_short_lines"].value) == (0.05, 0.8)
    assert "c4.min_sentences" not in rules


def test_what_is_listed_is_the_whole_list() -> None:
    """Actions, the order in which a script takes them, weights and exit codes."""
    readme, models, objective = ((ROOT / name).read_text("utf-8") for name in DOCUMENTED)
    [actions] = re.findall(r"\*candidates\*: legal, capped actions \((.*?)\)", readme, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", actions)) == set(ACTION_NAMES)
    [order] = re.findall(r"`decide` goes by\s+`\[(.*?)\]`", models)
    assert order.split(", ") == DEFAULTS["decide"]["order"]
    weights = re.findall(r"^\| (\w+) \| ([\d.]+) \|", objective, re.MULTILINE)
    params = ObjectiveParams()
    assert {part: float(weight) for part, weight in weights} == params.model_dump(
        include={"structure", "balance", "stability"}
    )
    [told] = re.findall(r"and an exit code: (.*?)\n\n", readme, re.DOTALL)
    codes = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}
    assert {int(code) for code in re.findall(r"(?<![\d.])(\d+)\s(?:the|another|a|an|too)\b", told)} == codes - {1}


def test_every_tool_of_the_server_is_told() -> None:
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", (ROOT / "docs" / "mcp.md").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(table)) == [one.tool for one in offered("mcp")]


def test_the_skill_has_a_head_and_names_what_there_is() -> None:
    _, head, body = SKILL.read_text("utf-8").split("---\n", 2)
    told = read_yaml(head)
    assert told["name"] == SKILL.parent.name
    assert 100 < len(told["description"]) < 1024
    result = body.partition("## Reading the result")[2].partition("In the run's folder")[0]
    keys = set(re.findall(r"`(\w+)`", result))
    assert keys - {"outcome", "reasons"} == {"rows", "removed_by_reason", "rounds", "headline", "review"}
    assert keys <= {*Summary.model_fields, *Round.model_fields}
    told_codes = {
        int(code) for code in re.findall(r"(?<![\d.])(\d+) \w", body.partition("Exit codes:")[2].partition("##")[0])
    }
    codes = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}
    assert told_codes == codes - {1}


def test_the_figures_of_the_objective_are_those_in_force() -> None:
    """Every setting that is named with its value, and the bounds that stand in code."""
    said = " ".join((ROOT / "docs" / "objective.md").read_text("utf-8").split())
    config = Config().model_dump()
    told = re.findall(r"`(\w+)\.(\w+)`, ([\d.]+)[:)]", said)
    assert {f"{section}.{key}" for section, key, _ in told} == {"objective.price", "caps.step_fraction"}
    assert [float(value) for *_, value in told] == [config[section][key] for section, key, _ in told]
    assert f"`noise_multiplier` ({config['objective']['noise_multiplier']:g})" in said
    assert f"{config['caps']['clean_fraction']:.0%}".replace("%", " %") + " of the rows they find" in said
    assert f"a fifth of the cleaned rows (at most {config['anchor']['max_rows']:,}, whole groups)" in said
    assert config["anchor"]["fraction"] == 1 / 5
    assert config["caps"]["total_fraction"] == 1 / 2  # "below half of the cleaned rows"
    assert f"no more than {COVERAGE_TOLERANCE:.0%}".replace("%", " %") in said
    strictest, middle, keen = STRENGTHS["label_support"]
    assert f"below {strictest:g}, {middle:g} and {keen:g} are offered" in said
    margins = [f"{limit:g}".replace("-", "−") for limit in STRENGTHS["label_margin"]]
    assert f"rows below {margins[0]}, {margins[1]} and {margins[2]} of it may be removed" in said
    assert f"fewer than {SMALL_CLASS} rows" in said
    assert set(re.findall(r"\| `(\w+)` \|", said)) == set(get_args(ProbeName))
