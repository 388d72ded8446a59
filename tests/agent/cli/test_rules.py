"""What the tools take from tables of every kind, after public bug reports: no good row by a rule for other text."""

import json

import pytest

from recryst.state.params.preparation import PROFILES

SENTENCE = (
    "The library {} opens at nine in the morning and closes at five, and on Sundays nobody is there to be asked. "
)
PAGE = """Crystals of the crude salt are dissolved in a little hot water and the solution is filtered.
As it cools, the pure compound comes out first, and what does not belong to the lattice stays behind with the water.
The crystals are washed, dried and weighed, and their melting point is taken.
It is the custom to repeat this until the melting point has stopped moving; then nothing more can be gained."""
SATZ = "Die Bücherei {} öffnet um neun Uhr morgens, schließt um fünf, und sonntags trifft man dort niemanden an. "
CODE = """import os


class Store{0}:
    def __init__(self, path, window=None):
        self.path = path
        self.window = window or []

    def add(self, item):
        if item in self.window:
            raise ValueError(f"{{item}} is there already")
        self.window.append(item)
        return len(self.window) + {0}
"""
INTENTS = [
    *("Where is my card?", "top up failed", "I lost my phone", "how do I activate it", "Exchange rate?", "call mum"),
    *("Why was I charged twice", "card not working", "Who can see my PIN", "play some jazz", "set alarm 7 am", "stop"),
]
NORSK = ["Jeg gikk en tur langs havnen i går kveld og så på båtene.", "Fjellet var dekket av snø, og veien var stengt."]


@pytest.fixture
def tool(here, tmp_path):
    """Calls a tool on rows of texts and gives what it says as JSON."""

    def call(name, rows, *settings):
        rows = [row if isinstance(row, dict) else {"text": row} for row in rows]
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        wanted = [part for setting in settings for part in ("--set", setting)]
        code, out, told = here("tool", name, tmp_path / "in.jsonl", tmp_path / "out.jsonl", *wanted, "--json")
        assert code == 0, told
        return json.loads(out)

    return call


def test_code_is_not_judged_by_rules_for_prose(tool):
    found = tool("filter", [CODE.format(n) for n in range(20)])
    assert (found["rows_out"], found["removed"]) == (20, {})
    assert found["notes"] == ["profile code, because 100% of the rows look like code (--set profile=NAME sets another)"]
    assert tool("filter", [CODE.format(n) for n in range(20)], "profile=web")["removed"] == {}


def test_english_rules_do_not_judge_german(tool):
    english = ["".join(SENTENCE.format(f"{n} {part}") for part in range(4)) for n in range(16)]
    german = ["".join(SATZ.format(f"{n} {part}") for part in range(4)) for n in range(5)]
    assert tool("filter", [*english, *german], "profile=web", "apply=gopher.min_stop_words")["removed"] == {}


def test_short_answers_among_long_ones_stay(tool):
    long = [f"{PAGE} It was noted {n} times." for n in range(12)]
    found = tool("filter", [*long, "Take two after meals.", "Drink water, and rest.", "No."])
    assert (found["rows_out"], found["removed"]) == (15, {})
    assert found["notes"][0].startswith("profile prose, because half of the rows have 7")


def test_an_empty_answer_is_known_from_the_data(tool):
    rows = [
        {"instruction": "Write an outline.", "output": "# Plan\n### Method:\n### Results:"},
        {"instruction": "And another.", "output": "### Input:"},
        {"instruction": "Say nothing.", "output": ""},
    ]
    assert tool("filter", rows, "profile=instruction")["removed"] == {"basic.max_empty_answers": 1}


def test_what_one_rule_takes_from_many_rows_is_said_with_the_remedy(tool):
    found = tool("filter", [*INTENTS, "?!?! ?!"])
    rule = "basic.max_non_alphanumeric_characters"
    assert found["removed"] == {rule: 1}
    assert f"{rule} takes 1 of 13 rows (7.7%)" in found["notes"][-1]
    assert f"--set {rule}=off" in found["notes"][-1]
    assert tool("filter", [*INTENTS, "?!?! ?!"], f"{rule}=off")["rows_out"] == 13


def test_short_english_is_english(tool):
    assert tool("language", INTENTS, "keep=[en]")["removed"] == {}


@pytest.mark.parametrize("keep", ["[no]", "no", '["no"]', "[no, da]"])
def test_norwegian_is_no_truth_value(tool, keep):
    english = [SENTENCE.format(n) for n in range(3)]
    assert tool("language", [*NORSK, *english], f"keep={keep}")["removed"] == {"language": 3}
    assert tool("language", [*NORSK, *english], "keep=[no,en]")["removed"] == {}


def test_a_name_that_stands_for_nothing_is_refused_before_anything_is_read(here, tmp_path):
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in INTENTS))
    for apply, near in (("near_duplicates", "near_duplicate"), ("gopher,min_stop_words", "gopher.min_stop_words")):
        code, _, told = here("run", tmp_path / "in.jsonl", "--out", tmp_path / "run", "--apply", apply)
        assert code == 2
        assert f"did you mean '{near}'" in told
        assert not (tmp_path / "run").exists()


def test_the_option_knows_every_profile(here):
    _, shown, _ = here("run", "--help")
    assert "|".join(PROFILES.__args__) in "".join(shown.split())
