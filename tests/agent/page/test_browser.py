"""A person at the page: Debian's Chromium drives a small real run, drawn by software WebGL."""

import shutil
import time

import pytest
from conversing import steps
from hostile import HOSTILE

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
SOFTWARE = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]


@pytest.fixture
def browser():
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE)
        yield started
        started.close()


def total(page):
    return int(page.locator("[data-tab='rows'] .count").inner_text().replace(",", ""))


def until(holds, what):
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def test_a_run_is_looked_at_and_approved_on_the_page(root, serving, browser):
    served = serving(root, acts=True)
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: said.type in ("error", "warning") and faults.append(said.text))
    page.goto(served.address)
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
    page.click("#lasso")
    box = page.locator("#map").bounding_box()
    at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
    page.mouse.move(*at(0.02, 0.02))
    page.mouse.down()
    for corner in ((0.45, 0.02), (0.45, 0.98), (0.02, 0.98), (0.02, 0.02)):
        page.mouse.move(*at(*corner), steps=5)
    page.mouse.up()
    page.wait_for_selector("#chosen:not([hidden])")
    chosen = int(page.locator("#chosen b").inner_text().split()[0])
    until(lambda: 0 < total(page) == chosen < everything, "the lasso narrows the rows")

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

    # another action put forward, approved, and on the record
    page.click("[data-tab='proposal']")
    words = page.locator("#proposal h2").inner_text()
    page.locator("[data-choose]").first.click()
    until(lambda: page.locator("#proposal h2").count() and page.locator("#proposal h2").inner_text() != words, "choose")
    time.sleep(0.5)  # what is answered sooner was not read
    page.click("#approve")
    until(lambda: [e.type for e in steps(root)].count("measure") == 1, "the action is carried out and measured")
    said = [event.answer.answer for event in steps(root) if event.type == "approve"]
    assert said == ["choose", "approve"]
    assert page.title().endswith("Recryst")
    assert faults == []
