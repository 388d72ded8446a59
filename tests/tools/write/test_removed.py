"""The table of what went: the original columns as they came, the reason in words, twins, survivors."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recryst.agent.decide.suspects import STRENGTHS
from recryst.agent.decide.verdict import NEAR_DUPLICATE
from recryst.state.errors import IntegrityError, StorageError
from recryst.state.rows import Removal
from recryst.tools.text.filters import PROFILES
from recryst.tools.write.reasons import OUTSIDE, REASONS, in_words
from recryst.tools.write.removed import EVIDENCE, Gone, evidence, write_removed

ROOT = Path(__file__).parents[3]
IDS = pl.Series([f"r{n}" for n in range(8)])
TEXTS = pl.Series([f"text {n}" for n in range(8)])


def gone_of(**twins):
    """Removed rows by position, each with the id of its twin, or with none."""
    lines = [{"row": int(row[1:]), "stage": "s", "rule": "near_duplicate", "twin": twin} for row, twin in twins.items()]
    return Gone(pl.DataFrame(lines, schema=EVIDENCE), IDS, TEXTS)


def told(gone):
    return {line["id"]: line for line in gone.told(gone.evidence).iter_rows(named=True)}


def test_the_survivor_stands_at_the_end_of_the_chain():
    lines = told(gone_of(r3="r2", r2="r1", r5="r4", r4=None, r6="r6", r7="elsewhere"))
    assert {row: line["survivor"] for row, line in lines.items()} == {
        **{"r2": "r1", "r3": "r1"},  # r3 went for r2, which went for r1
        **{"r4": None, "r5": None},  # r4 went for a reason of its own
        **{"r6": None, "r7": None},
    }
    assert lines["r3"]["twin_text"] == "text 2"
    assert lines["r7"]["twin"] == "elsewhere"


@given(st.lists(st.none() | st.integers(0, 30), min_size=31, max_size=31))
def test_chains_end_where_walking_them_ends(twins):
    ids = pl.Series([f"r{n}" for n in range(31)])
    lines = [
        {"row": n, "stage": "s", "rule": "x", "twin": f"r{twin}"} for n, twin in enumerate(twins) if twin is not None
    ]
    gone = Gone(pl.DataFrame(lines, schema=EVIDENCE), ids, ids)
    for line in gone.told(gone.evidence).iter_rows(named=True):
        at, seen = int(line["id"][1:]), set()
        while twins[at] is not None and at not in seen:
            seen.add(at)
            at = twins[at]
        assert line["survivor"] == (None if twins[at] is not None else f"r{at}")


def test_a_twin_outside_the_data_is_not_looked_up_in_it():
    frame = pl.DataFrame(
        [{"row": 1, "stage": "decontaminate", "rule": rule, "twin": "r2", "span": "ab", "twin_text": "a b"}
         for rule in OUTSIDE[1:2]], schema=EVIDENCE,
    )  # fmt: skip
    [line] = told(Gone(frame, IDS, TEXTS)).values()
    assert (line["span"], line["twin_text"], line["survivor"]) == ("ab", "a b", None)


def test_originals_keep_their_types_and_their_names(tmp_path):
    table = pa.table(
        {
            "recryst_id": pa.array([f"mine{n}" for n in range(8)]),
            "vector": pa.array([[n, 0.5] for n in range(8)], pa.list_(pa.float32(), 2)),
            "when": pa.array(range(8), pa.timestamp("us", tz="UTC")),
            "small": pa.array([0, None, 2, 3, 4, 5, 6, 7], pa.uint8()),
        }
    )
    batches = [(np.arange(n, n + 4), table.slice(n, 4).to_batches()[0]) for n in (0, 4)]
    target = tmp_path / "gone.parquet"
    write_removed(gone_of(r1="r0", r6="r1", r7=None), iter(batches), table.schema, target)
    read = pq.read_table(target)
    assert read.schema.names[:6] == ["recryst_id", "vector", "when", "small", "recryst_id_", "recryst_text"]
    assert read.select(table.schema.names).equals(table.take([1, 6, 7]))
    lines = pl.read_parquet(target, columns=["recryst_id_", "recryst_text", "recryst_twin_text", "recryst_survivor"])
    assert lines.rows() == [
        ("r1", "text 1", "text 0", "r0"),
        ("r6", "text 6", "text 1", "r0"),
        ("r7", "text 7", None, None),
    ]
    write_removed(gone_of(), iter(batches), table.schema, target)
    assert pq.read_table(target).num_rows == 0
    with pytest.raises(StorageError):
        write_removed(gone_of(), iter(batches), table.schema, target / "x.parquet")


def test_a_sample_has_something_of_every_reason():
    rules = ["a"] * 60 + ["b"] * 3 + ["c"]
    lines = [{"row": n, "stage": "s", "rule": rule} for n, rule in enumerate(rules)]
    ids = pl.Series([str(n) for n in range(64)])
    drawn = Gone(pl.DataFrame(lines, schema=EVIDENCE), ids, ids).sample(20, 0)
    assert drawn["rule"].value_counts().sort("rule").rows() == [("a", 16), ("b", 3), ("c", 1)]
    assert Gone(EVIDENCE.to_frame(), ids, ids).sample(20, 0).is_empty()


def test_evidence_names_the_row_that_stays_and_no_row_twice():
    ids = pl.Series(["a", "b", "c"])
    copy = Removal("copy", np.array([2], dtype=np.uint32), np.ones(1), 0.9, np.array([0], dtype=np.uint32))
    other = Removal("in_corpus", np.array([1], dtype=np.uint32), np.ones(1), 0.8, pl.Series(["FILE#1"]))
    assert evidence([copy, other], ids, "own").select("row", "stage", "twin").rows() == [
        (1, "own", "FILE#1"),
        (2, "own", "a"),
    ]
    with pytest.raises(IntegrityError, match="twice"):
        evidence([copy, copy], ids, "own")


def test_every_reason_has_a_sentence():
    source = "".join(path.read_text() for folder in ("agent", "tools") for path in (ROOT / folder).rglob("*.py"))
    named = {*re.findall(r'Removal\(\s*"(\w+)"', source), *re.findall(r'_removal\("(\w+)"', source)}
    assert len(named) > 6
    assert named | {"normalised_duplicate", "outvoted_label", "refilter_quality"} <= set(REASONS)
    faults = {"empty", "boilerplate", "mispaired", "broken_off", "gibberish", "off_topic"}  # of a pair
    assert {*STRENGTHS, *faults, NEAR_DUPLICATE} <= set(REASONS)
    for rule in {rule for profile in PROFILES.values() for rule in profile}:
        assert in_words(rule).startswith("a quality rule found too "), rule
    assert in_words("basic.min_words") == "a quality rule found too little: words, split at blank space"
    assert in_words("of_its_own") == "of its own"
