"""The evaluation of notes: what it plants, and that its figures say what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from recryst.evals.retrieval.clippings import VERSIONS, Clippings, plant
from recryst.evals.retrieval.notes import Index, _by_kind, _figures, written

PLANTED = Clippings(
    ("How do I bake bread with sourdough?", "What is a lighthouse for?"),
    {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 1, "t": 2},
    {"a": "whole", "b": "part", "c": "page", "d": "whole", "e": "part", "f": "page", "t": "template"},
)
BREAD, TOWER = "Sourdough bread is baked of flour, water and salt.", "A lighthouse warns ships of rocks by its lamp."


def test_figures_of_a_merge_with_one_mistake(tmp_path: Path) -> None:
    index = Index([BREAD, TOWER, TOWER + " Always."], [["a", "b", "t"], ["c", "d", "e"], ["f"]])
    found = _figures(index, PLANTED, tmp_path)
    assert (found["rows"], found["recall"], found["distinct"], found["lost"]) == (3, 1.0, 3.0, 0)
    assert found["precision"] == pytest.approx(2 / 6)  # a–b and d–e of six pairs
    assert found["merged"] == pytest.approx(2 / 6)
    assert _by_kind(index, PLANTED) == {
        **{"whole and cut": (1, 1), "whole and page": (0, 2), "cut and page": (0, 1)},
        **{"whole and edited": (1, 1), "edited and page": (0, 1)},
    }
    assert _figures(Index([BREAD], [["a"]]), PLANTED, tmp_path)["lost"] == 2


def test_notes_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "topic").mkdir()
    (tmp_path / "topic" / "x.md").write_text("---\ntitle: x\nsources:\n- a.md\n- b.md\n---\n\nText.\n\n---\n\nMore.\n")
    (tmp_path / "index.md").write_text("# 1 note")
    assert written(tmp_path) == Index(["Text.\n\n---\n\nMore."], [["a.md", "b.md"]])


@pytest.mark.shared_data
def test_what_is_planted_is_the_same_for_a_seed_and_never_holds_its_question(shared_data: Path, tmp_path: Path) -> None:
    one, again = (plant(shared_data, tmp_path / name, 30, 6, 1) for name in ("one", "again"))
    assert one == again
    files = {path.name: path.read_text() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_text() for path in (tmp_path / "again").iterdir()}
    assert {*files} == {*one.text_of} == {*one.version_of}
    assert sorted(one.version_of.values()) == sorted([*VERSIONS] * 30 + ["template"] * 6)
    asked = [one.questions[number] for number in one.text_of.values() if number < 30]
    assert sum(question in files[file].lower() for question, file in zip(asked, one.text_of, strict=False)) == 0
