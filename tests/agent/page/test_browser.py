"""A person at the page: Debian's Chromium drives a small real run, drawn by software WebGL."""

import shutil
import time
from pathlib import Path

import pytest
from browsing import approve, lasso, opened, proposed, total, until
from conversing import create, steps
from hostile import HOSTILE

from recryst.agent.audit import audit

pytestmark = pytest.mark.browser


def test_a_run_is_looked_at_and_approved_on_the_page(root, serving, browser):
    served = serving(root, acts=True)
    page, faults = opened(browser, served.address)
    page.wait_for_selector("#approve")
    page.wait_for_selector("#map[data-names]", state="attached")
    assert page.url.endswith("/"), "the token does not stay in the address"
    assert page.evaluate("document.cookie") == ""
    everything = total(page)
    drawn = page.evaluate("document.getElementById('points').toDataURL().length")
    assert drawn > 0

    # search, and a hostile text as text
    page.keyboard.press("/")
    page.keyboard.type("onerror")
    until(lambda: total(page) == 1, "the search narrows the rows")
    assert page.locator(".table-row .text").inner_text() == HOSTILE[0]
    page.locator(".table-row").click()
    page.wait_for_selector("#side .quote")
    assert page.locator("#side .quote").inner_text() == HOSTILE[0]
    assert page.locator("#desk img, #desk script").count() == 0
    page.locator("#search").fill("zebra-4")
    until(lambda: "ww" in page.locator(".table-row .text").first.inner_text(), "a word of a megabyte is cut")
    page.locator("#search").fill("")
    until(lambda: total(page) == everything, "every row is back")

    # colour and lasso
    page.select_option("#colour", "label")
    until(lambda: "tapir" in page.locator("#legend").inner_text(), "the legend tells the labels")
    assert "<b>tapir</b>" in page.locator("#legend").inner_text()
    page.select_option("#colour", "column:<i>channel</i>")
    until(lambda: "<u>post</u>" in page.locator("#legend").inner_text(), "the legend tells a column of the data")
    assert "<i>channel</i>" in page.locator("#legend").inner_text()
    assert page.locator("#legend i, #legend u").count() == 0
    page.locator("#legend button:has-text('phone')").click()
    until(lambda: 0 < total(page) < everything, "a value of the column narrows the rows")
    page.locator("#legend button:has-text('phone')").click()
    until(lambda: total(page) == everything, "every row is back")
    page.locator("#map").focus()
    page.keyboard.press("d")
    page.wait_for_selector("#map[data-contours='4']")
    page.keyboard.press("d")
    chosen = lasso(page, (0.02, 0.02), (0.45, 0.02), (0.45, 0.98), (0.02, 0.98))
    until(lambda: 0 < total(page) == chosen < everything, "the lasso narrows the rows")
    with page.expect_download() as saved:
        page.click("#chosen button:has-text('Export')")
    assert saved.value.suggested_filename == "run-rows.jsonl"
    assert len(Path(saved.value.path()).read_text("utf-8").splitlines()) == chosen

    # the drawer, the palette, dark, three dimensions
    page.locator(".table-row").nth(1).click()
    page.wait_for_selector("#side .life li")
    assert "nearest rows" in page.locator("#side").inner_text().lower()
    page.keyboard.press("Control+k")
    page.keyboard.type("light or dark")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.locator("#map").focus()
    page.keyboard.press("3")
    page.wait_for_selector("#map[data-map='pca 3']")
    page.keyboard.press("Escape")
    until(lambda: total(page) == everything, "Escape shows every row again")

    # a note, hostile as it may be, is text
    page.locator(".table-row").first.click()
    page.click("#note")
    page.fill("#ask-text", HOSTILE[0])
    page.click("#ask button.primary")
    until(lambda: HOSTILE[0] in page.locator("#notes").inner_text(), "the note stands on its row")
    assert page.locator("#side img").count() == 0
    page.click("#notes button:text('Change…')")
    assert page.input_value("#ask-text") == HOSTILE[0]
    page.fill("#ask-text", "read, and harmless")
    page.click("#ask button.primary")
    until(lambda: "read, and harmless" in page.locator("#notes").inner_text(), "the note is another")
    assert HOSTILE[0] not in page.locator("#notes").inner_text()
    page.click("#notes button:text('Withdraw')")
    until(lambda: page.locator("#notes .card").count() == 0, "the note is withdrawn")

    # another action put forward, approved, and on the record
    page.click("[data-tab='proposal']")
    words = proposed(page)
    page.locator("[data-choose]").first.click()
    until(lambda: proposed(page) not in ("", words), "another action is put forward")
    time.sleep(0.5)  # what is answered sooner was not read
    page.click("#approve")
    until(lambda: [e.type for e in steps(root)].count("measure") == 1, "the action is carried out and measured")
    said = [event.answer.answer for event in steps(root) if event.type == "approve"]
    assert said == ["note", "note", "note", "choose", "approve"]
    assert page.title().endswith("Recryst")
    assert faults == []


#: Ninety rows around the middle, and ten that were removed far away from them: where the first look is at.
FIRST_LOOK = """async () => {
  const { Camera } = await import("/static/camera.js");
  const three = new Float32Array(300).map((_, at) => (at % 3 === 2 ? 0 : at < 270 ? Math.sin(at) : 50));
  return [(at) => at < 90, () => true].map((counts) => {
    const camera = new Camera();
    camera.fit({ three, dimensions: 2, width: 800, height: 600 }, 0, counts);
    return camera.x;
  });
}"""


def test_the_first_look_is_at_the_rows_that_stand(root, serving, browser):
    page, faults = opened(browser, serving(root).address)
    kept, all_of_them = page.evaluate(FIRST_LOOK)
    assert abs(kept) < 0.2
    assert all_of_them > 10
    assert faults == []


def test_the_page_of_a_run_that_only_begins_complains_of_nothing(crude_rows, tmp_path, serving, browser):
    page, faults = opened(browser, serving(create(crude_rows, tmp_path / "run")).address)
    until(lambda: page.locator("#run-state").inner_text() == "begins", "the page says so")
    page.wait_for_selector("#timeline-panel .table-empty", state="attached")
    assert page.locator("#toasts").inner_text() == ""
    assert faults == []


def test_an_approval_in_a_second_tab_of_something_older_is_refused(root, serving, browser):
    served = serving(root, acts=True)
    first, faults = opened(browser, served.address)
    second = first.context.new_page()
    second.goto(f"http://{served.host}/")
    for tab in (first, second):
        tab.wait_for_selector("#approve")
    words = proposed(second)
    second.route("**/api/proposal*", lambda asked: asked.abort())  # a tab that sleeps shows what was proposed before
    first.locator("[data-choose]").first.click()
    until(lambda: proposed(first) not in ("", words), "another action is put forward")
    before = len(steps(root))
    time.sleep(0.5)  # what is answered sooner was not read
    assert proposed(second) == words
    second.click("#approve")
    until(lambda: "nothing was done" in second.locator("#toasts").inner_text(), "the refusal is said")
    assert "this proposal was answered before" in second.locator("#toasts").inner_text()
    assert len(steps(root)) == before
    assert faults == []


def test_a_run_that_goes_on_is_paused_and_goes_on(thinking, serving, browser):
    root, thought = thinking
    page, faults = opened(browser, serving(root, acts=True).address)
    page.wait_for_selector("#approve")
    time.sleep(0.5)  # what is answered sooner was not read
    page.click("#proposal button:has-text('Several…')")
    page.fill("#ask-rounds", "9")
    page.click("#ask button.primary")
    until(lambda: [event.type for event in steps(root)].count("measure") == 1, "the first round is carried out")
    page.wait_for_selector("#pause")
    page.click("[data-menu='Run']")
    page.click(".menu-list button:has-text('Pause')")
    until(lambda: "asks you before its next action" in page.locator("#toasts").inner_text(), "what will happen is said")
    until(lambda: page.locator("#run-state").inner_text().endswith("then it asks you"), "and goes on being said")
    until(lambda: page.locator("#pause").is_disabled(), "it is said once")
    thought.set()
    page.wait_for_selector("#approve")
    until(lambda: "waits for you" in page.locator("#run-state").inner_text(), "the page says that the run waits")
    rested = len(steps(root))
    time.sleep(1.5)
    assert [event.type for event in steps(root)][-1] != "act"
    assert len(steps(root)) == rested, "a step began in the pause"
    page.click("[data-menu='Run']")
    assert page.locator(".menu-list button:has-text('Pause')").is_disabled(), "it rests"
    page.keyboard.press("Escape")
    approve(page)
    until(lambda: [event.type for event in steps(root)].count("measure") == 2, "it goes on")
    page.wait_for_selector("#approve")
    given = [event.answer for event in steps(root) if event.type == "approve"]
    assert [(one.answer, bool(one.interrupt_id)) for one in given] == [("run", True), ("approve", True)]
    assert audit(root).failures == []
    assert faults == []


def test_the_commands_of_the_menus_do_what_they_say(root, begun, serving, browser):
    shutil.copytree(begun, root.parent / "other")
    served = serving(root, acts=True)
    page, faults = opened(browser, served.address)
    page.wait_for_selector("#approve")

    # a menu, by the mouse and then the keyboard
    page.click("[data-menu='Run']")
    assert "Pause" in page.locator(".menu-list").inner_text()
    page.keyboard.press("Escape")
    until(lambda: page.locator(".menu-list").count() == 0, "Escape closes the menu")

    # another run, on a page of its own
    page.locator("#map").focus()
    page.keyboard.press("o")
    with page.context.expect_page() as other:
        page.click("#ask button.primary")
    other.value.wait_for_selector("#map[data-names]", state="attached")
    assert other.value.locator("#run-name").inner_text().endswith("other")
    assert other.value.locator("#approve").count() == 0, "it is there to be looked at"

    def command(words):
        page.keyboard.press("Control+k")
        page.keyboard.type(words)
        page.keyboard.press("Enter")

    # a new run of the same rows, on a page of its own that acts
    command("new run")
    page.fill("#ask-seed", "3")
    with page.context.expect_page() as new:
        page.click("#ask button.primary")
    new.value.wait_for_selector("#approve")
    assert new.value.locator("#run-name").inner_text() != page.locator("#run-name").inner_text()
    new.value.close()

    # what is not open is said, what is open is put forward or done
    command("refilter")
    until(lambda: "no quality rule" in page.locator("#toasts").inner_text(), "why there is none is said")
    command("compare the clusters")
    page.wait_for_selector("#clusters-table .compared")
    page.click("[data-tab='proposal']")
    page.wait_for_timeout(500)
    command("one more round")
    until(lambda: [e.type for e in steps(root)].count("measure") == 1, "one round is carried out")
    page.wait_for_selector("#approve")
    assert [event.answer.answer for event in steps(root) if event.type == "approve"] == ["run"]
    assert faults == []
