"""Whatever a server does: one clear error or no answer, calls and time within bounds, and not a token overspent."""

import dataclasses
import random
import time
from typing import Literal

import pytest
from llm_server import Failure
from policies import schema_filler
from pydantic import BaseModel, ConfigDict

from recryst.agent.llm import Message, Request
from recryst.agent.llm.answers import Answers
from recryst.agent.llm.ask import Unusable, reader, schema
from recryst.agent.llm.budget import Purse
from recryst.agent.llm.client import RE_ASKS, Model
from recryst.agent.llm.open import open_provider
from recryst.agent.llm.openai import _call
from recryst.agent.llm.wire import sound, tokens
from recryst.state.errors import ModelError
from recryst.state.params.llm import LlmParams
from recryst.tools.vectors.net import Fault, Retries, with_retries

PROVIDERS = ["anthropic", "openai", "ollama"]
CANARY = "sk-canary-51c2"
SENT_ONCE = [400, 401, 403, 404, 413, 422, "redirect"]
TRIED_AGAIN = [
    *(408, 409, 429, 500, 502, 503, 529),
    *("reset", "cut", "html", "not_json", "other_json", "list_json", "stream_error"),
]
RE_ASKED = [
    *("truncated", "refusal", "empty", "prose", "not_an_object", "deep", "bad_enum", "unknown_id"),
    *("duplicate_key", "extra_key"),
]
ATTEMPTS = 3


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    reasons: list[str]
    verdict: Literal["keep", "drop"]


def known_id(value):
    if value.id != "a word":  # what the schema filler fills in
        raise Unusable("id: no such cluster")


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for variable in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OLLAMA_API_KEY"):
        monkeypatch.setenv(variable, CANARY)


@pytest.fixture(params=PROVIDERS)
def vendor(request):
    return request.param


def model(vendor, server, folder, **params):
    """A model whose waits are short, not fewer."""
    given = {"attempts": ATTEMPTS, "deadline_seconds": 20, "max_tokens": 100_000, **params}
    settings = LlmParams(model=f"{vendor}:m", base_url=server.base_url(vendor), **given)
    made = Model(open_provider(settings), Answers(folder), Purse(None, settings), settings)
    made._live.retries = dataclasses.replace(made._live.retries, first_wait=0.005)
    return made


def question(text="Which?"):
    return Request(
        kind="critique",
        prompt="critique@1",
        system="You judge.",
        messages=(Message(role="user", content=text),),
        answer=schema(Verdict),
        max_tokens=200,
    )


def ask(asking, text="Which?", on_text=None):
    """The value, None, or the one error that may come."""
    try:
        return asking.ask(question(text), reader(Verdict, known_id), on_text)
    except ModelError as error:
        failed = error
    assert CANARY not in f"{failed} {failed.__cause__}"
    assert "\n" not in str(failed)
    return failed


def paid(asking, server):
    """No token that the server worked for is missing from the purse, and no more went out than the bound."""
    return server.billed <= asking.purse.tokens <= asking._params.max_tokens and not asking.purse._held


@pytest.mark.parametrize("streamed", [False, True])
def test_a_fault_that_stays_ends_in_an_error_or_in_no_answer(vendor, streamed, llm_server, tmp_path):
    on_text = (lambda text: None) if streamed else None
    # What is wrong with the answer itself does not depend on how it came.
    for what in [*SENT_ONCE, *TRIED_AGAIN, *(["truncated"] if streamed else RE_ASKED)]:
        server = llm_server(lambda asked, what=what: Failure(what, location="http://127.0.0.1:9"))
        asking = model(vendor, server, tmp_path / str(what))
        got = ask(asking, on_text=on_text)
        calls = len(server.chats)
        if what in SENT_ONCE:
            assert (type(got), calls) == (ModelError, 1), what
        elif what in TRIED_AGAIN:
            assert (type(got), calls) == (ModelError, ATTEMPTS), what
        else:
            assert (got, calls) == (None, 1 + RE_ASKS), what
            assert all(call.problem for call in asking.drain())
        assert paid(asking, server), what


def test_a_fault_that_goes_away_is_got_over(vendor, llm_server, tmp_path):
    for what in [*TRIED_AGAIN, *RE_ASKED]:
        server = llm_server(schema_filler)
        server.fail([Failure(what)])
        asking = model(vendor, server, tmp_path / str(what))
        heard = []
        got = ask(asking, on_text=heard.append if what == "cut" else None)
        assert isinstance(got, Verdict), what
        assert len(server.chats) == 2, what
        assert paid(asking, server), what
        calls = asking.drain()
        assert sum(max(call.attempts, 1) for call in calls) == 2
        # Asked again in another process: from the record, without the server.
        again = model(vendor, server, tmp_path / str(what))
        assert ask(again) == got
        assert len(server.chats) == 2


def test_a_drip_ends_at_the_deadline(vendor, llm_server, tmp_path):
    server = llm_server(lambda asked: Failure("drip"))
    for streamed in (False, True):
        asking = model(vendor, server, tmp_path / str(streamed), deadline_seconds=0.8)
        begun = time.monotonic()
        assert isinstance(ask(asking, on_text=(lambda text: None) if streamed else None), ModelError)
        assert 0.8 <= time.monotonic() - begun < 0.8 * 1.1 + 0.3
        assert asking.purse.tokens >= server.billed / 2 > 0
    assert len(server.chats) == 2


def test_time_that_the_counting_takes_is_part_of_the_deadline(llm_server, tmp_path):
    server = llm_server(schema_filler)
    server.fail([Failure("drip")] * 5, "count")
    asking = model("anthropic", server, tmp_path, deadline_seconds=0.8, max_tokens=400)
    begun = time.monotonic()
    assert isinstance(ask(asking), ModelError)
    assert time.monotonic() - begun < 0.8 * 1.1 + 0.3
    server.close()  # the drip ends, and the attempt that was given up must send nothing and hold nothing
    time.sleep(0.2)
    assert server.chats == []
    assert asking.purse.tokens == 0
    assert not asking.purse._held


def test_faults_of_the_counting_are_tried_again(llm_server, tmp_path):
    server = llm_server(schema_filler)
    server.fail([Failure(529), Failure("html")], "count")
    asking = model("anthropic", server, tmp_path, max_tokens=1100)
    assert isinstance(ask(asking), Verdict)
    assert [call.kind for call in server.calls] == ["count", "count", "count", "chat"]
    assert paid(asking, server)


def test_a_server_that_is_not_there_costs_nothing(vendor, llm_server, tmp_path):
    server = llm_server(schema_filler)
    asking = model(vendor, server, tmp_path)
    server.close()
    got = ask(asking)
    assert isinstance(got, ModelError)
    assert "cannot be reached" in str(got)
    assert asking.purse.tokens == 0


def test_a_long_retry_after_is_not_waited_out(vendor, llm_server, tmp_path):
    server = llm_server(schema_filler)
    server.fail([Failure(429, retry_after=86_400)])
    asking = model(vendor, server, tmp_path, deadline_seconds=1.0)
    begun = time.monotonic()
    assert isinstance(ask(asking), ModelError)
    assert time.monotonic() - begun < 1.0
    server.fail([Failure(429, retry_after=0), Failure(503, retry_after="soon")])
    assert isinstance(ask(asking), Verdict)


def test_waits_double_and_are_capped():
    waits = []

    def attempt(seconds):
        raise Fault("busy", "later", 429, retry_after=86_400 if len(waits) == 2 else None)

    with pytest.raises(Fault):
        with_retries(attempt, Retries(attempts=5, deadline=1000), sleep=waits.append)
    assert waits == [0.5, 1.0, 30.0, 4.0]


@pytest.mark.parametrize("seed", range(2))
def test_no_token_is_overspent_whatever_goes_wrong(vendor, seed, llm_server, tmp_path):
    """Forty questions, some equal, eight at a time, with faults, to a server whose every byte is a token."""

    def policy(asked):
        rng = random.Random(f"{seed} {asked.text} {len(server.chats)}")
        what = rng.choice([None, None, None, 429, 500, "reset", "truncated", "bad_enum", "not_json"])
        return schema_filler(asked) if what is None else Failure(what)

    server = llm_server(policy, bytes_per_token=1)
    asking = model(vendor, server, tmp_path, parallel=8, max_tokens=25_000, attempts=10)
    questions = [question(f"Which? {number % 30}") for number in range(40)]
    got = asking.ask_many(questions, reader(Verdict, known_id))
    assert paid(asking, server)
    assert any(value is not None for value in got)
    assert any(value is None for value in got)
    calls = asking.drain()
    assert sum(sum(call.usage.values()) + call.unsure_tokens for call in calls) == asking.purse.tokens
    assert all(call.response_sha is None for call in calls if "budget" in call.problem)


def test_what_was_paid_before_a_failure_is_logged_and_not_paid_again(vendor, llm_server, tmp_path):
    server = llm_server(lambda asked: Failure(400) if "bad" in asked.text else schema_filler(asked))
    asking = model(vendor, server, tmp_path, parallel=2)
    with pytest.raises(ModelError):
        asking.ask_many([question("one"), question("two"), question("bad")], reader(Verdict, known_id))
    calls = asking.drain()
    assert len(calls) == 2
    assert sum(sum(call.usage.values()) for call in calls) == asking.purse.tokens
    asking.ask_many([question("one"), question("two")], reader(Verdict, known_id))
    assert all(call.cache_hit for call in asking.drain())
    assert len(server.chats) == 3


def test_equal_questions_at_once_are_one_question(vendor, llm_server, tmp_path):
    def slow(asked):
        time.sleep(0.05)
        return schema_filler(asked)

    server = llm_server(slow)
    asking = model(vendor, server, tmp_path, parallel=8)
    got = asking.ask_many([question("same")] * 8, reader(Verdict, known_id))
    assert all(value == got[0] for value in got)
    assert len(server.chats) == 1
    assert len({call.response_sha for call in asking.drain()}) == 1


def test_lost_attempts_count_once_when_the_question_is_asked_again(vendor, llm_server, tmp_path):
    server = llm_server(schema_filler)
    server.fail([Failure("reset"), Failure("not_json"), Failure(503)])
    asking = model(vendor, server, tmp_path)
    assert isinstance(ask(asking), ModelError)
    lost = asking.purse.tokens
    assert lost > 0
    assert isinstance(ask(asking), Verdict)
    failed, call = asking.drain()
    assert (failed.unsure_tokens, failed.response_sha, call.unsure_tokens) == (lost, None, 0)
    assert asking.purse.tokens == lost + sum(call.usage.values())
    # And in a process that comes after one that was killed.
    (recorded,) = tmp_path.glob("*.json")
    recorded.unlink()
    recorded.with_suffix(".pending").write_text("70 7")
    later = model(vendor, server, tmp_path)
    ask(later)
    failed, call = later.drain()
    assert (failed.unsure_tokens, call.unsure_tokens) == (77, 0)
    assert later.purse.tokens == 77 + sum(call.usage.values())


def test_an_answer_too_deep_or_too_dear_to_be_true_is_a_fault():
    for provider in ("anthropic", "openai", "ollama"):
        read = open_provider(LlmParams(model=f"{provider}:m")).read
        with pytest.raises(Fault, match="documents"):
            sound('{"a":' * 300 + "1" + "}" * 300, lambda value: None)
        with pytest.raises(Fault, match="documents"):
            sound("{}", read)
    assert sound('{"a":' * 200 + "1" + "}" * 200, lambda value: None)
    assert tokens({"input_tokens": 10**9}, "input_tokens") == 10**9
    with pytest.raises(ValueError, match="number of tokens"):
        tokens({"input_tokens": 2**64 - 1}, "input_tokens")
    deep = {"id": "1", "function": {"name": "look", "arguments": '{"a":' * 300 + "1" + "}" * 300}}
    assert set(_call(deep).arguments) == {"unreadable"}


def test_ollama_is_given_room_for_the_whole_question():
    provider = open_provider(LlmParams(model="ollama:m"))
    room = [provider.body(question("x" * size))["options"]["num_ctx"] for size in (10, 30_000, 10**6)]
    assert room == [8192, 16_384, 131_072]
