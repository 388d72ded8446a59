"""What the documents show is so: links lead somewhere, and the example files are what they say."""

import re
from pathlib import Path

import pytest

from recryst.agent.llm.scripted import DEFAULTS
from recryst.state import errors
from recryst.state.actions import ACTION_NAMES
from recryst.state.config import CapsParams, ObjectiveParams
from recryst.state.settings import load_config
from recryst.tools.judge.taxonomy import read_taxonomy
from recryst.tools.text.filters import bounds

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
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
    weights = re.findall(r"(silhouette|masses over its maximum|bootstrap Jaccard)[^(]*\((0\.\d+)", objective)
    params = ObjectiveParams()
    assert [float(weight) for _, weight in weights] == [params.structure, params.balance, params.stability]
    assert f"`objective.price`, {params.price:g}" in objective
    assert f"`noise_multiplier` ({params.noise_multiplier:g})" in objective
    assert f"`caps.step_fraction`, {CapsParams().step_fraction:g}" in objective
    [told] = re.findall(r"and an exit code: (.*?)\n\n", readme, re.DOTALL)
    codes = {one.exit_code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "exit_code")}
    assert {int(code) for code in re.findall(r"(?<![\d.])(\d+)\s(?:the|another|a|an|too)\b", told)} == codes - {1}
