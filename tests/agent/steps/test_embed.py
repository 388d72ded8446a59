"""Shorter vectors than the model's that cannot be are refused before a text is embedded."""

import pytest
from commands import QUICK

from recryst.agent.start import refine
from recryst.state.errors import InputError


def test_as_many_dimensions_as_the_model_has_are_refused_before_a_text_is_embedded(tmp_path):
    lines = [f"the quick brown fox number {n} jumps over {n % 7} dogs" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["text", *lines, ""]))
    with pytest.raises(InputError, match="384 are asked for, and the vectors have 384; ask for fewer"):
        refine(tmp_path / "rows.csv", out=tmp_path / "run", settings={**QUICK, "embed.dimensions": 384}, quiet=True)
    assert not (tmp_path / "run/cache").exists()
