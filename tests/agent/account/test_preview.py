"""Other thresholds: what they would change is told from the noted values, and done in a run of its own."""

import json

import pytest
from commands import SHORT

from recryst.agent.account.preview import Limit, preview
from recryst.agent.audit import audit
from recryst.agent.view import View
from recryst.state.errors import UsageError
from recryst.state.events import Embed

RULE = "basic.max_non_alphanumeric_characters"


@pytest.fixture(scope="module")
def filtered(recryst, docstrings, tmp_path_factory):
    """A short run, and two rows of signs that its rules took."""
    root = tmp_path_factory.mktemp("refilter")
    signs = [
        {"id": f"signs{n}", "text": f"== {mark * 9} == {mark * 7} {n} ok", "module": "signs"}
        for n, mark in enumerate("*#")
    ]
    sound = docstrings.read_text().splitlines(keepends=True)[:200]
    (root / "docs.jsonl").write_text("".join([*sound, *(json.dumps(row) + "\n" for row in signs)]))
    done = recryst(
        "run", root / "docs.jsonl", "--label-column", "module", "--out", root / "run", *SHORT, "--apply", "all"
    )
    assert done.returncode == 0, done.stderr
    return root / "run"


def test_a_preview_tells_what_would_come_back_and_go_and_changes_nothing(filtered):
    before = (filtered / "events.jsonl").read_bytes()
    looser = preview(View.open(filtered), {RULE: 1.0})
    assert {"signs0", "signs1"} <= set(looser.coming["id"])
    assert looser.going.is_empty()
    stricter = preview(View.open(filtered), {RULE: 0.3})
    assert stricter.coming.is_empty()
    assert (stricter.going["value"] > 0.3).all()
    assert set(stricter.going["rule"]) == {RULE}
    (rule,) = stricter.rules
    assert rule.after.fails == rule.before.fails + stricter.going.height
    off = preview(View.open(filtered), {RULE: None})
    assert set(off.coming["id"]) >= set(looser.coming["id"])
    assert off.rules[0].after == Limit(limit=None, fails=0)
    assert (filtered / "events.jsonl").read_bytes() == before


def test_a_rule_that_is_none_is_refused_with_the_nearest(filtered):
    with pytest.raises(UsageError, match=r"did you mean .gopher\.max_symbol_ratio."):
        preview(View.open(filtered), {"gopher.max_symbol_ratios": 0.1})


def test_what_the_caps_would_refuse_is_said(filtered):
    assert "caps.clean_fraction" in (preview(View.open(filtered), {RULE: 0.01}).refused or "")


def test_the_command_asks_before_it_runs_and_embeds_only_what_is_new(here, filtered, tmp_path):
    said = ("refilter", filtered, "--set", f"{RULE}=1.0", "--out", tmp_path / "again")
    code, out, told = here(*said)
    assert code == 0
    assert "2 rows would come back" in out
    assert "--yes" in told
    assert not (tmp_path / "again").exists()
    code, out, told = here(*said, "--yes")
    assert code == 0, told
    first = next(event for event in View.open(tmp_path / "again").events if isinstance(event, Embed))
    assert first.embedded <= 2  # the rows that came back, unless a trial had embedded them before
    assert first.cached > 150
    assert audit(tmp_path / "again").failures == []


def test_json_is_for_machines(here, filtered):
    code, out, _ = here("refilter", filtered, "--set", f"{RULE}=off", "--json")
    assert code == 0
    assert json.loads(out)["coming_back"] >= 2
