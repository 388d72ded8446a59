"""Rows near in meaning: to words where the run has a model that embeds them, to a row in every run."""

import json

import polars as pl
import pytest
from browsing import opened, total, until
from conversing import conversation

from recryst.agent.view import View
from recryst.state.run import RunDirectory
from recryst.state.settings import load_config

ABOUT = {
    "cats": ["the kitten sleeps on the sofa", "our cat caught a mouse", "a purring tomcat on the windowsill"],
    "loans": ["the bank charges interest on the mortgage", "repay the credit next year", "a loan needs a guarantor"],
    "rain": ["heavy showers are forecast tonight", "the storm flooded the street", "clouds bring drizzle and wind"],
}
SETTINGS = [
    *("approve=true", "train.enabled=false", "policy=rules", "critic=rules", "load.label_column=label"),
    *("reduce.methods=[pca]", "score.bootstraps=2", "cluster.k=3"),
]


@pytest.fixture(scope="session")
def worded(tmp_path_factory):
    """A run of texts, embedded by the built-in model, that waits with its first proposal."""
    folder = tmp_path_factory.mktemp("worded")
    lines = [(f"{text}, case {n}", label) for n in range(8) for label, texts in ABOUT.items() for text in texts]
    pl.DataFrame(lines, schema=["text", "label"], orient="row").write_csv(folder / "rows.csv")
    settings = load_config(None, SETTINGS)
    root = RunDirectory.create(folder / "run", str(folder / "rows.csv"), settings).root
    with conversation(root):
        pass
    return root


def near(page, **to):
    status, _, content = page.ask("/api/near", to)
    return status, json.loads(content)


def test_words_are_placed_by_the_model_of_the_run(worded, serving):
    page = serving(worded)
    assert page.get("/api/status")["meaning"] == {"why_not": None, "sends": None}
    status, said = near(page, text="feline pets")
    assert status == 200
    found = page.rows(near=said["near"], limit=500)["rows"]
    closeness = [row["closeness"] for row in found]
    assert closeness == sorted(closeness, reverse=True)
    assert {row["label"] for row in found[:10]} == {"cats"}
    assert "held out" in {row["status"] for row in found}, "rows that are held out have a place too"
    mixed = page.rows(near=said["near"], filters={"label": ["rain"]}, search="storm")
    assert {row["label"] for row in mixed["rows"]} == {"rain"}
    mask = page.get("/api/map/found", q=json.dumps({"near": said["near"]}))
    assert sum(mask) == len(View.open(worded).frame("maps")) <= 200
    assert near(page, text="  ")[0] == near(page)[0] == 400
    assert near(page, text="w" * 2001)[0] == 400
    assert page.ask("/api/near", {"text": "cats"}, Origin=None)[0] == 403
    assert page.ask("/api/rows?q=" + json.dumps({"near": "0"}).replace(" ", ""))[0] == 400


def test_where_vectors_came_with_the_data_rows_like_a_row_are_found_and_words_refused(thinned, serving):
    page = serving(thinned)
    assert "no model places words" in page.get("/api/status")["meaning"]["why_not"]
    status, said = near(page, text="okapi")
    assert (status, "the column vector" in said["error"]) == (400, True)
    kept = page.rows(filters={"status": ["kept"]})["rows"][3]["row"]
    status, said = near(page, row=kept)
    assert status == 200
    found = page.rows(near=said["near"], limit=500)["rows"]
    assert kept not in {row["row"] for row in found}
    expected = [one["row"] for one in page.get("/api/row", n=kept)["neighbours"]]
    stand = [row["row"] for row in found if row["status"] != "held out"]
    assert stand[: len(expected)] == expected
    assert near(page, row=10_000)[0] == 400


@pytest.mark.browser
def test_a_person_searches_by_meaning_on_the_page(worded, serving, browser):
    page, faults = opened(browser, serving(worded).address)
    page.wait_for_selector("#map[data-names]", state="attached")
    everything = total(page)
    page.keyboard.press("m")
    page.keyboard.type("<b>interest</b> on borrowed money")
    until(lambda: page.locator("#facets .near").count() == 1, "the search is told")
    assert "<b>interest</b>" in page.locator("#facets .near").inner_text()
    until(lambda: "loans" in page.locator(".table-row").first.inner_text(), "the nearest rows come first")
    assert " · " in page.locator(".table-row").first.inner_text()
    page.locator(".table-row").first.click()
    page.locator("#like").click()
    until(lambda: "row" in page.locator("#facets .near").inner_text(), "rows like the open one are listed")
    page.keyboard.press("Escape")
    until(lambda: total(page) == everything, "Escape shows every row again")
    assert faults == []
