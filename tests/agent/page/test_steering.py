"""Banking77, 2,000 rows, from the first line to the curated file, by a person at the page alone."""

import os
import random
from pathlib import Path

import polars as pl
import pytest
from browsing import approve, lasso, opened, proposed, total, until
from conversing import steps

from recryst.agent.audit import audit
from recryst.agent.view import View
from recryst.state.run import RunDirectory
from recryst.state.settings import load_config

pytestmark = pytest.mark.browser
ROWS = 2000
SETTINGS = [
    *("approve=true", "train.enabled=false", "policy=rules", "critic=rules", "stop.max_rounds=50", "stop.patience=50"),
    *("load.label_column=category", "load.id_column=id", "reduce.methods=[pca]", "score.bootstraps=2"),
]


@pytest.fixture
def questions(shared_data, tmp_path):
    """2,000 questions to a bank with their intents, one label in thirty another's, and a copy of the first ten."""
    frame = pl.read_csv(shared_data / "banking77" / "train.csv").sample(ROWS - 10, shuffle=True, seed=0)
    labels, names = frame["category"].to_list(), frame["category"].unique().sort().to_list()
    draw = random.Random(0)
    wrong = [draw.choice(names) if n % 30 == 29 else label for n, label in enumerate(labels)]
    frame = frame.with_columns(category=pl.Series(wrong))
    path = tmp_path / "bank.csv"
    frame = pl.concat([frame, frame[:10]]).with_row_index("id").with_columns(pl.format("bank-{}", "id").alias("id"))
    frame.write_csv(path)
    return path


class Person:
    """Somebody at the page."""

    def __init__(self, page, served, root):
        self.page, self.served, self.root = page, served, root

    def sees(self):
        """The words of what waits now, once it is on the screen."""
        waits = self.served.waits()[0]["interrupt_id"]
        shown = "import('/static/store.js').then(({ state }) => state.proposal?.waiting?.interrupt_id)"
        until(lambda: self.page.evaluate(shown) == waits, "what waits is shown")
        self.page.click("[data-tab='proposal']")
        self.page.wait_for_selector("#approve")
        return proposed(self.page)

    def row(self, id):
        """Open a row by searching for it."""
        self.page.keyboard.press("Escape")
        self.page.locator("#search").fill(id)
        self.page.locator(f".table-row:has-text('{self.text(id)}')").first.wait_for()
        until(lambda: 0 < total(self.page) < 20, "the search narrows the rows")
        self.page.locator(".table-row").first.click()
        self.page.wait_for_selector("#side .life li")

    def text(self, id):
        view = View.open(self.root)
        return view.frame("rows", "text")["text"][view.ledger()["id"].index_of(id)][:20].replace("'", "\\'")

    def says(self, part):
        until(lambda: part in self.page.locator("#toasts").inner_text(), f"the page says {part!r}")

    def does(self, edit, words):
        """Something with the row that is open, approved."""
        before = self.rounds()
        self.page.click(f"#side [data-edit='{edit}']")
        until(lambda: proposed(self.page) == words, f"{words!r} is proposed")
        approve(self.page)
        until(lambda: self.rounds() == before + 1, f"{words!r} is carried out")
        self.sees()

    def rounds(self):
        return [event.type for event in steps(self.root)].count("measure")


def status(root, id):
    ledger = View.open(root).ledger()
    return ledger.filter(pl.col("id") == id)["status"][0]


def test_a_curation_from_start_to_curated_file(questions, tmp_path, serving, browser):
    root = RunDirectory.create(tmp_path / "run", str(questions), load_config(None, SETTINGS)).root
    pictures = Path(os.environ.get("RECRYST_PICTURES", tmp_path))
    served = serving(root, acts=True, who="Ana")
    page, faults = opened(browser, served.address)
    person = Person(page, served, root)
    person.sees()
    page.wait_for_selector("#map[data-names]", state="attached")
    assert total(page) == ROWS - len(View.open(root).sealed())

    # colour and lasso
    page.select_option("#colour", "label")
    until(lambda: "card" in page.locator("#legend").inner_text(), "the legend tells the intents")
    chosen = lasso(page, (0.3, 0.1), (0.7, 0.1), (0.7, 0.9), (0.3, 0.9))
    until(lambda: 0 < total(page) == chosen < ROWS, "the lasso narrows the rows")
    page.screenshot(path=pictures / "1280.png")
    page.keyboard.press("Escape")

    # a row goes, and comes back; a copy does not
    first, second = View.open(root).ledger()["id"].gather(View.open(root).kept()[[30, 90]])
    person.row("bank-1995")
    page.click("#side [data-edit='restore']")
    person.says("row bank-1995 stays out: another row has the same content")
    person.row(first)
    person.does("drop", "Take out 1 row")
    assert status(root, first) == "removed"
    person.row(first)
    person.does("restore", "Bring back 1 row")
    assert status(root, first) == "kept"

    # reject, approve, undo
    page.keyboard.press("Escape")
    words, rounds = person.sees(), person.rounds()
    page.locator("[data-choose]").first.click()
    until(lambda: proposed(page) not in ("", words), "another action is put forward")
    page.wait_for_timeout(500)
    page.click("#reject")
    until(lambda: person.rounds() == rounds + 1, "it is rejected")
    person.sees()
    approve(page)
    until(lambda: person.rounds() == rounds + 2, "the next is carried out")
    person.sees()
    person.row(second)
    person.does("drop", "Take out 1 row")
    kept = len(View.open(root).kept())
    page.keyboard.press("Control+k")
    page.keyboard.type("undo the last")
    page.keyboard.press("Enter")
    until(lambda: len(View.open(root).kept()) == kept + 1, "it is undone")
    person.sees()

    # three dimensions, dark, every width
    page.keyboard.press("Escape")
    page.locator("#map").focus()
    page.keyboard.press("3")
    page.wait_for_selector("#map[data-map='pca 3']")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    for width, height in ((1920, 1080), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(400)
        page.screenshot(path=pictures / f"{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 800})

    # the curated file
    person.sees()
    page.keyboard.press("Control+k")
    page.keyboard.type("finish")
    page.keyboard.press("Enter")
    until(lambda: steps(root)[-1].type == "publish", "the run ends")
    until(lambda: page.locator("#run-state").inner_text() == "finished", "the page says so")
    curated = pl.read_parquet(root / "curated" / "train-00000.parquet")
    removed = pl.read_parquet(root / "removed" / "removed-00000.parquet")
    assert {first, second} <= set(curated["recryst_id"])
    assert {first, second}.isdisjoint(removed["id"])
    assert "bank-1995" in removed["id"]
    assert {event.answer.who for event in steps(root) if event.type == "approve"} == {"Ana"}
    assert audit(root).failures == []
    # The refusal above; rows asked for a card that was answered meanwhile; pictures that are taken while it draws.
    usual = ("status of 409", "status of 400", "GL Driver Message")
    assert [fault for fault in faults if not any(one in fault for one in usual)] == []
