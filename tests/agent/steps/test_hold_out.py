"""The hold-out by whole groups, of inputs as people have them."""

import json

import numpy as np
import polars as pl
import pytest
from commands import SHORT
from small_view import SmallRun, texts

from recryst.agent.audit import audit
from recryst.agent.steps.clean import Clean
from recryst.agent.steps.repeats import HoldOut
from recryst.agent.view import View
from recryst.state.errors import InputError

WORDS = ["river", "lamp", "violin", "forest", "bridge", "sailor", "bread", "garden", "clock", "stone", "train", "paper"]


def unrolled(conversations=20, depth=4, seed=0):
    """Conversations unrolled into prefixes: each row goes on up to one of the answers."""
    rng = np.random.default_rng(seed)

    def said():
        return " ".join(rng.choice(WORDS, 14)).capitalize() + "."

    for number in range(conversations):
        turns = [{"role": role, "content": said()} for _ in range(depth) for role in ("user", "assistant")]
        for end in range(1, depth + 1):
            yield number, {"id": f"c{number}t{end}", "messages": turns[: 2 * end]}


def test_no_conversation_is_held_out_in_part(here, tmp_path):
    """Case 53, of h2oai/h2o-llmstudio#422, without a column that would tell."""
    rows = list(unrolled())
    order = np.random.default_rng(1).permutation(len(rows))
    of = {row["id"]: number for number, row in rows}
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(rows[at][1]) + "\n" for at in order))
    code, _, told = here("run", tmp_path / "in.jsonl", "--out", tmp_path / "run", *SHORT)
    assert code == 0, told
    assert "80 rows belong to 20 groups, each held out whole or not at all" in told
    view = View.open(tmp_path / "run")
    ids, anchor = view.ledger()["id"], view.anchor()
    held = {of[name] for name in ids.gather(anchor)}
    assert len(anchor) == 16
    assert not held & {of[name] for name in ids.gather(view.kept())}
    groups = view.array("groups")
    assert [len(set(groups[[of[name] == number for name in ids]])) for number in range(20)] == [1] * 20
    assert audit(tmp_path / "run").failures == []


def grouped_run(folder, column, config=None):
    run = SmallRun(folder, texts(60), load={"group_column": config} if config else {})
    run.rows = run.rows.with_columns(pl.Series("thread", column, dtype=pl.String))
    run.known["group_column"] = "thread"
    return run


def held_out(run):
    original = run.rows.select("row", "text", "thread")
    run.rows = run.rows.drop("thread")
    view = run.loaded(original)
    return run.step(run.step(view, Clean()), HoldOut())


def test_the_group_column_holds_rows_together(tmp_path):
    threads = [f"t{n // 3}" for n in range(60)]
    view = held_out(grouped_run(tmp_path, threads))
    assert sorted({n // 3 for n in view.anchor()}) == sorted(view.anchor()[::3] // 3)
    assert (view.events[-1].groups, view.events[-1].grouped, view.events[-1].divided) == (20, 60, False)


def test_groups_too_large_to_hold_out_are_said_or_refused(tmp_path):
    run = grouped_run(tmp_path / "a", [f"t{n % 2}" for n in range(60)])
    view = held_out(run)
    assert (len(view.anchor()), view.events[-1].divided) == (12, True)
    named = grouped_run(tmp_path / "b", [f"t{n % 2}" for n in range(60)], "thread")
    with pytest.raises(InputError, match=r"only 0 of 12 rows can be held out.*'thread'.*--group-column"):
        held_out(named)
