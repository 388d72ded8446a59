"""A person at a browser: Debian's Chromium, drawing by software."""

import contextlib
import shutil
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SOFTWARE = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox"]


@contextlib.contextmanager
def started():
    """The browser, started; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: `make test-page` installs it, or tells how")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE)
        try:
            yield browser
        finally:
            browser.close()


def opened(browser, address, width=1280, height=800):
    """A page at an address, and what went wrong in it so far."""
    page = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light").new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: said.type in ("error", "warning") and faults.append(said.text))
    page.goto(address)
    return page, faults


def total(page):
    """How many rows the table lists."""
    return int(page.locator("[data-tab='rows'] .count").inner_text().replace(",", ""))


def until(holds, what, seconds=60):
    """Wait until something holds."""
    for _ in range(20 * seconds):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def lasso(page, *corners):
    """Draw around a part of the map, by shares of its width and height."""
    page.click("#lasso")
    box = page.locator("#map").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (*corners, corners[0])]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    page.wait_for_selector("#chosen:not([hidden])")
    return int(page.locator("#chosen b").inner_text().split()[0].replace(",", ""))


def proposed(page):
    """The action that waits, in words; "" where none is shown."""
    title = page.locator("#proposal h2")
    return title.inner_text() if title.count() else ""


def approve(page):
    """Approve what is shown, once it could be read."""
    page.click("[data-tab='proposal']")
    page.wait_for_selector("#approve")
    time.sleep(0.5)
    page.click("#approve")
