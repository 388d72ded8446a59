"""Rows far away do not make the others small: where the maps of the report and of the page begin."""

import math
import re
from pathlib import Path

import polars as pl
import pytest
from browsing import opened, until
from report_page import report_data

from recryst.agent.page.app import STATIC
from recryst.tools.write import report

KEPT, FAR = 98, 2  # rows around the middle; of kept and of removed ones that lie far away


@pytest.fixture
def written(tmp_path):
    """A report with two maps: 98 kept rows lie within one unit, two more and two removed ones at 50."""
    data = report_data([f"okapi {n}" for n in range(KEPT + 2 * FAR)])
    places = [[50.0 if n >= KEPT else math.sin(n * (axis + 1)) for n in range(KEPT + 2 * FAR)] for axis in range(3)]
    named = {f"umap_{dimensions}d_{'xyz'[at]}": places[at] for dimensions in (2, 3) for at in range(dimensions)}
    maps = data.maps.select(pl.exclude("^(umap|pca)_.*$")).with_columns(
        status=pl.Series(["kept"] * (KEPT + FAR) + ["removed"] * FAR),
        **{name: pl.Series(values, dtype=pl.Float32) for name, values in named.items()},
    )
    report.write_report(data.model_copy(update={"maps": maps}), tmp_path / "report.html")
    return (tmp_path / "report.html").as_uri()


RANGES = """(axes) => axes.map((axis) => {
  const layout = document.querySelector(`[data-dimensions='${axes.length}']`)._fullLayout;
  return (axes.length === 3 ? layout.scene : layout)[axis].range.map((end) => Math.abs(end));
}).flat()"""


@pytest.mark.browser
def test_the_maps_of_the_report_begin_with_the_kept_rows(written, browser):
    page, faults = opened(browser, written)
    page.wait_for_selector("[data-dimensions='3'] canvas")
    for axes in (["xaxis", "yaxis"], ["xaxis", "yaxis", "zaxis"]):
        ends = page.evaluate(RANGES, axes)
        assert max(ends) < 5, (axes, ends)
    said = page.locator(".maps figcaption").all_inner_texts()
    assert ["4 rows lie beyond the frame" in one for one in said] == [True, True]
    assert [fault for fault in faults if "willReadFrequently" not in fault] == []  # which Plotly does not set
    page.locator("[data-dimensions='3']").dblclick()
    until(lambda: max(page.evaluate(RANGES, ["xaxis", "yaxis", "zaxis"])) > 49, "a double-click shows all of them")
    page.locator("[data-dimensions='3']").dblclick()
    until(lambda: max(page.evaluate(RANGES, ["xaxis", "yaxis", "zaxis"])) < 5, "and once more goes back")


def test_the_page_and_the_report_leave_out_the_same_share():
    scripts = [STATIC / "camera.js", Path(report.__file__).parent / "templates" / "report.js"]
    shares = [re.findall(r"\bFEW = ([\d.]+)", script.read_text("utf-8")) for script in scripts]
    assert shares == [["0.03"], ["0.03"]]
