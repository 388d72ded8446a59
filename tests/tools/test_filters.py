import csv
import gzip
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.config import FilterParams
from recryst.state.errors import UsageError
from recryst.tools.filters import PROFILES, TOOL, bounds, choose_profile, judge, loosened, strictness
from recryst.tools.measures import MEASURES, annotate

PAGE = """Crystals of the crude salt are dissolved in a little hot water and the solution is filtered.
As it cools, the pure compound comes out first, and what does not belong to the lattice stays behind with the water.
The crystals are washed, dried and weighed, and their melting point is taken.
It is the custom to repeat this until the melting point has stopped moving; then nothing more can be gained."""

GOOD_SHORT = [
    "5",
    "3.14",
    "yes",
    "no no",
    "What is 2 + 3?",
    "Return the absolute value of x.",
    "x = f(y)[0]  # noqa",
    "x -> y: {k: v}",
    "为什么我的卡还没有到？",
    "كم عدد؟",
    "हाँ",
]
BAD_SHORT = [
    "",
    " \n ",
    "@@@ ### $$$ %%%",
    ")(*&^%$ ;;;;[[[",
    "spam spam Spam SPAM spam",
    "buy now " * 9,
    "\ufffd\ufffda b",
]


def rendered(instruction: str, response: str) -> str:
    return f"### Instruction:\n{instruction}\n\n### Response:\n{response}".strip()


GOOD_INSTRUCTIONS = [
    rendered("What is 2 + 3?", "5"),
    rendered("Find the 5th Fibonacci number", "The 5th Fibonacci number is 5."),
    rendered("Continue.", "for (i = 0; i < n; ++i) { a[i][j] += b[i] * c[j]; }"),
    rendered("List three primes", "- 2\n- 3\n- 5"),
]
BAD_INSTRUCTIONS = [
    rendered("", ""),
    rendered("Create a flow chart of a web browser.", ""),
    rendered("@@@ ### $$$", "%%% ^^^ &&&"),
    rendered("spam spam spam spam", "spam spam spam spam"),
    rendered("Say sorry.", "I am sorry.\n" * 30),
]
BAD_PAGES = {
    "min_words": "Too little to be a page.",
    "max_mean_word_length": "Recrystallisation necessitates temperature-dependent solubility considerations " * 12,
    "min_alpha_words": PAGE + " 12 3.5 7/8 --" * 12,
    "max_symbol_word_ratio": PAGE.replace(" t", " #t"),
    "max_bullet_lines": "\n".join(f"- {word} of the {word[::-1]} and its solution" for word in PAGE.split()[:20]),
    "max_ellipsis_lines": PAGE.replace("\n", "...\n"),
    "max_duplicate_lines": "\n".join([PAGE] + ["Read the next page."] * 8),
    "max_duplicate_line_characters": PAGE + "\n" + PAGE.split("\n")[1],
    "max_top_2gram_characters": PAGE + " read more" * 20,
    "min_stop_words": " ".join(chr(97 + i % 26) * 5 + chr(97 + i // 26) for i in range(90)),
    "max_lorem_ipsum": PAGE + " Lorem ipsum dolor sit amet.",
    "max_replacement_characters": PAGE + "\ufffd" * 20,
}


def reasons(text: list[str], profile: str) -> list[str | None]:
    """The rule each text is charged to, or None."""
    charged: list[str | None] = [None] * len(text)
    for removal in judge(annotate(pl.Series(text)), np.arange(len(text), dtype=np.uint32), bounds(profile, {})):
        for row in removal.rows:
            assert charged[row] is None
            charged[row] = removal.reason
    return charged


@pytest.mark.parametrize("profile", ["short", "instruction"])
def test_short_rows_survive_and_junk_does_not(profile):
    assert reasons(GOOD_SHORT, profile) == [None] * len(GOOD_SHORT)
    assert None not in reasons(BAD_SHORT, profile)


def test_instructions_survive_and_junk_does_not():
    assert reasons(GOOD_INSTRUCTIONS, "instruction") == [None] * len(GOOD_INSTRUCTIONS)
    assert None not in reasons(BAD_INSTRUCTIONS, "instruction")


def test_each_web_rule_takes_its_own_junk():
    assert reasons([PAGE], "web") == [None]
    assert dict(zip(BAD_PAGES, reasons(list(BAD_PAGES.values()), "web"), strict=True)) == {r: r for r in BAD_PAGES}


def test_measures_of_a_known_text():
    text = "The cat's 9 lives...\n- the cat's dog\n\n- the cat's dog #1"
    row = annotate(pl.Series([text])).row(0, named=True)
    words = text.split()
    assert row["words"] == len(words) == 13
    assert row["characters"] == len(text)
    assert row["mean_word_length"] == pytest.approx(sum(map(len, words)) / 13)
    assert row["longest_word"] == 8
    assert row["alpha_words"] == pytest.approx(9 / 13)
    assert row["repeated_word"] == pytest.approx(2 / 13)  # "the", three times
    assert row["symbol_word_ratio"] == pytest.approx(1 / 13)
    assert row["bullet_lines"] == pytest.approx(2 / 3)
    assert row["ellipsis_lines"] == pytest.approx(1 / 3)
    assert row["top_2gram_characters"] == pytest.approx(3 * len("the cat's") / len(text))
    assert row["stop_words"] == 1
    assert row["non_alphanumeric_characters"] == pytest.approx(9 / sum(map(len, words)))


@settings(deadline=None)
@given(st.lists(st.none() | st.text("ab.#-•…\n\t \ufffd5é", max_size=40), max_size=6))
def test_annotations_are_finite_and_row_wise(text):
    series = pl.Series(text, dtype=pl.String)
    table = annotate(series)
    assert table.columns == list(MEASURES)
    assert set(table.dtypes) == {pl.Float32}
    assert table.height == len(text)
    assert all(math.isfinite(value) for row in table.iter_rows() for value in row)
    assert [annotate(series[at : at + 1]).row(0) for at in range(len(text))] == table.rows()


def test_batches_do_not_change_the_measures():
    text = pl.Series([PAGE, "x " * 3_000_000, "a", "b " * 2_500_000, PAGE])
    seen: list[int] = []
    table = annotate(text, seen.append)
    assert sum(seen) == 5
    assert len(seen) > 1
    assert table["words"].to_list() == [len(one.split()) for one in text]
    assert table.row(0) == table.row(4) == annotate(pl.Series([PAGE])).row(0)


annotations = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30).map(
    lambda values: pl.DataFrame(
        {"alpha_words": values, "bullet_lines": values[::-1]},
        schema_overrides=dict.fromkeys(["alpha_words", "bullet_lines"], pl.Float32),
    )
)


@settings(deadline=None)
@given(annotations, st.floats(0, 1), st.floats(0, 1), st.floats(1.01, 5), st.randoms())
def test_looser_bounds_take_a_subset(table, low, high, factor, random):
    rows = np.arange(table.height, dtype=np.uint32) * 3
    random.shuffle(rows)
    limits = {
        rule: limit
        for rule, limit in bounds("web", {"min_alpha_words": low, "max_bullet_lines": high}).items()
        if rule in ("min_alpha_words", "max_bullet_lines")
    }

    def taken(overrides: dict[str, float]) -> set[int]:
        changed = {
            rule: bounds("none", {rule: overrides.get(rule, bound.value)})[rule] for rule, bound in limits.items()
        }
        removals = judge(table, rows, changed)
        for removal in removals:
            assert (np.diff(removal.rows.astype(int)) > 0).all()
            assert (
                removal.score < removal.threshold
                if removal.reason.startswith("min")
                else removal.score > removal.threshold
            ).all()
        together = [int(row) for removal in removals for row in removal.rows]
        assert len(together) == len(set(together))
        return set(together)

    for rule in limits:
        assert taken(loosened(limits, rule, factor)) <= taken({})


def test_a_row_at_the_limit_passes_and_is_suspicious():
    table = pl.DataFrame(
        {"alpha_words": [0.8, 0.9, 0.7], "symbol_word_ratio": [0.1, 0.05, 0.2], "lorem_ipsum": [0, 0, 1]}
    )
    table = table.cast(pl.Float32)
    limits = {rule: bounds("web", {})[rule] for rule in ("min_alpha_words", "max_symbol_word_ratio", "max_lorem_ipsum")}
    (removal,) = judge(table, np.arange(3, dtype=np.uint32), limits)
    assert (removal.reason, removal.rows.tolist(), removal.threshold) == ("min_alpha_words", [2], 0.8)
    assert strictness(table, limits).tolist() == pytest.approx([2 / 3, 0, 1])
    assert strictness(table, {}).tolist() == [0, 0, 0]


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match="'min_words'"):
        bounds("web", {"min_word": 3})
    with pytest.raises(UsageError, match="'instruction'"):
        bounds("instructions", {})
    with pytest.raises(UsageError, match="'min_stop_words'"):
        loosened(bounds("web", {}), "stop_words", 2)
    with pytest.raises(UsageError, match="above 1"):
        loosened(bounds("web", {}), "min_words", 1)


def test_overrides_and_factors():
    web = bounds("web", {"min_words": 20, "max_repeated_word": 0.5})
    assert (web["min_words"].value, web["min_words"].kind) == (20, "min")
    assert list(web)[-1] == "max_repeated_word"
    assert PROFILES["web"]["min_words"].value == 50
    assert loosened(web, "min_words", 2) == {"min_words": 10}
    assert loosened(web, "max_bullet_lines", 2) == {"max_bullet_lines": 1}
    assert loosened(web, "max_lorem_ipsum", 2) == {}


def test_choose_profile():
    assert choose_profile(pl.Series([PAGE, None]), "text") == "web"
    assert choose_profile(pl.Series([PAGE]), "messages") == "instruction"
    assert choose_profile(pl.Series(["Return x."] * 3 + [PAGE] * 2), "csv") == "short"
    assert choose_profile(pl.Series([None], dtype=pl.String), "text") == "short"


def test_tool_filters_a_table():
    frame = pl.DataFrame({"text": [PAGE, BAD_PAGES["max_lorem_ipsum"], PAGE], "other": [1, 2, 3]})
    assert TOOL.on_table(frame, FilterParams(), 0)["other"].to_list() == [1, 3]
    assert TOOL.on_table(frame, FilterParams(profile="none"), 0).height == 3
    assert TOOL.on_table(frame, FilterParams(profile="none", thresholds={"max_words": 1}), 0).height == 0


@pytest.mark.shared_data
def test_real_rows_meet_the_profile_made_for_them(shared_data: Path):
    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        questions = [row["text"] for row in csv.DictReader(file)]
    assert choose_profile(pl.Series(questions), "csv") == "short"
    assert reasons(questions, "short").count(None) == len(questions)
    with gzip.open(shared_data / "newsgroups20" / "newsgroups20.jsonl.gz") as file:
        posts = pl.read_ndjson(file.read())["text"][::10]
    assert choose_profile(posts, "text") == "web"
    assert 0.8 < reasons(posts.to_list(), "web").count(None) / len(posts) < 0.99
