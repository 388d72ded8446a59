"""The three providers, each through its vendor's own client: answers, tools, streams, usage, batches and keys."""

import json
import sys
from typing import Literal

import pytest
from llm_server import Answer, Failure
from policies import schema_filler, tool_caller
from pydantic import BaseModel, Field

from recryst.agent.llm import Message, Request, ToolSpec, Usage
from recryst.agent.llm.ask import parse, schema
from recryst.agent.llm.open import open_provider
from recryst.state.errors import UsageError
from recryst.state.params.llm import LlmParams
from recryst.tools.vectors.net import Fault

PROVIDERS = ["anthropic", "openai", "ollama"]
KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY", "ollama": "OLLAMA_API_KEY"}
CANARY = "sk-canary-7d1f"


class Pair(BaseModel):
    """A part that the schema names by reference."""

    name: str = Field(max_length=20)
    weight: float = Field(0.5, ge=0, le=1)


class Judgement(BaseModel):
    """Bounds of every kind, which two of the vendors refuse in a schema."""

    reasons: list[str] = Field(min_length=1, max_length=3)
    pairs: list[Pair] = Field(max_length=2)
    score: int = Field(ge=0, le=5)
    note: str | None = None
    verdict: Literal["keep", "trim", "drop"]


GOOD = {"reasons": ["Grüße, “quoted” 😀"], "pairs": [{"name": "a", "weight": 0.5}], "score": 3, "note": None}
GOOD["verdict"] = "trim"
LOOK = ToolSpec(
    name="look",
    description="Shows a cluster.",
    parameters={"type": "object", "properties": {"cluster": {"type": "integer"}}, "required": ["cluster"]},
)


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    for variable in KEYS.values():
        monkeypatch.setenv(variable, CANARY)
    for variable in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "OLLAMA_HOST"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(params=PROVIDERS)
def vendor(request):
    return request.param


def opened(vendor, server):
    return open_provider(LlmParams(model=f"{vendor}:some-model", base_url=server.base_url(vendor)))


def question(text="What is it?", **changes):
    given = {"system": "You judge.", "answer": schema(Judgement), "max_tokens": 500, **changes}
    return Request(kind="critique", prompt="critique@1", messages=(Message(role="user", content=text),), **given)


def test_a_structured_answer_is_the_same_streamed_or_not(vendor, llm_server):
    server = llm_server(lambda asked: GOOD)
    provider = opened(vendor, server)
    body = provider.body(question())
    assert body == provider.body(question())
    provider.send(body, 10)  # from now on its beginning is cached
    whole = provider.send(body, 10)
    heard = []
    assert provider.send(body, 10, heard.append) == whole
    reply = provider.read(whole)
    assert parse(reply, Judgement).model_dump() == GOOD
    assert "".join(heard) == reply.text
    assert len(heard) > 3
    assert (reply.stop_reason, reply.model) == ("end", "some-model")
    _, plain, streamed = server.chats
    for asked in (plain, streamed):
        sent = {key: value for key, value in asked.body.items() if key not in ("stream", "stream_options")}
        assert json.loads(json.dumps(sent)) == json.loads(json.dumps(body))
        assert (asked.system, asked.text, asked.max_tokens) == ("You judge.", "What is it?", 500)
        assert set(asked.schema["properties"]) == set(GOOD)
    assert CANARY in f"{plain.headers}"
    assert CANARY not in json.dumps(whole)


def test_usage_is_read_and_the_cache_shows_in_it(vendor, llm_server):
    server = llm_server(schema_filler)
    provider = opened(vendor, server)
    asked = question(system="You judge. " * 500)
    first, second = (provider.read(provider.send(provider.body(asked), 10)).usage for _ in range(2))
    assert first.total + second.total == server.billed
    assert first.output_tokens == second.output_tokens > 0
    read = {"anthropic": first.cache_write_tokens, "openai": 1375, "ollama": 0}[vendor]
    assert second.cache_read_tokens == read
    assert (first.cache_write_tokens > 0) == (vendor == "anthropic")
    assert second == Usage(
        input_tokens=first.total - first.output_tokens - read,
        output_tokens=first.output_tokens,
        cache_read_tokens=read,
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called_and_answered(vendor, streamed, llm_server):
    server = llm_server(tool_caller)
    provider = opened(vendor, server)
    heard = []
    asked = question(answer=None, tools=(LOOK,))
    reply = provider.read(provider.send(provider.body(asked), 10, heard.append if streamed else None))
    assert (reply.text, reply.stop_reason) == ("I shall look.", "tool_use")
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("look", {})]
    (call,) = reply.tool_calls
    turns = (
        Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls),
        Message(role="tool", content="7 rows", tool_call_id=call.id),
    )
    again = asked.model_copy(update={"messages": (*asked.messages, *turns)})
    assert provider.read(provider.send(provider.body(again), 10)).text == "Done."
    said, answered = server.chats[-1].messages[-2:]
    assert (said.role, said.tool_uses[0].name, answered.role, answered.text) == ("assistant", "look", "tool", "7 rows")
    assert answered.answers == ("look" if vendor == "ollama" else call.id)


def test_two_answers_of_tools_and_a_call_without_words(vendor, llm_server):
    server = llm_server(lambda asked: "Done.")
    provider = opened(vendor, server)
    calls = tuple({"id": f"toolu_{number}", "name": "look", "arguments": {"cluster": number}} for number in range(2))
    messages = (
        Message(role="user", content="Compare."),
        Message(role="assistant", content="", tool_calls=calls),
        *(Message(role="tool", content=f"{call['arguments']}", tool_call_id=call["id"]) for call in calls),
    )
    asked = question(answer=None, tools=(LOOK,)).model_copy(update={"messages": messages})
    assert provider.read(provider.send(provider.body(asked), 10)).text == "Done."
    answered = [turn.text for turn in server.chats[0].messages if turn.role == "tool"]
    assert answered == ["{'cluster': 0}", "{'cluster': 1}"]


@pytest.mark.parametrize(
    ("given", "stop"),
    [(Answer("half a sen", stop="length"), "length"), (Answer("", stop="refusal"), "refusal"), (Answer(""), "end")],
)
def test_why_an_answer_ended(vendor, given, stop, llm_server):
    provider = opened(vendor, llm_server(lambda asked: given))
    body = provider.body(question())
    provider.send(body, 10)
    whole = provider.send(body, 10)
    assert provider.send(body, 10, lambda text: None) == whole
    # Ollama's models refuse in words alone.
    assert provider.read(whole).stop_reason == ("end" if (vendor, stop) == ("ollama", "refusal") else stop)


def test_the_bound_on_tokens_is_kept_by_the_server_and_told(vendor, llm_server):
    provider = opened(vendor, llm_server(lambda asked: "word " * 100))
    reply = provider.read(provider.send(provider.body(question(answer=None, max_tokens=10)), 10))
    assert (reply.stop_reason, reply.usage.output_tokens) == ("length", 10)


def test_only_anthropic_counts(vendor, llm_server):
    server = llm_server()
    provider = opened(vendor, server)
    counted = provider.count(provider.body(question()), 10)
    if vendor != "anthropic":
        assert (counted, server.calls) == (None, [])
        return
    usage = provider.read(provider.send(provider.body(question()), 10)).usage
    assert usage.total - usage.output_tokens <= counted * 1.05
    server.fail([Failure(404), Failure(529)], "count")
    assert provider.count(provider.body(question()), 10) is None
    with pytest.raises(Fault, match="529"):
        provider.count(provider.body(question()), 10)


@pytest.mark.parametrize("vendor", ["anthropic", "openai"], indirect=True)
def test_a_batch_is_answered_by_request_and_what_failed_is_missing(vendor, llm_server):
    server = llm_server(lambda asked: Failure(500) if "bad" in asked.text else {"reasons": [asked.text]})
    provider = opened(vendor, server)
    bodies = {f"{number:064x}": provider.body(question(text)) for number, text in enumerate(["a", "b", "bad", "c"])}
    batch = provider.submit(bodies, 10)
    assert provider.collect(batch, 10) is None
    answers = provider.collect(batch, 10)
    texts = {sha: json.loads(provider.read(answer).text)["reasons"] for sha, answer in answers.items()}
    assert texts == {f"{0:064x}": ["a"], f"{1:064x}": ["b"], f"{3:064x}": ["c"]}
    assert provider.collect(batch, 10) == answers
    with pytest.raises(Fault, match="404"):
        provider.collect("batch_of_nobody", 10)


def test_ollama_has_no_batches():
    with pytest.raises(UsageError, match="no batches"):
        open_provider(LlmParams(model="ollama:m", batch=True))


def test_a_redirect_takes_neither_texts_nor_key_elsewhere(vendor, llm_server):
    elsewhere = llm_server()
    server = llm_server(lambda asked: Failure("redirect", location=elsewhere.url))
    provider = opened(vendor, server)
    for heard in (None, lambda text: None):
        with pytest.raises(Fault, match="307") as caught:
            provider.send(provider.body(question()), 10, heard)
        assert caught.value.kind == "permanent"
    assert elsewhere.calls == []


def test_a_key_that_the_server_says_back_is_in_no_fault(vendor, llm_server):
    provider = opened(vendor, llm_server(lambda asked: Failure(401)))
    with pytest.raises(Fault) as caught:
        provider.send(provider.body(question()), 10)
    assert (caught.value.kind, caught.value.status) == ("permanent", 401)
    assert CANARY not in f"{caught.value}"


def test_a_missing_key_is_named_before_anything_is_sent(vendor, llm_server, monkeypatch):
    server = llm_server(schema_filler)
    monkeypatch.delenv(KEYS[vendor])
    provider = opened(vendor, server)
    if vendor == "anthropic":
        with pytest.raises(UsageError, match="ANTHROPIC_API_KEY"):
            provider.send(provider.body(question()), 10)
        assert server.calls == []
    else:  # compatible servers often ask for none
        provider.send(provider.body(question()), 10)
    if vendor == "openai":
        with pytest.raises(UsageError, match="OPENAI_API_KEY"):
            open_provider(LlmParams(model="openai:m")).send({}, 10)


def test_numbers_of_tokens_are_not_taken_on_trust(vendor, llm_server):
    provider = opened(vendor, llm_server(schema_filler))
    whole = provider.send(provider.body(question()), 10)
    keys = {"anthropic": ("usage", "input_tokens"), "openai": ("usage", "prompt_tokens"), "ollama": ("eval_count",)}
    for value in (-5, 1.5, "many", True):
        part = answer = json.loads(json.dumps(whole))
        *above, last = keys[vendor]
        for key in above:
            part = part[key]
        part[last] = value
        with pytest.raises(ValueError, match="tokens"):
            provider.read(answer)


def test_where_texts_go_follows_the_address(monkeypatch):
    def local(name, base_url=None):
        return open_provider(LlmParams(model=name, base_url=base_url)).local

    assert local("ollama:m")
    assert not local("ollama:m-cloud")
    assert not local("openai:m")
    assert not local("anthropic:m")
    assert local("openai:m", "http://localhost:8000/v1")
    assert not local("openai:m", "http://localhost.example.org/v1")
    monkeypatch.setenv("OLLAMA_HOST", "gpu.example.org")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    assert not local("ollama:m")
    assert local("anthropic:m")
    assert local("ollama:m", "http://127.0.0.1:11434")


def test_the_bound_is_named_as_the_server_knows_it():
    def keys(base_url):
        return set(open_provider(LlmParams(model="openai:m", base_url=base_url)).body(question()))

    assert "max_completion_tokens" in keys(None)
    assert "max_tokens" in keys("http://127.0.0.1:8000/v1")


@pytest.mark.parametrize(
    ("name", "said"),
    [("antropic:m", "did you mean anthropic"), ("gpt", "no provider 'gpt'"), ("ollama:", "lacks the model's name")],
)
def test_a_wrong_name_is_told(name, said):
    with pytest.raises(UsageError, match=said):
        open_provider(LlmParams(model=name))


def test_a_provider_is_opened_without_the_vendors_package(vendor, monkeypatch):
    for package in ("anthropic", "openai", "ollama"):
        monkeypatch.setitem(sys.modules, package, None)
    provider = open_provider(LlmParams(model=f"{vendor}:m:8b"))
    assert provider.model == "m:8b"
    assert provider.body(question())["model"] == "m:8b"
