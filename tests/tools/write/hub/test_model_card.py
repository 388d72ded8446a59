"""The model card: front matter that a hub reads, the whole lineage, and no text that leaves its place."""

from collections import Counter

import pytest
import yaml
from markdown_it import MarkdownIt
from report_page import HOSTILE, report_data

from recryst.state.values import FinalModel
from recryst.tools.write.hub.model_card import write_model_card


def written(data, folder):
    write_model_card(data, folder / "README.md")
    front, body = (folder / "README.md").read_text()[4:].split("\n---\n", 1)
    return yaml.safe_load(front), body


def shape(body):
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body)
    return Counter(token.type for block in tokens for token in [block, *(block.children or [])] if token.type != "text")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_nothing_but_text(text, tmp_path):
    front, body = written(report_data([text] * len(HOSTILE)), tmp_path)
    _, calm = written(report_data(["word"] * len(HOSTILE)), tmp_path)
    assert shape(body) - Counter(text_special=10**6) == shape(calm) - Counter(text_special=10**6)
    assert set(front) <= {"pipeline_tag", "tags", "library_name", "base_model", "metrics"}
    assert front["tags"] == ["recryst", "bitsandbytes", "nf4"]


def test_where_it_comes_from_is_told(tmp_path):
    data = report_data(["word"] * len(HOSTILE)).model_copy(update={"source": "hf:owner/rows:part@train"})
    front, body = written(data, tmp_path)
    assert front == {
        "pipeline_tag": "text-generation",
        "tags": ["recryst", "bitsandbytes", "nf4"],
        "library_name": "transformers",
        "base_model": "word",
        "datasets": ["owner/rows"],
        "metrics": ["perplexity"],
    }
    lineage = f"{'3f' * 32}|{'a7' * 32}|{'5d' * 32}|run-17|seed 0|Recryst 0.1.0|10,003|1,113|5,555"
    figures = "lora|298,765|3.21|4,077|77.123|41.238|1.6123|43.911|3,423,512|7.1234|4.3456|9,022|1.7011|recryst audit"
    assert [one for one in f"{lineage}|{figures}".split("|") if one not in body] == []
    gguf, _ = written(data.model_copy(update={"final_model": FinalModel(name="dense", why="word")}), tmp_path)
    assert gguf["tags"] == ["recryst"]
