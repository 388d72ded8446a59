"""Faults at every kind of question a run asks: it ends by the safe default, or stops and resumes to the same end."""

import itertools

import pytest
from commands import QUICK

from recryst.agent.audit import audit
from recryst.agent.decide.model_policy import NO_ANSWER
from recryst.evals.runs import refine
from recryst.state.errors import ModelError
from recryst.state.events import Decide
from recryst.state.settings import parse_config

TINY = {
    **QUICK,
    "stop": {"max_rounds": 1},
    "critique": {"max_pairs": 4},
}
READING = ("quality", "critique", "same_theme", "decide", "label")
WRITING = ("generate", "judge")
USELESS = ("truncated", "refusal", "empty", "duplicate_key", "not_an_object", "deep", "prose")
TAXONOMY = "domains: {cards: {description: about cards}, other: {description: the rest}}\n"


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")


@pytest.fixture(scope="module")
def questions(bank_questions):
    return bank_questions(40, 10)


@pytest.fixture
def curate(request, vectors, tmp_path):
    """Curate the rows that make a run ask questions of that kind: ``curate(kind, name, server)``."""

    def call(kind, name, server):
        llm = {"model": "openai:any", "base_url": server.base_url("openai"), "attempts": 2, "parallel": 1}
        if kind in WRITING:
            load = {"text_column": "text", "label_column": "category"}
            # Of so few rows a fifth held out would leave no cluster that is thin and has enough to write after.
            more = {"cluster": {"k": 6}, "critic": "rules", "dedup": {"threshold": 0.99}, "anchor": {"fraction": 0.1}}
            more["embed"] = {"model": "openai:any", "base_url": server.base_url("openai")}
            source = request.getfixturevalue("questions")
        else:
            (tmp_path / "taxonomy.yaml").write_text(TAXONOMY)
            load = {"text_column": "text", "label_column": "group", "vector_column": "vector"}
            more = {"quality": {"teacher_rows": 30, "folds": 3}}
            if kind == "label":
                more["label"] = {"taxonomy": str(tmp_path / "taxonomy.yaml"), "max_model_rows": 20}
            source = vectors
        return refine(source, tmp_path / name, parse_config({**TINY, **more, "load": load, "llm": llm}, "the test"))

    return call


@pytest.fixture(scope="module")
def wholes():
    """Runs that nothing stopped, by what they ask; kinds of question that one run asks share it."""
    return {}


def calls_of(done, kind):
    return [call for event in done.events for call in event.llm if call.kind == kind]


@pytest.mark.parametrize("kind", READING + WRITING)
def test_useless_answers_lead_to_the_safe_default(kind, curate, llm_server, tmp_path):
    """Each question of one kind gets one useless answer after the other: three attempts, then on without."""
    from curators import over_http, writing
    from llm_server import Failure

    curator = over_http(writing)
    useless = itertools.cycle(USELESS)
    server = llm_server(lambda asked: Failure(next(useless)) if asked.question["kind"] == kind else curator(asked))
    done = curate(kind, "run", server)
    assert done.events[-1].type == "publish"
    calls = calls_of(done, kind)
    assert calls
    if kind not in WRITING:
        assert all(call.problem for call in calls)
        assert len(calls) % 3 == 0, "two re-asks each"
    if kind == "decide":
        decided = done.of_type(Decide)[0]
        assert decided.state.values.decision.reasons[0] == NO_ANSWER
        assert decided.actor == "rules"
        assert any(one.appraisal for one in decided.candidates), "the rules choose from what was measured"
    assert audit(tmp_path / "run").failures == []


@pytest.mark.parametrize("kind", READING + WRITING)
def test_a_run_that_a_server_stopped_resumes_to_the_same_end(kind, curate, wholes, llm_server, tmp_path):
    """Refused for good and cut off at the first question of a kind, each in one of its ways; then all is well again."""
    from curators import over_http, writing
    from llm_server import Failure

    curator = over_http(writing)
    server = llm_server(curator)
    config = "label" if kind == "label" else "writing" if kind in WRITING else "reading"
    if config not in wholes:
        wholes[config] = curate(kind, "whole", server)
    whole = wholes[config]
    assert calls_of(whole, kind)
    at = (READING + WRITING).index(kind)  # which faults are which is the client's business and tested there
    for what, sent in (((401, 1), (400, 1))[at % 2], ((529, 2), ("reset", 2), ("html", 2))[at % 3]):
        before = len(server.chats)
        server.policy = lambda asked, what=what: Failure(what) if asked.question["kind"] == kind else curator(asked)
        with pytest.raises(ModelError):
            curate(kind, "run", server)
        assert sum(asked.question["kind"] == kind for asked in server.chats[before:]) == sent
    server.policy = curator
    done = curate(kind, "run", server)
    assert done.decisions() == whole.decisions()
    assert audit(tmp_path / "run").failures == []
