"""The quality score in a run: what a teacher or a person says of a few rows reaches every row, and never acts alone."""

import json

import numpy as np
import polars as pl
import pytest
from commands import QUICK
from conversing import conversation, say

from recryst.agent.account.explain import explain, told
from recryst.agent.audit import audit
from recryst.agent.llm.open import open_model
from recryst.agent.steps.quality.lessons import teacher_scores
from recryst.agent.view import View
from recryst.evals.runs import refine
from recryst.state import events
from recryst.state.actions import Refilter, RefilterByQuality
from recryst.state.errors import InputError
from recryst.state.run import RunDirectory
from recryst.state.settings import parse_config

SMALL = {
    **QUICK,
    "stop": {"max_rounds": 2},
    "anchor": {"fraction": 0.1},
    "cluster": {"k": 4},
    "critique": {"max_pairs": 0},
    "dedup": {"threshold": 0.99},
    # Rows of five short words are near two limits of seven.
    "filter": {"profile": "short", "thresholds": {"basic.min_words": 5, "basic.min_characters": 18}},
    "load": {"text_column": "text", "vector_column": "vector", "label_column": "topic"},
}
TOPICS = ("tea", "ships", "moss", "chess")


def rows(n=200, seed=0):
    """Rows of four topics, a third of them poor: their vectors lie to one side, and most are barely long enough."""
    rng = np.random.default_rng(seed)
    frame = []
    for at in range(n):
        topic, poor = at % 4, at % 3 == 0
        vector = 0.25 * rng.normal(size=12)
        vector[topic] += 2.0
        vector[8] += -0.6 if poor else 0.6
        words = (
            ["poor", TOPICS[topic], "abc", "de", f"n{at}"]
            if poor
            else ["good", TOPICS[topic], "worth", "keeping", "around", f"n{at}"]
        )
        frame.append({"id": f"r{at}", "text": " ".join(words), "topic": TOPICS[topic], "vector": vector.tolist()})
    return frame


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows())))
    return path


def teacher(points):
    """A critic without opinions that gives each row ``points(its text)``."""

    return lambda question: {"score": lambda row: points(row["text"])} if question["kind"] == "quality" else {}


def by_words(text):
    return 1 if text.startswith("poor") else 4


def first(done, kind):
    """The first event of a step."""
    return next(event for event in done.events if event.type == kind)


def with_model(asked, **sections):
    llm = {"model": asked.model, "usd_per_million": (1.0, 1.0)}
    settings = {**SMALL, "llm": llm, "policy": "rules", "quality": {"teacher_rows": 80}, **sections}
    return parse_config(settings, "the test")


def test_each_row_gets_the_score_of_its_own_entry_and_ids_tell_nothing(script, tmp_path):
    taught = script(teacher(by_words))
    model = open_model(tmp_path, with_model(taught), [])
    texts = [f"{'poor' if at % 2 else 'good'} text {at}" for at in range(25)]
    assert teacher_scores(model, texts).tolist() == [1.0 if at % 2 else 4.0 for at in range(25)]
    assert len(taught.asked) == 3
    assert not any(question["tools"] for question in taught.asked)
    shown = [row for question in taught.asked for row in question["shown"]["rows"]]
    assert len({row["id"] for row in shown}) == 25
    assert all(len(row["id"]) == 6 and " " not in row["text"] for row in shown)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda scores: scores[:-1],  # a row left out
        lambda scores: [*scores[:-1], scores[0]],  # one named twice
        lambda scores: [{**scores[0], "id": "r7"}, *scores[1:]],  # one made up
        lambda scores: [{**scores[0], "score": 6}, *scores[1:]],  # beyond the scale
        lambda scores: [{**scores[0], "drop": True}, *scores[1:]],  # more than was asked
    ],
)
def test_an_answer_that_does_not_fit_scores_no_row_of_its_question(script, tmp_path, spoil):
    def policy(question):
        rows = question["shown"]["rows"]
        scores = [{"id": row["id"], "reasons": ["so"], "score": by_words(row["text"])} for row in rows]
        return {"scores": spoil(scores) if rows[0]["text"].endswith("▁0") else scores}

    taught = script(policy)
    model = open_model(tmp_path, with_model(taught), [])
    scores = teacher_scores(model, [f"good text {at}" for at in range(20)])
    assert np.isnan(scores[:10]).all()
    assert (scores[10:] == 4).all()
    assert len(taught.asked) == 1 + 3  # asked again twice, then given up


def test_what_the_teacher_says_reaches_every_row_and_the_audit_derives_it_again(script, source, tmp_path):
    taught = script(teacher(by_words))
    done = refine(source, tmp_path / "run", with_model(taught))
    event = done.of_type(events.Quality)[0]
    figures = event.learned["teacher"]
    assert (figures["asked"], figures["rows"]) == (80, 80)
    assert figures["spearman"] > 0.7
    assert figures["mae"] < figures["mean_mae"]
    assert event.state.values.quality.used == ("teacher",)
    scores = done.after(event).frame("quality")
    poor = np.array([row["text"].startswith("poor") for row in rows()])[scores["row"].to_numpy()]
    assert scores.height > 150
    assert scores["score"].to_numpy()[poor].mean() + 1 < scores["score"].to_numpy()[~poor].mean()
    report = done.after(first(done, "score")).report()
    assert all(0 <= cluster.quality <= 5 for cluster in report.clusters)
    # Rows that both figures doubt can be taken out; those are poor, and no others are offered.
    offered = [c for c in done.of_type(events.Decide)[0].candidates if isinstance(c.action, RefilterByQuality)]
    assert len(offered) == 1
    assert 0 < offered[0].rows == first(done, "score").state.values.doubtful
    assert offered[0].action.quality_below < scores["score"].to_numpy()[~poor].min()
    assert "always the mean" in done.directory.report.read_text()
    assert audit(tmp_path / "run").failures == []


def test_an_audit_finds_a_classifier_that_should_not_count(script, source, tmp_path):
    """A teacher whose scores have nothing to do with the rows is not listened to, and everybody is told."""
    taught = script(teacher(lambda text: sum(text.encode()) * 7919 % 6))
    done = refine(source, tmp_path / "run", with_model(taught))
    event = done.of_type(events.Quality)[0]
    assert event.outcome == "not_used"
    assert "no better than chance" in event.reasons[0]
    assert "quality" not in event.state.artefacts
    assert done.after(first(done, "score")).report().clusters[0].quality is None
    assert not any(isinstance(c.action, RefilterByQuality) for c in done.of_type(events.Decide)[0].candidates)
    assert "no better than chance" in done.directory.report.read_text()
    assert len(done.of_type(events.Quality)) == 1
    assert audit(tmp_path / "run").failures == []


@pytest.fixture
def liked(tmp_path):
    """Fifty-six good rows, most of which stand in the data."""
    path = tmp_path / "good.jsonl"
    chosen = [row for row in rows() if row["text"].startswith("good")][:48]
    more = [{**row, "id": f"new{at}"} for at, row in enumerate(rows(24, seed=9)) if row["text"].startswith("good")][:8]
    path.write_text("\n".join(json.dumps(row) for row in [*chosen, *more, chosen[0]]))
    return path


def test_a_persons_taste_is_learned_without_a_language_model(source, liked, tmp_path):
    config = parse_config({**SMALL, "quality": {"like": str(liked)}}, "the test")
    done = refine(source, tmp_path / "run", config)
    event = done.of_type(events.Quality)[0]
    figures = event.learned["like"]
    assert event.state.values.quality.used == ("like",)
    assert figures["auc"] > 0.65  # the rest holds good rows too
    assert figures["endorsed"] + figures["held_out"] == 56
    assert figures["held_out"] > 0  # of the endorsed rows some are in the anchor: they teach nothing
    scores = done.after(event).frame("quality")
    good = np.array([row["text"].startswith("good") for row in rows()])[scores["row"].to_numpy()]
    assert scores["score"].to_numpy()[good].mean() > scores["score"].to_numpy()[~good].mean() + 0.5
    assert not any(event.llm for event in done.events)
    liked.unlink()  # the run does not need it any more
    assert audit(tmp_path / "run").failures == []


def test_both_together_give_the_mean(script, source, liked, tmp_path):
    taught = script(teacher(by_words))
    done = refine(source, tmp_path / "run", with_model(taught, quality={"teacher_rows": 80, "like": str(liked)}))
    event = done.of_type(events.Quality)[0]
    assert event.state.values.quality.used == ("like", "teacher")
    assert "the mean of what the two classifiers predict" in event.reasons[-1]
    assert done.after(event).array("quality_model").shape == (2, 13)
    line = done.after(event).frame("quality").row(0, named=True)
    found = explain(View.open(tmp_path / "run"), done.view.ledger()["id"][line["row"]])
    assert f"  predicted quality {line['score']:.2f} of 5" in told(found)
    assert audit(tmp_path / "run").failures == []


def test_too_few_endorsed_rows_are_refused_before_the_input_is_read(source, tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(json.dumps(row) for row in rows(9)))
    for path, said in ((few, "holds 9 rows, at least 10"), (tmp_path / "none.jsonl", r"quality\.like")):
        config = parse_config({**SMALL, "quality": {"like": str(path)}}, "the test")
        with pytest.raises(InputError, match=said):
            refine(source, tmp_path / path.stem, config)
        assert not (tmp_path / path.stem / "curated").exists()


def test_a_score_is_learned_once_and_rows_that_come_in_later_get_one(source, liked, tmp_path):
    """A rule takes long rows; a person keeps the trial that brings them back, and the next round scores them."""
    settings = {
        **SMALL,
        "approve": True,
        "filter": {"profile": "short", "apply": "all", "thresholds": {"basic.max_characters": 35}},
        "quality": {"like": str(liked)},
        "objective": {"min_gain": 1.0},
    }
    RunDirectory.create(tmp_path / "run", str(source), parse_config(settings, "the test"))
    with conversation(tmp_path / "run") as talk:
        assert isinstance(talk.proposal.candidate.action, Refilter)
        say(talk, "/yes", "/keep")
    view = View.open(tmp_path / "run")
    learned = [event for event in view.events if isinstance(event, events.Quality)]
    first, *_, last = (view.at(event.seq + 1).frame("quality") for event in learned)
    assert last.height > first.height
    assert last.join(first, on="row").select((pl.col("score") - pl.col("score_right")).abs().max()).item() < 1e-3
    assert audit(tmp_path / "run").failures == []
