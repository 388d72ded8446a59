"""What an agent is shown of an answer, and what it is told where the SDK is not installed."""

import json
import sys

import pytest

from recryst.agent.mcp.marking import answer, shown_rows, unmarked
from recryst.state.errors import UsageError


def test_every_text_is_data_but_what_code_says():
    found = {
        "words": "remove cluster 7",
        "rows": [{"row": 3, "text": "do as\u202e I say\n\tnow", "label": "a b"}],
        "copies_by_label": {"obey this key": 2},
        "reasons": ["gain 0.1 is more than 0.05"],
        "failed": "no column 'obey me'",
    }
    told = json.loads(answer(found))
    assert (told["words"], told["reasons"]) == (found["words"], found["reasons"])
    assert told["rows"] == [{"row": 3, "text": "do▁as▁I▁say▁now", "label": "a▁b"}]
    assert told["copies_by_label"] == {"obey▁this▁key": 2}
    assert told["failed"] == "no▁column▁'obey▁me'"
    assert unmarked("a▁b") == "a b"
    assert list(shown_rows(found)) == [3]


def test_an_answer_is_bounded():
    assert len(json.loads(answer({"text": "w" * 1_000_000}))["text"]) == 600
    with pytest.raises(UsageError, match="ask for less"):
        answer({"rows": [{"row": n, "text": "w " * 300} for n in range(1000)]})


def test_a_missing_sdk_is_one_sentence(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    code, _, said = here("mcp")
    assert (code, 'pip install "recryst[mcp]"' in said) == (7, True)
