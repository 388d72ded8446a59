"""A whole curation through the official client, with a person who approves, and what an agent may read on the way."""

import json

import polars as pl
import pytest
from conversing import steps
from mcp_agent import served

from recryst.agent.llm.datamark import MARK
from recryst.agent.registry import offered


@pytest.fixture(scope="module")
def curated(crude, tmp_path_factory):
    """An agent whose person has approved everything up to the end, the run's directory, and what was told last."""
    folder = tmp_path_factory.mktemp("served")
    with served(folder, "--data", str(crude), answers=["approve"], mode="legacy") as agent:
        told = agent.call("start_run", source="rows.parquet", label_column="label", wait=60)
        assert (told["run"], told["at_work"], told["waits"]["by"]) == ("rows", False, "rules")
        assert "another run of that name" in agent.refused("start_run", source="rows.parquet", text_column="id")
        told = agent.call("propose", run="rows", k=5, wait=60)
        assert told["waits"]["rolled_back"]["words"] == "cluster anew: kmeans k=5"
        agent.answers = ["keep", "undo", "approve"]
        told = agent.call("propose", run="rows", wait=60)
        assert told["done"] == "by the person: kept"
        assert agent.call("clusters", run="rows")["total"] == 5
        told = agent.call("undo", run="rows", wait=60)
        assert told["done"] == "by the person: taken back"
        assert agent.call("clusters", run="rows")["total"] == 6
        for _ in range(12):
            if "waits" not in told:
                break
            told = agent.call("propose", run="rows", wait=60)
            assert told["done"] == "by the person: approved"
        yield agent, folder / "runs" / "rows", told


def test_a_person_approves_and_the_record_says_so(curated):
    agent, root, told = curated
    assert told["next"] == f"it has ended: the curated rows lie in {root / 'curated'}"
    assert pl.read_parquet(root / "curated" / "train-00000.parquet").height > 50
    given = [event for event in steps(root) if event.type == "approve"]
    said = [(event.actor, event.answer.by, event.answer.answer) for event in given]
    first = [("agent", "agent", "choose"), *(("human", "person", word) for word in ("approve", "keep", "undo"))]
    assert said[:4] == first
    assert set(said[4:]) == {("human", "person", "approve")}
    assert len(agent.asked) == len(said) - 1
    for question, event in zip(agent.asked, given[1:], strict=True):
        assert event.answer.shown_sha[:12] in question
    assert "An agent puts forward: cluster anew: kmeans k=5" in agent.asked[0]
    verified = agent.call("audit", run="rows")
    assert (verified["passes"], verified["finished"]) == (True, True)
    assert "nothing waits" in agent.refused("propose", run="rows")


def test_report_log_and_card_are_resources(curated):
    agent, root, _ = curated
    assert agent.read("recryst://runs/rows/card") == (root / "README.md").read_text("utf-8")
    assert agent.read("recryst://runs/rows/report") == (root / "report.html").read_text("utf-8")
    assert agent.read("recryst://runs/rows/log") == (root / "events.jsonl").read_text("utf-8")
    assert agent.call("metrics", run="rows")["now"]["value"] > 0
    assert agent.call("history", run="rows")["rounds"][0]["words"] == "cluster anew: kmeans k=5"


def test_texts_of_the_data_are_marked_and_who_got_them_is_noted(curated):
    agent, root, _ = curated
    noted = root.parent / "mcp.jsonl"
    before = len(noted.read_text().splitlines()) if noted.exists() else 0
    found = agent.call("rows", run="rows", search=f"okapi{MARK}149", limit=5)
    (row,) = found["rows"]
    assert (row["id"], row["text"].split(MARK)[:3]) == (f"zebra{MARK}149", ["okapi", "149", "of"])
    assert row["label"].startswith(f"tapir{MARK}")
    same = agent.call("rows", run="rows", filters={"label": [row["label"]]}, limit=50)
    assert {one["label"] for one in same["rows"]} == {row["label"]}
    hostile = agent.call("rows", run="rows", limit=5)
    assert [one["row"] for one in hostile["rows"]] == [0, 1, 2, 3, 4]
    told = json.dumps(hostile, ensure_ascii=False)
    assert "\u202e" not in told
    assert "<img src" not in told
    assert len(told) < 5000
    explained = agent.call("explain_row", run="rows", row=row["row"])
    typical = agent.call("cluster", run="rows", cluster=0)["rows"]
    assert all(" " not in one["text"] for one in [explained["row"], *explained["neighbours"], *typical])
    listed = agent.call("clusters", run="rows", limit=2)
    assert (listed["total"], len(listed["clusters"])) == (6, 2)
    lines = [json.loads(line) for line in noted.read_text().splitlines()][before:]
    assert [line["tool"] for line in lines] == ["rows", "rows", "rows", "explain_row", "cluster"]
    assert lines[0]["rows"] == [row["row"]]
    assert lines[2]["rows"] == [0, 1, 2, 3, 4]


def test_names_stay_below_the_folders_of_the_server(curated, crude, tmp_path):
    agent, root, _ = curated
    links = {root.parent / "away": tmp_path, crude / "link.parquet": tmp_path / "rows.parquet"}
    (tmp_path / "rows.parquet").touch()
    (crude / "folder").mkdir()
    links[crude / "folder" / "link.parquet"] = tmp_path / "rows.parquet"
    for link, target in links.items():
        link.symlink_to(target)
    for name in ("../rows", "..", ".", "rows/../rows", "/etc", "away", "rows\0"):
        assert "named by letters" in agent.refused("run_status", run=name), name
        assert "named by letters" in agent.refused("start_run", source="rows.parquet", run=name), name
    for name in ("../served", str(tmp_path / "rows.parquet"), "link.parquet", "folder", "-", "hf:owner/name"):
        assert "data folder of this server" in agent.refused("start_run", source=name), name
    with pytest.raises(Exception, match="Unknown resource"):
        agent.read("recryst://runs/..%2Frows/log")
    assert agent.tools() == {one.tool for one in offered("mcp")}
    assert agent.call("run_status")["runs"] == ["rows"]
