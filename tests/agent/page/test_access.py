"""What keeps people out of a page: axe-core looks at every part of it, in both themes and on a phone."""

from importlib.resources import files

import pytest
from browsing import opened

pytestmark = pytest.mark.browser
pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
_ASKED = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"


_STILL = "Promise.allSettled(document.getAnimations().map((one) => one.finished))"
_SHOW = "patch => import('/static/store.js').then(({ set }) => set(patch))"
_LOOK = "name => import('/static/menus.js').then(({ look }) => look(name))"
_THEME = "name => import('/static/commands.js').then(({ theme }) => theme(name))"
#: What stands beside each other on a screen, and what shows that it is there.
_TOGETHER = (
    ({"side": "proposal", "lower": "clusters", "compare": None}, "#clusters-table tbody"),
    ({"side": "overview", "lower": "timeline"}, "#timeline-panel .round"),
    ({"side": "row", "lower": "rows", "row": 5}, "#side .life li"),
    ({"side": "cluster", "lower": "rows", "cluster": 0}, "#side .small-row"),
    (
        {"side": "cluster", "lower": "clusters", "cluster": 1, "compare": 16, "density": True},
        "#clusters-table .compared",
    ),
)


def serious(page):
    """What axe-core finds of serious or critical impact, each with the first place where it stands."""
    page.evaluate(_STILL)
    found = page.evaluate(_ASKED)["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['help']} ({len(one['nodes'])}, {one['nodes'][0]['html'][:160]})" for one in grave]


@pytest.fixture
def opens(thinned, serving, browser):
    """Open the page of a run that waits, with axe-core in it."""

    def at(width):
        page, _ = opened(browser, serving(thinned, acts=True).address, width)
        page.wait_for_selector("#map[data-names]", state="attached")
        page.wait_for_selector("#approve", state="attached")
        page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
        return page

    return at


def test_nothing_keeps_a_person_out(opens):
    page, found = opens(1280), {}
    for theme in ("light", "dark"):
        page.evaluate(_THEME, theme)
        for shown, there in _TOGETHER:
            page.evaluate(_SHOW, shown)
            page.wait_for_selector(there, state="attached")
            found[theme, shown["side"], shown["lower"]] = serious(page)
    page.click("[data-menu='Act']")
    found["menu"] = serious(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette[open]")
    found["palette"] = serious(page)
    assert {where: faults for where, faults in found.items() if faults} == {}


def test_nor_on_a_phone(opens):
    page, found = opens(390), {}
    for shown, there in _TOGETHER:
        page.evaluate(_SHOW, shown)
        page.wait_for_selector(there, state="attached")
        for part in ("side", shown["lower"]):
            page.evaluate(_LOOK, part)
            found[shown["side"], part] = serious(page)
    page.evaluate(_LOOK, "map")
    found["map"] = serious(page)
    assert {where: faults for where, faults in found.items() if faults} == {}
