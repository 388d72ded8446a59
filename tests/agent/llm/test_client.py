"""Asking: re-asks with the reason, one question once, what a kill leaves behind, the record alone, and batches."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from recryst.agent.llm import Message, Request, Usage
from recryst.agent.llm.answers import Answers
from recryst.agent.llm.budget import Purse
from recryst.agent.llm.client import Model
from recryst.agent.llm.prices import Price
from recryst.agent.llm.reading import reader, schema
from recryst.agent.llm.registry import open_provider
from recryst.state.config import LlmParams
from recryst.state.errors import IntegrityError, ModelError

PROVIDERS = ["anthropic", "openai", "ollama"]


class Count(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=1, le=5)


def request(text: str = "How many?", max_tokens: int = 100) -> Request:
    return Request(
        kind="critique",
        prompt="critique@1",
        system="You count.",
        messages=(Message(role="user", content=text),),
        answer=schema(Count),
        max_tokens=max_tokens,
    )


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-a")
    monkeypatch.setenv("OPENAI_API_KEY", "key-o")


def model(server, folder: Path, provider: str = "openai", replayed=None, earlier=(), **params) -> Model:
    settings = LlmParams(model=f"{provider}:m", base_url=server.base_url(provider), deadline_seconds=10, **params)
    purse = Purse(Price(1.0, 2.0, 1.25, 0.1), settings)
    return Model(open_provider(settings), Answers(folder), purse, settings, earlier, replayed)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_re_ask_says_what_was_wrong_and_there_are_two_at_most(llm_server, tmp_path, provider):
    server = llm_server(lambda asked: '{"number": 9}' if len(asked.messages) < 3 else '{"number": 2}')
    asking = model(server, tmp_path, provider)
    assert asking.ask(request(), reader(Count)).number == 2
    assert len(server.chats) == 2
    assert "number" in server.chats[1].messages[-1].text
    stubborn = llm_server(lambda asked: '{"number": 9}')
    asking = model(stubborn, tmp_path / "b", provider)
    assert asking.ask(request(), reader(Count)) is None
    calls = asking.drain()
    assert len(stubborn.chats) == len(calls) == 3
    assert all(call.problem and call.response_sha and call.usage["output_tokens"] for call in calls)


def test_an_equal_question_is_asked_once_and_costs_once(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    asking = model(server, tmp_path)
    first = asking.ask_many([request("a"), request("b"), request("c")], reader(Count))
    assert [answer.number for answer in first] == [3, 3, 3]
    spent = asking.purse.tokens
    paid = asking.drain()
    asking.ask(request("b"), reader(Count))
    (again,) = asking.drain()
    assert (again.cache_hit, again.usd, again.attempts, asking.purse.tokens) == (True, 0.0, 0, spent)
    later = model(server, tmp_path, earlier=paid)
    later.ask(request("c"), reader(Count))
    assert later.drain()[0].cache_hit
    assert len(server.chats) == 3
    assert spent == sum(sum(call.usage.values()) for call in paid)


def test_an_answer_that_no_event_has_yet_is_paid_for_when_it_is_used(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    model(server, tmp_path).ask(request(), reader(Count))
    resumed = model(server, tmp_path)
    resumed.ask(request(), reader(Count))
    (call,) = resumed.drain()
    assert not call.cache_hit
    assert resumed.purse.tokens == sum(call.usage.values()) > 0
    assert len(server.chats) == 1


def test_a_question_under_way_at_a_kill_counts_as_spent(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    first = model(server, tmp_path)
    first.ask(request(), reader(Count))
    (call,) = first.drain()
    (tmp_path / f"{call.request_sha}.json").unlink()
    Answers(tmp_path).pend(call.request_sha, Usage(input_tokens=600, output_tokens=100))
    resumed = model(server, tmp_path)
    resumed.ask(request(), reader(Count))
    (again,) = resumed.drain()
    assert again.unsure_tokens == 700
    assert resumed.purse.tokens == 700 + sum(again.usage.values())
    assert Answers(tmp_path).pending(call.request_sha).total == 0


def test_the_record_alone_answers_and_every_change_of_it_is_found(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    asking = model(server, tmp_path)
    asking.ask(request(), reader(Count))
    calls = asking.drain()
    server.close()
    assert model(server, tmp_path, replayed=calls).ask(request(), reader(Count)).number == 3
    with pytest.raises(IntegrityError, match="no question"):
        model(server, tmp_path, replayed=calls).ask(request("another"), reader(Count))
    path = tmp_path / f"{calls[0].request_sha}.json"
    whole = path.read_bytes()
    for at in range(len(whole)):
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(flipped)
        with pytest.raises(IntegrityError):
            Answers(tmp_path).get(calls[0].request_sha)
    path.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        model(server, tmp_path, replayed=calls).ask(request(), reader(Count))


def test_a_spent_budget_is_no_answer_and_no_request(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    asking = model(server, tmp_path, max_tokens=150)
    assert asking.ask(request(), reader(Count)) is None
    (call,) = asking.drain()
    assert (call.response_sha, len(server.chats)) == (None, 0)
    assert "budget" in call.problem
    assert model(server, tmp_path, replayed=[call]).ask(request(), reader(Count)) is None


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_batch_is_handed_in_once_and_costs_half(llm_server, tmp_path, provider):
    server = llm_server(lambda asked: {"number": 3})
    asking = model(server, tmp_path, provider, batch=True)
    questions = [request(text) for text in "abc"]
    asking.prefetch(questions)
    assert [answer.number for answer in asking.ask_many(questions, reader(Count))] == [3, 3, 3]
    calls = asking.drain()
    assert sum(call.attempts for call in calls) == 0
    whole = model(server, tmp_path / "b", provider)
    whole.ask_many(questions, reader(Count))
    priced = whole.drain()
    for batched, single in zip(calls, priced, strict=True):
        if batched.usage == single.usage:  # the cache of the provider may have read a prefix in one of them
            assert batched.usd == pytest.approx(single.usd / 2)
    before = len(server.calls)
    asking.prefetch(questions)
    assert len(server.calls) == before


def test_ollama_has_no_batches(llm_server, tmp_path):
    asking = model(llm_server(), tmp_path, "ollama", batch=True)
    with pytest.raises(Exception, match="batch"):
        asking.prefetch([request()])


def test_a_refused_key_is_one_sentence_without_the_key(llm_server, tmp_path):
    from llm_server import Failure

    for provider in PROVIDERS:
        server = llm_server()
        server.fail([Failure(401)])
        with pytest.raises(ModelError) as raised:
            model(server, tmp_path, provider).ask(request(), reader(Count))
        assert "key-" not in str(raised.value)
        assert len(server.chats) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"number": 1, "number": 2}', '{"number": NaN}', '{"number": 1, "more": 1}', "[" * 100_000, "", "five",
        json.dumps({"number": 7}),
    ],
    ids=["twice", "nan", "extra", "deep", "empty", "prose", "bound"],
)  # fmt: skip
def test_what_does_not_follow_the_schema_is_unusable(llm_server, tmp_path, text):
    server = llm_server(lambda asked: text)
    assert model(server, tmp_path, attempts=1).ask(request(), reader(Count)) is None
    assert len(server.chats) == 3
