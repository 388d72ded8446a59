"""What the quality score is learned from, by ``derive`` alone, and what is learned from it."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from small_view import Round

from recryst.agent.llm.open import open_model
from recryst.agent.steps.quality.lessons import LEAST_REST, from_endorsed, from_teacher, given_vectors
from recryst.agent.steps.quality.score import Quality
from recryst.agent.view import derived_seed
from recryst.state.config import Config
from recryst.state.errors import InputError, IntegrityError
from recryst.state.phrases import silent
from recryst.state.settings import parse_config


@pytest.fixture
def begun(tmp_path):
    """A run whose rows of the first group a person likes: the vectors of twelve of them, and of three held-out rows."""
    run = Round(tmp_path, quality={"like": "good.jsonl"})
    view = run.embedded(run.held_out())
    good = view.kept()[run.group[view.kept()] == 0][:12]
    return run, view, np.concatenate([run.vectors[good], run.vectors[view.anchor()[:3]]])


def test_endorsed_rows_teach_what_every_row_is_worth(begun):
    run, view, liked = begun
    assert Quality().due(view)
    event = run.event(view, Quality(), liked)
    assert event.state.values.quality.used == ("like",), event.reasons
    figures = event.learned["like"]
    assert (figures["endorsed"], figures["held_out"]) == (12, 3)
    scores = run.store.frame(event.state.artefacts["quality"])
    assert np.array_equal(scores["row"].to_numpy(), view.array("pool"))
    worth, alike = scores["score"].to_numpy(), run.group[scores["row"].to_numpy()] == 0
    assert worth[alike].mean() > worth[~alike].mean() + 1
    assert (worth < event.state.values.quality.below).mean() == pytest.approx(0.1, abs=0.02)
    assert np.array_equal(Quality().logged(view, event), liked)


def test_rows_that_are_embedded_later_are_scored_by_what_was_learned(begun):
    run, view, liked = begun
    view = run.step(view, Quality(), liked)
    learned = view.values.quality
    assert not Quality().due(view)
    fewer, vectors = view.array("pool")[::2], np.asarray(view.array("vectors"))[::2]
    later = run.holding(view, pool=fewer, vectors=vectors)
    assert Quality().due(later)
    again = run.step(later, Quality())
    assert not Quality().due(again)
    assert again.values.quality == learned
    assert again.ref("quality_model") == view.ref("quality_model")
    assert again.frame("quality").equals(view.frame("quality")[::2])


def test_vectors_that_are_not_those_that_were_read_are_found(begun):
    run, view, liked = begun
    mine = given_vectors(liked)
    event = run.event(view, Quality(), mine)
    assert np.array_equal(Quality().logged(run.holding(view, liked_vectors=liked), event), mine)
    with pytest.raises(IntegrityError, match="not those that were read"):
        Quality().logged(run.holding(view, liked_vectors=liked[1:]), event)


def seen(config, **held):
    """What a lesson sees of a run: its settings, its seeds and the arrays that it holds."""
    none = np.zeros(0, dtype=np.uint32)
    return SimpleNamespace(
        config=config, array=held.__getitem__, seed=lambda *parts: derived_seed(config, *parts), sealed=lambda: none
    )


def points(count, seed):
    """Unit vectors in eight dimensions."""
    found = np.random.default_rng(seed).standard_normal((count, 8)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_the_rest_is_unlike_every_endorsed_row_and_a_sample_of_the_seed():
    liked, others, anchor = points(10, 0), points(400, 1), points(20, 2)
    pool = np.concatenate([liked, others])
    lesson, same, other = (
        from_endorsed(seen(Config(seed=seed), vectors=pool, anchor_vectors=anchor), liked) for seed in (0, 0, 1)
    )
    assert lesson.scores.tolist() == [5.0] * 10 + [0.0] * LEAST_REST
    assert (lesson.vectors[10:] @ liked.T).max() < Config().semantic.cosine
    assert np.array_equal(lesson.vectors, same.vectors)
    assert not np.array_equal(lesson.vectors, other.vectors)


def test_endorsed_rows_that_cannot_teach_are_refused():
    liked, pool, anchor = points(10, 0), points(50, 1), points(20, 2)
    with pytest.raises(InputError, match=r"9 different rows can be learned from.*1 more are held out"):
        from_endorsed(seen(Config(), vectors=pool, anchor_vectors=np.concatenate([anchor, liked[:1]])), liked)
    with pytest.raises(InputError, match="have 4 numbers, those of the data 8"):
        from_endorsed(seen(Config(), vectors=pool, anchor_vectors=anchor), liked[:, :4])


def test_a_teacher_sees_a_sample_of_the_rows_in_force_that_hold_text(script, tmp_path):
    teacher = script({"quality": {"score": lambda row: 4}})
    config = parse_config({"llm": {"model": teacher.model}, "quality": {"teacher_rows": 12}}, "the test")
    text = pl.Series([None if at % 5 == 0 else "  " if at % 5 == 1 else f"row {at}" for at in range(60)])
    kept = np.arange(0, 60, 2, dtype=np.uint32)
    view = seen(config, vectors=points(30, 0), pool=kept)
    view.kept, view.text = lambda: kept, lambda rows: text.gather(rows).fill_null("")
    found = []
    for _ in range(2):
        view.model = open_model(tmp_path, config, [])
        found.append(from_teacher(view, silent).artefacts["taught"])
    scored, again = found
    rows = scored["row"].to_list()
    assert len(rows) == 12
    assert rows == sorted(rows)
    assert all(row % 2 == 0 and row % 5 > 1 for row in rows)
    assert set(scored["score"]) == {4.0}
    assert scored.equals(again)
