"""The outcome that a user wants: how many rows stay, how few of them in doubt, which, and what the audit says of it."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from forger import at, forged
from small_view import Round, flipped_round, ignored

from recryst.agent.account.explain import explain
from recryst.agent.audit import audit
from recryst.agent.decide.suspects import STRENGTHS, doubts
from recryst.agent.steps.rows import selections
from recryst.agent.steps.rows.select import Select
from recryst.agent.steps.rows.selections import plan
from recryst.agent.view import View
from recryst.state.errors import IntegrityError

ROWS, THEMES, KEEP = 400, 4, 120
LIMIT = STRENGTHS["label_support"][-1]
#: No action pays at this price, so that all rows in doubt are left when the rounds are over.
QUIET = {
    "objective.price": 5, "anchor.fraction": 0.25, "sealed.min_rows": 30, "cluster.k": 5, "reduce.methods": ["pca"],
    "score.bootstraps": 2, "stop.max_rounds": 1,
}  # fmt: skip


def write_rows(folder):
    """Rows in five classes and four themes across them, with vectors; of the labels a seventh is wrong, and one class
    has two rows. Endorsed rows of one theme beside them, and some rows that an accepted set holds."""
    rng = np.random.default_rng(0)
    group, theme = np.arange(ROWS) % 5, rng.integers(0, THEMES, ROWS)
    centres, themes = rng.standard_normal((5, 16)), rng.standard_normal((THEMES, 16))
    vectors = centres[group] + 0.9 * themes[theme] + 0.3 * rng.standard_normal((ROWS, 16))
    wrong = rng.random(ROWS) < 1 / 7
    labels = [f"k{n}" for n in np.where(wrong, (group + rng.integers(1, 5, ROWS)) % 5, group)]
    labels[10] = labels[11] = "rare"
    columns = {"id": [f"r{n}" for n in range(ROWS)], "vector": vectors.tolist(), "kind": labels}
    sources = ["rare" if n in (20, 21) else "ab"[n % 2] for n in range(ROWS)]
    pl.DataFrame({**columns, "source": sources}).write_parquet(folder / "rows.parquet")
    liked = centres[np.arange(20) % 5] + 0.9 * themes[0] + 0.3 * rng.standard_normal((20, 16))
    pl.DataFrame({"id": [f"l{n}" for n in range(20)], "vector": liked.tolist()}).write_parquet(folder / "liked.parquet")
    np.savez(folder / "planted.npz", wrong=wrong, theme=theme)


@pytest.fixture(scope="module")
def run(recryst, once):
    """Carry out a run of those rows with some options; returns its folder and what ``--json`` printed."""
    settings = [word for key, value in QUIET.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    columns = ["--label-column", "kind", "--vector-column", "vector", "--source-column", "source", "--no-train"]
    data = once("outcome-rows", write_rows)

    def carried(name, *options):
        def make(folder):
            words = [str(data / word) if str(word).endswith(".parquet") else word for word in options]
            done = recryst("run", data / "rows.parquet", *columns, *settings, *words, "--out", folder / "run", "--json")
            assert done.returncode == 0, done.stderr
            (folder / "said.json").write_text(done.stdout)
            (folder / "told.txt").write_text(done.stderr)

        folder = once(f"outcome-{name}", make)
        return folder / "run", json.loads((folder / "said.json").read_text()), (folder / "told.txt").read_text()

    carried.planted = lambda: np.load(data / "planted.npz")
    return carried


@pytest.fixture(scope="module")
def few(run):
    """So many rows were asked for."""
    return run("few", "--keep", KEEP)


def selected(root):
    return next(event for event in View.open(root).events if event.type == "select")


def test_so_many_training_rows_stay_and_every_class_and_source_is_among_them(few):
    root, said, told = few
    view, event = View.open(root), selected(root)
    kept = view.kept()
    assert len(kept) == KEEP == event.selected.after == said["selected"]["after"]
    before = view.at(event.seq)
    for parts in (view.labels(), view.sources()):
        assert set(parts.gather(kept)) == set(parts.gather(before.kept()))
    sizes = dict(view.labels().gather(before.kept()).value_counts().iter_rows())
    share = KEEP / len(before.kept())
    for label, rows in view.labels().gather(kept).value_counts().iter_rows():
        assert rows >= int(share * sizes[label]), label
    assert said["rows"]["kept"] + said["rows"]["removed"] == ROWS
    for one in event.selected.selections:
        assert f"{one.rows:,} rows, probes {one.score:.4f}" in told


def test_the_choices_stand_beside_a_random_one_of_the_same_size_and_the_best_is_taken(few):
    choices = {one.name: one for one in selected(few[0]).selected.selections}
    assert set(choices) == {"suspicion", "representative", "closest", "random"}
    assert {one.rows for one in choices.values()} == {KEEP}
    [taken] = [one for one in choices.values() if one.taken]
    assert taken.score == max(one.score for one in choices.values())
    for name in ("suspicion", "representative", "closest"):
        assert choices[name].gain == pytest.approx(choices[name].score - choices["random"].score, abs=2e-6)
        assert choices[name].error > 0


def test_wrong_labels_go_first_where_they_go_by_suspicion(few, run):
    view, wrong = View.open(few[0]), run.planted()["wrong"]
    before = view.at(selected(few[0]).seq)
    choices = {one.name: one.rows for one in plan(before).choices}
    left = {name: wrong[rows].mean() for name, rows in choices.items()}
    assert left["suspicion"] < left["random"] / 3


def test_a_row_that_went_says_why(few):
    root = few[0]
    view = View.open(root)
    gone = view.ledger().filter(pl.col("stage") == "select")
    [reason] = gone["reason"].unique()
    assert reason.startswith("over_keep_")
    assert gone.height == selected(root).selected.before - KEEP
    told = str(explain(view, gone["id"][0]))
    assert "more rows stood than were asked for" in told
    removed = pl.concat([pl.read_parquet(path) for path in (root / "removed").glob("*.parquet")])
    assert removed.filter(pl.col("recryst_reason").str.contains("than were asked for")).height == gone.height
    for page in ("README.md", "report.html"):
        assert f"At most {KEEP} training rows were asked for: {KEEP} of" in (root / page).read_text()


def test_the_same_seed_gives_the_same_rows(few, run):
    assert run("few-again", "--keep", KEEP)[1]["curated_sha256"] == few[1]["curated_sha256"]


def test_so_few_are_in_doubt_and_the_most_suspect_went(run):
    root, said, _ = run("doubt", "--target-noise", "2%")
    view, event = View.open(root), selected(root)
    before = view.at(event.seq)
    support = dict(before.frame("evidence", "row", "label_support").iter_rows())
    kept, gone = view.kept(), np.setdiff1d(before.kept(), view.kept())
    doubted = [row for row in kept if support[row] is not None and support[row] < LIMIT]
    assert len(doubted) <= 0.02 * len(kept)
    assert len(doubted) + 1 > 0.02 * (len(kept) + 1)  # and no more went than had to
    assert said["selected"]["in_doubt"] == len(doubted)
    assert said["selected"]["in_doubt_before"] > 0.02 * said["selected"]["before"]
    assert len(gone)
    labels = before.labels()
    alone = {labels[int(row)] for row in doubted if (labels.gather(before.kept()) == labels[int(row)]).sum() <= 2}
    rest = [support[row] for row in doubted if labels[int(row)] not in alone]
    assert max(support[row] for row in gone) <= min(rest, default=1.0)
    wrong = run.planted()["wrong"]
    assert wrong[gone].mean() > 3 * wrong[before.kept()].mean()
    line = view.ledger().row(int(gone[0]), named=True)
    assert (line["stage"], line["reason"], line["threshold"]) == ("select", "label_support", LIMIT)
    assert {one.name for one in event.selected.selections} == {"suspicion", "random"}


def test_with_endorsed_rows_those_like_them_stay_whatever_the_probes_say(run):
    root, _, _ = run("like", "--keep", 80, "--like", "liked.parquet")
    view, theme = View.open(root), run.planted()["theme"]
    event = selected(root)
    [taken] = [one.name for one in event.selected.selections if one.taken]
    assert taken == "endorsed"
    assert len(view.kept()) == 80
    choices = {one.name: one.rows for one in plan(view.at(event.seq)).choices}
    assert (theme[view.kept()] == 0).mean() > 2 * (theme[choices["random"]] == 0).mean()
    assert set(view.labels().gather(view.kept())) >= {"rare", "k0", "k1", "k2", "k3", "k4"}
    assert "nearest to the endorsed" in (root / "README.md").read_text()


def test_strategies_of_the_literature_are_measured_under_the_same_bounds(run):
    root, _, told = run("strategies", "--keep", KEEP, "--set", "outcome.strategies=[d4, hierarchical, furthest]")
    view, event = View.open(root), selected(root)
    names = {one.name for one in event.selected.selections}
    assert names == {"suspicion", "representative", "closest", "d4", "hierarchical", "furthest", "random"}
    assert {one.rows for one in event.selected.selections} == {KEEP}
    before = view.at(event.seq)
    near = dict(before.frame("assignments", "row", "similarity").iter_rows())
    choices = {one.name: one.rows for one in plan(before).choices}
    typical = {name: np.mean([near[row] for row in rows]) for name, rows in choices.items()}
    assert typical["closest"] > typical["random"] > typical["furthest"]
    for rows in choices.values():
        assert set(before.labels().gather(rows)) == set(before.labels().gather(before.kept()))
    assert "an equal share of every branch" in told
    assert audit(root).failures == []


def test_hard_rows_are_asked_about_where_many_stay_of_a_class():
    def asked(classes, clusters, keep):
        none = np.zeros(len(classes), dtype=bool)
        rows = selections._Rows(np.arange(len(classes)), None, np.array(classes), np.array(classes), none, none)
        return selections._hard_or_easy(rows, pl.DataFrame({"cluster": clusters}), keep)

    assert asked([0, 1] * 300, [0] * 600, 200) == "furthest"
    assert asked([0, 1] * 300, [0] * 600, 199) == "closest"
    assert asked([-1] * 600, [0, 1, 2] * 200, 300) == "furthest"
    assert asked([-1] * 600, [0, 1, 2] * 200, 299) == "closest"


def test_the_audit_derives_each_of_them_again(few, run):
    like = run("like", "--keep", 80, "--like", "liked.parquet")
    for root, *_ in (few, run("doubt", "--target-noise", "2%"), like):
        assert audit(root).failures == []


def _other_gain(bodies):
    at(bodies, "select")["selected"]["selections"][0]["gain"] += 0.01


def _other_taken(bodies):
    for one in at(bodies, "select")["selected"]["selections"]:
        one["taken"] = not one.get("taken", False)


def _more_rows(bodies):
    at(bodies, "select")["selected"]["after"] += 1


@pytest.mark.parametrize(
    ("story", "place"),
    [(_other_gain, "selections.0.gain"), (_other_taken, "taken"), (_more_rows, "selected.after")],
)
def test_a_forged_figure_is_found(few, tmp_path, story, place):
    root = shutil.copytree(few[0], tmp_path / "run")
    failures = forged(root, lambda bodies, store: story(bodies))
    assert any("(select)" in one and place in one for one in failures), failures


# In miniature ----------------------------------------------------------------------------------------------------


def outcome_of(folder, make=Round, **outcome):
    """A run in miniature as it stands when the rounds are over."""
    run = make(folder, outcome=outcome, stop={"min_rows": 10})
    return run, run.described(run.held_out())


def chosen(run, view):
    return run.step(view, Select(), Select().measure(None, view, ignored))


def test_nothing_is_asked_for_and_nothing_happens(tmp_path):
    run = Round(tmp_path)
    assert not Select().due(run.described(run.held_out()))


def test_where_it_is_reached_already_no_row_goes(tmp_path):
    run, view = outcome_of(tmp_path, keep=80)
    after = chosen(run, view)
    assert np.array_equal(after.kept(), view.kept())
    found = after.events[-1].selected
    assert (found.before, found.after, found.selections) == (len(view.kept()), len(view.kept()), ())
    assert after.events[-1].outcome == "reached"


def test_a_row_that_a_person_keeps_stays_and_is_not_in_doubt(tmp_path):
    run, view = outcome_of(tmp_path, make=flipped_round, keep=20, target_noise=0.0)
    doubted = view.kept()[plan(view).in_doubt]
    row = int(doubted[0])
    assert row not in chosen(run, view).kept()
    schema = {"row": pl.UInt32, "answer": pl.String, "label": pl.String}
    said = pl.DataFrame([(row, "keep", None)], schema=schema, orient="row")
    told = run.holding(view, answers=said)
    assert plan(told).in_doubt.sum() == len(doubted) - 1
    assert all(row in one.rows for one in plan(told).choices)
    after = chosen(run, told)
    assert row in after.kept()
    assert len(after.kept()) == 20


def test_without_evidence_that_is_said_and_no_row_is_in_doubt(tmp_path):
    run, view = outcome_of(tmp_path, keep=30, target_noise=0.01)
    bare = run.holding(view, evidence=view.frame("evidence").select("row"))
    assert doubts(bare, bare.kept()) is None
    after = chosen(run, bare)
    found = after.events[-1].selected
    assert (found.after, found.in_doubt, found.reached) == (30, None, False)
    assert {one.name for one in found.selections} == {"representative", "closest", "random"}
    assert "there is no evidence on single rows" in after.events[-1].reasons[0]
    assert after.events[-1].outcome == "not_reached"


def test_of_equals_the_random_choice_is_taken_and_no_method_is_praised(tmp_path):
    run, view = outcome_of(tmp_path, keep=30)
    same = np.stack([np.asarray(view.array("anchor_scores"))] * len(plan(view).choices))
    after = run.step(view, Select(), same)
    [taken] = [one.name for one in after.events[-1].selected.selections if one.taken]
    assert taken == "random"
    assert "No method beat a random choice" in after.events[-1].reasons[0]
    assert set(after.ledger().filter(pl.col("stage") == "select")["reason"]) == {"over_keep_random"}


def test_of_rows_that_are_as_suspect_not_the_last_go(tmp_path):
    run, view = outcome_of(tmp_path, keep=30)
    evidence = view.frame("evidence").with_columns(label_support=pl.lit(1.0, dtype=pl.Float32))
    [rows] = [one.rows for one in plan(run.holding(view, evidence=evidence)).choices if one.name == "suspicion"]
    assert len(rows) == 30
    assert 0.3 < np.isin(rows, view.kept()[: len(view.kept()) // 2]).mean() < 0.7


def test_scores_of_other_choices_are_refused(tmp_path):
    run, view = outcome_of(tmp_path, keep=30)
    with pytest.raises(IntegrityError, match="choices of rows"):
        run.step(view, Select(), Select().measure(None, view, ignored)[:-1])
