"""What the rows were taken for, in one block."""

import json

import pytest

from recryst.state.params.preparation import LoadParams
from recryst.state.settings import parse_config
from recryst.state.values import Values
from recryst.tools.read.load import load
from recryst.tools.write.choices import choices, choices_of_run, said

ROWS = [
    {"url": f"https://a.org/{n}", "question": f"What is {n}?", "answer": f"It is {n}.", "score": n / 3,
     "category": "abc"[n % 3]}
    for n in range(12)
]  # fmt: skip


def loaded(folder, rows=ROWS, **params):
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return load(str(path), LoadParams(**params), folder / "loaded")


def test_every_choice_is_said_and_how_to_say_otherwise(tmp_path):
    found = choices(loaded(tmp_path), profile="short: as named")
    assert (found.text, found.label, found.id) == (("question", "answer"), None, None)
    assert found.content == ("question", "answer", "category")
    assert found.left_out == {"url": "address", "score": "score"}
    lines = dict(found.lines())
    assert lines["label"] == "none; `category` looks like a label, 3 values: use --label-column category"
    assert lines["id"] == "none: made of the content"
    assert lines["left out"] == (
        "`score` (score), `url` (address); to say otherwise: --content-columns question,answer,category,score"
    )
    assert lines["profile"] == "short: as named"
    block = [line for line, _ in said(found, ["beside"])]
    assert block[0] == "the rows are taken for:"
    assert block[-1] == "note: beside"


def test_a_column_without_a_name_is_called_so(tmp_path):
    bare = [{"": n, "text": f"It is {n}."} for n in range(12)]
    assert dict(choices(loaded(tmp_path, bare)).lines())["left out"] == "the column without a name (id)"
    more = dict(choices(loaded(tmp_path, [{**row, "url": f"https://a.org/{row['']}"} for row in bare])).lines())
    told = "the column without a name (id), `url` (address); to say otherwise: --content-columns text,url"
    assert more["left out"] == told


def test_a_label_that_is_named_looks_like_no_other(tmp_path):
    found = choices(loaded(tmp_path, label_column="category", content_columns=("question",)))
    assert (found.label, found.label_like, found.content) == ("category", None, ("question",))


@pytest.mark.parametrize(
    ("values", "like"),
    [(["x", "y", "y"], ("label", 2)), (["x", "y", "z"], None), ([1, 0, 1], ("label", 2)), (["x", "x", "x"], None)],
)
def test_a_column_called_label_is_one_where_its_values_repeat(tmp_path, values, like):
    rows = [{"text": f"text {n}", "label": value} for n, value in enumerate(values)]
    assert loaded(tmp_path, rows).label_like == like


def test_a_run_says_its_profile_and_which_names_its_own_columns_have():
    meanings = {"text": "content", "recryst_id": "id", "recryst_id_": "content"}
    values = Values(shape="text", text_columns=("text",), meanings=meanings, notes=("so",))
    found = choices_of_run(values, parse_config({"anchor": {"fraction": 0.2}}, "the test"))
    assert found.notes == (
        "so",
        "the input has a column `recryst_id`, which stays as it is; Recryst's own is called `recryst_id__`",
    )
    assert found.split == (
        "20% of the clean rows, 2,000 at most, are held out as the anchor; 10%, 1,000 at most and 100 at least, are "
        "sealed until the rounds are over; the rest is train"
    )
    unsealed = choices_of_run(values, parse_config({"sealed": {"fraction": 0}}, "the test"))
    assert unsealed.split.endswith("are held out as the anchor; the rest is train")
    assert found.profile.startswith("chosen, once they are clean,")
    assert choices_of_run(values.patched(Values(profile="web")), parse_config({}, "the test")).profile.startswith(
        "web: "
    )
    named = parse_config({"filter": {"profile": "none"}}, "the test")
    assert choices_of_run(values, named).profile == "none: as named"
