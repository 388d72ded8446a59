"""The experiment on the final model, at a size a test can afford: it goes on with the model that it trained."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.training import final

_WORDS = [a + b + c for a in ("ba", "ki", "mo", "su", "te") for b in ("lan", "rid", "vor", "nes") for c in ("a", "um")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Made-up articles and postings; a paragraph of the articles that are held out stands among the others, too."""
    random = np.random.default_rng(0)

    def text() -> str:
        return " ".join(random.choice(_WORDS, 60))

    (tmp_path / "wikitext2").mkdir()
    both = text()
    for part in ("valid", "test"):
        lines = [f" = {part} = ", both, *(text() for _ in range(80))]
        (tmp_path / f"wikitext2/wikitext2_{part}.txt").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "newsgroups20").mkdir()
    with gzip.open(tmp_path / "newsgroups20/newsgroups20.jsonl.gz", "wt", encoding="utf-8") as file:
        for at in range(30):
            file.write(json.dumps({"id": str(at), "group": "sci.space", "text": f"A: b\n\n{text()}"}) + "\n")
    return tmp_path


def _run(*words: object) -> list[dict[str, object]]:
    made = CliRunner().invoke(evals, [*map(str, words), "--json"], catch_exceptions=False)
    return json.loads(made.stdout)[0]["rows"]


def test_every_format_is_made_of_the_one_model_that_is_trained(data, tmp_path, monkeypatch):
    words = ["final-model", "--data", data, "--tokens", 4000, "--width", 128, "--layers", 2, "--out", tmp_path / "out"]
    rows = {row["model"]: row for row in _run(*words)}
    assert list(rows) == ["dense", *final.FORMATS, *final.SMALLER]
    assert rows["int2"]["matrices %"] == pytest.approx(7.9, abs=0.5)
    assert rows["layers"]["matrices %"] == 50
    assert rows["student"]["MB"] == rows["as small, alone"]["MB"] < rows["dense"]["MB"]
    assert rows["student"]["perplexity"] != rows["as small, alone"]["perplexity"]
    for name, share in (("int8", 26), ("f16", 50), ("q8_0", 26.6), ("q4_0", 14.1)):
        assert rows[name]["matrices %"] == pytest.approx(share, abs=1)
        assert rows[name]["change %"] == pytest.approx(0, abs=3)
    assert rows["f16"]["same %"] == 100

    (tmp_path / "out/final-model/f16/cell.json").unlink()
    monkeypatch.setattr(final, "train", lambda *_: pytest.fail("the model was trained again"))
    again = {row["model"]: row for row in _run(*words)}
    assert again["f16"] == rows["f16"]


def test_what_is_held_out_is_of_both_sets_and_no_part_of_what_is_trained_on(data):
    texts = final.texts_of(data)
    assert not set(texts.train) & set(texts.held_out)
    assert len(texts.held_out) == 81 + 30
    assert len(texts.train) == 80  # the paragraph that stands in both is held out
    assert [" " in text for text in texts.held_out[:2]] == [True, True]
