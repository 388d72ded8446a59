"""The report: data stays text, the page is whole without a network, and every figure stands on it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from report_page import HOSTILE, SHOWN, STEERING, Page, a_round, objective, page_of, report_data

from recryst.state.actions import Stop
from recryst.state.errors import StorageError
from recryst.tools.write.figures import compare, standing
from recryst.tools.write.report import page_content, script_json, write_report


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(report_data(HOSTILE), tmp_path_factory.mktemp("hostile"))


def test_hostile_text_adds_no_element_and_no_attribute(hostile: Page, tmp_path: Path) -> None:
    calm = page_of(report_data([f"word {at}" for at in range(len(HOSTILE))]), tmp_path)
    assert hostile.elements == calm.elements
    assert Counter(name for _, name, _ in hostile.attributes) == Counter(name for _, name, _ in calm.attributes)
    assert not [name for _, name, _ in hostile.attributes if name.startswith("on")]
    assert "<img src=x onerror=alert(3)>" in hostile.text  # shown as text
    assert "{{ 7 * 7 }}" in hostile.text


@pytest.mark.parametrize("first", HOSTILE)
def test_each_hostile_text_in_every_place_leaves_three_scripts(first: str, tmp_path: Path) -> None:
    page = page_of(report_data([first] * 4), tmp_path)
    assert page.elements["script"] == 3
    assert page.elements["img"] == 0
    assert json.loads(page.scripts[0])["points"]["excerpt"] == [SHOWN[HOSTILE.index(first)]] * 4
    assert not set(STEERING) & set((tmp_path / "report.html").read_text().partition("<script>")[0])


def test_script_json_cannot_end_its_element() -> None:
    text = script_json({"<&>\u2028": HOSTILE, "nan": float("nan")})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"<&>\u2028": HOSTILE, "nan": None}


def test_the_policy_allows_only_the_two_scripts_of_the_page(hostile: Page) -> None:
    [policy] = [value for value in hostile.attribute("meta", "content") if "default-src" in value]
    directives = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert directives["default-src"] == "'none'"
    assert "unsafe-inline" not in directives["script-src"]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in hostile.scripts[1:]]
    # plotly's 2-D WebGL plots (regl) compile their draw commands, hence 'unsafe-eval'.
    assert directives["script-src"].split() == [*(f"'sha256-{digest}'" for digest in digests), "'unsafe-eval'"]


def test_nothing_is_loaded_from_or_sent_to_a_network(hostile: Page) -> None:
    links = [value for _, name, value in hostile.attributes if name in ("src", "href", "action", "srcset", "data")]
    assert links
    assert all(link.startswith("#") for link in links)
    ours = hostile.scripts[2]
    assert "http" not in ours
    assert "showSendToCloud: false" in ours  # plotly.js 4 shows a button that uploads the chart unless told not to
    assert 'plotlyServerURL: ""' in ours
    assert ours.count("modeBarButtons") == 1


def test_row_text_is_put_on_the_page_as_text_only(hostile: Page) -> None:
    ours = hostile.scripts[2]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|hovertemplate|hovertext", ours)


def test_every_figure_is_shown(hostile: Page) -> None:
    rows = "10,003|8,890|1,113|981|222|13|9,003|113|run-17|2026-11-21|4 min 01 s|1,834"
    separation = "5,555|23.46 MB|3.46 MB|61.5|+0.0102 ± 0.0034, helps (4,711 of 5,555 rows)|444 left out"
    separation += "|removed 45.0 % of the source|(90 of 200 rows)|12.3 %"
    parts = "0.9821|0.9999|0.9001|0.7654|0.8109|0.8456|0.8001|0.7002|0.3579|0.9123|0.8712|0.1423|0.1011|0.0512|0.7123"
    rounds = "+0.0455|−0.0412|+0.0178|−0.0998|1,234|77|4,321|0.812|0.938|76.5%"
    clusters = "5,678|0.457|0.234|0.333|18.8|6.5|3.2|0.876"
    models = "10.42|3.42|41.238|43.911|1.6123|1.6402|+6.48|9,022 rows before anything was removed|1.7011|−5.22 %"
    models += "|298,765 tokens, 3.21 passes|7.12|4.35"
    written = (
        "17 questions, 98,765 tokens, $0.1234|31|6,543|too few words: 6,321|stopped for 1 cluster|ended by the budget"
    )
    rows += "|4,807 rows have another label|4,805"
    expected = f"{rows}|{separation}|{parts}|{rounds}|{clusters}|{models}|{written}".split("|")
    assert [figure for figure in expected if figure not in hostile.text] == []
    assert "0.0,0.0 280.0,64.3 560.0,110.0" in hostile.attribute("polyline", "points")  # the loss, from high to low
    assert "3f" * 32 in hostile.text
    assert "a7" * 32 in hostile.text


def test_the_rounds_that_tried_something_are_counted_and_the_sections_that_exist_are_linked(tmp_path: Path) -> None:
    data = report_data(["a"] * 4)
    stop = a_round(4, "stopped", None, objective(), "a", Stop())
    maps = data.maps.with_columns(split=pl.lit("train"))
    data = data.model_copy(update={"rounds": (data.rounds[0], stop), "maps": maps})
    page = page_of(data, tmp_path)
    assert "In 1 round, 1 action paid and was kept" in page.text
    assert "after 1 round: a" in page.text
    assert "Round 1: keep 76.5% of the rows of clusters 0, 1, those closest to the centre" in page.text
    assert "4 rows are drawn; the 981 rows of the anchor are not." in page.text
    sections = {value for tag, name, value in page.attributes if (tag, name) == ("section", "id")}
    assert {link.removeprefix("#") for link in page.attribute("a", "href")} <= sections
    assert {"#quality", "#labels"} <= set(page.attribute("a", "href"))
    plain = page_of(data.model_copy(update={"quality": (), "labelled": None}), tmp_path)
    assert not {"#quality", "#labels"} & set(plain.attribute("a", "href"))


def test_coordinates_are_short_and_missing_ones_are_null(hostile: Page) -> None:
    figures = json.loads(hostile.scripts[0])
    assert figures["maps"]["umap"]["2"] == [[None] + [1.235] * 10, [None] + [-98770] * 10]
    assert figures["maps"]["pca"]["3"][0] == [None] + [0.0001235] * 10
    assert figures["points"]["status"][:3] == [1, 0, 2]
    assert figures["points"]["cluster"][:3] == [None, -1, 0]
    assert [figures["points"]["labels"][at] for at in figures["points"]["label"][1:]] == SHOWN[1:]


def test_the_standing_line_ignores_what_was_not_kept(hostile: Page) -> None:
    data = report_data(["a"] * 4)
    assert [state.value for state in standing(data)] == [0.9821, 0.9999, 0.9999, 0.9999]
    metrics = {metric["title"]: metric for metric in json.loads(hostile.scripts[0])["metrics"]}
    assert metrics["Worth of the rows"]["rounds"] == [0, 1, 2, 3]
    assert [one["outcome"] for one in metrics["Worth of the rows"]["tried"]] == ["kept", "rolled_back"]
    assert metrics["Structure"]["values"] == [None] * 4


def test_a_change_is_better_or_worse_by_its_figure_and_told_from_noise() -> None:
    data = report_data(["a"] * 4)
    senses = [{line.part.key: line.sense for line in compare(data, one)} for one in data.rounds]
    first = {"nearest_neighbor": "better", "linear_discriminant": "worse", "redundancy": "better", "coverage": "same"}
    assert senses[0] | first == senses[0]
    assert senses[1] | {"value": "worse", "redundancy": "worse", "structure": "same"} == senses[1]
    noise = [{line.part.key: line.noise for line in compare(data, one)} for one in data.rounds]
    assert noise[0] | {"value": False, "nearest_neighbor": False, "linear_discriminant": False} == noise[0]
    assert noise[1]["nearest_neighbor"]  # 0.0001, of an error that is told as 0.0123


def test_what_the_run_came_to_stands_first_and_a_run_without_sealed_rows_says_so(tmp_path: Path) -> None:
    data = report_data(["a"] * 4)
    page = page_of(data, tmp_path)
    assert "On 389 rows that nobody looked at: probes 0.8123 before, 0.8345 after" in page.text
    assert page.text.index("nobody looked at") < page.text.index("Rows kept")
    assert "981 held out as anchor and 417 sealed" in page.text
    without = page_of(data.model_copy(update={"headline": None, "unsealed": "so few", "sealed": 0}), tmp_path)
    assert "No rows were sealed for a last look: so few." in without.text
    assert "nobody looked at" not in without.text


def test_an_empty_run_is_still_a_page(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("funnel", "rounds", "clusters", "models", "notes"), ())
    rows = dict.fromkeys(("ingested", "quarantined", "kept", "removed", "synthetic"), 0)
    more = {"rows": rows, "anchor": 0, "maps": pl.DataFrame(), "seconds": {}, "curated_sha256": None}
    data = report_data(["a"] * 4).model_copy(update=nothing | more)
    page = page_of(data, tmp_path)
    for sentence in ("This run drew no map", "No round was run", "The rows were not clustered", "not exported"):
        assert sentence in page.text
    assert json.loads(page.scripts[0])["points"] == {}


def test_writing_is_whole_repeatable_and_keeps_the_old_page_on_failure(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(report_data(["a"] * 4), path)
    first = path.read_bytes()
    write_report(report_data(["a"] * 4), path)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(StorageError, match="missing"):
        write_report(report_data(["a"] * 4), tmp_path / "missing" / "report.html")


def test_the_content_of_a_page_leaves_out_plotly_alone(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(report_data(["a"] * 4), path)
    page = path.read_text()
    content = page_content(page)
    script = page.partition("<script>")[2].partition("</script>")[0]
    assert len(content) < len(page) - len(script)

    def embedding(other: str) -> str:
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, other)]
        return page.replace(script, other).replace(*digests)

    assert page_content(embedding("/* plotly.js v1.2.3 */")) == content
    assert page_content(embedding(script + "alert(1)")) != content  # no other version, but another script
    assert page_content(embedding("alert(1)")) != content
    assert page_content(page.replace("8,890", "8,891")) != content
    assert page_content(page.replace("showSendToCloud: false", "showSendToCloud: true")) != content
