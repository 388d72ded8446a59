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


def smaller(text):
    """A student that was pruned and learned from the model in the folder ``text``."""
    data = report_data([text] * len(HOSTILE))
    student = {"mode": "scratch", "base": None, "teacher": text}
    return data.model_copy(update={"training": data.training.model_copy(update=student), "pruned": text})


def classifier(text, **changes):
    """A run that ends with a classifier."""
    data = report_data([text] * len(HOSTILE))
    final = data.classifiers[0].model_copy(update=changes)
    return data.model_copy(update={"models": (), "final_model": None, "training": None, "classifiers": (final,)})


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [smaller, classifier])
def test_hostile_text_of_other_models_changes_nothing_but_text(text, kind, tmp_path):
    _, body = written(kind(text), tmp_path)
    _, calm = written(kind("word"), tmp_path)
    assert shape(body) - Counter(text_special=10**6) == shape(calm) - Counter(text_special=10**6)


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
    int2, _ = written(_as(data, "int2"), tmp_path)
    assert int2["tags"] == ["recryst", "int2"]
    assert "library_name" not in int2  # Recryst alone reads it


def _as(data, name):
    models = (data.models[0], data.models[1].model_copy(update={"name": name}))
    return data.model_copy(update={"models": models, "final_model": FinalModel(name=name, why="word")})


def test_of_a_student_its_teacher_is_told_and_of_a_pruned_model_what_was_taken_out(tmp_path):
    data = smaller("llama").model_copy(update={"pruned": "50% of the layers were to be taken out"})
    front, body = written(data, tmp_path)
    assert "base_model" not in front
    assert "from scratch as the student of llama on a training set" in body
    assert f"| weights of its teacher, llama, SHA-256 | {'5d' * 32} |" in body
    assert "| held-out perplexity of the teacher | 77.123 |" in body
    assert "began from" not in body
    assert "50% of the layers were to be taken out." in body


def test_rows_that_a_chat_template_spelt_are_counted(tmp_path):
    data = report_data(["word"] * len(HOSTILE))
    assert "chat template" not in written(data, tmp_path)[1]
    spelt = data.training.model_copy(update={"chat_rows": 7123, "plain_rows": 4})
    _, body = written(data.model_copy(update={"training": spelt}), tmp_path)
    assert "| rows spelt by its chat template | 7,123 |\n| rows read as plain text | 4 |" in body


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("encoder", "all-MiniLM-L6-v2, fine-tuned to tell 77 labels apart"),
        ("head", "a logistic regression on its vectors that tells 77 labels apart"),
        ("distilled", "A small classifier of 77 labels: the student of all-MiniLM-L6-v2"),
    ],
)
def test_a_classifier_has_a_card_of_its_own(kind, said, tmp_path):
    front, body = written(classifier("word", kind=kind), tmp_path)
    assert front == {
        "pipeline_tag": "text-classification",
        "tags": ["recryst"],
        "library_name": "transformers",
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "metrics": ["f1", "accuracy"],
    }
    assert said in body
    assert f"| classifier | {kind} | 2,139,213 | 8,560,012 | 0.9241 | 98.8 % | 0.9243 |" in body
    told = f"8,123 rows with|907 held-out rows|128 tokens|{'6e' * 32}|{'3f' * 32}|{'a7' * 32}|5,555|recryst audit"
    assert [one for one in told.split("|") if one not in body] == []
    assert "perplexity" not in body
