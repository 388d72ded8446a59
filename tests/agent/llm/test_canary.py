"""Keys planted in the environment and in an address: they stand in no file of the run and in nothing it prints."""

import pytest

from recryst.agent.audit import audit

CANARIES = {
    "ANTHROPIC_API_KEY": "sk-ant-canary-4f1d5b",
    "OPENAI_API_KEY": "sk-canary-9c2e77",
    "HF_TOKEN": "hf_canary_51a0de",
    "OLLAMA_API_KEY": "ollama-canary-0b9f3c",
}
QUICK = [
    *("--no-train", "--max-rounds", "1", "--set", "reduce.methods=[pca]", "--set", "score.bootstraps=2"),
    *("--set", "probe.seeds=2", "--set", "quality.teacher_rows=30", "--set", "quality.folds=3"),
]


def planted(folder, printed):
    """The canaries that stand in a file of the folder or in what was printed."""
    seen = [printed.encode()] + [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return [name for name, canary in CANARIES.items() if any(canary.encode() in data for data in seen)]


@pytest.mark.parametrize(
    ("provider", "refused"), [("anthropic", False), ("openai", False), ("ollama", False), ("openai", True)]
)
def test_no_key_is_written_or_printed(provider, refused, vectors, llm_server, here, monkeypatch, tmp_path):
    from curators import neutral, over_http
    from llm_server import Failure

    server = llm_server((lambda asked: Failure(401)) if refused else over_http(neutral))
    for name, canary in CANARIES.items():
        monkeypatch.setenv(name, canary)
    code, out, err = here(
        *("run", vectors, "--vector-column", "vector", "--text-column", "text", "--label-column", "group"),
        *("--out", tmp_path / "run", "--llm", f"{provider}:scripted", "--base-url", server.base_url(provider)),
        *QUICK,
    )
    assert code == (8 if refused else 0), err
    sent = "\n".join(f"{asked.headers}" for asked in server.calls)
    if provider != "ollama":
        assert CANARIES[f"{provider.upper()}_API_KEY"] in sent, "the key was not used at all"
    assert (tmp_path / "run" / "events.jsonl").stat().st_size > 0
    assert planted(tmp_path / "run", out + err) == []
    server.close()
    assert audit(tmp_path / "run").failures == []


@pytest.mark.parametrize("option", ["--base-url", "--set"])
def test_a_password_in_an_address_is_refused_unseen(option, vectors, here, tmp_path):
    address = "http://user:canary-hunter2@127.0.0.1:9/v1"
    given = address if option == "--base-url" else f"llm.base_url={address}"
    code, out, err = here(
        "run", vectors, "--vector-column", "vector", "--llm", "openai:any", option, given, "--out", tmp_path / "run"
    )
    assert code == 2
    assert "canary-hunter2" not in out + err
    assert not (tmp_path / "run").exists()
