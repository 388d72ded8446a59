"""Whole runs on real questions with a language model deciding, also within a small budget."""

import re
from pathlib import Path

import polars as pl
import pytest
from commands import QUICK

from recryst.agent.audit import audit
from recryst.agent.decide import rules_policy as rules
from recryst.agent.decide.policy import Case
from recryst.evals.data import banking77, with_vectors
from recryst.evals.runs import refine
from recryst.state.events import Decide
from recryst.state.settings import parse_config

TINY = {
    **QUICK,
    "critique": {"max_pairs": 6, "max_near_duplicates": 0.02},  # so that the rules would rather prune
    "quality": {"teacher_rows": 30, "folds": 3},
    "stop": {"max_rounds": 3},
    "load": {"label_column": "category", "text_column": "text", "vector_column": "vector"},
}
TOKEN = re.compile(r"qz\d+")  # every row ends in such a word, and it stands nowhere else


@pytest.fixture(scope="module")
def rows(shared_data, tmp_path_factory):
    """300 questions with their vectors, embedded once."""
    folder = tmp_path_factory.mktemp("rows")
    frame = with_vectors(banking77(shared_data, 300), folder / "vectors")
    tokens = pl.Series([f" qz{number}" for number in range(frame.height)])
    path = folder / "rows.parquet"
    frame.with_columns(text=frame["text"] + tokens).write_parquet(path)
    return path


def config_for(model, **llm):
    return parse_config({**TINY, "llm": {"model": model, **llm}}, "the test")


def calls_of(done):
    return [call for event in done.events for call in event.llm]


def tokens_of(done):
    return sum(sum(call.usage.values()) + call.unsure_tokens for call in calls_of(done))


def choice_of_the_rules(done, decided):
    """What the rules would have chosen from the evidence of a decision."""
    view = done.after(decided)
    return rules.choose(Case(view.report(), view.critiques(), decided.candidates, (), decided.budget)).candidate


def test_a_model_decides_and_the_audit_needs_neither_network_nor_script(rows, script, tmp_path, request):
    from curators import regrouping
    from llm_script import said

    model = script(regrouping)
    done = refine(rows, tmp_path / "run", config_for(model.model, usd_per_million=(3.0, 15.0)))

    decided = [event for event in done.of_type(Decide) if any(call.kind == "decide" for call in event.llm)]
    asked = [question for question in model.asked if question["kind"] == "decide"]
    assert len(decided) == len(asked)
    for event, question in zip(decided, asked, strict=True):
        assert event.state.values.decision.candidate == regrouping(question)["candidate"]
        assert event.actor == "agent"
        assert not TOKEN.search(said(question)), "the decider was shown a row"
        assert question["tools"] == []
    by_rules = [choice_of_the_rules(done, event) for event in decided]
    assert by_rules != [event.state.values.decision.candidate for event in decided]
    assert [event.state.values.decision.action.action for event in decided] == ["change_k", "change_k", "stop"]
    assert any(TOKEN.search(said(question)) for question in model.asked), "no row reached the critic"

    calls = calls_of(done)
    assert {call.kind for call in calls} == {"quality", "critique", "same_theme", "decide"}
    assert sum(call.usd for call in calls) > 0
    assert done.events[0].runs_on["policy"] == model.model

    Path(model.model.removeprefix("scripted:")).unlink()
    request.getfixturevalue("no_network")
    report = audit(tmp_path / "run")
    assert report.failures == []
    assert report.verified["decisions"] == len(done.of_type(Decide))


@pytest.mark.parametrize("max_tokens", [2_000, 20_000])
def test_a_spent_budget_ends_the_run_well(max_tokens, rows, llm_server, tmp_path, monkeypatch):
    from curators import over_http, regrouping

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    server = llm_server(over_http(regrouping), bytes_per_token=1)
    config = config_for("openai:x", base_url=server.base_url("openai"), max_tokens=max_tokens)
    done = refine(rows, tmp_path / "run", config)
    assert done.events[-1].type == "publish"
    assert server.billed <= max_tokens
    assert tokens_of(done) <= max_tokens
    assert any("budget" in call.problem for call in calls_of(done))
    assert audit(tmp_path / "run").failures == []
