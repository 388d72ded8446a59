"""What each stage gained and what it took from whom: on ledgers that are known row by row, and in a real run."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from commands import SHORT
from told_run import ToldRun, positions

from recryst.agent.account.stages import MOST_GROUPS, stages, taken
from recryst.agent.audit import audit
from recryst.agent.view import View
from recryst.state.events import Ablate as AblateEvent
from recryst.state.rows import Removal

EVIL = "shop</td><script>alert(1)</script>\x1b[31m\u202e"


def hits(run, **wanted):
    """What was taken, of the hits with these values."""
    return [one for one in taken(run.view) if all(getattr(one, key) == value for key, value in wanted.items())]


def test_every_row_and_byte_is_charged_once_to_the_stage_that_took_it(tmp_path):
    run = ToldRun(tmp_path, text=["a", "bb", "ü", None, "ccccc", "ccccc", "dddddd", "e", "f", "g"])
    run.step("clean", Removal("exact_duplicate", positions(5), duplicate_of=positions(4)), fields={"seconds": 0.25})
    run.step("language", fields={"outcome": "refused", "reasons": ("past its cap",)})
    run.step("filter", Removal("too_short", positions(0)), Removal("too_long", positions(1, 6)))
    assert [one.rows for one in stages(run.view)] == [10, 10, 9, 9]  # before the anchor is held out too
    run.hold_out(7)
    run.step("act", Removal("prune_random", positions(8)))  # the loop is no stage of the first separation
    found = {one.stage: one for one in stages(run.view)}
    assert list(found) == ["load", "clean", "language", "filter"]
    assert [one.rows for one in found.values()] == [10, 10, 9, 9]
    assert [one.bytes for one in found.values()] == [24, 24, 19, 19]  # ü is two bytes of UTF-8
    assert [one.bytes_removed for one in found.values()] == [0, 5, 0, 9]
    assert found["clean"].reasons == {"exact_duplicate": 1}
    assert found["clean"].seconds == 0.25
    assert (found["language"].removed, found["language"].refused) == (0, "past its cap")
    assert (found["filter"].removed, found["filter"].reasons) == (3, {"too_long": 2, "too_short": 1})
    assert [one.gain for one in found.values()] == [None] * 4


def hit(folder, shares, sizes=100, kind="source", seed=0):
    """A run whose filter removes a share of each group at random."""
    names = [f"{kind}{at}" for at in range(len(shares))]
    groups = np.repeat(names, sizes)
    rng = np.random.default_rng(seed)
    gone = np.flatnonzero(rng.random(len(groups)) < np.repeat(shares, sizes))
    run = ToldRun(folder, text=["x"] * len(groups), **{kind: groups.tolist()})
    run.step("filter", Removal("rule", gone.astype(np.uint32)))
    return run


def test_a_planted_group_is_called_out_and_a_fair_one_is_not(tmp_path):
    run = hit(tmp_path, [0.05] * 9 + [0.4])
    found = hits(run, kind="source", stage="filter")
    assert [one.group for one in found if one.high] == ["source9"]
    (planted,) = [one for one in found if one.high]
    mine = run.ledger.tail(100)
    assert (planted.rows, planted.removed) == (100, int((mine["status"] == "removed").sum()))
    assert planted.rate == planted.removed / 100
    assert planted.average == (run.ledger["status"] == "removed").mean()


def test_chance_alone_calls_out_no_group(tmp_path):
    for seed in range(20):
        run = hit(tmp_path / str(seed), [0.03] * 60, sizes=25, kind="label", seed=seed)
        assert hits(run, stage="filter")
        assert not any(one.high for one in hits(run))


def test_a_small_difference_is_no_matter_however_sure_it_is(tmp_path):
    run = hit(tmp_path, [0.1] * 5 + [0.16], sizes=3000)
    assert not any(one.high for one in hits(run))
    assert max(one.rate for one in hits(run)) > 0.14


def test_a_stage_that_takes_most_rows_calls_out_whom_it_takes_nearly_all_of(tmp_path):
    run = hit(tmp_path, [0.55] * 9 + [0.98])  # twice the average is more than all
    assert [one.group for one in hits(run) if one.high] == ["source9"]


def test_of_many_groups_the_largest_are_told_apart_and_the_others_counted_together(tmp_path):
    labels = [f"large{at}" for at in range(70) for _ in range(20 + at)] + [f"small{at}" for at in range(7)] * 5
    run = ToldRun(tmp_path, text=["x"] * len(labels), label=labels)
    run.step("filter", Removal("rule", np.arange(0, len(labels), 2, dtype=np.uint32)))
    *shown, rest = hits(run, kind="label")
    assert [one.group for one in shown] == [f"large{at}" for at in range(69, 69 - MOST_GROUPS, -1)]
    assert (rest.group, rest.groups, rest.high) == (None, 27, False)
    assert sum(one.rows for one in [*shown, rest]) == len(labels)
    assert sum(one.removed for one in [*shown, rest]) == (len(labels) + 1) // 2


def test_languages_and_hosts_are_groups_but_not_for_the_stage_that_removes_by_them(tmp_path):
    urls = [f"https://me:pw@{('A.Example', 'b.example:8080')[at % 2]}/p?q=x.y" for at in range(100)]
    run = ToldRun(tmp_path, text=["x"] * 100, url=urls)
    languages = pl.DataFrame({"language": ["en", "de"] * 50, "language_score": 0.9})
    odd = np.arange(1, 40, 2, dtype=np.uint32)
    run.step("language", Removal("other_language", odd), languages=languages)
    run.step("filter", Removal("rule", positions(0, 41)))
    assert {one.group for one in hits(run, kind="domain")} == {"a.example", "b.example"}
    assert {one.stage for one in hits(run, kind="domain")} == {"language", "filter"}
    assert {one.stage for one in hits(run, kind="language")} == {"filter"}
    assert [one.rows for one in hits(run, kind="language", group="de")] == [30]


def test_clusters_are_told_of_the_loops_own_removals(tmp_path):
    run = ToldRun(tmp_path, text=["x"] * 100)
    run.step("filter", Removal("rule", np.arange(90, 100, dtype=np.uint32)))  # never embedded: no cluster
    run.hold_out(*range(80, 90))
    corner = np.eye(2, dtype=np.float32)
    kept = np.arange(0, 80, 1, dtype=np.uint32)
    gone = np.arange(1, 60, 2, dtype=np.uint32)  # 30 of the 40 rows at the second corner
    left = np.setdiff1d(kept, gone)
    labels = pl.DataFrame({"row": left, "cluster": (left % 2).astype(np.int32)})
    run.step(
        "act",
        Removal("prune_random", gone),
        assignments=labels,
        centroids=corner,
        pool=kept,
        vectors=corner[kept % 2],
    )
    found = hits(run, kind="cluster")
    assert {one.stage for one in found} == {"loop"}
    assert {one.group: (one.rows, one.removed) for one in found} == {"0": (40, 0), "1": (40, 30)}


@pytest.fixture(scope="module")
def ablated(recryst, docstrings, tmp_path_factory):
    """A finished run with ``--ablate`` on rows some of which are copies or junk, all junk of one hostile source."""
    folder = tmp_path_factory.mktemp("ablated")
    rows = [json.loads(line) for line in docstrings.read_text().splitlines()[:130]]
    rows = [
        row | {"topic": ("a", "b", "c")[at % 3], "site": EVIL if at < 20 else "fair"} for at, row in enumerate(rows)
    ]
    copies = [row | {"id": f"copy of {row['id']}"} for row in rows[::8]]
    junk = [row | {"id": f"junk {at}", "text": f"!! ## @@ {at} " * 30} for at, row in enumerate(rows[:20])]
    source = folder / "rows.jsonl"
    source.write_text("\n".join(json.dumps(row) for row in [*rows, *copies, *junk]))
    options = [
        "--label-column",
        "topic",
        "--source-column",
        "site",
        "--ablate",
        "--apply",
        "basic",
        "--out",
        folder / "run",
    ]
    done = recryst("run", source, *options, *SHORT, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    return folder / "run", json.loads(done.stdout)


def test_the_gains_of_a_run_are_in_the_log_the_summary_the_report_and_the_card(ablated):
    root, result = ablated
    (event,) = [event for event in View.open(root).events if isinstance(event, AblateEvent)]
    table = {one.stage: one for one in event.stages}
    assert {"clean", "filter"} <= set(table)
    gains = {one["stage"]: one["gain"] for one in result["stages"] if one["gain"]}
    assert gains.keys() == table.keys()
    assert all((gains[name]["gain"], gains[name]["error"]) == (one.gain, one.error) for name, one in table.items())
    assert table["filter"].added == 20
    assert table["clean"].added == table["clean"].removed - table["clean"].anchor_copies
    page, card = (root / "report.html").read_text(), (root / "README.md").read_text()
    for one in table.values():
        figure = f"{one.gain:+.4f} ± {one.error:.4f}, {one.verdict}".replace("-", "−")
        assert figure in page
        assert figure in card.replace("\\", "")
    assert audit(root, result["log_head"]).failures == []


def test_a_hostile_group_is_called_out_as_plain_text(ablated, recryst):
    root, result = ablated
    (high,) = [one for one in result["taken"] if one["high"] and one["kind"] == "source"]
    assert (high["stage"], high["group"], high["removed"]) == ("filter", EVIL, 20)
    page = (root / "report.html").read_text()
    assert "removed 50.0 % of the source" in page
    assert "<script>alert(1)" not in page
    assert "shop&lt;/td&gt;&lt;script&gt;alert(1)" in page
    shown = recryst("resume", root)
    assert "First separation" in shown.stdout
    assert "filter removed 50.0 % of the source" in shown.stdout
    assert not {"\x1b", "\u202e"} & set(shown.stdout)
