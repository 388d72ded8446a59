import csv
import gzip
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest
from frames import framed
from hypothesis import given, settings
from hypothesis import strategies as st

from recryst.state.errors import UsageError
from recryst.state.params.preparation import PROFILES as PROFILE_NAMES
from recryst.state.params.preparation import FilterParams
from recryst.tools.text.filters import (
    PROFILES,
    TOOL,
    applied,
    bounds,
    check_apply,
    choose_profile,
    failing,
    is_applied,
    loosened,
    measured,
    spared,
    strictness,
    verdicts,
)
from recryst.tools.text.measures import annotate
from recryst.tools.text.profiles import PUBLISHED

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
    "gopher.min_words": "Too little to be a page.",
    "gopher.min_mean_word_length": " ".join(f"the {a} of" for a in "abcdefghijklmnopqrstuvwxyz"),
    "gopher.max_mean_word_length": "The recrystallisation necessitates temperature-dependent considerations " * 20,
    "gopher.max_symbol_ratio": PAGE.replace(" t", " #t").replace(" a", " #a"),
    "gopher.max_bullet_lines": "\n".join(f"- {word} of the {word[::-1]}" for word in PAGE.split()),
    "gopher.max_ellipsis_lines": PAGE.replace("\n", "...\n"),
    "gopher.min_stop_words": " ".join(chr(97 + i % 26) * 5 + chr(97 + i // 26) for i in range(90)),
    "gopher.max_duplicate_lines": PAGE + "\nRead." * 8,
    "gopher.max_duplicate_paragraphs": PAGE + "\n\nRead." * 3,
    "gopher.max_duplicate_line_characters": PAGE + "\n" + PAGE.split("\n")[1],
    "gopher.max_duplicate_paragraph_characters": PAGE + "\n\n" + PAGE,
    "gopher.max_top_2gram_characters": PAGE + " read more" * 20,
    "gopher.max_top_4gram_characters": PAGE + " read or hear more" * 8,
    "gopher.max_duplicate_5gram_characters": PAGE + " read or hear or see more" * 8,
    "gopher.max_duplicate_10gram_characters": PAGE + " " + PAGE[:250],
    "c4.max_lorem_ipsum": PAGE + " Lorem ipsum dolor sit amet.",
    "basic.min_alpha_words": PAGE + " 12 3.5 7/8 --" * 12,
    "basic.max_longest_word": PAGE + "a" * 1001,
    "basic.max_replacement_characters": PAGE + "\ufffd" * 20,
}
NOTE = """# Washing

- Rinse twice
- Dry at 60 °C
- [x] Weigh

| day | mass |
|-----|------|
| 1   | 3.2  |

- Rinse once more, then note the mass"""
BAD_NOTES = ["", "---", "* * *", "# #", NOTE + "\nSee also" * 9, "We use cookies.\nPrivacy policy\nRinse the flask."]


def reasons(text: list[str], profile: str, empty: list[bool] | None = None) -> list[str | None]:
    """The rule each text is charged to, or None; ``empty``: whose answers are."""
    charged: list[str | None] = [None] * len(text)
    measured = annotate(pl.Series(text), None if empty is None else pl.Series(empty))
    for removal in failing(measured, np.arange(len(text), dtype=np.uint32), bounds(profile, {})):
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
    empty = [text.endswith("### Response:") for text in BAD_INSTRUCTIONS]
    assert None not in reasons(BAD_INSTRUCTIONS, "instruction", empty)


def test_each_web_rule_takes_its_own_junk():
    assert reasons([PAGE], "web") == [None]
    failed = verdicts(annotate(pl.Series(list(BAD_PAGES.values()))), bounds("web", {}))
    assert [rule for at, rule in enumerate(BAD_PAGES) if not failed[rule][at]] == []


def test_notes_may_be_lists_and_tables_but_not_empty_or_boilerplate():
    assert reasons([NOTE, "- Rinse twice today"], "notes") == [None, None]
    assert None not in reasons(BAD_NOTES, "notes")


def test_turns_may_be_short_and_said_again():
    chat = "\n\n".join(f"### User:\nyes{n}\n\n### Assistant:\nok" for n in range(9))
    found = reasons([chat, "### User:\nHi\n\n### Assistant:\n"], "chat", [False, True])
    assert found == [None, "basic.max_empty_answers"]


def test_a_row_is_charged_to_the_first_rule_it_fails_and_fails_them_all():
    rules = bounds("web", {"gopher.min_words": None, "gopher.max_words": 3})
    table = annotate(pl.Series(["spam, spam, spam, spam and spam", PAGE]))
    failed = verdicts(table, rules)
    assert failed.columns == list(rules)
    assert "gopher.min_words" not in rules
    first = [next(rule for rule in rules if failed[rule][at]) for at in range(2)]
    charged = {int(row): removal.reason for removal in failing(table, np.arange(2, dtype=np.uint32), rules)
               for row in removal.rows}  # fmt: skip
    assert charged == dict(enumerate(first))
    assert failed["gopher.max_words"].all()
    assert failed["gopher.min_stop_words"].to_list() == [True, False]


annotations = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30).map(
    lambda values: pl.DataFrame(
        {"gopher.alpha_words": values, "gopher.bullet_lines": values[::-1]},
        schema_overrides=dict.fromkeys(["gopher.alpha_words", "gopher.bullet_lines"], pl.Float32),
    )
)


@settings(deadline=None)
@given(annotations, st.floats(0, 1), st.floats(0, 1), st.floats(1.01, 5), st.randoms())
def test_looser_bounds_take_a_subset(table, low, high, factor, random):
    rows = np.arange(table.height, dtype=np.uint32) * 3
    random.shuffle(rows)
    limits = {
        rule: limit
        for rule, limit in bounds("web", {"gopher.min_alpha_words": low, "gopher.max_bullet_lines": high}).items()
        if rule in ("gopher.min_alpha_words", "gopher.max_bullet_lines")
    }

    def taken(overrides: dict[str, float]) -> set[int]:
        changed = {
            rule: bounds("none", {rule: overrides.get(rule, bound.value)})[rule] for rule, bound in limits.items()
        }
        removals = failing(table, rows, changed)
        for removal in removals:
            assert (np.diff(removal.rows.astype(int)) > 0).all()
            assert (
                removal.score < removal.threshold if ".min_" in removal.reason else removal.score > removal.threshold
            ).all()
        together = [int(row) for removal in removals for row in removal.rows]
        assert len(together) == len(set(together))
        return set(together)

    for rule in limits:
        assert taken(loosened(limits, rule, factor)) <= taken({})


def test_a_row_at_the_limit_passes_and_is_suspicious():
    table = pl.DataFrame(
        {"gopher.alpha_words": [0.8, 0.9, 0.7], "gopher.symbol_ratio": [0.1, 0.05, 0.2], "c4.lorem_ipsum": [0, 0, 1]}
    )
    table = table.cast(pl.Float32)
    names = ("gopher.min_alpha_words", "gopher.max_symbol_ratio", "c4.max_lorem_ipsum")
    limits = bounds("none", {rule: PUBLISHED[rule] for rule in names})
    (removal,) = failing(table, np.arange(3, dtype=np.uint32), limits)
    assert (removal.reason, removal.rows.tolist(), removal.threshold) == ("gopher.min_alpha_words", [2], 0.8)
    assert strictness(table, limits).tolist() == pytest.approx([2 / 3, 0, 1])
    assert strictness(table, {}).tolist() == [0, 0, 0]


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"'gopher\.min_words'"):
        bounds("web", {"gopher.min_word": 3})
    with pytest.raises(UsageError, match=r"'gopher\.max_symbol_ratio'"):
        bounds("short", {"max_symbol_ratio": 3})
    with pytest.raises(UsageError, match=r"'basic\.min_words'"):
        bounds("short", {"min_words": None})
    with pytest.raises(UsageError, match=r"'gopher\.min_stop_words'"):
        loosened(bounds("web", {}), "stop_words", 2)
    with pytest.raises(UsageError, match="'instruction'"):
        bounds("instructions", {})


def test_overrides_and_factors():
    web = bounds("web", {"gopher.min_words": 20, "gopher.max_words": None, "basic.max_repeated_word": 0.5})
    assert (web["gopher.min_words"].value, web["gopher.min_words"].kind) == (20, "min")
    assert "gopher.max_words" not in web
    assert list(web)[-1] == "basic.max_repeated_word"
    assert PROFILES["web"]["gopher.min_words"].value == 50
    assert loosened(web, "gopher.min_words", 2) == {"gopher.min_words": 10}
    assert loosened(web, "gopher.max_bullet_lines", 2) == {"gopher.max_bullet_lines": 1}
    assert loosened(web, "c4.max_lorem_ipsum", 2) == {}


def test_choose_profile():
    assert choose_profile(pl.Series([PAGE, None]), "text") == ("prose", "half of the rows have 72 words or more")
    for shape in ("messages", "sharegpt", "chat"):
        assert choose_profile(pl.Series([PAGE]), shape)[0] == "chat"
    for shape in ("alpaca", "pair", "context", "preference"):
        assert choose_profile(pl.Series([PAGE]), shape)[0] == "instruction"
    assert choose_profile(pl.Series(["Return x."] * 3 + [PAGE] * 2), "text")[0] == "short"
    assert choose_profile(pl.Series([None], dtype=pl.String), "text")[0] == "short"
    assert choose_profile(pl.Series([CODE] * 3 + [PAGE] * 2), "text")[0] == "code"
    assert choose_profile(pl.Series([CHINESE]), "text")[0] == "prose"


CODE = """import os


class Store:
    def __init__(self, path):
        self.path = path

    def add(self, item):
        if item in self.items:
            raise ValueError(item)
        self.items.append(item)
        return len(self.items)
"""
GERMAN = """Die Kristalle des rohen Salzes werden in wenig heißem Wasser gelöst, und die Lösung wird filtriert.
Beim Abkühlen scheidet sich zuerst die reine Verbindung aus; was nicht in das Gitter gehört, bleibt im Wasser zurück.
Danach wäscht, trocknet und wiegt man die Kristalle und bestimmt ihren Schmelzpunkt, bis er sich nicht mehr ändert.
Es ist üblich, dies so oft zu wiederholen, bis weiteres Umkristallisieren keinerlei Verbesserung mehr bringen kann."""
CHINESE = "把粗盐溶解在少量热水中，然后过滤溶液。冷却时，纯净的化合物首先结晶出来，不属于晶格的物质留在水里。" * 3


def test_rules_made_for_other_text_do_not_judge():
    text = pl.Series([PAGE, GERMAN, CODE, CHINESE, "Take it with water."])
    table = measured(text)
    assert table["read_as"].to_list() == ["prose", "other", "code", "unspaced", "prose"]
    assert spared(table) == {"code": 1, "other": 1, "unspaced": 1}
    failed = verdicts(table, bounds("prose", {}))
    assert not any(failed[rule].any() for rule in failed.columns)
    stop_words = verdicts(table, bounds("web", {}))["gopher.min_stop_words"]
    assert stop_words.to_list() == [False, False, False, False, True]
    assert strictness(table, bounds("prose", {}))[2] == 0
    unread = verdicts(annotate(text), bounds("web", {}))
    assert unread["gopher.min_stop_words"].to_list() == [False, True, True, True, True]


def test_prose_has_no_floor_on_words_and_still_knows_junk():
    short = ["Take ibuprofen daily.", "No.", "Yes, twice a day after meals."]
    assert reasons(short, "prose") == [None] * 3
    assert None not in reasons(BAD_SHORT, "prose")
    web = {rule: text for rule, text in BAD_PAGES.items() if rule not in ("gopher.min_words", "basic.min_alpha_words")}
    failed = verdicts(measured(pl.Series(list(web.values()))), bounds("prose", {}))
    assert [rule for at, rule in enumerate(web) if not failed[rule][at]] == []
    named = bounds("prose", {"gopher.max_symbol_ratio": 0.05})["gopher.max_symbol_ratio"]
    assert (named.value, named.least_words) == (0.05, 50)


def test_what_takes_rows_out_is_named_by_rule_family_or_threshold():
    rules = bounds("web", {"c4.max_curly_brackets": 0})
    assert not applied(bounds("web", {}), FilterParams())
    for name, count in (("gopher.min_stop_words", 1), ("c4", 2), ("all", len(rules)), ("near_duplicate", 0)):
        assert len(applied(rules, FilterParams(apply=name))) == count
    set_to = FilterParams(thresholds={"gopher.min_words": 5, "gopher.max_words": None})
    assert list(applied(bounds("web", set_to.thresholds), set_to)) == ["gopher.min_words"]
    assert is_applied("near_duplicate", FilterParams(apply=("near_duplicate",)))
    for wrong, near in (("near_duplicates", "near_duplicate"), ("gofer", "gopher"), ("min_stop_words", "gopher.min_s")):
        with pytest.raises(UsageError, match=f"filter.apply: '{wrong}' is no rule.* did you mean '{near}"):
            check_apply(FilterParams(apply=("basic", wrong)))


def test_every_profile_is_known_everywhere():
    assert set(get_args(PROFILE_NAMES)) == {"auto", *PROFILES}
    page = (Path(__file__).parents[3] / "docs" / "separation.md").read_text(encoding="utf-8")
    named = page.split("profile: web ", 1)[1].split("\n", 1)[0].strip(" #").split(", ")
    assert named == list(get_args(PROFILE_NAMES))


def test_the_tool_names_the_rows_that_go():
    rows = framed([PAGE, BAD_PAGES["c4.max_lorem_ipsum"], PAGE])

    def removed(**settings) -> dict[str, list[int]]:
        seen: list[int] = []
        found = TOOL.removals(rows, FilterParams(**settings), seen.append)
        assert sum(seen) == 3
        return {removal.reason: removal.rows.tolist() for removal in found}

    assert removed() == {"c4.max_lorem_ipsum": [1]}
    assert removed(profile="none") == {}
    assert removed(thresholds={"c4": {"max_lorem_ipsum": None}}) == {}
    assert removed(profile="none", thresholds={"basic.max_words": 1}) == {"basic.max_words": [0, 1, 2]}


def test_the_columns_of_the_tool_hold_values_and_verdicts_whatever_the_texts():
    pages = TOOL.annotate(framed([PAGE, BAD_PAGES["c4.max_lorem_ipsum"]]), FilterParams())
    assert pages["fails.c4.max_lorem_ipsum"].to_list() == [False, True]
    assert pages["c4.lorem_ipsum"].to_list() == [0, 1]
    questions = TOOL.annotate(framed(["What is it?"]), FilterParams())
    assert questions.schema == pages.schema
    assert questions["fails.c4.max_lorem_ipsum"].to_list() == [None]
    assert questions["fails.basic.min_words"].to_list() == [False]
    named = TOOL.annotate(framed(["Why?"]), FilterParams(profile="short", thresholds={"basic.min_words": 2}))
    assert [name for name in named.columns if name.startswith("fails.")] == [f"fails.{r}" for r in PROFILES["short"]]
    assert named["fails.basic.min_words"].to_list() == [True]


@pytest.mark.shared_data
def test_real_rows_meet_the_profile_made_for_them(shared_data: Path):
    with (shared_data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        questions = [row["text"] for row in csv.DictReader(file)]
    assert choose_profile(pl.Series(questions), "text")[0] == "short"
    assert reasons(questions, "short").count(None) == len(questions)
    with gzip.open(shared_data / "newsgroups20" / "newsgroups20.jsonl.gz") as file:
        posts = pl.read_ndjson(file.read())["text"][::10]
    assert choose_profile(posts, "text")[0] == "prose"
    assert 0.8 < reasons(posts.to_list(), "web").count(None) / len(posts) < 0.99
