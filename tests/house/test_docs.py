"""What the documents show is so: links lead somewhere, and the example taxonomy is one."""

import re
from pathlib import Path

import pytest

from recryst.tools.taxonomy import read_taxonomy

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
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
