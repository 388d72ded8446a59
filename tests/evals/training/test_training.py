"""The experiments that train the small language model, at a size a test can afford."""

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from recryst.evals.cli import eval as evals
from recryst.evals.training import repetition, sources
from recryst.evals.training.stages import StagesCell, drawn
from recryst.state.errors import InputError, UsageError

_WORDS = [a + b + c for a in ("ba", "ki", "mo", "su", "te") for b in ("lan", "rid", "vor", "nes") for c in ("a", "um")]


def _text(random: np.random.Generator, words: int) -> str:
    return " ".join(random.choice(_WORDS, words))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Made-up articles, postings, and instructions of which a third stand three times."""
    random = np.random.default_rng(0)
    (tmp_path / "wikitext2").mkdir()
    for part in ("valid", "test"):
        lines = [f" = {part} = ", *(_text(random, 60) for _ in range(80))]
        (tmp_path / f"wikitext2/wikitext2_{part}.txt").write_text("\n".join(lines), encoding="utf-8")
    pairs = [{"instruction": _text(random, 12), "input": "", "output": _text(random, 30)} for _ in range(360)]
    rows = {
        "newsgroups20/newsgroups20": [{"id": "1", "group": "sci.space", "text": f"A: b\n\n{_text(random, 20)}"}],
        "alpaca/alpaca": [{**pair, "source": "random_9k"} for pair in (*pairs, *pairs[:120], *pairs[:120])],
    }
    for name, lines_of in rows.items():
        (tmp_path / name).parent.mkdir()
        with gzip.open(tmp_path / f"{name}.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in lines_of)
    return tmp_path


def _run(*words: object) -> list[dict[str, object]]:
    made = CliRunner().invoke(evals, [*map(str, words), "--json"], catch_exceptions=False)
    return json.loads(made.stdout)[0]["rows"]


def test_a_budget_is_spent_on_fewer_texts(data, tmp_path, monkeypatch):
    words = ["repetition", "--data", data, "--set", "wikitext2", "--epochs", 4, "--epochs", 1, "--seeds", 1]
    words += ["--tokens", 4000, "--out", tmp_path / "out"]
    rows = _run(*words)
    assert [(row["repeated"], row["epochs"]) for row in rows] == [
        ("on purpose", 1), ("on purpose", 4), ("by accident", 1), ("by accident", 4),
    ]  # fmt: skip
    longest = 100  # tokens of one text, by which a set may be too long
    for row, size in zip(rows, (4000, 1000, 4000 / 1.8, 1000 / 1.8), strict=True):
        assert size <= row["unique"] < size + longest
    assert rows[0]["% more"] == 0
    assert [row["worth"] for row in rows] == ["100 %", "93 %", None, None]  # as published: nearly nothing is lost by 4

    trained = []
    monkeypatch.setattr(repetition, "taught", lambda *given: trained.append(given))
    assert _run(*words) == rows
    assert not trained, "a finished cell was trained again"
    with pytest.raises(UsageError, match="--tokens"):
        _run(*words, "--tokens", 3000)
    with pytest.raises(InputError, match="wikitext2 has only"):
        _run(*words[:-4], "--tokens", 900_000)


def test_by_accident_a_tenth_of_the_text_is_half_of_what_is_read(data, monkeypatch):
    read = []
    monkeypatch.setattr(repetition, "taught", lambda *given: read.append(given) or {})
    of = repetition._texts(data, "wikitext2")
    assert not set(of.texts) & set(of.held_out)
    repetition._figures(of, repetition.RepetitionCell("wikitext2", repetition.ACCIDENT, 1, 0, 4000))
    counts = pl.Series(read[0][0]).value_counts(name="times")["times"]
    assert sorted(counts.unique()) == [1, 9]
    assert counts.filter(counts == 9).sum() == pytest.approx(counts.filter(counts == 1).sum(), rel=0.5)


def test_a_stage_leaves_what_it_should_and_is_measured_beside_the_crude_rows(data):
    crude, rules, repeats = _run("stages", "--data", data, "--set", "alpaca", "--seeds", 1, "--tokens", 2000)
    assert (crude["stage"], rules["stage"], repeats["stage"]) == ("crude", "instruction rules", "near-duplicates")
    assert (rules["rows %"], rules["gain %"]) == (100, 0)  # no rule takes any, and the model is the same
    assert 40 < repeats["rows %"] < 90
    assert repeats["epochs"] > crude["epochs"]  # the budget is spent on what is left
    assert repeats["gain %"] == pytest.approx(100 * (1 - repeats["bits per byte"] / crude["bits per byte"]), abs=0.1)


def test_copies_are_drawn_together_and_none_of_a_row_that_is_held_out():
    rows = pl.DataFrame({"text": [f"text {at % 40}" for at in range(60)], "group": [at % 40 for at in range(60)]})
    rows = rows.with_columns(clean=pl.when(pl.col("group") > 3).then("text"))
    source = sources.Source(lambda _: rows, {}, held_out=10, bytes_per_token=1.0)
    taken, held_out = drawn(source, rows, StagesCell("any", "crude", 0, 100))
    assert len(set(held_out)) == 10
    assert not set(held_out) & set(taken["text"])
    assert 80 < taken["text"].str.len_bytes().sum() <= 100
    for group, text in taken.group_by("group"):
        assert text.height == (2 if group[0] < 20 else 1)


def test_what_an_author_wrote_and_what_tags_leave():
    said = "I have driven one for two years and would buy it again, although the clutch is heavy in town. " * 3
    posting = f"From: a@b.org\nSubject: Re: cars\n\nJ. Doe (j@d.org) writes:\n>which one?\n{said}\n--\nJane, 555-1234\n"
    assert sources._own_words(posting) == said.strip()
    assert sources._own_words("Subject: Re\n\n>which one?\nThis.\n") is None
    page = "<head><style>p {}</style></head><p>One <b>two</b><script>var x = '<p>';</script><p>three &amp; four"
    assert sources._without_tags(page) == "One\ntwo\nthree & four"
