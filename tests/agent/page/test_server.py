"""Who is answered, and what: the token, the host and the origin; pages of rows; hostile texts as they are."""

import io
import json
import zipfile

import numpy as np
import polars as pl
import pytest
from conversing import create
from hostile import HOSTILE

from recryst.agent.page.app import STATIC
from recryst.agent.view import View


@pytest.fixture
def page(thinned, serving):
    return serving(thinned)


def test_without_the_token_nothing_is_told(page):
    for path in ("/", "/static/main.js", "/api/status", "/api/live", "/report"):
        status, headers, content = page.ask(path, Cookie=None)
        assert (status, "token" in json.loads(content)["error"]) == (403, True)
        assert "set-cookie" not in headers
    assert page.ask("/api/status", Cookie=page.cookie[:-1])[0] == 403
    assert page.ask("/api/status", Cookie=page.cookie.replace("recryst-", "recryst"))[0] == 403
    status, headers, _ = page.ask(f"/?token={page.token}", Cookie=None)
    assert status == 200
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
def test_another_host_is_refused(page, host):
    assert page.ask("/api/status", Host=host)[0] in (400, 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_origin_is_refused(page, origin):
    assert page.ask("/api/status", Origin=origin)[0] == 403
    assert page.ask("/api/selection", b"", Origin=origin)[0] == 403


def test_an_act_without_an_origin_or_from_another_site_is_refused(page):
    assert page.ask("/api/selection", b"", Origin=None)[0] == 403
    assert page.ask("/api/selection", b"")[0] == 200
    assert page.ask("/api/status", Sec_Fetch_Site="cross-site")[0] == 403
    led = {"Sec_Fetch_Mode": "navigate", "Cookie": None}  # by the page of another run, on another port
    assert page.ask(f"/?token={page.token}", Sec_Fetch_Site="same-site", **led)[0] == 200
    assert page.ask(f"/?token={page.token}", Sec_Fetch_Site="cross-site", **led)[0] == 403
    assert page.ask("/", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="navigate")[0] == 403
    assert page.ask(f"/api/status?token={page.token}", Sec_Fetch_Site="same-site", **led)[0] == 403


def test_the_page_may_ask_nobody_else_and_evaluates_nothing(page):
    _, headers, content = page.ask("/")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert b"<style" not in content
    assert b"style=" not in content
    for path in STATIC.iterdir():
        text = path.read_text("utf-8")
        assert "innerHTML" not in text, path
        assert "insertAdjacentHTML" not in text, path
        assert "//cdn" not in text, path
        assert len(text.splitlines()) <= 300, path
    assert page.ask("/static/..%2fapp.py")[0] == 404


def test_rows_are_paged_searched_sorted_and_counted_by_facet(page, thinned):
    ledger = View.open(thinned).ledger()
    everything = page.rows(limit=500)
    assert everything["total"] == ledger.height == len(everything["rows"])
    parts = [page.rows(offset=at, limit=50)["rows"] for at in range(0, 200, 50)]
    assert [row for part in parts for row in part] == everything["rows"]
    found = page.rows(search="OKAPI quagga 3")
    said = [" ".join((row["text"], row["id"], row["label"])).lower() for row in everything["rows"]]
    assert found["total"] == sum(all(word in one for word in ("okapi", "quagga", "3")) for one in said) > 0
    gone = page.rows(filters={"status": ["removed"]})
    assert gone["total"] == int((ledger["status"] == "removed").sum()) > 0
    assert {row["why"] for row in gone["rows"]} == {
        "its cluster was thinned, and it lay nearer to the middle than those that stay"
    }
    longest = page.rows(sort="length", descending=True, limit=1)["rows"][0]
    assert longest["id"] == "zebra-4"
    facets = page.get("/api/facets", q=json.dumps({"filters": {"status": ["removed"]}}))["facets"]
    by_name = {facet["facet"]: {one["value"]: one["rows"] for one in facet["values"]} for facet in facets}
    assert by_name["status"]["removed"] == gone["total"], "a facet is counted without its own filter"
    assert sum(by_name["status"].values()) == everything["total"]
    assert sum(by_name["label"].values()) == gone["total"]


def test_a_selection_made_on_the_map_filters_rows_facets_and_map(page):
    on_map = np.frombuffer(page.get("/api/map/rows"), dtype="<u4")
    places = np.frombuffer(page.get("/api/map/places", method="pca", dimensions=2), dtype="<f4")
    codes = np.frombuffer(page.get("/api/map/codes", by="cluster"), dtype="<f4")
    assert len(places) == 2 * len(on_map) == 2 * len(codes)
    assert np.abs(places).max() == pytest.approx(1)
    chosen = on_map[:7].astype("<u4")
    name = json.loads(page.ask("/api/selection", chosen.tobytes())[2])["selection"]
    assert [row["row"] for row in page.rows(selection=name)["rows"]] == chosen.tolist()
    mask = page.get("/api/map/found", q=json.dumps({"selection": name}))
    assert mask == bytes([1] * 7 + [0] * (len(on_map) - 7))
    status, _, content = page.ask("/api/rows?q=" + json.dumps({"selection": "0"}).replace(" ", ""))
    assert (status, "forgotten" in json.loads(content)["error"]) == (400, True)


def test_points_are_coloured_by_any_column_of_the_data_and_rows_filtered_by_it(page, thinned):
    about = {one["by"]: one for one in page.get("/api/map")["colours"]}
    channel, weight, day = (about[f"column:{name}"] for name in ("<i>channel</i>", "weight", "day"))
    assert not {"column:text", "column:id", "column:label", "column:vector"} & set(about)
    assert {one["value"] for one in channel["values"]} == {"<u>post</u>", "phone", ""}
    assert 0 <= weight["low"] < weight["high"] <= 15
    assert (weight["moment"], day["moment"]) == (False, True)
    on_map = np.frombuffer(page.get("/api/map/rows"), dtype="<u4")
    codes = np.frombuffer(page.get("/api/map/codes", by="column:<i>channel</i>"), dtype="<f4").astype(int)
    values = [one["value"] for one in channel["values"]]
    assert [values[code] for code in codes] == [("<u>post</u>", "phone", "")[row % 3] for row in on_map]
    assert np.frombuffer(page.get("/api/map/codes", by="column:weight"), dtype="<f4") == pytest.approx(on_map / 10)
    wanted = {"column:<i>channel</i>": ["phone"]}
    found = page.rows(filters=wanted, limit=500)["rows"]
    assert found
    assert {row["row"] % 3 for row in found} == {1}
    facets = {one["facet"]: one for one in page.get("/api/facets", q=json.dumps({"filters": wanted}))["facets"]}
    counted = {one["value"]: one["rows"] for one in facets["column:<i>channel</i>"]["values"]}
    assert counted["phone"] == len(found)
    assert sum(counted.values()) == page.rows()["total"]
    for query in ({"filters": {"column:vector": ["1"]}}, {"filters": {"found": ["1"]}}):
        assert page.ask(f"/api/rows?q={json.dumps(query).replace(' ', '')}")[0] == 400
    assert page.ask("/api/map/codes?by=column:text")[0] == 400


def test_hostile_texts_come_as_they_are_in_json(page):
    found = {row["id"]: row["text"] for row in page.rows(limit=500)["rows"]}
    for n, text in enumerate(HOSTILE):
        _, headers, content = page.ask(f"/api/row?n={n}")
        assert headers["content-type"] == "application/json"
        assert headers["x-content-type-options"] == "nosniff"
        row = json.loads(content)["row"]
        assert row["text"] == text[:100_000]
        assert row["characters"] == len(text)
        assert found[f"zebra-{n}"] == text[:400]


def test_a_row_tells_its_life_and_its_neighbours_and_a_cluster_its_rows(page):
    row = page.get("/api/row", n=next(one["row"] for one in page.rows(filters={"status": ["removed"]})["rows"]))
    assert row["row"]["standing"] == "removed"
    assert "removed by act: prune_keep_furthest" in row["steps"][-1]["said"]
    clusters = page.get("/api/clusters")["clusters"]
    told = page.get("/api/cluster", n=clusters[-1]["cluster"])
    assert told["critique"]["verdict"]
    assert {"typical", "boundary"} <= {one["role"] for one in told["rows"]}
    kept = page.get("/api/row", n=told["rows"][0]["row"])
    assert len(kept["neighbours"]) == 8


def test_an_earlier_state_is_shown_as_it_was(page):
    before = page.rows(at=2, limit=1)
    now = page.rows(limit=1)
    assert before["total"] == now["total"]
    assert page.rows(at=2, filters={"status": ["removed"]})["total"] == 0
    assert page.get("/api/clusters", at=2) == {"clusters": []}


def test_a_selection_is_exported(page, tmp_path):
    query = json.dumps({"filters": {"status": ["removed"]}})
    lines = page.get("/api/export", q=query, **{"as": "jsonl"}).decode().splitlines()
    table = pl.read_parquet(page.get("/api/export", q=query, **{"as": "parquet"}))
    assert table.height == len(lines) > 0
    assert [json.loads(line)["id"] for line in lines] == table["id"].to_list() == table["recryst_id"].to_list()
    assert set(table["recryst_status"]) == {"removed"}
    folder = tmp_path / "dataset"
    packed = page.get("/api/export", q=query, **{"as": "hf"})
    zipfile.ZipFile(io.BytesIO(packed)).extractall(tmp_path)
    saved = pytest.importorskip("datasets").load_from_disk(str(folder))
    assert saved["recryst_id"][:] == table["recryst_id"].to_list()
    assert page.ask("/api/export?q={}&as=csv")[0] == 400


def test_a_run_that_begins_is_there_before_its_log(crude_rows, tmp_path, serving):
    page = serving(create(crude_rows, tmp_path / "run"))
    told = page.get("/api/status")
    assert (told["last"], told["finished"], told["round"]) == ("", False, 0)
    assert page.get("/api/clusters") == {"clusters": []}
    assert page.get("/api/map")["points"] == 0


def test_rows_on_the_map_are_exported_for_embedding_atlas(page):
    table = pl.read_parquet(page.get("/api/export", q="{}", **{"as": "atlas", "method": "umap"}))
    on_map = np.frombuffer(page.get("/api/map/rows"), dtype="<u4")
    ids = {row["row"]: row["id"] for row in page.rows(limit=500)["rows"]}
    assert set(table["recryst_id"]) == {ids[row] for row in on_map}
    assert table.select("recryst_x", "recryst_y").null_count().row(0) == (0, 0)
    assert table.schema["recryst_neighbors"] == pl.Struct({"ids": pl.List(pl.Int64), "distances": pl.List(pl.Float32)})
    at = {id: n for n, id in enumerate(table["recryst_id"])}
    rows = {id: row for row, id in ids.items()}
    first = table.row(3, named=True)
    shown = page.get("/api/row", n=rows[first["recryst_id"]])["neighbours"]
    near = first["recryst_neighbors"]
    assert near["ids"][: len(shown)] == [at[one["id"]] for one in shown]
    assert near["distances"][: len(shown)] == pytest.approx([1 - one["cosine"] for one in shown], abs=1e-3)


def test_the_clusters_of_two_rounds_are_compared_row_by_row(page, thinned):
    moments = page.get("/api/compared")["moments"]
    assert [one["round"] for one in moments] == sorted(one["round"] for one in moments)
    assert len(moments) > 1
    first = moments[0]["seq"]
    told = page.get("/api/compared", **{"with": first})
    view = View.open(thinned)
    then, now = (one.frame("assignments").filter(pl.col("row").is_in(one.kept())) for one in (view.at(first), view))
    assert told["then"]["rows"] == then.height
    assert told["now"]["rows"] == now.height
    assert sum(one["rows"] for one in told["clusters"]) == then.height
    assert sum(one["gone"] for one in told["clusters"]) == then.height - now.height > 0
    both = then.join(now, on="row", suffix="_now")
    for one in told["clusters"]:
        mine = both.filter(pl.col("cluster") == one["cluster"])
        assert sum(part["rows"] for part in one["parts"]) == mine.height or one["more"]
        assert one["became"] in ("same", "split", "merged", "scattered", "gone")
    same = page.get("/api/compared", **{"with": first, "at": first})
    assert {one["became"] for one in same["clusters"]} == {"same"}
    assert page.ask("/api/compared?with=100000")[0] == 400
