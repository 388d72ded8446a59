"""The prompt texts load, have a version, and take exactly the values their slots ask for."""

from pathlib import Path

import pytest

from recryst.prompts import Prompt, prompt

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "prompts").glob("*.md"))


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_loads(name: str) -> None:
    assert prompt(name).reference == f"{name}@{prompt(name).version}"
    assert len(prompt(name).text) > 50


def test_slots_are_strict_and_filled_once() -> None:
    asks = Prompt("asks", 1, "Write {{count}} rows like {{example}}.")
    assert asks.render({"count": "3", "example": "{{count}}"}) == "Write 3 rows like {{count}}."
    with pytest.raises(ValueError, match="slots are"):
        asks.render({"count": "3"})
    with pytest.raises(ValueError, match="slots are"):
        asks.render({"count": "3", "example": "a", "more": "b"})
    with pytest.raises(ValueError, match="no prompt"):
        prompt("../README")
