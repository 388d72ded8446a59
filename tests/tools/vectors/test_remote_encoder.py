"""Encoders behind a server, by the vendors' own clients against the loopback server."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.state.errors import ModelError, UsageError
from recryst.state.params.vectors import EmbedParams
from recryst.tools.vectors.embed import VectorCache, embed, open_encoder
from recryst.tools.vectors.encoders.remote import RemoteEncoder, _requests, sent_to
from recryst.tools.vectors.net import Retries
from recryst.tools.vectors.vendors import address, is_loopback, stays_local

QUICK = Retries(attempts=3, deadline=2.0, first_wait=0.01, longest_wait=0.05)
KEY = "sk-canary-0123456789"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("OPENAI_BASE_URL", "OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # A proxy would take the texts off this machine.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")


def encoder(server, vendor, **options):
    params = EmbedParams(model=f"{vendor}:some-model", base_url=server.base_url(vendor), **options)
    return RemoteEncoder(params, QUICK)


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
def test_vectors_come_back_in_order_and_of_unit_length(llm_server, vendor):
    server = llm_server(dimensions=48)
    model = encoder(server, vendor, batch_size=4)
    texts = [f"row {number} of the table" for number in range(11)]
    vectors = model.encode(texts)
    assert vectors.shape == (11, 48)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[7], model.encode(texts[7:8])[0])
    assert model.encode(["", "a"]).shape == (2, 48)  # OpenAI refuses an empty text
    # One question of ours for the length of a vector, then the rows.
    sizes = [len(call.body["input"]) for call in server.calls]
    assert sizes == [1, 4, 4, 3, 1, 2]
    assert model.local
    assert "dimensions=48" in model.name
    assert server.url.partition("//")[2] in model.name
    assert encoder(server, vendor, max_tokens=64).name != model.name


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
def test_each_text_is_sent_once_and_found_in_the_cache_ever_after(llm_server, vendor, tmp_path):
    server = llm_server()
    params = EmbedParams(model=f"{vendor}:some-model", base_url=server.base_url(vendor))
    texts = ["one", "two", "one", "x" * 20_000]
    results = []
    for _ in range(2):
        model = open_encoder(params)
        results.append(embed(pl.Series(texts), model, VectorCache(tmp_path, model.name, model.dimensions), params))
    assert [result.embedded for result in results] == [3, 0]
    np.testing.assert_array_equal(results[0].vectors, results[1].vectors)
    sent = [text for call in server.calls for text in call.body["input"]]
    assert sorted(map(len, sent)) == [3, 3, 26, 26, 8191]


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
def test_a_server_that_fails_is_asked_again_and_then_given_up_in_one_sentence(llm_server, vendor):
    from llm_server import Failure

    server = llm_server()
    model = encoder(server, vendor)
    server.fail([Failure(429, retry_after=86400), Failure("reset")])
    assert model.encode(["a row"]).shape == (1, 32)
    for failure, calls in [(Failure(401), 1), (Failure("html"), 3), (Failure("other_json"), 3), (Failure(500), 3)]:
        before = len(server.calls)
        server.fail([failure] * calls)
        with pytest.raises(ModelError, match=f"^{vendor}:some-model: ") as error:
            model.encode(["a row"])
        assert len(server.calls) - before == calls, failure
        assert KEY not in str(error.value)
        assert "\n" not in str(error.value)
    server.close()
    with pytest.raises(ModelError, match="cannot be reached"):
        model.encode(["a row"])


def test_what_leaves_this_machine_is_said_beforehand(monkeypatch):
    assert sent_to(EmbedParams()) is None
    assert sent_to(EmbedParams(model="ollama:nomic-embed-text")) is None
    assert sent_to(EmbedParams(model="openai:m", base_url="http://localhost:8000/v1")) is None
    assert sent_to(EmbedParams(model="openai:text-embedding-3-small")) == "openai at api.openai.com"
    assert sent_to(EmbedParams(model="ollama:m", base_url="http://10.0.0.7:11434")) == "ollama at 10.0.0.7:11434"
    monkeypatch.setenv("OLLAMA_HOST", "gpu.example.org")
    assert sent_to(EmbedParams(model="ollama:m")) == "ollama at gpu.example.org:11434"
    assert not stays_local("ollama", "gpt-oss:120b-cloud", "http://127.0.0.1:11434")
    for lookalike in ("http://127.0.0.1.example.org", "http://localhost.example.org", "http://127.0.0.1@example.org"):
        assert not is_loopback(lookalike)


@pytest.mark.parametrize(
    "url", ["http://me:secret@host/v1", "host:8000", "file:///etc", "http://h/v1?key=secret", "http://h:x"]
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused_without_repeating_it(url):
    with pytest.raises(UsageError) as error:
        address("openai", url)
    assert "secret" not in str(error.value)


def test_a_missing_key_is_named(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        RemoteEncoder(EmbedParams(model="openai:m"), QUICK).encode(["a row"])


@given(st.lists(st.text(max_size=60) | st.integers(0, 12_000).map("é".__mul__), max_size=60), st.integers(1, 20))
def test_requests_stay_within_the_vendors_bounds(texts, most):
    parts = list(_requests(texts, most))
    assert sum(map(len, parts)) == len(texts)
    for part in parts:
        assert 0 < len(part) <= most
        assert sum(len(text.encode()) for text in part) <= 250_000
    for text, sent in zip(texts, [text for part in parts for text in part], strict=True):
        assert sent
        assert len(sent.encode()) <= 8191
        assert sent == text or text.startswith(sent) or (text, sent) == ("", " ")
