"""Runs that work with shorter vectors: what is stored, derived again, resumed, searched and handed over."""

import json
import signal

import numpy as np
import polars as pl
import pytest
from forger import Forger, copied, dotted, pattern
from processes import call

from recryst.agent.audit import audit
from recryst.agent.browse.meaning import Meaning, Near
from recryst.agent.browse.reader import Reader
from recryst.agent.start import refine
from recryst.agent.steps.measured import HANDED_OVER, hand_over_vectors
from recryst.agent.view import View
from recryst.state.errors import InputError

ROWS, WIDTH = 400, 24
SETTINGS = {
    "embed.dimensions": "auto",
    "embed.recall": 0.9,
    "anchor.fraction": 0.4,
    "sealed.min_rows": 30,
    "cluster.k": 5,
    "reduce.methods": ["pca"],
    "score.bootstraps": 2,
    "train.enabled": False,
    "stop.max_rounds": 2,
}
COLUMNS = {"label_column": "kind", "vector_column": "vector"}
#: What is measured of the vectors is taken as logged, as the vectors are; so are their neighbours.
TAKEN = {"embedded", "cached", "runtime", "windows", "seconds", "ts", "estimate"}
VECTORS = {"pool", "vectors", "neighbor_indices", "neighbor_similarities", "anchor_vectors", "anchor_radii", "density"}


def table():
    """Rows in five groups with vectors that follow them, in few directions of many; a fifth has another label."""
    rng = np.random.default_rng(0)
    group = np.arange(ROWS) % 5
    spread = rng.standard_normal((5, WIDTH))[group] + 0.6 * rng.standard_normal((ROWS, WIDTH))
    vectors = spread * np.geomspace(1, 0.05, WIDTH) @ np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    own = np.where(rng.random(ROWS) < 0.2, (group + rng.integers(1, 5, ROWS)) % 5, group)
    return pl.DataFrame(
        {"id": [f"r{n}" for n in range(ROWS)], "vector": vectors.tolist(), "kind": [f"k{n}" for n in own]}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return refine(table(), out=tmp_path_factory.mktemp("shorter") / "run", **COLUMNS, settings=SETTINGS, quiet=True)


def _embed(view):
    return next(event for event in view.events if event.type == "embed")


def test_every_vector_of_the_run_is_short_and_the_choice_is_on_record(run):
    view = View.open(run.path)
    told = _embed(view).shortened
    assert told.width == WIDTH
    assert 2 <= told.size < WIDTH
    kept = dict(told.recall)
    assert kept[told.size] >= 0.9 > kept[told.size - 2]
    assert view.array("axes").shape == (WIDTH, told.size)
    for role in ("vectors", "anchor_vectors", "sealed_vectors", "centroids"):
        assert view.array(role).shape[1] == told.size, role
    assert audit(run.path).failures == []


def test_the_curated_hash_is_the_same_after_a_kill_beside_the_choice(run, tmp_path):
    table().write_parquet(tmp_path / "rows.parquet")
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    columns = ["--label-column", "kind", "--vector-column", "vector"]
    command = ["run", tmp_path / "rows.parquet", *columns, *settings, "--out", tmp_path / "run", "--quiet"]
    killed = call(*command, dies="embed:after")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = call("resume", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    view = View.open(tmp_path / "run")
    assert view.ref("axes") == View.open(run.path).ref("axes")
    assert view.values.curated_sha256 == run.summary.curated_sha256


def test_axes_that_do_not_follow_and_a_choice_that_does_not_are_found(run, tmp_path):
    forger = Forger(copied(run.path, tmp_path / "run"))
    number = _embed(forger.view).seq
    met = set()
    with forger.remembering():
        for path, changed in forger.changes(number):
            if not forger.found(number, changed) and not forger.found_later(number, changed):
                share = path[:2] == ("shortened", "recall") and path[3:] == (1,)
                assert share or pattern(path) in TAKEN, dotted(path)
        for (role, what), changed in forger.contents(number):
            met.add(role)
            if role not in VECTORS:
                assert forger.found(number, changed), (role, what)
    assert {"axes", "second_moments"} <= met


def test_endorsed_vectors_are_shortened_like_the_rows(tmp_path):
    liked = table().head(40)
    liked.write_parquet(tmp_path / "liked.parquet")
    settings = {**SETTINGS, "quality.like": str(tmp_path / "liked.parquet"), "stop.max_rounds": 1}
    done = refine(table(), out=tmp_path / "run", **COLUMNS, settings=settings, quiet=True)
    view = View.open(done.path)
    assert view.array("endorsed_vectors").shape[1] == _embed(view).shortened.size
    held_out = next(event for event in view.events if event.type == "quality").learned["like"]["held_out"]
    assert held_out == np.isin(np.arange(40), view.at(_embed(view).seq).held_out()).sum()
    assert audit(done.path).failures == []
    liked.with_columns(pl.col("vector").list.head(5)).write_parquet(tmp_path / "liked.parquet")
    with pytest.raises(InputError, match=f"vectors of 5 numbers stand beside such of {WIDTH}"):
        refine(table(), out=tmp_path / "other", **COLUMNS, settings=settings, quiet=True)


def test_words_are_searched_among_short_vectors_and_no_other_run_takes_these_for_the_models(tmp_path):
    about = ("the kitten sleeps on the sofa", "the bank charges interest", "heavy showers are forecast")
    texts = [f"{about[n % 3]}, case {n}" for n in range(120)]
    pl.DataFrame({"text": texts}).write_csv(tmp_path / "rows.csv")
    settings = {**SETTINGS, "embed.dimensions": 12, "stop.max_rounds": 1, "cluster.k": 3}
    done = refine(str(tmp_path / "rows.csv"), out=tmp_path / "run", settings=settings, quiet=True)
    view = View.open(done.path)
    assert view.array("vectors").shape[1] == view.array("anchor_vectors").shape[1] == 12
    meaning = Meaning(Reader(tmp_path / "run"))
    found = meaning.closeness(view, meaning.place(Near(text="feline pets"))).sort("closeness", descending=True)
    assert set(view.texts().gather(found["row"].head(10)).str.head(29)) == {about[0]}
    hand_over_vectors(view, tmp_path / "other")
    assert not (tmp_path / "other" / HANDED_OVER).exists()
    assert audit(done.path).failures == []
