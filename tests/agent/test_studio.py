"""`langgraph.json` names a factory that makes the graph of a run, which goes on from where its log ends."""

import importlib
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from conversing import create, steps

from recryst.agent import graph
from recryst.agent.steps.cycle import PREPARE, STEPS
from recryst.state.errors import UsageError

CONFIG = json.loads((Path(__file__).parents[2] / "langgraph.json").read_text("utf-8"))


@pytest.fixture
def studio(monkeypatch):
    """The factory that the file names; what it owns is let go of afterwards."""
    monkeypatch.delenv(graph.STUDIO_RUN, raising=False)
    module, _, name = CONFIG["graphs"]["recryst"].partition(":")
    yield getattr(importlib.import_module(module), name)
    graph.STUDIO_CLAIM.close()
    graph._of_studio.cache_clear()


def first_steps(made, last):
    """The names of the nodes that were passed, up to ``last``."""
    passed = []
    for update in made.stream({"seq": 0}):
        passed += update
        if last in passed:
            return passed
    raise AssertionError(passed)


def test_studio_shows_the_cycle_without_a_run(studio):
    drawn = studio().get_graph()
    assert set(drawn.nodes) == {"__start__", "__end__", *STEPS}
    assert {edge.target for edge in drawn.edges if edge.source == "__start__"} == {PREPARE[0].name}
    with pytest.raises(UsageError, match="RECRYST_RUN"):
        studio().invoke({"seq": 0})


def test_studio_goes_on_where_the_log_of_a_run_ends(studio, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    rows = {"id": [str(n) for n in range(60)], "text": [f"okapi {n}" for n in range(60)], "label": ["a", "b"] * 30}
    pl.DataFrame({**rows, "vector": rng.standard_normal((60, 4)).tolist()}).write_parquet(tmp_path / "rows.parquet")
    root = create(tmp_path / "rows.parquet", tmp_path / "run")
    monkeypatch.setenv(graph.STUDIO_RUN, str(root))
    assert first_steps(studio(), "clean")[:2] == ["load", "clean"]
    assert [event.type for event in steps(root)] == ["load", "clean"]
    assert "load" not in first_steps(studio(), "hold_out")
    assert [event.type for event in steps(root)][-1] == "hold_out"
