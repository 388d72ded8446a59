"""Asking: re-asks with the reason, one question once, what a kill leaves behind, the record alone, and batches."""

import json
import time
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field

from recryst.agent.llm import Message, Request, Usage
from recryst.agent.llm.answers import Answers
from recryst.agent.llm.ask import reader, schema
from recryst.agent.llm.budget import BUDGET, LOST, Purse
from recryst.agent.llm.client import Model
from recryst.agent.llm.open import open_provider
from recryst.agent.llm.prices import Price
from recryst.state.errors import IntegrityError, ModelError, UsageError
from recryst.state.params.llm import LlmParams
from recryst.tools.vectors.net import Fault

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
    lost, again = resumed.drain()
    assert (lost.unsure_tokens, lost.response_sha, again.unsure_tokens) == (700, None, 0)
    assert lost.problem.startswith(LOST)
    assert resumed.purse.tokens == 700 + sum(again.usage.values())
    resumed.logged()
    assert Answers(tmp_path).pending() == {}


def test_what_was_under_way_counts_whatever_is_asked_next_until_an_event_has_it(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    Answers(tmp_path).pend("ab" * 32, Usage(input_tokens=600, output_tokens=100))
    for _ in range(2):  # killed again before an event
        resumed = model(server, tmp_path, max_tokens=1400)
        assert resumed.purse.tokens == 700
    assert resumed.ask(request(), reader(Count)) is None  # 700 are left, and it may cost more
    calls = resumed.drain()
    assert [call.unsure_tokens for call in calls] == [700, 0]
    assert server.chats == []
    resumed.logged()
    assert model(server, tmp_path).purse.tokens == 0  # the log has it now


def test_what_was_lost_or_unnamed_is_charged_after_a_kill_as_before(llm_server, tmp_path):
    from llm_server import Failure

    server = llm_server(lambda asked: {"number": 3})
    server.fail([Failure("cut")])
    asking = model(server, tmp_path)
    send = asking.provider.send
    asking.provider.send = lambda *given: {key: item for key, item in send(*given).items() if key != "usage"}
    asking.ask(request(), reader(Count))
    (call,) = asking.drain()
    assert call.unsure_tokens == sum(call.usage.values()) > 0  # the worst case, once lost and once for want of usage
    killed = model(server, tmp_path)
    assert (killed.purse.tokens, killed.purse.usd) == (asking.purse.tokens, pytest.approx(asking.purse.usd))
    killed.ask(request(), reader(Count))
    (again,) = killed.drain()
    assert (again.usage, again.unsure_tokens, again.usd) == (call.usage, call.unsure_tokens, call.usd)


@pytest.mark.parametrize("parallel", [1, 8])
def test_no_thread_decides_which_question_is_refused(parallel, llm_server, tmp_path):
    """Sixteen answers fit, though not sixteen worst cases: each is asked. Of a tighter budget the last ones go."""

    def slow(asked):
        time.sleep(0.01 * (int(asked.text.split()[-1]) % 3))
        return {"number": 3}

    server = llm_server(slow)
    questions = [request(f"How many? {number}") for number in range(16)]
    asking = model(server, tmp_path / "wide", parallel=parallel, max_tokens=5000)
    assert all(asking.ask_many(questions, reader(Count)))
    tight = model(server, tmp_path / "tight", parallel=parallel, max_tokens=2000)
    got = [answer is not None for answer in tight.ask_many(questions, reader(Count))]
    assert got == sorted(got, reverse=True)
    assert 0 < sum(got) < 16
    asked = len(server.chats)
    killed = model(server, tmp_path / "tight", parallel=parallel, max_tokens=2000)
    assert [answer is not None for answer in killed.ask_many(questions, reader(Count))] == got
    assert len(server.chats) == asked


def test_an_answer_of_white_space_is_not_sent_back(llm_server, tmp_path):
    for provider in PROVIDERS:
        server = llm_server(lambda asked: " \n" if len(asked.messages) < 3 else '{"number": 2}')
        assert model(server, tmp_path / provider, provider).ask(request(), reader(Count)).number == 2
        assert server.chats[1].messages[1].text == "(no answer)"


def test_a_budget_that_refuses_is_told_apart_from_an_answer_that_is_no_use(llm_server, tmp_path):
    server = llm_server(lambda asked: "no")
    poor = model(server, tmp_path / "poor", max_tokens=150)
    assert poor.answered(request(), reader(Count)).problem == BUDGET
    assert (poor.not_asked("critique"), poor.not_asked("decide")) == (1, 0)
    (call,) = poor.drain()
    replayed = model(server, tmp_path / "poor", replayed=[call]).answered(request(), reader(Count))
    assert replayed.problem == BUDGET
    rich = model(server, tmp_path / "rich").answered(request(), reader(Count))
    assert (rich.value, "JSON" in rich.problem) == (None, True)


def test_a_question_that_cannot_be_sent_holds_nothing(llm_server, tmp_path, monkeypatch):
    server = llm_server(lambda asked: {"number": 3})
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    asking = model(server, tmp_path, "anthropic", max_tokens=5000)
    for number in range(6):
        with pytest.raises(UsageError):
            asking.ask(request(f"{number}"), reader(Count))
    assert (asking.purse._held, asking.purse.tokens, list(tmp_path.iterdir())) == ([], 0, [])


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
    asking.ask_many(questions, reader(Count))
    assert len(server.calls) == before


def test_a_batch_that_a_kill_left_half_recorded_is_not_paid_again(llm_server, tmp_path, monkeypatch):
    server = llm_server(lambda asked: {"number": 3})
    questions = [request(text) for text in "abcdef"]
    put, stored = Answers.put, []

    def killed(self, *given, **named):
        if len(stored) == 2:
            raise KeyboardInterrupt
        stored.append(put(self, *given, **named))
        return stored[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Answers, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            model(server, tmp_path, batch=True).ask_many(questions, reader(Count))
    resumed = model(server, tmp_path, batch=True)
    assert resumed.purse._held  # what the batch may cost, until it is collected
    assert all(resumed.ask_many(questions, reader(Count)))
    assert (len(server._batches), len(server.chats), resumed.purse._held) == (1, 6, [])
    assert resumed.purse.tokens == server.billed


def test_a_batch_that_may_have_been_taken_is_not_handed_in_twice(llm_server, tmp_path):
    server = llm_server(lambda asked: {"number": 3})
    asking = model(server, tmp_path, batch=True)
    submit, sent = asking.provider.submit, []

    def lost(*given):
        sent.append(submit(*given))
        raise Fault("unsure", "the connection broke")

    asking.provider.submit = lost
    questions = [request(text) for text in "abc"]
    with pytest.raises(ModelError):
        asking.ask_many(questions, reader(Count))
    calls = asking.drain()
    assert (len(sent), len(calls)) == (1, 3)
    assert sum(call.unsure_tokens for call in calls) == asking.purse.tokens > 0
    # The same for a process that was killed before it had the batch's id, or before its event.
    later = model(server, tmp_path, batch=True)
    assert later.purse.tokens == asking.purse.tokens
    assert later.purse.usd == pytest.approx(sum(call.usd for call in calls))


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_a_batch_that_is_gone_counts_as_paid_and_is_asked_singly(provider, llm_server, tmp_path, monkeypatch):
    server = llm_server(lambda asked: {"number": 3})
    questions = [request(text) for text in "abc"]
    asking = model(server, tmp_path, provider, batch=True)
    asking.provider.collect = None  # killed while it waited
    with pytest.raises(TypeError):
        asking.ask_many(questions, reader(Count))
    server._batches.clear()
    resumed, said = model(server, tmp_path, provider, batch=True), []
    resumed.say = said.append
    assert all(resumed.ask_many(questions, reader(Count)))
    assert "is gone" in said[0]
    assert list(tmp_path.glob("*.batch")) == []
    calls = resumed.drain()
    assert [call.response_sha is None for call in calls] == [True] * 3 + [False] * 3
    assert resumed.purse.tokens == sum(sum(call.usage.values()) + call.unsure_tokens for call in calls)


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
