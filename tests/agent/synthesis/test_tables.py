"""New rows in the tables: the audit's placer gives what the loop's gave, and forged placements do not survive it."""

import json
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recryst.agent.llm.open import open_model
from recryst.agent.session import Session
from recryst.agent.steps.base import Plain
from recryst.agent.synthesis import placement
from recryst.agent.synthesis.placement import LivePlacer, Placer, logged_placer
from recryst.agent.synthesis.tables import add_rows
from recryst.agent.view import View
from recryst.state.actions import Synthesise
from recryst.state.errors import IntegrityError
from recryst.state.rows import check_ledger, new_ledger, synthetic_rows
from recryst.state.run import RunDirectory
from recryst.state.settings import parse_config
from recryst.state.store import Store
from recryst.state.values import RunState, Values
from recryst.tools.read.columns import JSON_TEXT, plain_rows
from recryst.tools.text import filters

THINGS = (
    "river",
    "loaf",
    "city",
    "novel",
    "lunch",
    "engine",
    "train",
    "carrot",
    "harbour",
    "violin",
    "glacier",
    "market",
)
VERBS = ("carves", "rises in", "surrounds", "describes", "follows", "powers", "leaves", "feeds", "shelters", "fills")


def sentence(n):
    """Sentences that share few words, so that none is a near copy of another."""
    words = np.random.default_rng(n).permutation([*THINGS, *VERBS])
    return " ".join(["Surely", *words[:9], f"w{n * 37}", f"v{n * 11}"])


def vectors_of(texts):
    """Unit vectors around the first axis for every text, the same for the same text."""
    seeds = [sum(map(ord, text)) for text in texts]
    found = np.stack([[1.0, *np.random.default_rng(seed).normal(0, 0.3, 7)] for seed in seeds]).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def writer(asked):
    shown = json.loads(asked.messages[0].text)
    if "examples" in shown:
        start = 100 + 8 * shown["request"] % 64
        return {"rows": [{"text": sentence(start + n)} for n in range(shown["rows"])]}
    verdicts = [{"id": row["id"], "reasons": ["sound"], "verdict": "accept"} for row in shown["rows"]]
    return {"verdicts": verdicts}


@pytest.fixture
def run(llm_server, tmp_path, monkeypatch):
    """A run of 30 rows in one cluster, as it stands before a synthesis; its labels are numbers."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    store = Store(tmp_path / "artifacts")
    texts = [sentence(n) for n in range(30)]
    at, vectors = np.arange(30, dtype=np.uint32), vectors_of(texts)
    centroid = vectors.mean(axis=0, keepdims=True)
    centroids = np.concatenate([centroid / np.linalg.norm(centroid), -centroid / np.linalg.norm(centroid)])
    schema = pa.schema(
        [
            ("row", pa.uint32()),
            ("text", pa.string()),
            ("kind", pa.int64()),
            pa.field("any", pa.string(), metadata=JSON_TEXT),
        ]
    )
    table = pa.table([at, texts, [7] * 30, ['{"a":1}'] * 30], schema=schema)
    with store.scratch() as folder:
        pq.write_table(table, folder / "originals.parquet")
        originals = store.adopt(folder / "originals.parquet")
    text = pl.Series("text", texts)
    nothing = pl.Series([None] * 30, dtype=pl.String)
    told = {"text": texts, "content": nothing, "empty_answer": nothing.cast(pl.Boolean)}
    rows = {"row": at, "id": [f"r{n}" for n in range(30)], **told, "label": ["7"] * 30, "source": nothing}
    labels = {"row": at, "cluster": np.zeros(30, dtype=np.int32), "similarity": vectors @ centroids[0]}
    artefacts = {
        "originals": originals,
        "ledger": store.put_frame(new_ledger(pl.Series("id", rows["id"]), 0)),
        "rows": store.put_frame(pl.DataFrame(rows)),
        "text": store.put_frame(pl.DataFrame({"text": text, "content": nothing})),
        "annotations": store.put_frame(filters.measured(text)),
        "assignments": store.put_frame(pl.DataFrame(labels)),
        "pool": store.put_array(at),
        "vectors": store.put_array(vectors),
        "centroids": store.put_array(centroids),
        "anchor_vectors": store.put_array(vectors_of(["held out"])),
    }
    values = Values(ingested=30, shape="text", text_columns=("text",), label_column="kind", profile="none")
    server = llm_server(writer)
    settings = {"model": "openai:scripted", "base_url": server.base_url("openai"), "parallel": 1}
    config = parse_config({"llm": settings, "semantic": {"cosine": 0.99999}}, "the test")
    model = open_model(tmp_path / "llm", config, [])
    view = View(
        RunDirectory(tmp_path), store, config, RunState(round=1, artefacts=artefacts, values=values), (), lambda: model
    )

    def text_vectors(session, series, advance):
        return vectors_of(series.to_list()), (len(series), 0)

    monkeypatch.setattr("recryst.agent.synthesis.placement.text_vectors", text_vectors)
    return view


def acted(view, added, place, **changes):
    """The event of a synthesis, as far as a placer reads it; ``changes`` are other contents of its artefacts."""
    pool = np.concatenate([view.array("pool"), added.positions])
    vectors = np.concatenate([view.array("vectors"), added.vectors]) if added.rows else view.array("vectors")
    contents = {**added.artefacts, "pool": pool, "vectors": vectors, **changes}
    session = SimpleNamespace(store=view.store)
    refs = {role: Session._put(session, role, content) for role, content in contents.items()}
    return SimpleNamespace(state=SimpleNamespace(artefacts=refs), embedded=place.embedded)


def live(view):
    place = LivePlacer(SimpleNamespace(view=view), lambda done: None)
    return add_rows(view, Synthesise(clusters=(0,), counts=(6,)), place), place


def again(view, event):
    return add_rows(view, Synthesise(clusters=(0,), counts=(6,)), logged_placer(view, event))


def test_new_rows_stand_behind_the_others_in_every_table(run):
    added, place = live(run)
    assert added.refused is None, added.figures
    assert added.rows == added.figures.kept > 0
    assert place.embedded == len(place.placed) >= added.rows
    check_ledger(added.ledger, 30)
    assert synthetic_rows(added.ledger).tolist() == added.positions.tolist() == list(range(30, 30 + added.rows))
    for role in ("rows", "text", "annotations"):
        assert added.artefacts[role].height == added.ledger.height
    table = added.artefacts["synthetic_originals"]
    lines = [line for batch in table.to_batches() for line in plain_rows(batch)]
    texts = added.artefacts["text"]["text"].to_list()[30:]
    assert lines == [{"row": 30 + n, "text": text, "kind": 7, "any": None} for n, text in enumerate(texts)]
    assert np.array_equal(added.vectors, vectors_of(texts))


def test_the_audit_derives_the_same_from_the_log(run):
    added, place = live(run)
    event = acted(run, added, place)
    derived = again(run, event)
    assert derived.ledger.equals(added.ledger)
    assert derived.figures == added.figures
    assert derived.artefacts["synthesis"] == added.artefacts["synthesis"]
    for role in ("rows", "text", "annotations", "synthetic"):
        assert derived.artefacts[role].equals(added.artefacts[role])
    stored = pq.read_table(run.store.verified_path(event.state.artefacts["synthetic_originals"]))
    assert derived.artefacts["synthetic_originals"].equals(stored)
    assert np.array_equal(derived.vectors, added.vectors)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_forged_placement_of_an_added_row_is_derived_again(run, at):
    added, place = live(run)
    record = json.loads(json.dumps(added.artefacts["synthesis"].value))
    text = record["rows"][0]["text"]
    record["placed"][text][at] += 1 if at == 0 else -0.001
    derived = again(run, acted(run, added, place, synthesis=Plain(record)))
    assert derived.artefacts["synthesis"] == added.artefacts["synthesis"] != Plain(record)


def test_a_placement_that_differs_by_rounding_alone_is_that_of_the_log(run):
    added, place = live(run)
    record = json.loads(json.dumps(added.artefacts["synthesis"].value))
    text = record["rows"][0]["text"]
    record["placed"][text][1] = round(record["placed"][text][1] + 1e-6, 6)
    derived = again(run, acted(run, added, place, synthesis=Plain(record)))
    assert derived.artefacts["synthesis"] == Plain(record)


def test_what_the_log_does_not_hold_is_said(run):
    added, place = live(run)
    record = added.artefacts["synthesis"].value
    with pytest.raises(IntegrityError, match="where a text landed"):
        again(run, acted(run, added, place, synthesis=Plain({**record, "placed": {}}), vectors=None))
    with pytest.raises(IntegrityError, match="no vector"):
        again(run, acted(run, added, place, vectors=None))
    with pytest.raises(IntegrityError, match="one vector for each"):
        again(run, acted(run, added, place, vectors=added.vectors))
    with pytest.raises(IntegrityError, match="where texts landed"):
        again(run, acted(run, added, place, synthesis=Plain({**record, "placed": {"a": [1, "x", 2]}})))


def test_rows_without_a_model_or_text_are_refused(run):
    mute = View(run.run, run.store, run.config, run.state, ())
    assert (
        add_rows(mute, Synthesise(clusters=(0,), counts=(6,)), Placer(mute)).refused
        == "no language model is configured"
    )
    values = run.values.patched(Values(text_columns=()))
    vectors = View(
        run.run, run.store, run.config, run.state.model_copy(update={"values": values}), (), lambda: run.model
    )
    refused = add_rows(vectors, Synthesise(clusters=(0,), counts=(6,)), Placer(vectors))
    assert refused.refused == "the rows are vectors; a new one could not be written"
    assert (refused.rows, refused.artefacts) == (0, {})


def test_held_out_rows_count_among_the_nearest(run):
    (placed,) = placement._nearest(run, vectors_of(["held out"]))
    assert (placed.cluster, placed.nearest) == (0, 1.0)
